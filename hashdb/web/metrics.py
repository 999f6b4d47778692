"""Metrics for Prometheus: each worker counts its requests, which are summed; a scrape reads everything else."""

from __future__ import annotations

import math
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from socket import AF_INET, AF_INET6
from threading import Lock, Thread
from typing import TYPE_CHECKING, Literal

from hashdb import __version__
from hashdb.domain.accounts.members import SYSTEM, MemberKind
from hashdb.domain.sharing import webhooks
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats import counts
from hashdb.domain.stats.counts import RefusalReason
from hashdb.errors import HashDBError, InvalidInput
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.health import Vitals, vitals
from hashdb.service.schedule import TABLE, repeated
from hashdb.web.machine import Machine
from hashdb.wsgi.prometheus_multiprocess import FOLDER, observe, reserve_space

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FINE = (0.00005, 0.0001, 0.00025, *_BUCKETS)
_MAX_TIMES = 100_000
"""The most answers, and times of matches, that wait to be recorded."""
_RETRY_SECONDS = 2.0
_RATED = (401, 429, 503)
"""Statuses whose rate alerts watch. One route exports them as 0, so that the rate exists."""
_TIMEOUT = 5.0
"""Seconds after which a silent connection to the port of the metrics is closed."""


class Metrics:
    """The metrics of this process."""

    def __init__(self, db: HashDB, home: Path, certificate: Path | None = None) -> None:
        """Starts all metrics that alerts use at 0, except those of requests: see `expect`."""
        # Imported here: the library reads PROMETHEUS_MULTIPROC_DIR at import.
        from prometheus_client import CollectorRegistry, Gauge, Histogram
        from prometheus_client import Counter as Counting

        reserve_space()
        self._db = db
        self._machine = Machine(home, certificate)
        self._registry = CollectorRegistry()
        self._requests = Counting(
            "hashdb_requests",
            "Requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "hashdb_request_seconds",
            "Time from a request to its response, by route.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        parts = Histogram(
            "hashdb_match_seconds",
            "Time of a match in the search of the index, and in the database.",
            ("part",),
            buckets=_FINE,
            registry=self._registry,
        )
        self._search, self._store = parts.labels("search"), parts.labels("store")
        self._level = Gauge(
            "hashdb_index_events",
            "The seq up to which the index of every worker has caught up.",
            multiprocess_mode="livemin",
            registry=self._registry,
        )
        self._writing = Lock()
        self._times: deque[tuple[float, float]] = deque(maxlen=_MAX_TIMES)
        # A match only appends its times; `record` does the rest once a second.
        db.timed = self._times.append
        self._count_background(db)
        self._suspected = Counting(
            "hashdb_keys_suspected",
            "Events that name a key which may be reading hashes out of matches.",
            registry=self._registry,
        )
        # A request only appends what it was; `record` does the rest once a second.
        self._answers: deque[tuple[str, str, int, float]] = deque(maxlen=_MAX_TIMES)

    def _count_deliveries(self) -> None:
        """Count the attempts to deliver to webhooks."""
        from prometheus_client import Counter as Counting

        self._deliveries = Counting(
            "hashdb_webhook_deliveries",
            "Attempts to deliver to webhooks, by outcome; `waiting` will be retried.",
            ("outcome",),
            registry=self._registry,
        )
        for outcome in webhooks.DeliveryOutcome:
            self._deliveries.labels(outcome)

    def _count_background(self, db: HashDB) -> None:
        """Count deliveries, the runs of background tasks, and workers that replace another."""
        from prometheus_client import Counter as Counting
        from prometheus_client import Gauge

        self._count_deliveries()
        self._replacements = Counting(
            "hashdb_worker_replacements", "Workers that replaced another worker.", registry=self._registry
        )
        errors = Counting(
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
        with self._writing:
            times = [self._times.popleft() for _ in range(len(self._times))]
            observe(self._search, _FINE, [search for search, _ in times])
            observe(self._store, _FINE, [store for _, store in times if store])
            self._record_answers([self._answers.popleft() for _ in range(len(self._answers))])

    def _record_answers(self, answers: Sequence[tuple[str, str, int, float]]) -> None:
        seconds_by_route: dict[str, list[float]] = defaultdict(list)
        for _, route, _, seconds in answers:
            seconds_by_route[route].append(seconds)
        for route, of_route in seconds_by_route.items():
            observe(self._seconds.labels(route), _BUCKETS, of_route)
        for (method, route, status), count in Counter([answer[:3] for answer in answers]).items():
            self._requests.labels(method, route, str(status)).inc(count)

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
        for metric in self._all().collect():
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
        for metric in self._all().collect():
            for sample in metric.samples:
                if (field := fields.get(sample.name)) is not None:
                    task = sample.labels["task"]
                    runs[task] = replace(runs[task], **{field: sample.value})
        return runs

    def text(self) -> bytes:
        """All metrics, in Prometheus's text format; without those of the store if it does not answer."""
        from prometheus_client import CollectorRegistry, generate_latest

        self.record()
        registry = self._all()
        current = CollectorRegistry(auto_describe=False)
        current.register(self._machine)
        with suppress(HashDBError):
            current.register(_VitalsCollector(vitals(self._db, SYSTEM)))
        return generate_latest(registry) + generate_latest(current)

    def _all(self) -> CollectorRegistry:
        """The registry with the counts of all workers."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        if FOLDER not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return registry


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


_ZERO_COUNTS = tuple(
    (kind, member, algorithm, outcome)
    for kind, algorithms, outcomes in (
        (
            counts.CountKind.QUERY,
            (counts.ANY_ALGORITHM, *Algorithm),
            (counts.QueryOutcome.HIT, counts.QueryOutcome.NONE),
        ),
        (
            counts.CountKind.HIT,
            (counts.ANY_ALGORITHM, *Algorithm),
            (counts.QueryOutcome.OWN, counts.QueryOutcome.OTHERS),
        ),
        # The many other codes each name a field, and start with their first refusal.
        (counts.CountKind.REFUSAL, (counts.ANY_ALGORITHM,), (InvalidInput.slug,)),
        (counts.CountKind.ACCESS, (counts.ANY_ALGORITHM,), tuple(RefusalReason)),
    )
    for member in MemberKind
    for algorithm in algorithms
    for outcome in outcomes
)
"""The counts that are exported as 0 from the start."""


class _VitalsCollector:
    """A collector of the figures that a scrape read from the store and the index."""

    def __init__(self, figures: Vitals) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """The metrics of these figures."""
        from prometheus_client.core import CounterMetricFamily

        figures = self._figures
        counted = CounterMetricFamily(
            "hashdb_counts",
            "Counts that are stored by day and sealed: queries, hits, refused contributions, refused requests.",
            labels=("kind", "member_kind", "algorithm", "outcome"),
        )
        numbers: dict[tuple[str, str, str, str], int] = dict.fromkeys(_ZERO_COUNTS, 0)
        for total in figures.totals:
            numbers[total.count_kind, total.member_kind, total.algorithm or counts.ANY_ALGORITHM, total.outcome] = (
                total.times
            )
        for labels, times in numbers.items():
            counted.add_metric(labels, times)
        yield counted
        yield from _labelled(figures)
        yield from _figures(figures)


def _labelled(figures: Vitals) -> Iterator[Metric]:
    """The metrics that have a number for each value of a label."""
    from prometheus_client.core import GaugeMetricFamily

    sizes, asked, read = figures.sizes.items(), figures.witnesses, figures.upstreams
    tiers = [((str(name), "memory"), size.in_memory) for name, size in sizes]
    tiers += [((str(name), "files"), size.in_files) for name, size in sizes]
    for name, help, labels, rows in (
        ("hashdb_index_values", "Values in the index of the worker that responds.", ("algorithm", "tier"), tiers),
        ("hashdb_feed_events", "The seq up to which a valid key has read the feed.", ("key",),
         [((str(key),), seq) for key, seq in figures.readers]),
        ("hashdb_upstream_caught_up_timestamp_seconds", "When a list was last read to its end.", ("upstream",),
         [((str(one.id),), one.caught_up_at.timestamp() if one.caught_up_at else 0) for one in read]),
        ("hashdb_witness_events", "Events of the last checkpoint that a witness cosigned.", ("witness",),
         [((witness.name,), state.size) for witness, state in asked]),
        ("hashdb_witness_refused", "1 if a witness says that the log does not only grow.", ("witness",),
         [((witness.name,), state.refused) for witness, state in asked]),
        ("hashdb_background_period_seconds", "Seconds between two runs of a background task.", ("task",),
         [((str(plan.task),), plan.every) for plan in TABLE if plan.every is not None]),
        ("hashdb_build_info", "The version of the worker that responds.", ("version",), [((__version__,), 1)]),
    ):  # fmt: skip
        gauge = GaugeMetricFamily(name, help, labels=labels)
        for values, number in rows:
            gauge.add_metric(values, number)
        yield gauge


def _figures(figures: Vitals) -> Iterator[Metric]:
    """The metrics that are one number each."""
    from prometheus_client.core import GaugeMetricFamily

    for name, help, value in (
        ("hashdb_log_events", "Events in the log.", figures.head),
        ("hashdb_log_signed_events", "Events that the last signed checkpoint covers.", figures.signed),
        ("hashdb_log_uncosigned_seconds",
         "Age of the oldest checkpoint that waits for the quorum of witnesses; 0 without witnesses.",
         figures.uncosigned.total_seconds()),
        ("hashdb_index_lag_events", "Events that the index of the worker that responds has not read yet.",
         max(0, figures.head - figures.level)),
        ("hashdb_cases_open", "Open cases.", figures.open_cases),
        ("hashdb_cases_late", "Open cases whose decision is overdue.", figures.late_cases),
        ("hashdb_backup_verified_timestamp_seconds",
         "When a backup was last restored in a test and its log verified; 0 if never.",
         0 if figures.backed_up is None else figures.backed_up.timestamp()),
        ("hashdb_webhook_deliveries_retrying", "Deliveries to webhooks that failed and will be retried.",
         figures.retrying),
    ):  # fmt: skip
        yield GaugeMetricFamily(name, help, value)
    if (server := figures.server) is not None:
        for name, help, value in (
            ("connections", "Client connections of PostgreSQL.", server.connections),
            ("max_connections", "Connections that PostgreSQL allows.", server.max_connections),
            ("standbys", "Standbys connected to PostgreSQL.", server.standbys),
            (
                "replication_lag_bytes",
                "Bytes of the PostgreSQL log that the slowest standby has not replayed.",
                server.lag,
            ),
        ):
            yield GaugeMetricFamily(f"hashdb_postgresql_{name}", help, value)


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
