"""Metrics for Prometheus. A scrape sums the counts of all workers, and reads the other figures from the store."""

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
from hashdb.http_server.prometheus_multiprocess import BUCKETS, CONTENT_TYPE, MAX_WAITING, RequestMetrics, observe
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.health import read_vitals
from hashdb.service.schedule import periodic_tasks
from hashdb.web.machine import Machine
from hashdb.web.vitals import VitalsCollector

_MATCH_BUCKETS = (0.00005, 0.0001, 0.00025, *BUCKETS)
"""The bounds of the histogram of matches, in seconds."""
_PORT_RETRY_SECONDS = 2.0
"""After which a worker tries again to listen on the port of the metrics, while another worker holds it."""
_WATCHED_STATUSES = (401, 429, 503)
"""Statuses whose rate alerts watch. One route exports them as 0, so that the rate exists."""
_TIMEOUT_SECONDS = 5.0
"""After which a connection to the port of the metrics is closed if the client sends nothing."""


class Metrics(RequestMetrics):
    """The metrics of this process."""

    def __init__(self, db: HashDB, home: Path, certificate: Path | None) -> None:
        """Start the metrics that alerts watch at 0; `export_zeros` starts those of requests.

        `home` is the folder of the service; `certificate` is the file of its TLS certificate.
        """
        from prometheus_client import Counter, Gauge, Histogram

        super().__init__("hashdb")
        registry = self._registry
        self._db = db
        self._machine = Machine(home, certificate)
        parts = Histogram(
            "hashdb_match_seconds",
            "Time of a match in the search of the index, and in the database.",
            ("part",),
            buckets=_MATCH_BUCKETS,
            registry=registry,
        )
        self._search_seconds, self._store_seconds = parts.labels("search"), parts.labels("store")
        self._index_seq = Gauge(
            "hashdb_index_events",
            "The seq up to which the index of every worker has caught up.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        # For each match, the seconds of the search and of the store. A match only appends them: `record` counts them.
        self._match_times: deque[tuple[float, float]] = deque(maxlen=MAX_WAITING)
        db.on_match_timed = self._match_times.append
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
        """Make the metrics of background tasks, and count each run from now on."""
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
        done = {task: successes.labels(task) for task in periodic_tasks(db)}
        for success_at in done.values():
            # The alert on late tasks must not fire before the first run.
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

    def export_zeros(self, routes: Iterable[tuple[str, str]]) -> None:
        """Export 0 for the counts of requests that alerts watch; `routes` are pairs of method and route."""
        for method, route in routes:
            # The alert fires at one error: Prometheus sees an increase only after a 0.
            self._requests.labels(method, route, "500")
        for status in _WATCHED_STATUSES:
            self._requests.labels("POST", "/v1/matches", str(status))
        self._seconds.labels("/v1/matches")

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request: at once if it failed, else at the next `record`. `seconds` is the time to its response."""
        self._answers.append((method, route, status, seconds))
        if status >= 400:
            self.record()

    def record(self) -> None:
        """Record the waiting requests and matches, and the seq of the index. A background task calls it each second."""
        head = self._db.index.head
        self._index_seq.set(0 if head is None else head.seq)
        with self._recording:
            times = [self._match_times.popleft() for _ in range(len(self._match_times))]
            observe(self._search_seconds, _MATCH_BUCKETS, [search for search, _ in times])
            # A match whose search found nothing reads no store: its time there is 0.
            observe(self._store_seconds, _MATCH_BUCKETS, [store for _, store in times if store])
        super().record()

    def count_delivery(self, outcome: str) -> None:
        """Count one attempt to deliver to a webhook, by its `DeliveryOutcome`."""
        self._deliveries.labels(outcome).inc()

    def count_replacement(self) -> None:
        """Count this process as the replacement of a worker that ended."""
        self._replacements.inc()

    def count_suspected_keys(self, events: int) -> None:
        """Count events that name a key which may be reading hashes out of matches."""
        self._suspected.inc(events)

    def response_times(self, route: str) -> ResponseTimes:
        """The time to the responses of a route since the service started, over all workers."""
        self.record()
        responses: dict[float, float] = defaultdict(float)
        for metric in self.registry_of_all_processes().collect():
            for sample in metric.samples if metric.name == "hashdb_request_seconds" else ():
                if sample.name.endswith("_bucket") and sample.labels["route"] == route:
                    responses[float(sample.labels["le"])] += sample.value
        return ResponseTimes(tuple(sorted(responses.items())))

    def task_runs(self) -> dict[str, TaskRuns]:
        """The runs of each background task, in the workers of this machine that are running."""
        runs = {task: TaskRuns() for task in map(str, Task)}
        fields = {
            "hashdb_background_last_success_timestamp_seconds": "succeeded_at",
            "hashdb_background_duration_seconds": "seconds",
            "hashdb_background_errors_total": "errors",
        }
        for metric in self.registry_of_all_processes().collect():
            for sample in metric.samples:
                if (field := fields.get(sample.name)) is not None:
                    task = sample.labels["task"]
                    runs[task] = replace(runs[task], **{field: sample.value})
        return runs

    def text(self) -> bytes:
        """All metrics in Prometheus's text format. If the store does not respond, its figures are left out."""
        self.record()
        with suppress(HashDBError):
            return self.format_text(self._machine, VitalsCollector(read_vitals(self._db, SYSTEM)))
        return self.format_text(self._machine)


@dataclass(frozen=True, slots=True)
class TaskRuns:
    """The runs of a background task."""

    succeeded_at: float = 0
    """The time (since 1970, seconds) of the last success, or of the worker's start; 0 if it runs only on demand."""
    seconds: float = 0
    """The duration of the last run; 0 before the first."""
    errors: float = 0
    """How many runs failed."""


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """A histogram: pairs of seconds and how many responses took at most so long, in order; the last counts all."""

    buckets: tuple[tuple[float, float], ...]

    @property
    def count(self) -> int:
        """How many responses there were."""
        return int(self.buckets[-1][1]) if self.buckets else 0

    def quantile(self, share: float) -> float | None:
        """The seconds within which this share (0 to 1) of the responses came, interpolated; None without responses.

        As in histogram_quantile of Prometheus, a quantile above the last finite bound is that bound.

        >>> ResponseTimes(((0.001, 50.0), (0.0025, 100.0), (math.inf, 100.0))).quantile(0.75)
        0.00175
        """
        rank, lower, below = share * self.count, 0.0, 0.0
        if not self.count:
            return None
        for upper, responses in self.buckets:
            if responses >= rank:
                return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (responses - below)
            lower, below = upper, responses
        return lower


def serve(metrics: Metrics, host: str, port: int) -> None:
    """Start a thread that serves the metrics on a separate port.

    One worker of the machine holds the port; when it ends, another takes over.
    """
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

    class QuietHandler(WSGIRequestHandler):
        timeout = _TIMEOUT_SECONDS

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = metrics.text()
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [body]

    while True:
        try:
            with make_server(host, port, application, Server, QuietHandler) as server:
                server.serve_forever()
        except OSError:
            # Another worker holds the port.
            time.sleep(_PORT_RETRY_SECONDS)
