"""The OpenAPI document, which is made from the views that `operation` documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, current_app
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from hashdb import __version__
from hashdb.domain.accounts.members import Scope
from hashdb.domain.meanings import explain, explain_all
from hashdb.web.context import hashdb
from hashdb.web.routes import JSON, OPERATIONS, TEXT, AnswerType, ApiBlueprint, Operation
from hashdb.wire import LARGEST_ID
from hashdb.wire.problems import Problem

_PROBLEM = "application/problem+json"

_ERROR_DESCRIPTIONS = {
    400: "The body is not JSON, or not a multipart form.",
    401: "The request has no key, or its key is not valid now.",
    403: "The key lacks the scope, its member is suspended, or the object belongs to another member.",
    404: "The object does not exist, or you may not see it.",
    409: "The request conflicts with the present state.",
    410: "The cursor does not belong to the present log: start again from 0.",
    413: "The request is too large.",
    415: "The Content-Type is wrong, or the file is not a picture or a video that the service can read.",
    422: "The request is well-formed, but not valid: `errors` lists every fault.",
    429: "The key has reached a limit, or has too many requests in progress: repeat after `Retry-After` seconds.",
    503: "The service is busy and stored nothing: repeat after `Retry-After` seconds.",
}
"""By HTTP status."""
_ABOUT = """\
Platforms use hashdb to recognise content that other platforms have removed as terrorist content.

- Send the secret of your key as `Authorization: Bearer hdb_…`.
- Bodies are JSON in UTF-8. A request with an unknown field or parameter is refused; a response may gain fields.
- Times are in UTC, as in RFC 3339. A signal is `algorithm:hex` in lower case.
- Lists come in pages: send `next` as `after` to get the next page. On the last page, `next` is null.
- An error is `application/problem+json` (RFC 9457). `type` names it, and `errors` lists every fault of a request.
"""
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "The secret of a key, `hdb_…`. An administrator issues it to a member.",
}
_REFERENCE = "#/components/schemas/{model}"
_KINDS = {
    "Action": "action",
    "Algorithm": "algorithm",
    "CaseState": "case_state",
    "Decision": "decision",
    "DeliveryOutcome": "outcome",
    "Media": "media",
    "MemberKind": "member_kind",
    "MemberStatus": "member_status",
    "Profile": "profile",
    "Scope": "scope",
    "Stance": "stance",
    "Standing": "standing",
    "Tier": "tier",
    "Status": "status",
    "Topic": "topic",
    "Trouble": "trouble",
    "TwoPersonAction": "act",
}
"""By the name of an enumeration, the kind of code that `explain_all` takes.

