"""What Prometheus is told of the machine: the processes of the service, the disk of the home, the certificate."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.x509 import load_pem_x509_certificate

from hashdb.web.prometheus_multiprocess import FOLDER

if TYPE_CHECKING:
    from prometheus_client import ProcessCollector
    from prometheus_client.metrics_core import Metric

# One value for all workers, which are forked after this: with two that differ, the service would seem to be restarted.
_BOOTED = round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))


class Machine:
    """A collector for Prometheus's library; each figure is read when it is asked for."""

    def __init__(self, home: Path, certificate: Path | None) -> None:
        """Reads nothing yet."""
        self._home = home
        self._certificate = certificate

    def collect(self) -> Iterator[Metric]:
        """All figures that can be read here."""
        from prometheus_client.core import GaugeMetricFamily

        yield from _processes()
        try:
            disk = os.statvfs(self._home)
        except OSError:
            # No home yet: this is no service.
            pass
        else:
            free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
            yield GaugeMetricFamily("hashdb_disk_free_bytes", "Free space of the disk of the home.", free)
            yield GaugeMetricFamily("hashdb_disk_size_bytes", "Size of the disk of the home.", size)
        if self._certificate is not None:
            yield GaugeMetricFamily(
                "hashdb_certificate_expiry_timestamp_seconds",
                "When the certificate in HASHDB_CERTIFICATE expires; 0 where it cannot be read.",
                _expires(self._certificate),
            )


def _processes() -> Iterator[Metric]:
    """Of the process that holds the workers and of each worker: the names are those of Prometheus's library."""
    from prometheus_client.core import GaugeMetricFamily

    found: dict[str, list[float]] = {}
    for pid in _pids():
        for family in _collector(pid).collect():
            found.setdefault(family.name, []).extend(sample.value for sample in family.samples)
    for name, help, of in (
        ("start_time_seconds", "Start of the service in seconds since 1970.", min),
        ("resident_memory_bytes", "Memory of all its processes; what they share is counted in each.", sum),
        ("open_fds", "Open files of the process that has most.", max),
        ("max_fds", "Open files that a process may have.", min),
    ):
        if values := found.get(f"process_{name}"):
            yield GaugeMetricFamily(f"process_{name}", help, of(values))


def _collector(pid: int) -> ProcessCollector:
    from prometheus_client import ProcessCollector

    class Collector(ProcessCollector):
        def _boot_time(self) -> float:
            # The library reads it from a file that systemd hides (ProcSubset=pid).
            return _BOOTED

    return Collector(pid=lambda: pid, registry=None)


def _pids() -> Iterable[int]:
    """The processes that count together and the one that started them; else this one."""
    if FOLDER not in os.environ:
        return (os.getpid(),)
    # The library removes the file of a process that has ended.
    names = (re.fullmatch(r"gauge_livemin_(\d+)\.db", path.name) for path in Path(os.environ[FOLDER]).iterdir())
    return (os.getppid(), *(int(name[1]) for name in names if name))


def _expires(certificate: Path) -> float:
    """Seconds since 1970; 0 where it cannot be read, so that an alert fires."""
    try:
        return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0
