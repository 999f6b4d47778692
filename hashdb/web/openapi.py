"""OpenAPI: what each operation reads, answers and refuses, told once beside the view."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import cleandoc
from typing import Any

from apiflask import APIBlueprint, APIFlask
from flask import Response, current_app, request
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from hashdb.domain.members import Scope
from hashdb.web.context import actor, admit, query
from hashdb.wire import LARGEST_ID
from hashdb.wire.pages import Asked
from hashdb.wire.problems import Problem

View = Callable[..., Response]
JSON = "application/json"
FORM = "multipart/form-data"
TEXT = "text/plain"
PROBLEM = "application/problem+json"

_REFUSALS = {
    400: "Not JSON, or not multipart.",
    401: "No key, or none that is valid now.",
    403: "Without the scope, of a suspended member, or another member's.",
    404: "Does not exist, or not for you.",
    409: "Conflict.",
    410: "The cursor is not of the present log: start over from 0.",
    413: "Too large.",
    415: "Another Content-Type, or not a picture that is read.",
    422: "Well-formed, but refused; `errors` names every fault.",
    429: "A limit of the key is reached, or it has too much under way; come again after `Retry-After`.",
    503: "Busy; nothing was stored; come again after `Retry-After`.",
}
_KEY = {"type": "http", "scheme": "bearer", "description": "The secret of a member's key: `hdb_…`."}
_MODELS: dict[type[BaseModel], str] = {Problem: "serialization"}


class Idempotent(BaseModel):
    """The header that makes a repeated request one."""

    idempotency_key: str | None = Field(
        None, alias="Idempotency-Key", description="The same key and body within 24 h gets the same answer."
    )


def operation(
    blueprint: APIBlueprint,
    answers: Mapping[int, type[BaseModel] | type[str] | None],
    *,
    scopes: Sequence[Scope] | None = (),
    reads: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    takes: type[BaseModel] | None = None,
    streams: Sequence[str] = (),
    idempotent: bool = False,
    refuses: Sequence[int] = (),
) -> Callable[[View], View]:
    """Document a view, and ask for a key with one of `scopes` before anything else is read (None: for no key).

    `answers` maps a status to the model of its JSON (`str`: it is a plain text); `streams` are other media types of the
    first; `reads` is the model of the JSON body, `form` of the multipart body, `takes` of the query string (which is
    otherwise refused); `refuses` are statuses beside those that these imply.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(**values: Any) -> Response:
            if scopes is not None:
                admit(actor(), *scopes)
                if takes is None and request.args:
                    query(Asked)
            return view(**values)

        implied = {503} | ({401, 403, 422, 429} if scopes is not None else set())
        implied |= {400, 413, 415} if reads or form else set()
        responses: Any = {status: _answer(said) for status, said in answers.items()}
        for other in streams:
            responses[min(answers)]["content"][other] = {"schema": {"type": "string"}}
        responses |= {status: _refusal(status) for status in sorted(implied.union(refuses))}
        security = "key" if scopes is not None else None
        noted = blueprint.doc(responses=responses, security=security, description=_description(view, scopes))
        documented: Any = noted(guarded)
        # What APIFlask's own decorators note of a view, which would parse the request a second time.
        args = [(model, "query") for model in (takes,) if model] + [(Idempotent, "headers")] * idempotent
        documented._spec["args"] = args
        if body := reads or form:
            documented._spec |= {"body": _schema(body, "validation"), "content_type": JSON if reads else FORM}
        return documented  # type: ignore[no-any-return]

    return decorate


def register(app: APIFlask) -> None:
    """Let APIFlask write the document from what `operation` noted."""
    app.config.update(
        AUTO_200_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_OPERATION_ID=True,
        AUTO_SERVERS=False,
        SECURITY_SCHEMES={"key": _KEY},
    )
    app.description = "A shared database of perceptual hashes of removed terrorist content."
    app.license = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    app.spec_processor(_complete)


def _complete(spec: Any) -> Any:
    _, found = models_json_schema(list(_MODELS.items()), ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    spec.setdefault("components", {}).setdefault("schemas", {}).update(found["$defs"])
    for operations in spec["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _parameter(parameter)
    return spec


def _parameter(parameter: Any) -> dict[str, Any]:
    if parameter["in"] == "path":
        return {"type": "integer", "minimum": 0, "maximum": LARGEST_ID}
    # Nothing in a query string or a header is null.
    schema = dict(parameter["schema"])
    if schema.get("default", ...) is None:
        del schema["default"]
    said: dict[str, Any] = schema.pop("anyOf", [{}])[0]
    return schema | said


def document() -> str:
    """The OpenAPI document of the application, the same text at each call."""
    text: str | None = current_app.extensions.get("hashdb.openapi")
    if text is None:
        assert isinstance(current_app, APIFlask)
        text = json.dumps(current_app._get_spec("json"), ensure_ascii=False, sort_keys=True)
        text = current_app.extensions.setdefault("hashdb.openapi", text)
    return text


def _schema(model: type[BaseModel], mode: str) -> dict[str, str]:
    _MODELS[model] = mode
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _description(view: View, scopes: Sequence[Scope] | None) -> str:
    told = cleandoc(view.__doc__ or "").partition("\n\n")[2]
    needed = " or ".join(f"`{scope}`" for scope in scopes or ())
    return "\n\n".join(filter(None, [told, needed and f"Needs a key with scope {needed}."]))


def _answer(said: type[BaseModel] | type[str] | None) -> dict[str, Any]:
    if said is None:
        return {"description": "Done; no content."}
    if issubclass(said, str):
        return {"description": "The answer.", "content": {TEXT: {"schema": {"type": "string"}}}}
    return {"description": "The answer.", "content": {JSON: {"schema": _schema(said, "serialization")}}}


def _refusal(status: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": _REFUSALS[status],
        "content": {PROBLEM: {"schema": _schema(Problem, "serialization")}},
    }
    if status == 401:
        said["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer."}}
    if status in (429, 503):
        said["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return said
