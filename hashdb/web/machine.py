"""Metrics of the machine: the processes of the service, the disk of its home, and the TLS certificate."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.x509 import load_pem_x509_certificate

from hashdb.http_server.prometheus_multiprocess import FOLDER_VARIABLE

if TYPE_CHECKING:
    from prometheus_client import ProcessCollector
    from prometheus_client.metrics_core import Metric

# Read before the workers are forked, so that all have one value: a different value would look like a restart. macOS has
# no such clock, and none of the figures of processes.
_BOOTED = round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) if hasattr(time, "CLOCK_BOOTTIME") else 0


class Machine:
    """A collector for prometheus_client; a scrape reads each figure."""

    def __init__(self, home: Path, certificate: Path | None) -> None:
        """Reads nothing yet."""
        self._home = home
        self._certificate = certificate

    def collect(self) -> Iterator[Metric]:
        """All figures that can be read on this machine."""
        from prometheus_client.core import GaugeMetricFamily

        yield from _processes()
        try:
            disk = os.statvfs(self._home)
        except OSError:
            # No home yet: this process is not a service.
            pass
        else:
            free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
            yield GaugeMetricFamily("hashdb_disk_free_bytes", "Free space on the disk of the home folder.", free)
            yield GaugeMetricFamily("hashdb_disk_size_bytes", "Size of the disk of the home folder.", size)
        if self._certificate is not None:
            yield GaugeMetricFamily(
                "hashdb_certificate_expiry_timestamp_seconds",
                "When the certificate in HASHDB_CERTIFICATE expires; 0 if it cannot be read.",
                _expiry(self._certificate),
            )


def _processes() -> Iterator[Metric]:
    """Metrics of the parent process and its workers, under the names of prometheus_client."""
    from prometheus_client.core import GaugeMetricFamily

    samples: dict[str, list[float]] = {}
    for pid in _pids():
        for family in _collector(pid).collect():
            samples.setdefault(family.name, []).extend(sample.value for sample in family.samples)
    for name, help, combine in (
        ("start_time_seconds", "Start of the service in seconds since 1970.", min),
        ("resident_memory_bytes", "Memory of all processes; shared memory counts in each.", sum),
        ("open_fds", "Open files of the process that has the most.", max),
        ("max_fds", "The most files that a process may have open.", min),
    ):
        if values := samples.get(f"process_{name}"):
            yield GaugeMetricFamily(f"process_{name}", help, combine(values))


def _collector(pid: int) -> ProcessCollector:
    from prometheus_client import ProcessCollector

    class Collector(ProcessCollector):
        def _boot_time(self) -> float:
            # The library reads it from a file that systemd may hide (ProcSubset=pid).
            return _BOOTED

    return Collector(pid=lambda: pid, registry=None)


def _pids() -> Iterable[int]:
    """The workers and their parent, or this process if it has no workers."""
    if FOLDER_VARIABLE not in os.environ:
        return (os.getpid(),)
    # Each worker sets a gauge of the kind `livemin`, so it has such a file. `remove_process` removes the file of one
    # that has ended.
    names = (
        re.fullmatch(r"gauge_livemin_(\d+)\.db", path.name) for path in Path(os.environ[FOLDER_VARIABLE]).iterdir()
    )
    return (os.getppid(), *(int(name[1]) for name in names if name))


def _expiry(certificate: Path) -> float:
    """In seconds since 1970; 0 if the certificate cannot be read, so that an alert fires."""
    try:
        return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0
