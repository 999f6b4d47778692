"""The metrics about the machine."""

from __future__ import annotations

import importlib
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from hashdb.web import machine


def metric_values(home: Path, certificate: Path | None = None) -> dict[str, float]:
    """The value of each metric."""
    families = machine.Machine(home, certificate).collect()
    return {sample.name: sample.value for family in families for sample in family.samples}


def write_certificate(path: Path, expires: datetime) -> Path:
    """Write a self-signed certificate to a file; its path."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(expires - timedelta(days=30))
        .not_valid_after(expires)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(signed.public_bytes(Encoding.PEM))
    return path


def test_metrics_report_the_process_and_the_disk_of_the_home(tmp_path: Path) -> None:
    metrics = metric_values(tmp_path)
    assert 0 < time.time() - metrics["process_start_time_seconds"] < 86_400
    assert 3 <= metrics["process_open_fds"] < metrics["process_max_fds"]
    assert metrics["process_resident_memory_bytes"] > 2**20
    assert 0 <= metrics["hashdb_disk_free_bytes"] < metrics["hashdb_disk_size_bytes"]
    assert "hashdb_certificate_expiry_timestamp_seconds" not in metrics


def test_metrics_add_up_all_processes_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = metric_values(tmp_path)
    for pid in (os.getpid(), 2**22 + 1):
        # The second process has ended, and its file is not removed yet.
        (tmp_path / f"gauge_livemin_{pid}.db").touch()
    (tmp_path / f"counter_{os.getppid()}.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    both = metric_values(tmp_path)
    assert both["process_resident_memory_bytes"] > alone["process_resident_memory_bytes"]
    assert both["process_start_time_seconds"] <= alone["process_start_time_seconds"]


def test_metrics_do_without_the_processes_on_a_system_without_the_clock_since_the_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as macos:
        macos.delattr(time, "CLOCK_BOOTTIME")
        importlib.reload(machine)
        assert metric_values(tmp_path).keys() == {"hashdb_disk_free_bytes", "hashdb_disk_size_bytes"}
    importlib.reload(machine)


def test_metrics_report_the_expiry_of_the_certificate_or_0_if_unreadable(tmp_path: Path) -> None:
    expires = datetime(2027, 3, 1, 12, tzinfo=UTC)
    name = "hashdb_certificate_expiry_timestamp_seconds"
    assert metric_values(tmp_path, write_certificate(tmp_path / "tls_crt", expires))[name] == expires.timestamp()
    (tmp_path / "invalid").write_text("no certificate")
    assert (
        metric_values(tmp_path, tmp_path / "invalid")[name] == metric_values(tmp_path, tmp_path / "missing")[name] == 0
    )
