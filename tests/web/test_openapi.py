"""The OpenAPI document is valid and complete, and the service answers as it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hashdb.domain.accounts.members import Scope
from hashdb.domain.meanings import MEANINGS, explain
from hashdb.service.ledger import checkpoints
from hashdb.web.sharing import MOUNTS
from tests.domain.test_meanings import ENUMS
from tests.web.api.test_documents import LISTED
from tests.web.api.test_documents import document as document_draft
from tests.web.callers import Caller, Service, body, item, service_at

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
PUBLIC = {"/healthz", "/readyz", "/v1/log", "/v1/checkpoint", "/v1/checkpoint/cosigned"}
WITHOUT_BODY = ("/secret", "/test", "/redelivery")
EXAMPLES = 10


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests. It keeps what they store."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('openapi')}/hashdb.sqlite", media_seconds=5) as service:
        checkpoints.start(service.db)
        service.caller(Scope.MATCH).get("/v1/me")
        yield service


@pytest.fixture(scope="module")
def document(service: Service) -> Any:
    """The OpenAPI document of the service."""
    return body(service.anonymous.get("/openapi.json"))


def _operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """The path, the method and the description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["info"]["license"]["identifier"] == "Apache-2.0"


def test_the_schemas_suit_code_generators(document: Any) -> None:
    """The rules of openapi-typescript, openapi-ts, openapi-python-client and datamodel-code-generator."""
    schemas = document["components"]["schemas"]
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in schemas)
    query = schemas["QueryIn"]["properties"]
    assert query["order"]["description"].endswith('Default: `"distance"`.')
    assert query["signatures"]["additionalProperties"]["type"] == "array"
    assert query["signatures"]["propertyNames"] == {"pattern": "^[a-z0-9-]{1,32}$"}
    fields = [field for schema in schemas.values() for field in schema.get("properties", {}).values()]
    # With a default, a generator would require the field in requests; a title would name a type.
    assert len(fields) > 300
    assert not [field for field in fields if field.keys() & {"default", "title", "patternProperties"}]
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(names) == len(set(names))


def test_the_document_has_every_route_of_the_service(service: Service, document: Any) -> None:
    documented = {(path, method) for path, method, _ in _operations(document)}
    served = {
        (re.sub(r"<id:(\w+)>", r"{\1}", rule.rule), method)
        for rule in service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/static", "/console", *MOUNTS))
    }
    assert served - documented == {("/", "GET"), ("/docs", "GET"), ("/openapi.json", "GET")}
    assert documented <= served


def test_every_operation_has_a_readable_id_a_summary_and_a_description(document: Any) -> None:
    ids = []
    for path, _method, operation in _operations(document):
        id, summary = operation["operationId"], operation["summary"]
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", id), f"{id} is not verb_noun"
        assert 1 < len(summary.split()) <= 8 and summary[0].isupper() and not summary.endswith("."), summary
        explanation, _, needs = operation["description"].partition("\n\n")
        assert explanation.endswith("."), id
        assert needs == "Needs no key." if path in PUBLIC else needs.startswith("Needs a key"), id
        assert len(operation["tags"]) == 1
        assert (operation.get("security") == [{"key": []}]) == (path not in PUBLIC)
        ids.append(id)
    assert len(set(ids)) == len(ids)
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert all(tag["description"].startswith("For ") for tag in document["tags"])


def test_every_parameter_field_and_value_is_described(document: Any) -> None:
    schemas = document["components"]["schemas"]
    undescribed = [
        f"{method} {path}: {parameter['name']}"
        for path, method, operation in _operations(document)
        for parameter in operation["parameters"]
        if not parameter["description"]
    ]
    for name, schema in schemas.items():
        undescribed += [name] if not schema.get("description") else []
        for field, definition in schema.get("properties", {}).items():
            # A description that repeats the one of the schema is left out.
            schema_of_field = schemas.get(definition.get("$ref", "").rpartition("/")[2], {})
            described = definition.get("description", schema_of_field.get("description"))
            undescribed += [] if described else [f"{name}.{field}"]
        values = [value for value in schema.get("enum", ()) if f"`{value}`" not in schema["description"]]
        undescribed += [f"{name}: {value}" for value in values]
    assert undescribed == []