The docstrings of the other enumerations have the meanings of their values.
"""
_VOCABULARY = {
    "labels": "behaviour",
    "basis": "basis",
    "tco_ground": "tco_ground",
    "context": "context",
    "entity": "entity_list",
    "reason": "reason",
}
"""By the name of a field that takes a code of the vocabulary, the kind of code that `explain` takes."""
_MODELS_WITH_CODES = ("DraftIn", "AmendmentIn", "WithdrawalIn", "OpinionIn")
"""The models with fields of `_VOCABULARY`."""


class _Idempotent(BaseModel):
    """The header that makes a request safe to repeat."""

    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        description="A value of your choice. A repeated request with this value and the same body, within 24 hours, "
        "gets the same response and stores nothing again.",
    )


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
            if (documented := OPERATIONS.get(app.view_functions[rule.endpoint])) is None:
                continue
            path = re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule)
            blueprint = app.blueprints[rule.endpoint.rpartition(".")[0]]
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                paths.setdefault(path, {})[method.lower()] = {
                    "operationId": rule.endpoint.rpartition(".")[2],
                    "tags": [blueprint.tag] if isinstance(blueprint, ApiBlueprint) else [],
                    **self._operation(documented, re.findall(r"{(\w+)}", path)),
                }
        _, definitions = models_json_schema(list(self._models.items()), ref_template=_REFERENCE)
        schemas = self._schemas | definitions["$defs"]
        for name, schema in schemas.items():
            _simplify_for_generators(schema)
            _explain(name, schema)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "hashdb",
                "version": __version__,
                "description": _ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "tags": [
                {"name": blueprint.tag, "description": blueprint.about}
                for blueprint in app.blueprints.values()
                if isinstance(blueprint, ApiBlueprint)
            ],
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {"key": _KEY}},
        }

    def _operation(self, documented: Operation, ids: Sequence[str]) -> dict[str, Any]:
        parameters = [_path_parameter(name) for name in ids]
        if documented.query is not None:
            parameters += self._parameters(documented.query, "query")
        if documented.idempotent:
            parameters += self._parameters(_Idempotent, "header")
        answers = {str(status): self._answer(model) for status, model in documented.answers.items()}
        for media_type in documented.streams:
            answers[str(min(documented.answers))]["content"][media_type] = {"schema": {"type": "string"}}
        answers |= {str(status): self._error(status) for status in documented.errors}
        operation: dict[str, Any] = {"summary": documented.summary, "parameters": parameters, "responses": answers}
        operation["description"] = f"{documented.description}\n\n{_needed_key(documented.any_scope)}"
        if documented.any_scope is not None:
            operation["security"] = [{"key": []}]
        if documented.body is not None:
            content = {documented.body_type: {"schema": self._body(documented.body)}}
            operation["requestBody"] = {"content": content, "required": True}
        return operation

    def _body(self, model: type[BaseModel] | type[str]) -> dict[str, str]:
        return {"type": "string"} if issubclass(model, str) else self._schema(model, "validation")

    def _schema(self, model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, str]:
        self._models[model] = mode
        return {"$ref": _REFERENCE.format(model=model.__name__)}

    def _parameters(self, model: type[BaseModel], place: str) -> list[dict[str, Any]]:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        self._schemas |= schema.get("$defs", {})
        required = schema.get("required", ())
        return [
            {
                "in": place,
                "name": name,
                "required": name in required,
                "description": definition.pop("description"),
                "schema": _without_null(definition),
            }
            for name, definition in schema.get("properties", {}).items()
        ]

    def _answer(self, model: AnswerType) -> dict[str, Any]:
        if model is None:
            return {"description": "Success, without content.", "content": {}}
        if issubclass(model, str):
            return {"description": "Success.", "content": {TEXT: {"schema": {"type": "string"}}}}
        return {"description": "Success.", "content": {JSON: {"schema": self._schema(model, "serialization")}}}

    def _error(self, status: int) -> dict[str, Any]:
        response: dict[str, Any] = {
            "description": _ERROR_DESCRIPTIONS[status],
            "content": {_PROBLEM: {"schema": self._schema(Problem, "serialization")}},
        }
        if status == 401:
            response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`."}}
        if status in (429, 503):
            response["headers"] = {
                "Retry-After": {
                    "schema": {"type": "integer"},
                    "description": "Seconds until you may repeat the request.",
                }
            }
        return response


_PARAMETERS = {"level": "The level of the block, 0 to 4.", "number": "The number of the block in its level, from 0."}
"""The descriptions of the path parameters that are not ids, by name."""


def _path_parameter(name: str) -> dict[str, Any]:
    of_id = f"The id of the {name.removesuffix('_id').replace('benign', 'benign entry')}."
    return {
        "in": "path",
        "name": name,
        "required": True,
        "description": _PARAMETERS.get(name, of_id),
        "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST_ID},
    }


def _needed_key(scopes: Sequence[Scope] | None) -> str:
    if scopes is None:
        return "Needs no key."
    return f"Needs a key with scope {' or '.join(f'`{scope}`' for scope in scopes)}." if scopes else "Needs a key."


def _simplify_for_generators(schema: dict[str, Any]) -> None:
    """Change a schema so that generators make usable code of it. What it accepts stays the same.

    Generators of TypeScript require fields that have a default, name types by the titles of fields, and ignore the
    types of `patternProperties`.
    """
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
        default = described.pop("default", None)
        if default or default is False:
            described["description"] = f"{described.get('description', '')} Default: `{json.dumps(default)}`.".lstrip()
        for shape in (described, *described.get("anyOf", ())):
            for pattern, value in shape.pop("patternProperties", {}).items():
                shape |= {"additionalProperties": value, "propertyNames": {"pattern": pattern}}


def _explain(name: str, schema: dict[str, Any]) -> None:
    """Add to the schema of the model `name` what each code means.

    The codes are the values of an enumeration, or those of the vocabulary that are in force.
    """
    if kind := _KINDS.get(name):
        about = schema["description"].partition("\n\n")[0]
        schema["description"] = f"{about}\n\n{_list_codes(explain_all(kind))}"
    if name in _MODELS_WITH_CODES:
        for field, described in schema["properties"].items():
            if field in _VOCABULARY:
                kind = _VOCABULARY[field]
                codes = {code: explain(kind, code) for code in getattr(hashdb().rules.vocabulary, kind)}
                described["description"] += f"\n\n{_list_codes(codes)}"


def _list_codes(codes: Mapping[str, str | None]) -> str:
    return "\n".join(f"- `{code}`: {meaning or 'a code defined by this operator'}." for code, meaning in codes.items())


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter without null, which a query string or a header cannot hold."""
    if schema.get("default", ...) is None:
        del schema["default"]
    schema.pop("title", None)
    not_null: dict[str, Any] = schema.pop("anyOf", [{}])[0]
    return schema | not_null
