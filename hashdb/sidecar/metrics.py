"""Metrics for Prometheus. Each process counts its requests, and a scrape sums them and reads the other figures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from hashdb import __version__
from hashdb.errors import CopyNotReady
from hashdb.http_server.prometheus_multiprocess import RequestMetrics
from hashdb.sidecar.state import SidecarState

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_RECORD_SECONDS = 1.0
"""Seconds between two calls of `record`."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "(any)"})
"""The methods by which requests are counted; `(any)` is for an address that does not exist. Others are `(other)`."""


class Metrics(RequestMetrics):
    """The metrics of this process."""

    def __init__(self) -> None:
        """Counts nothing yet."""
        from prometheus_client import Gauge

        super().__init__("hashdb_sidecar")
        self._uploads = Gauge(
            "hashdb_sidecar_remembered_uploads",
            "Uploads that are remembered; those that were replaced or forgotten count until they are packed.",
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        # Alerts watch these metrics of `RequestMetrics`, so they exist from the start, with the value 0.
        for status in ("200", "500", "503"):
            self._requests.labels("POST", "/v1/matches", status)
        self._seconds.labels("/v1/matches")

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request at the next `record`; `seconds` is the time to its response."""
        self._answers.append((method if method in _METHODS else "(other)", route, status, seconds))

    def start(self) -> None:
        """Record once a second, in the background."""
        Thread(target=self._record_forever, name="metrics", daemon=True).start()

    def _record_forever(self) -> None:
        while True:
            time.sleep(_RECORD_SECONDS)
            self.record()

    def count_uploads(self, count: int) -> None:
        """Set the number of remembered uploads; the process that looks back calls it."""
        self._uploads.set(count)

    def text(self, state: SidecarState) -> bytes:
        """All metrics of all processes, in Prometheus's text format; without those of the copy if there is none."""
        self.record()
        return self.format_text(_Figures(state))


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
        """The end of the name, the help text and the value of each metric."""
        state = self._state
        yield "max_age_seconds", "The age of the copy beyond which the sidecar is not ready.", state.max_age
        with suppress(CopyNotReady):
            copy = state.copy_state()
            yield "copy_age_seconds", "Seconds since the copy was last up to date with the service.", state.copy_age()
            yield "copy_events", "The seq of the service's log up to which the copy has everything.", copy.seq
            yield "copy_contributions", "Contributions in the copy.", len(state.index)
            reports = state.reports.state()
            done = 0 if reports.cursor is None or reports.cursor.epoch != copy.epoch else reports.cursor.seq
            yield "lookback_lag_events", "Events of the copy that look-back has not looked at.", max(0, copy.seq - done)
            yield "reports_unacknowledged", "Reports of look-back that are not acknowledged.", reports.waiting
            yield "reports", "The number of the last report of look-back.", reports.last
