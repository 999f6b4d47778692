"""Metrics of requests, which the processes of a server share in files (the multiprocess mode of prometheus_client)."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Histogram
    from prometheus_client.registry import Collector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable from which prometheus_client reads the folder of the files."""
_KINDS = ("counter", "histogram", "gauge_livemin", "gauge_livemax")
"""The kinds of metric; each process has one file for each kind."""
_FILE_BYTES = 1024 * 1024
"""The size of each file in bytes: enough for some thousands of series."""
CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""The bounds of the histogram of requests, in seconds."""
MAX_WAITING = 100_000
"""The most requests that wait to be recorded."""
log = logging.getLogger("hashdb.web")


def share_folder(folder: Path) -> None:
    """Empty the folder, and let this process and its children count in files there.

    Call it before any of them makes `Metrics`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.environ[FOLDER_VARIABLE] = str(folder)


def remove_process(pid: int) -> None:
    """Remove the gauges of a process that has ended. Its counts stay."""
    from prometheus_client import multiprocess

    if FOLDER_VARIABLE in os.environ:
        multiprocess.mark_process_dead(pid)


def reserve_space() -> None:
    """Reserve disk space for the metrics of this process. Call it before the process counts anything.

    The files are memory-mapped: a write to one on a full disk would kill the process (SIGBUS). Without space, this
    process counts alone, in a temporary folder.
    """
    if FOLDER_VARIABLE not in os.environ:
        return
    try:
        _reserve(Path(os.environ[FOLDER_VARIABLE]))
    except OSError:
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="hashdb-metrics-", dir=parent)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[FOLDER_VARIABLE] = folder
        log.warning("no space left to share metrics between processes: this process counts by itself")
        _reserve(Path(folder))


def _reserve(folder: Path) -> None:
    for kind in _KINDS:
        path = folder / f"{kind}_{os.getpid()}.db"
        if path.exists():
            continue
        temporary = path.with_suffix(".part")
        try:
            temporary.write_bytes(bytes(_FILE_BYTES))
            temporary.rename(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def observe(histogram: Histogram, bounds: Sequence[float], seconds: Sequence[float]) -> None:
    """Observe many values at once, which the library does not offer; `bounds` are those of the histogram."""
    for bucket, times in Counter([bisect_left(bounds, value) for value in seconds]).items():
        histogram._buckets[bucket].inc(times)
    if seconds:
        histogram._sum.inc(sum(seconds))


class RequestMetrics:
    """The requests of this process, and the registry of all its metrics."""

    def __init__(self, prefix: str) -> None:
        """Counts nothing yet. `prefix` begins the names of the metrics."""
        # Imported here: the library reads PROMETHEUS_MULTIPROC_DIR at import.
        from prometheus_client import CollectorRegistry, Histogram
        from prometheus_client import Counter as CounterMetric

        reserve_space()
        self._registry = registry = CollectorRegistry()
        self._requests = CounterMetric(
            f"{prefix}_requests",
            "Requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            f"{prefix}_request_seconds",
            "Time from a request to its response, by route.",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )
        # Method, route, status and seconds: a request only appends them, because counting takes a tenth of a match.
        self._answers: deque[tuple[str, str, int, float]] = deque(maxlen=MAX_WAITING)
        self._recording = Lock()

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request at the next `record`; `seconds` is the time to its response."""
        self._answers.append((method, route, status, seconds))

    def record(self) -> None:
        """Record the requests since the last time."""
        with self._recording:
            answers = [self._answers.popleft() for _ in range(len(self._answers))]
            seconds_by_route: dict[str, list[float]] = defaultdict(list)
            for _, route, _, seconds in answers:
                seconds_by_route[route].append(seconds)
            for route, seconds_of_route in seconds_by_route.items():
                observe(self._seconds.labels(route), BUCKETS, seconds_of_route)
            requests = Counter([(method, route, status) for method, route, status, _ in answers])
            for (method, route, status), count in requests.items():
                self._requests.labels(method, route, str(status)).inc(count)

    def format_text(self, *collectors: Collector) -> bytes:
        """The metrics of all processes, and those of the collectors, in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        current = CollectorRegistry(auto_describe=False)
        for collector in collectors:
            current.register(collector)
        return generate_latest(self.registry_of_all_processes()) + generate_latest(current)

    def registry_of_all_processes(self) -> CollectorRegistry:
        """The registry with the counts of all processes."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        if FOLDER_VARIABLE not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return registry
