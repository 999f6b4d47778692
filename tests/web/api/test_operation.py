"""Routes without a key: health, readiness, the API document and its page, the root."""

from __future__ import annotations

import re
from pathlib import Path

from hashdb.service.ledger import checkpoints
from tests.web.callers import Caller, Service, body, item, pdq, problem, service_at


def test_health_needs_no_key(service: Service) -> None:
    assert body(service.anonymous.get("/healthz")) == {"status": "alive"}
    assert body(service.anonymous.get("/healthz?probe=1")) == {"status": "alive"}


def test_readiness_returns_the_number_of_the_last_event(service: Service, platform: Caller) -> None:
    before = body(service.anonymous.get("/readyz"))["checkpoint"]
    platform.contribute(item())
    assert body(service.anonymous.get("/readyz")) == {"status": "ready", "checkpoint": before + 1}


def test_a_service_without_its_database_is_alive_but_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    with service_at(f"sqlite:///{folder}/hashdb.sqlite") as service:
        caller = service.caller()
        service.db.close()
        folder.rename(tmp_path / "away")
        for response in (service.anonymous.get("/readyz"), caller.get("/v1/me"), caller.post("/v1/contributions", {})):
            problem(response, 503, "store-busy")
            assert int(response.headers["Retry-After"]) > 0
        assert body(service.anonymous.get("/healthz")) == {"status": "alive"}


def test_while_the_index_is_built_only_searches_are_rejected(service: Service) -> None:
    checkpoints.start(service.db)
    caller, other = service.caller(), service.caller()
    (own,), (foreign,) = caller.contribute(item(1)), other.contribute(item(2))
    service.make_index_unready()
    own_url, foreign_url = f"/v1/contributions/{own['id']}", f"/v1/contributions/{foreign['id']}"

    query = {"queries": [{"signals": [pdq(1)]}]}
    rejected = [
        service.anonymous.get("/readyz"),
        caller.post("/v1/matches", query),
        caller.post("/v1/matches", {"queries": query["queries"] * 9}),
        caller.post("/v1/matches?&", query),
        caller.post("/v1/benign", {"signals": [pdq(3)], "note": "a test card"}),
    ]
    before = service.rows()
    for answer in rejected:
        problem(answer, 503, "index-not-ready")
        assert int(answer.headers["Retry-After"]) > 0
    assert service.rows() == before

    disputes = {"opinion": "disputes", "reason": "edsa_context", "note": "a broadcast"}
    answered = [
        service.anonymous.get("/healthz"),
        service.anonymous.get("/v1/checkpoint"),
        caller.get("/v1/me"),
        caller.get("/v1/events?after=0"),
        caller.get("/v1/changes?after=0"),
        caller.get("/v1/proofs/inclusion?seq=1&size=2"),
        caller.get("/v1/proofs/consistency?first=1&second=2"),
        caller.get("/v1/contributions"),
        caller.get(own_url),
        caller.patch(own_url, {"severity": 2}),
        caller.post(f"{foreign_url}/opinions", disputes),
        caller.get("/v1/cases"),
        caller.post("/v1/cases/1/decision", {"decision": "uphold", "note": "it stands"}),
        caller.get("/v1/reports/transparency?from=2026-11-01&to=2026-11-20"),
        caller.post(f"{own_url}/withdrawal", {"reason": "other"}),
        caller.post("/v1/incidents", {"label": "CI:first", "start": "2026-11-20T10:00:00Z"}),
        caller.post("/v1/contributions", {"contributions": [item(4)]}),
    ]
    assert [answer.text for answer in answered if answer.status_code not in (200, 201)] == []

    head = service.db.index.fill(lambda count: None)
    assert body(service.anonymous.get("/readyz")) == {"status": "ready", "checkpoint": head.seq}
    added = body(answered[-1])["contributions"][0]["id"]
    assert [caller.matched(pdq(seed)) for seed in (1, 2, 4)] == [[], [foreign["id"]], [added]]


def test_a_key_can_be_revoked_while_the_index_is_built(service: Service) -> None:
    caller, admin = service.caller(), service.caller()
    service.make_index_unready()
    assert caller.get("/v1/me").status_code == 200
    assert admin.delete(f"/v1/members/{caller.member}/keys/{caller.key}").status_code == 204
    for answer in (caller.get("/v1/me"), caller.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]})):
        problem(answer, 401)


def test_the_root_redirects_to_the_console(service: Service) -> None:
    response = service.anonymous.get("/")
    assert (response.status_code, response.headers["Location"]) == (302, "/console")


def test_the_api_page_loads_only_from_its_host_and_has_no_inline_script(service: Service) -> None:
    response = service.anonymous.get("/docs")
    text = response.text
    addresses = re.findall(r'(?:src|href|data-document)="([^"]+)"', text)
    assert addresses
    assert all(re.match(r"/(?!/)", address) for address in addresses)
    assert all(service.anonymous.get(address).status_code == 200 for address in addresses)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|javascript:|<style", text)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy or "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_the_document_is_constant_and_cached_by_its_etag(service: Service) -> None:
    first, second = service.anonymous.get("/openapi.json"), service.anonymous.get("/openapi.json")
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]
    unchanged = service.anonymous.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    with service_at(None) as another:
        assert another.anonymous.get("/openapi.json").data == first.data


def test_an_unknown_static_file_is_not_found(service: Service) -> None:
    for path in ("/static/", "/static/../__init__.py", "/static/%2e%2e/__init__.py", "/static/swagger/no.js"):
        problem(service.anonymous.get(path), 404, "not-found")
