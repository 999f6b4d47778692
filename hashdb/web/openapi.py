"""OpenAPI: a decorator that documents a view beside its code, and the document that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import cleandoc
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app, request
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from hashdb import __version__
from hashdb.domain.accounts.members import Scope
from hashdb.web.context import actor, admit, query
from hashdb.wire import LARGEST_ID
from hashdb.wire.pages import QueryString
from hashdb.wire.problems import Problem

View = Callable[..., Response]
Answers = Mapping[int, type[BaseModel] | type[str] | None]
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
_REFERENCE = "#/components/schemas/{model}"


class Idempotent(BaseModel):
    """The header that makes a request safe to repeat."""

    idempotency_key: str | None = Field(
        None, alias="Idempotency-Key", description="The same key and body within 24 h gets the same answer."
    )


class ApiBlueprint(Blueprint):
    """A blueprint whose views the document lists under one tag."""

    def __init__(self, name: str, import_name: str, *, tag: str, url_prefix: str | None = None) -> None:
        """Like Flask's, with a tag."""
        super().__init__(name, import_name, url_prefix=url_prefix)
        self.tag: Final = tag


@dataclass(frozen=True, slots=True)
class _Operation:
    """The documentation of a view."""

    summary: str
    description: str
    answers: Answers
    scopes: Sequence[Scope] | None
    body: type[BaseModel] | None
    body_type: str
    query: type[BaseModel] | None
    streams: Sequence[str]
    idempotent: bool
    refuses: Sequence[int]


_OPERATIONS: dict[Callable[..., Any], _Operation] = {}


def operation(
    answers: Answers,
    *,
    scopes: Sequence[Scope] | None = (),
    reads: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    takes: type[BaseModel] | None = None,
    streams: Sequence[str] = (),
    idempotent: bool = False,
    refuses: Sequence[int] = (),
) -> Callable[[View], View]:
    """Document a view, and require a key with one of `scopes` before anything is read (None: no key is needed).

    `answers` maps a status to the model of its JSON, or to `str` for plain text. `streams` are other media types of the
    first status. `reads` is the model of the JSON body, `form` of the multipart body, `takes` of the query string:
    without `takes`, a query string is rejected. `refuses` are error statuses beside those that the others imply.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(**values: Any) -> Response:
            if scopes is not None:
                admit(actor(), *scopes)
                if takes is None and request.args:
                    query(QueryString)
            return view(**values)

        implied = {503} | ({401, 403, 422, 429} if scopes is not None else set())
        implied |= {400, 413, 415} if reads or form else set()
        summary, _, description = cleandoc(view.__doc__ or "").partition("\n\n")
        _OPERATIONS[guarded] = _Operation(
            summary=summary,
            description=description,
            answers=answers,
            scopes=scopes,
            body=reads or form,
            body_type=JSON if reads else FORM,
            query=takes,
            streams=streams,
            idempotent=idempotent,
            refuses=sorted(implied.union(refuses)),
        )
        return guarded

    return decorate


def document() -> str:
    """The OpenAPI document of the application as JSON. It is made once."""
    text: str | None = current_app.extensions.get("hashdb.openapi")
    if text is None:
        text = json.dumps(_Document().document(current_app), ensure_ascii=False, sort_keys=True)
        text = current_app.extensions.setdefault("hashdb.openapi", text)
    return text


class _Document:
    """Makes the document, and collects the schemas that it refers to."""

    def __init__(self) -> None:
        self._models: dict[type[BaseModel], JsonSchemaMode] = {}
        self._schemas: dict[str, Any] = {}

    def document(self, app: Flask) -> dict[str, Any]:
        """The document of all documented views of an application."""
        paths: dict[str, dict[str, Any]] = {}
        for rule in app.url_map.iter_rules():
            if (documented := _OPERATIONS.get(app.view_functions[rule.endpoint])) is None:
                continue
            path = re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule)
            blueprint = app.blueprints[rule.endpoint.rpartition(".")[0]]
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                paths.setdefault(path, {})[method.lower()] = {
                    "operationId": f"{method.lower()}_{rule.endpoint.replace('.', '_')}",
                    "tags": [blueprint.tag] if isinstance(blueprint, ApiBlueprint) else [],
                    **self._operation(documented, re.findall(r"{(\w+)}", path)),
                }
        _, definitions = models_json_schema(list(self._models.items()), ref_template=_REFERENCE)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "hashdb",
                "version": __version__,
                "description": "A shared database of perceptual hashes of removed terrorist content.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "tags": [
                {"name": blueprint.tag} for blueprint in app.blueprints.values() if isinstance(blueprint, ApiBlueprint)
            ],
            "paths": paths,
            "components": {"schemas": self._schemas | definitions["$defs"], "securitySchemes": {"key": _KEY}},
        }

    def _operation(self, documented: _Operation, ids: Sequence[str]) -> dict[str, Any]:
        parameters = [_path_parameter(name) for name in ids]
        if documented.query is not None:
            parameters += self._parameters(documented.query, "query")
        if documented.idempotent:
            parameters += self._parameters(Idempotent, "header")
        answers = {str(status): self._answer(model) for status, model in documented.answers.items()}
        for media_type in documented.streams:
            answers[str(min(documented.answers))]["content"][media_type] = {"schema": {"type": "string"}}
        answers |= {str(status): self._refusal(status) for status in documented.refuses}
        operation: dict[str, Any] = {"summary": documented.summary, "parameters": parameters, "responses": answers}
        needed = " or ".join(f"`{scope}`" for scope in documented.scopes or ())
        if description := [
            part for part in (documented.description, needed and f"Needs a key with scope {needed}.") if part
        ]:
            operation["description"] = "\n\n".join(description)
        if documented.scopes is not None:
            operation["security"] = [{"key": []}]
        if documented.body is not None:
            content = {documented.body_type: {"schema": self._schema(documented.body, "validation")}}
            operation["requestBody"] = {"content": content, "required": True}
        return operation

    def _schema(self, model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, str]:
        self._models[model] = mode
        return {"$ref": _REFERENCE.format(model=model.__name__)}

    def _parameters(self, model: type[BaseModel], place: str) -> list[dict[str, Any]]:
        template = f"{model.__name__}.{{model}}"
        schema = model.model_json_schema(ref_template=_REFERENCE.format(model=template))
        self._schemas |= {
            template.format(model=inner): definition for inner, definition in schema.get("$defs", {}).items()
        }
        required = schema.get("required", ())
        return [
            {"in": place, "name": name, "required": name in required, "schema": _without_null(definition)}
            for name, definition in schema.get("properties", {}).items()
        ]

    def _answer(self, model: type[BaseModel] | type[str] | None) -> dict[str, Any]:
        if model is None:
            return {"description": "Done; no content.", "content": {}}
        if issubclass(model, str):
            return {"description": "The answer.", "content": {TEXT: {"schema": {"type": "string"}}}}
        return {"description": "The answer.", "content": {JSON: {"schema": self._schema(model, "serialization")}}}

    def _refusal(self, status: int) -> dict[str, Any]:
        response: dict[str, Any] = {
            "description": _REFUSALS[status],
            "content": {PROBLEM: {"schema": self._schema(Problem, "serialization")}},
        }
        if status == 401:
            response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer."}}
        if status in (429, 503):
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
        return response


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "in": "path",
        "name": name,
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST_ID},
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter without null, which a query string or a header cannot hold."""
    if schema.get("default", ...) is None:
        del schema["default"]
    not_null: dict[str, Any] = schema.pop("anyOf", [{}])[0]
    return schema | not_null
