"""Metrics for Prometheus: each process counts its requests, which are summed; a scrape reads everything else."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING

from hashdb import __version__
from hashdb.errors import CopyNotReady
from hashdb.sidecar.state import SidecarState
from hashdb.wsgi.prometheus_multiprocess import FOLDER, observe, reserve_space

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_EVERY = 1.0
"""Seconds."""
_MOST = 100_000
"""The most requests that wait to be counted."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "(any)"})


class Metrics:
    """The metrics of this process."""

    def __init__(self) -> None:
        """Counts nothing yet."""
        # Imported here: the library reads PROMETHEUS_MULTIPROC_DIR at import.
        from prometheus_client import CollectorRegistry, Gauge, Histogram
        from prometheus_client import Counter as Counting

        reserve_space()
        # A request only appends what it was: to count it takes a tenth of the time of a match.
        self._answers: deque[tuple[str, str, int, float]] = deque(maxlen=_MOST)
        self._recording = Lock()
        self._registry = CollectorRegistry()
        self._requests = Counting(
            "hashdb_sidecar_requests",
            "Requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "hashdb_sidecar_request_seconds",
            "Time from a request to its response, by route.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._uploads = Gauge(
            "hashdb_sidecar_remembered_uploads",
            "Uploads that are remembered; those that were replaced or forgotten count until they are packed.",
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        # The rates that alerts watch exist from the start.
        for status in ("200", "500", "503"):
            self._requests.labels("POST", "/v1/matches", status)
        self._seconds.labels("/v1/matches")

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request at the next `record`; `seconds` is the time to its response."""
        self._answers.append((method, route, status, seconds))

    def record(self) -> None:
        """Record the requests since the last time."""
        with self._recording:
            answers = [self._answers.popleft() for _ in range(len(self._answers))]
            for (method, route, status), times in Counter([answer[:3] for answer in answers]).items():
                known = method if method in _METHODS else "(other)"
                self._requests.labels(known, route, str(status)).inc(times)
            for route in {answer[1] for answer in answers}:
                seconds = [answer[3] for answer in answers if answer[1] == route]
                observe(self._seconds.labels(route), _BUCKETS, seconds)

    def start(self) -> None:
        """Record once a second, in the background."""
        Thread(target=self._record_again, name="metrics", daemon=True).start()

    def _record_again(self) -> None:
        while True:
            time.sleep(_EVERY)
            self.record()

    def count_uploads(self, count: int) -> None:
        """Say how many uploads are remembered; the process that looks back knows it."""
        self._uploads.set(count)

    def text(self, state: SidecarState) -> bytes:
        """All metrics of all processes, in Prometheus's text format; without those of the copy if there is none."""
        from prometheus_client import CollectorRegistry, generate_latest

        self.record()
        current = CollectorRegistry(auto_describe=False)
        current.register(_Figures(state))
        return generate_latest(self._all()) + generate_latest(current)

    def _all(self) -> CollectorRegistry:
        """The registry with the counts of all processes."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        if FOLDER not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return registry


class _Figures:
    """A collector of the figures of the copy and of look-back."""

    def __init__(self, state: SidecarState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        from prometheus_client.core import GaugeMetricFamily

        for name, help, value in self._figures():
            yield GaugeMetricFamily(f"hashdb_sidecar_{name}", help, value)
        build = GaugeMetricFamily("hashdb_sidecar_build_info", "The version of the sidecar.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build

    def _figures(self) -> Iterator[tuple[str, str, float]]:
        state = self._state
        yield "max_age_seconds", "The age of the copy beyond which the sidecar is not ready.", state.max_age
        with suppress(CopyNotReady):
            copy = state.copy()
            yield "copy_age_seconds", "Seconds since the copy was last up to date with the service.", state.age()
            yield "copy_events", "The seq of the service's log up to which the copy has everything.", copy.seq
            yield "copy_contributions", "Contributions in the copy.", len(state.index)
            reports = state.reports.state()
            done = 0 if reports.cursor is None or reports.cursor.epoch != copy.epoch else reports.cursor.seq
            yield "lookback_lag_events", "Events of the copy that look-back has not looked at.", max(0, copy.seq - done)
            yield "reports_unacknowledged", "Reports of look-back that are not acknowledged.", reports.waiting
            yield "reports", "The number of the last report of look-back.", reports.last
