"""Metrics for Prometheus."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hashdb.client import Client
from hashdb.domain.matches import Query
from hashdb.domain.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import counts, members, open_hashdb
from hashdb.settings import Settings
from hashdb.web.metrics import Metrics
from tests.builders import draft
from tests.serving import serving
from tests.web.callers import Caller, Service, item, pdq

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """By name and labels."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def requests(found: Samples, route: str, status: int) -> float:
    """How many were answered so, by whatever method."""
    return sum(
        value
        for (name, labels), value in found.items()
        if name == "hashdb_requests_total" and {("route", route), ("status", str(status))} <= set(labels)
    )


def test_requests_are_counted_by_route_and_status_whatever_way_they_take(service: Service, admin: Caller) -> None:
    platform = service.caller(name="Platform")
    platform.contribute(item(1))
    platform.matched(pdq(1))
    platform.post("/v1/matches?include=quarantined", {"queries": [{"signals": [pdq(1)]}]})
    platform.get("/v1/contributions/999")
    platform.get("/nowhere/secret")
    counts.flush(service.db)
    response = admin.get("/metrics")
    assert response.status_code == 200 and response.content_type.startswith("text/plain")
    found = samples(response.text)
    assert requests(found, "/v1/matches", 200) == 2
    assert requests(found, "/v1/contributions/<id:contribution_id>", 404) == 1
    assert requests(found, "(none)", 404) == 1 and "secret" not in response.text
    assert found["hashdb_request_seconds_count", (("route", "/v1/matches"),)] == 2
    assert found["hashdb_log_events", ()] == service.db.store.head().seq
    assert found["hashdb_index_lag_events", ()] >= 0
    assert found["hashdb_index_values", (("algorithm", "pdq"), ("tier", "memory"))] == 1
    assert (found["hashdb_cases_open", ()], found["hashdb_cases_late", ()]) == (0, 0)
    hits = {"kind": "query", "member_kind": "platform", "algorithm": "pdq", "outcome": "hit"}
    assert found["hashdb_counts_total", tuple(sorted(hits.items()))] == 2
    assert pdq(1).partition(":")[2] not in response.text


def test_metrics_take_the_scope_admin(service: Service, platform: Caller) -> None:
    assert platform.get("/metrics").status_code == 403
    assert service.anyone.get("/metrics").status_code == 401


def test_the_workers_count_together_on_a_port_of_their_own(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path / "home"
    with serving(home, workers=2, HASHDB_METRICS_PORT=str(port)) as url:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        key = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope))).secret
        db.close()
        for _ in range(20):
            # A connection each, so that both workers come to it.
            with Client(url, key) as client:
                client.match([Query(draft(1).signals)])
        assert requests(samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text), "/v1/matches", 200) == 20
        assert httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 404


def test_the_room_for_what_is_counted_is_taken_before_and_without_it_nothing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service
) -> None:
    folder = tmp_path / "metrics"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    counting = Metrics(service.db)
    counting.tell("GET", "/healthz", 200, 0.1)
    folder.mkdir()
    counting.tell("GET", "/readyz", 200, 0.1)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    found = samples(counting.text().decode())
    assert (requests(found, "/healthz", 200), requests(found, "/readyz", 200)) == (0, 1)
    taken = [path.stat() for path in folder.iterdir()]
    # To write into a hole of a mapped file where the disk is full kills the process.
    assert len(taken) == 2 and all(one.st_blocks * 512 >= one.st_size >= 1024 * 1024 for one in taken)


def test_within_how_long_a_share_of_the_answers_came_is_told(service: Service, platform: Caller) -> None:
    metrics = Metrics(service.db)
    assert (metrics.times("/v1/matches").count, metrics.times("/v1/matches").within(0.5)) == (0, None)
    for seconds in (*[0.0007] * 50, *[0.02] * 49, 31.0):
        metrics.tell("POST", "/v1/matches", 200, seconds)
    metrics.tell("GET", "/v1/changes", 200, 9.0)
    found = metrics.times("/v1/matches")
    assert found.count == 100
    assert found.within(0.5) == 0.001
    assert found.within(0.99) == 0.025
    assert found.within(0.995) == found.within(1) == 30, "past the last bound it is that"
