"""What needs no key: health, the document and its page, the root."""

from __future__ import annotations

import re
from pathlib import Path

from hashdb.settings import Settings
from hashdb.web import create_app
from tests.builders import Clock, hashdb, member_with
from tests.service.folders import fill_store, opened
from tests.web.callers import Caller, Service, body, item, problem, service_at


def test_health_needs_no_key(service: Service) -> None:
    assert body(service.anyone.get("/healthz")) == {"status": "alive"}
    assert body(service.anyone.get("/healthz?probe=1")) == {"status": "alive"}


def test_ready_tells_the_number_it_answers_from(service: Service, platform: Caller) -> None:
    before = body(service.anyone.get("/readyz"))["checkpoint"]
    platform.contribute(item())
    assert body(service.anyone.get("/readyz")) == {"status": "ready", "checkpoint": before + 1}


def test_a_service_without_its_database_is_alive_but_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    with service_at(f"sqlite:///{folder}/hashdb.sqlite") as service:
        caller = service.caller()
        service.db.close()
        folder.rename(tmp_path / "away")
        for answer in (service.anyone.get("/readyz"), caller.get("/v1/me"), caller.post("/v1/contributions", {})):
            problem(answer, 503, "store-busy")
            assert int(answer.headers["Retry-After"]) > 0
        assert body(service.anyone.get("/healthz")) == {"status": "alive"}


def test_a_service_whose_index_is_being_built_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    db = hashdb(url, Clock())
    fill_store(db, member_with(db))
    db.close()
    with opened(url, tmp_path / "index") as db:
        anyone = Caller(create_app(db, Settings()).test_client(), None)
        refused = Caller(anyone.client, "hdb_unknown")
        for answer in (anyone.get("/readyz"), refused.get("/v1/me"), refused.post("/v1/matches", {"queries": []})):
            problem(answer, 503, "index-not-ready")
            assert int(answer.headers["Retry-After"]) > 0
        assert body(anyone.get("/healthz")) == {"status": "alive"}
        head = db.live.fill(lambda count: None)
        assert body(anyone.get("/readyz")) == {"status": "ready", "checkpoint": head.seq}


def test_the_root_leads_to_the_console(service: Service) -> None:
    response = service.anyone.get("/")
    assert (response.status_code, response.headers["Location"]) == (302, "/console")


def test_pages_load_only_from_the_host_itself_and_run_no_script_of_their_own(service: Service) -> None:
    for page in ("/docs",):
        response = service.anyone.get(page)
        text = response.text
        loaded = re.findall(r'(?:src|href|data-document)="([^"]+)"', text)
        assert loaded
        assert all(re.match(r"/(?!/)", address) for address in loaded)
        assert all(service.anyone.get(address).status_code == 200 for address in loaded)
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|javascript:|<style", text)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "script-src" not in policy or "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_the_document_is_the_same_each_time_and_need_not_be_sent_twice(service: Service) -> None:
    first, second = service.anyone.get("/openapi.json"), service.anyone.get("/openapi.json")
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]
    unchanged = service.anyone.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    with service_at(None) as another:
        assert another.anyone.get("/openapi.json").data == first.data


def test_what_is_static_is_only_what_is_there(service: Service) -> None:
    for path in ("/static/", "/static/../__init__.py", "/static/%2e%2e/__init__.py", "/static/swagger/no.js"):
        problem(service.anyone.get(path), 404, "not-found")
