"""Metrics for Prometheus."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from hashdb import __version__
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.matching.matches import Query
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.service.schedule import BACKGROUND_TASKS, Lane
from hashdb.service.sharing import following, upstreams
from hashdb.service.stats import counts
from hashdb.settings import Settings
from hashdb.web.metrics import Metrics
from tests.builders import draft
from tests.service.pages import connect_to_page, follow_page
from tests.serving import serving
from tests.web.callers import Caller, Service, body, item, pdq, service_at

LAST_SUCCESS = "hashdb_background_last_success_timestamp_seconds"
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
    platform.get("/nowhere/unlisted")
    counts.flush(service.db)
    response = admin.get("/metrics")
    assert response.status_code == 200 and response.content_type.startswith("text/plain")
    found = samples(response.text)
    assert requests(found, "/v1/matches", 200) == 2
    assert requests(found, "/v1/contributions/<id:contribution_id>", 404) == 1
    assert requests(found, "(none)", 404) == 1 and "unlisted" not in response.text
    assert found["hashdb_request_seconds_count", (("route", "/v1/matches"),)] == 2
    assert found["hashdb_log_events", ()] == service.db.store.head().seq
    assert found["hashdb_log_signed_events", ()] == 0
    assert found["hashdb_index_lag_events", ()] >= 0
    assert found["hashdb_build_info", (("version", __version__),)] == 1
    for part in ("search", "store"):
        assert found["hashdb_match_seconds_count", (("part", part),)] == 2
    assert found["hashdb_index_values", (("algorithm", "pdq"), ("tier", "memory"))] == 1
    assert (found["hashdb_cases_open", ()], found["hashdb_cases_late", ()]) == (0, 0)
    hits = {"kind": "query", "member_kind": "platform", "algorithm": "pdq", "outcome": "hit"}
    assert found["hashdb_counts_total", tuple(sorted(hits.items()))] == 2
    assert pdq(1).partition(":")[2] not in response.text


def test_up_to_where_a_key_has_read_is_told_whatever_way_it_reads(service: Service, admin: Caller) -> None:
    platform, reader, other = service.caller(), service.caller(Scope.FEED), service.caller(Scope.FEED)
    platform.contribute(item(1), item(2))
    first = body(reader.get("/v1/changes?limit=1"))["checkpoint"]
    by_time = other.get("/stopncii/v1/FetchHashes?startTimestamp=0", headers={"x-functions-key": str(other.secret)})
    assert by_time.status_code == 200
    members.flush(service.db)
    found = samples(admin.get("/metrics").text)
    assert found["hashdb_feed_events", (("key", str(reader.key)),)] == first < found["hashdb_log_events", ()]
    assert ("hashdb_feed_events", (("key", str(other.key)),)) in found
    service.clock.go(minutes=2)
    reader.get("/v1/changes")
    members.flush(service.db)
    members.revoke_key(service.db, COMMAND_LINE, other.key)
    found = samples(admin.get("/metrics").text)
    assert found["hashdb_feed_events", (("key", str(reader.key)),)] < found["hashdb_log_events", ()]
    assert found["hashdb_feed_events", (("key", str(reader.key)),)] > first
    assert ("hashdb_feed_events", (("key", str(other.key)),)) not in found


def test_metrics_take_the_scope_admin(service: Service, platform: Caller) -> None:
    assert platform.get("/metrics").status_code == 403
    assert service.anonymous.get("/metrics").status_code == 401


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
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            # Who is there and says nothing holds nobody up.
            found = samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        # The other worker writes down within a second what it has answered.
        waiting = time.monotonic() + 20
        while requests(found, "/v1/matches", 200) < 20 and time.monotonic() < waiting:
            time.sleep(0.2)
            found = samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        assert requests(found, "/v1/matches", 200) == 20
        assert 1 <= found["hashdb_match_seconds_count", (("part", "search"),)] <= 20
        # One sample of all workers, not one each.
        assert found["hashdb_index_events", ()] <= found["hashdb_log_events", ()]
        assert httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 404
        # What the service takes of the machine, of all its processes; each task is recent in the slowest worker.
        assert found["process_resident_memory_bytes", ()] > 0 and found["hashdb_disk_size_bytes", ()] > 0
        for task in (
            plan.task
            for plan in BACKGROUND_TASKS
            if plan.every is not None and plan.lane not in (Lane.MAILS, Lane.WITNESSES)
        ):
            assert time.time() - found[LAST_SUCCESS, (("task", task),)] < 60
        assert found["hashdb_worker_replacements_total", ()] == 0
        first = next((home / "metrics").glob("gauge_livemin_*.db"))
        os.kill(int(first.stem.rpartition("_")[2]), signal.SIGKILL)
        until = time.monotonic() + 30
        while samples(_text(port)).get(("hashdb_worker_replacements_total", ())) != 1:
            assert time.monotonic() < until
            time.sleep(0.1)


def _text(port: int) -> str:
    """The metrics, or nothing while another worker takes the port."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return ""


def test_what_runs_is_told_as_done_at_the_start_and_webhooks_only_where_there_are_any() -> None:
    told = {}
    for webhooks in (True, False):
        with service_at(None, webhooks=webhooks) as service:
            runs = service.app.extensions["hashdb"].metrics.task_runs()
            told[webhooks] = {task for task, run in runs.items() if run.succeeded_at}
    # No mail server is set here.
    assert told[True] == {
        str(plan.task)
        for plan in BACKGROUND_TASKS
        if plan.every is not None and plan.lane not in (Lane.MAILS, Lane.WITNESSES)
    }
    assert told[True] - told[False] == {"webhooks", "delivery-records", "due"}


def test_within_how_long_a_share_of_the_answers_came_is_told(service: Service, tmp_path: Path) -> None:
    metrics = Metrics(service.db, tmp_path)
    assert (metrics.response_times("/v1/matches").count, metrics.response_times("/v1/matches").quantile(0.5)) == (
        0,
        None,
    )
    for seconds in (*[0.0007] * 50, *[0.02] * 49, 31.0):
        metrics.count_request("POST", "/v1/matches", 200, seconds)
    metrics.count_request("GET", "/v1/changes", 200, 9.0)
    found = metrics.response_times("/v1/matches")
    assert found.count == 100
    assert found.quantile(0.5) == 0.001
    assert found.quantile(0.99) == 0.025
    assert found.quantile(0.995) == found.quantile(1) == 30, "past the last bound it is that"


def test_how_far_followed_lists_are_read_is_a_metric_until_they_are_paused(service: Service, admin: Caller) -> None:
    name = "hashdb_upstream_caught_up_timestamp_seconds", (("upstream", "1"),)
    upstream = follow_page(service.db)
    assert samples(admin.get("/metrics").text)[name] == 0
    service.clock.go(seconds=1)
    following.look(service.db, connect_to_page)
    assert samples(admin.get("/metrics").text)[name] == service.clock().timestamp()
    upstreams.pause(service.db, COMMAND_LINE, upstream.id)
    assert name not in samples(admin.get("/metrics").text)