def test_every_code_has_its_meaning_and_an_example(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for kind, enum in ENUMS.items():
        if enum.__name__ in schemas:  # Causes, roles and refusals have no schema of their own.
            description = schemas[enum.__name__]["description"]
            assert [code for code in enum if f"\n- `{code}`: {explain(kind, code)}." not in description] == []
    for schema, field, kind in (
        ("DraftIn", "labels", "behaviour"),
        ("DraftIn", "basis", "basis"),
        ("DraftIn", "tco_ground", "tco_ground"),
        ("DraftIn", "context", "context"),
        ("DraftIn", "entity", "entity_list"),
        ("AmendmentIn", "labels", "behaviour"),
        ("WithdrawalIn", "reason", "reason"),
        ("OpinionIn", "reason", "reason"),
    ):
        description = schemas[schema]["properties"][field]["description"]
        assert [code for code in MEANINGS[kind] if f"\n- `{code}`: {explain(kind, code)}." not in description] == []


def test_the_document_has_the_label_codes_of_the_operator(tmp_path: Path) -> None:
    labels = (Path("hashdb") / "labels.toml").read_text("utf-8").replace('"manifesto"', '"pamphlet"')
    (tmp_path / "labels.toml").write_text(labels, "utf-8")
    with service_at(None, labels=tmp_path / "labels.toml") as service:
        field = body(service.anonymous.get("/openapi.json"))["components"]["schemas"]["DraftIn"]["properties"]["labels"]
    assert "\n- `pamphlet`: a code defined by this operator." in field["description"]
    assert "manifesto" not in field["description"]


def test_every_operation_documents_the_rejections_that_can_occur(document: Any) -> None:
    for path, method, operation in _operations(document):
        statuses = {int(status) for status in operation["responses"]}
        assert 503 in statuses
        assert path in PUBLIC or {401, 403, 422} <= statuses
        assert "{" not in path or 404 in statuses
        if method in ("POST", "PATCH") and not path.endswith(WITHOUT_BODY):
            assert {400, 413, 415, 422} <= statuses
            assert operation["requestBody"]["required"] is True
        for status in statuses:
            response = operation["responses"][str(status)]
            types = set(response.get("content", {}))
            if status >= 400:
                assert types == {"application/problem+json"}
            assert ("Retry-After" in response.get("headers", {})) == (status in (429, 503))


def test_the_document_has_the_limits_of_requests(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["ContributionsIn"]["properties"]["contributions"]["maxItems"] == 1000
    assert schemas["DraftIn"]["properties"]["signals"]["maxItems"] == 64
    assert schemas["DraftIn"]["additionalProperties"] is False
    assert set(schemas["DraftIn"]["required"]) == {"signals", "labels", "removed_at"}
    feed = document["paths"]["/v1/changes"]["get"]
    limits = {parameter["name"]: parameter["schema"] for parameter in feed["parameters"]}
    assert (limits["limit"]["minimum"], limits["limit"]["maximum"], limits["wait"]["maximum"]) == (1, 1000, 30)
    assert "application/x-ndjson" in feed["responses"]["200"]["content"]
    parameters = document["paths"]["/v1/contributions"]["post"]["parameters"]
    assert sorted(parameter["name"] for parameter in parameters) == ["Idempotency-Key", "imported"]


def test_the_pattern_of_a_signal_accepts_valid_signals_only(document: Any) -> None:
    pattern = document["components"]["schemas"]["QueryIn"]["properties"]["signals"]["items"]["pattern"]
    assert re.search(pattern, item()["signals"][0])
    assert not re.search(pattern, "pdq:0123456789abcdef")
    assert not re.search(pattern, "phash:" + "0" * 64)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_service_answers_as_the_document_says(service: Service, tmp_path: Path, mode: GenerationMode) -> None:
    caller = service.caller()
    caller.contribute(item(), document_draft(LISTED))
    schema = schemathesis.openapi.from_wsgi("/openapi.json", service.app)
    if mode is GenerationMode.POSITIVE:
        _shorten(schema.raw_schema)
    count = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
            continue
        # Too many files get 413, which that check does not accept as a rejection.
        checks_rejection = mode is GenerationMode.NEGATIVE and not operation.path.endswith(("/media", "/signals"))
        _check_operation(operation, mode, caller, (*CHECKS, negative_data_rejection) if checks_rejection else CHECKS)
        count += 1
    assert count > 10


def _shorten(document: dict[str, Any]) -> None:
    """Limit the lists in requests to 3 items: the content of an item matters, and thousands take long to generate."""
    for name, schema in document["components"]["schemas"].items():
        for field in schema.get("properties", {}).values() if name.endswith("In") else ():
            if field.get("maxItems", 0) > 3:
                field["maxItems"] = 3


def _check_operation(operation: Any, mode: GenerationMode, caller: Caller, checks: Any) -> None:
    @seed(1)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_as_documented(case: Any) -> None:
        # Without `wait`, no request waits for changes.
        generated = set(case.query)
        case.query.pop("wait", None)
        response = case.call(headers=caller.headers)
        # A parameter with an empty list is not sent, and it may have been the only invalid one.
        sent = set(parse_qs(urlsplit(response.request.url).query, keep_blank_values=True))
        case.validate_response(response, checks=checks if generated <= sent else CHECKS, headers=caller.headers)

    answers_as_documented()


def test_every_application_returns_the_same_document(document: Any) -> None:
    with service_at(None) as another:
        assert json.dumps(body(another.anonymous.get("/openapi.json"))) == json.dumps(document)
