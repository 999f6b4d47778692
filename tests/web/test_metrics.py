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
    """The value of each sample, by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(metrics: Samples, route: str, status: int) -> float:
    """The number of requests to a route that were answered with a status, by any method."""
    return sum(
        value
        for (name, labels), value in metrics.items()
        if name == "hashdb_requests_total" and {("route", route), ("status", str(status))} <= set(labels)
    )


def test_requests_are_counted_by_route_and_status_also_on_the_fast_path(service: Service, admin: Caller) -> None:
    platform = service.caller(name="Platform")
    platform.contribute(item(1))
    platform.matched(pdq(1))
    platform.post("/v1/matches?include=quarantined", {"queries": [{"signals": [pdq(1)]}]})
    platform.get("/v1/contributions/999")
    platform.get("/nowhere/unlisted")
    counts.flush(service.db)
    response = admin.get("/metrics")
    assert response.status_code == 200 and response.content_type.startswith("text/plain")
    metrics = samples(response.text)
    assert requests(metrics, "/v1/matches", 200) == 2
    assert requests(metrics, "/v1/contributions/<id:contribution_id>", 404) == 1
    assert requests(metrics, "(none)", 404) == 1 and "unlisted" not in response.text
    assert metrics["hashdb_request_seconds_count", (("route", "/v1/matches"),)] == 2
    assert metrics["hashdb_log_events", ()] == service.db.store.head().seq
    assert metrics["hashdb_log_signed_events", ()] == 0
    assert metrics["hashdb_index_lag_events", ()] >= 0
    assert metrics["hashdb_build_info", (("version", __version__),)] == 1
    for part in ("search", "store"):
        assert metrics["hashdb_match_seconds_count", (("part", part),)] == 2
    assert metrics["hashdb_index_values", (("algorithm", "pdq"), ("tier", "memory"))] == 1
    assert (metrics["hashdb_cases_open", ()], metrics["hashdb_cases_late", ()]) == (0, 0)
    hits = {"kind": "query", "member_kind": "platform", "algorithm": "pdq", "outcome": "hit"}
    assert metrics["hashdb_counts_total", tuple(sorted(hits.items()))] == 2
    assert pdq(1).partition(":")[2] not in response.text


def test_metrics_report_how_far_each_key_has_read_the_feed(service: Service, admin: Caller) -> None:
    platform, reader, other = service.caller(), service.caller(Scope.FEED), service.caller(Scope.FEED)
    platform.contribute(item(1), item(2))
    first = body(reader.get("/v1/changes?limit=1"))["checkpoint"]
    by_time = other.get("/stopncii/v1/FetchHashes?startTimestamp=0", headers={"x-functions-key": str(other.secret)})
    assert by_time.status_code == 200
    members.flush(service.db)
    metrics = samples(admin.get("/metrics").text)
    assert metrics["hashdb_feed_events", (("key", str(reader.key)),)] == first < metrics["hashdb_log_events", ()]
    assert ("hashdb_feed_events", (("key", str(other.key)),)) in metrics
    service.clock.advance(minutes=2)
    reader.get("/v1/changes")
    members.flush(service.db)
    members.revoke_key(service.db, COMMAND_LINE, other.key)
    metrics = samples(admin.get("/metrics").text)
    assert metrics["hashdb_feed_events", (("key", str(reader.key)),)] < metrics["hashdb_log_events", ()]
    assert metrics["hashdb_feed_events", (("key", str(reader.key)),)] > first
    assert ("hashdb_feed_events", (("key", str(other.key)),)) not in metrics


def test_metrics_need_the_scope_admin(service: Service, platform: Caller) -> None:
    assert platform.get("/metrics").status_code == 403
    assert service.anonymous.get("/metrics").status_code == 401


def test_the_metrics_port_adds_up_all_workers(tmp_path: Path) -> None:
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
            # Each request has a connection of its own, so that both workers answer some.
            with Client(url, key) as client:
                client.match([Query(draft(1).signals)])
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            # Clients that connect and send nothing delay nobody.
            metrics = samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        # The other worker writes its counts within a second.
        deadline = time.monotonic() + 20
        while requests(metrics, "/v1/matches", 200) < 20 and time.monotonic() < deadline:
            time.sleep(0.2)
            metrics = samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
        assert requests(metrics, "/v1/matches", 200) == 20
        assert 1 <= metrics["hashdb_match_seconds_count", (("part", "search"),)] <= 20
        # There is one sample for all workers, not one for each.
        assert metrics["hashdb_index_events", ()] <= metrics["hashdb_log_events", ()]
        assert httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 404
        # The resources are those of all processes; each task ran lately even in the slowest worker.
        assert metrics["process_resident_memory_bytes", ()] > 0 and metrics["hashdb_disk_size_bytes", ()] > 0
        for task in (
            plan.task
            for plan in BACKGROUND_TASKS
            if plan.every is not None and plan.lane not in (Lane.MAILS, Lane.WITNESSES)
        ):
            assert time.time() - metrics[LAST_SUCCESS, (("task", task),)] < 60
        assert metrics["hashdb_worker_replacements_total", ()] == 0
        first = next((home / "metrics").glob("gauge_livemin_*.db"))
        os.kill(int(first.stem.rpartition("_")[2]), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while samples(_text(port)).get(("hashdb_worker_replacements_total", ())) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _text(port: int) -> str:
    """The metrics, or an empty text while another worker takes over the port."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return ""


def test_every_task_in_use_counts_as_done_at_the_start() -> None:
    tasks = {}
    for webhooks in (True, False):
        with service_at(None, webhooks=webhooks) as service:
            runs = service.app.extensions["hashdb"].metrics.task_runs()
            tasks[webhooks] = {task for task, run in runs.items() if run.succeeded_at}
    # No mail server is set here.
    assert tasks[True] == {
        str(plan.task)
        for plan in BACKGROUND_TASKS
        if plan.every is not None and plan.lane not in (Lane.MAILS, Lane.WITNESSES)
    }
    assert tasks[True] - tasks[False] == {"webhooks", "delivery-records", "due"}


def test_response_times_give_quantiles_of_a_route(service: Service, tmp_path: Path) -> None:
    metrics = Metrics(service.db, tmp_path, None)
    assert (metrics.response_times("/v1/matches").count, metrics.response_times("/v1/matches").quantile(0.5)) == (
        0,
        None,
    )
    for seconds in (*[0.0007] * 50, *[0.02] * 49, 31.0):
        metrics.count_request("POST", "/v1/matches", 200, seconds)
    metrics.count_request("GET", "/v1/changes", 200, 9.0)
    times = metrics.response_times("/v1/matches")
    assert times.count == 100
    assert times.quantile(0.5) == 0.001
    assert times.quantile(0.99) == 0.025
    assert times.quantile(0.995) == times.quantile(1) == 30, "above the last bound, the quantile is the last bound"


def test_metrics_report_when_an_upstream_was_caught_up_until_it_is_paused(service: Service, admin: Caller) -> None:
    name = "hashdb_upstream_caught_up_timestamp_seconds", (("upstream", "1"),)
    upstream = follow_page(service.db)
    assert samples(admin.get("/metrics").text)[name] == 0
    service.clock.advance(seconds=1)
    following.look(service.db, connect_to_page)
    assert samples(admin.get("/metrics").text)[name] == service.clock().timestamp()
    upstreams.pause(service.db, COMMAND_LINE, upstream.id)
    assert name not in samples(admin.get("/metrics").text)
