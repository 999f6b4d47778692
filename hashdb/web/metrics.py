"""Metrics for Prometheus: each worker counts its requests, which are summed; a scrape reads everything else."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from socket import AF_INET, AF_INET6
from threading import Thread
from typing import Literal

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.sharing.webhooks import DeliveryOutcome
from hashdb.errors import HashDBError
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.health import vitals
from hashdb.service.schedule import repeated
from hashdb.web.machine import Machine
from hashdb.web.vitals import VitalsCollector
from hashdb.wsgi.prometheus_multiprocess import BUCKETS, CONTENT_TYPE, MAX_WAITING, RequestMetrics, observe

_FINE = (0.00005, 0.0001, 0.00025, *BUCKETS)
_RETRY_SECONDS = 2.0
_RATED = (401, 429, 503)
"""Statuses whose rate alerts watch. One route exports them as 0, so that the rate exists."""
_TIMEOUT = 5.0
"""Seconds after which a silent connection to the port of the metrics is closed."""


class Metrics(RequestMetrics):
    """The metrics of this process."""

    def __init__(self, db: HashDB, home: Path, certificate: Path | None = None) -> None:
        """Starts all metrics that alerts use at 0, except those of requests: see `expect`."""
        from prometheus_client import Counter, Gauge, Histogram

        super().__init__("hashdb")
        registry = self._registry
        self._db = db
        self._machine = Machine(home, certificate)
        parts = Histogram(
            "hashdb_match_seconds",
            "Time of a match in the search of the index, and in the database.",
            ("part",),
            buckets=_FINE,
            registry=registry,
        )
        self._search, self._store = parts.labels("search"), parts.labels("store")
        self._level = Gauge(
            "hashdb_index_events",
            "The seq up to which the index of every worker has caught up.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._times: deque[tuple[float, float]] = deque(maxlen=MAX_WAITING)
        # A match only appends its times; `record` does the rest once a second.
        db.timed = self._times.append
        self._deliveries = Counter(
            "hashdb_webhook_deliveries",
            "Attempts to deliver to webhooks, by outcome; `waiting` will be retried.",
            ("outcome",),
            registry=registry,
        )
        for outcome in DeliveryOutcome:
            self._deliveries.labels(outcome)
        self._replacements = Counter(
            "hashdb_worker_replacements", "Workers that replaced another worker.", registry=registry
        )
        self._suspected = Counter(
            "hashdb_keys_suspected",
            "Events that name a key which may be reading hashes out of matches.",
            registry=registry,
        )
        self._count_tasks(db)

    def _count_tasks(self, db: HashDB) -> None:
        """Count the runs of background tasks."""
        from prometheus_client import Counter, Gauge

        errors = Counter(
            "hashdb_background_errors", "Runs of background tasks that failed.", ("task",), registry=self._registry
        )

        def gauge(name: str, help: str, mode: Literal["livemin", "livemax"]) -> Gauge:
            return Gauge(f"hashdb_background_{name}", help, ("task",), multiprocess_mode=mode, registry=self._registry)

        successes = gauge(
            "last_success_timestamp_seconds",
            "Last success of a background task, in the worker where it is longest ago.",
            "livemin",
        )
        durations = gauge(
            "duration_seconds",
            "Duration of the last run of a background task, in the worker where it took longest.",
            "livemax",
        )
        failures = gauge(
            "last_error_timestamp_seconds",
            "Last failure of a background task in a running worker; 0 if there was none.",
            "livemax",
        )
        failed = {task: (errors.labels(task), failures.labels(task)) for task in Task}
        took = {task: durations.labels(task) for task in Task}
        done = {task: successes.labels(task) for task in repeated(db)}
        for success_at in done.values():
            # At the start no task is late.
            success_at.set_to_current_time()

        def failure(task: Task) -> None:
            count, at = failed[task]
            count.inc()
            at.set_to_current_time()

        def success(task: Task, seconds: float | None) -> None:
            if task in done:
                done[task].set_to_current_time()
            if seconds is not None:
                took[task].set(seconds)

        db.background.on_failure, db.background.on_success = failure, success

    def expect(self, routes: Iterable[tuple[str, str]]) -> None:
        """Export 0 for each (method, route) and status that alerts watch, from the start."""
        for method, route in routes:
            # The alert fires at one error: Prometheus sees an increase only after a 0.
            self._requests.labels(method, route, "500")
        for status in _RATED:
            self._requests.labels("POST", "/v1/matches", str(status))
        self._seconds.labels("/v1/matches")

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `seconds` is the time to its response. An answer is counted within a second."""
        self._answers.append((method, route, status, seconds))
        if status >= 400:
            self.record()

    def record(self) -> None:
        """Record what waits, and the seq of this process's index. A background task calls it each second."""
        head = self._db.index.head
        self._level.set(0 if head is None else head.seq)
        with self._recording:
            times = [self._times.popleft() for _ in range(len(self._times))]
            observe(self._search, _FINE, [search for search, _ in times])
            observe(self._store, _FINE, [store for _, store in times if store])
        super().record()

    def count_delivery(self, outcome: str) -> None:
        """Count one attempt to deliver a webhook."""
        self._deliveries.labels(outcome).inc()

    def count_replacement(self) -> None:
        """Count this process as the replacement of a worker that ended."""
        self._replacements.inc()

    def count_suspected(self, events: int) -> None:
        """Count events that name a key which may be reading hashes."""
        self._suspected.inc(events)

    def times(self, route: str) -> Times:
        """How long the answers of a route took since the service started."""
        self.record()
        answers: dict[float, float] = defaultdict(float)
        for metric in self.of_all_processes().collect():
            for sample in metric.samples if metric.name == "hashdb_request_seconds" else ():
                if sample.name.endswith("_bucket") and sample.labels["route"] == route:
                    answers[float(sample.labels["le"])] += sample.value
        return Times(tuple(sorted(answers.items())))

    def tasks(self) -> dict[str, Runs]:
        """The runs of each background task in the living workers of this machine."""
        runs = {task: Runs() for task in map(str, Task)}
        fields = {
            "hashdb_background_last_success_timestamp_seconds": "done_at",
            "hashdb_background_duration_seconds": "seconds",
            "hashdb_background_last_error_timestamp_seconds": "failed_at",
            "hashdb_background_errors_total": "errors",
        }
        for metric in self.of_all_processes().collect():
            for sample in metric.samples:
                if (field := fields.get(sample.name)) is not None:
                    task = sample.labels["task"]
                    runs[task] = replace(runs[task], **{field: sample.value})
        return runs

    def text(self) -> bytes:
        """All metrics, in Prometheus's text format; without those of the store if it does not answer."""
        self.record()
        with suppress(HashDBError):
            return self.format_text(self._machine, VitalsCollector(vitals(self._db, SYSTEM)))
        return self.format_text(self._machine)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of a background task: times in seconds since 1970 (0: never), duration of the last, failures."""

    done_at: float = 0
    seconds: float = 0
    failed_at: float = 0
    errors: float = 0


@dataclass(frozen=True, slots=True)
class Times:
    """A histogram: (seconds, how many answers took at most so long), in order; the last counts all answers."""

    buckets: tuple[tuple[float, float], ...]

    @property
    def count(self) -> int:
        """How many answers there were."""
        return int(self.buckets[-1][1]) if self.buckets else 0

    def within(self, share: float) -> float | None:
        """The quantile `share` in seconds, interpolated between two bounds; None without answers.

        Like Prometheus's histogram_quantile: a quantile above the last finite bound is that bound.

        >>> Times(((0.001, 50.0), (0.0025, 100.0), (math.inf, 100.0))).within(0.75)
        0.00175
        """
        rank, lower, below = share * self.count, 0.0, 0.0
        if not self.count:
            return None
        for upper, answers in self.buckets:
            if answers >= rank:
                return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (answers - below)
            lower, below = upper, answers
        return lower


def serve(metrics: Metrics, host: str, port: int) -> None:
    """Serve the metrics on a separate port. One worker holds the port; when it ends, another takes over."""
    Thread(target=_serve, args=(metrics, host, port), name="metrics", daemon=True).start()


def _serve(metrics: Metrics, host: str, port: int) -> None:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
    from wsgiref.types import StartResponse, WSGIEnvironment

    class Server(ThreadingMixIn, WSGIServer):
        # A silent client does not delay others.
        daemon_threads = True
        address_family = AF_INET6 if ":" in host else AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore clients that disconnect or send nothing."""

    class Silent(WSGIRequestHandler):
        timeout = _TIMEOUT

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = metrics.text()
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [body]

    while True:
        try:
            with make_server(host, port, application, Server, Silent) as server:
                server.serve_forever()
        except OSError:
            # Another worker holds the port.
            time.sleep(_RETRY_SECONDS)
