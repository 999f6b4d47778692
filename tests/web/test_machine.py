"""What Prometheus is told of the machine."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from hashdb.web.machine import Machine


def figures(home: Path, certificate: Path | None = None) -> dict[str, float]:
    return {one.name: one.value for family in Machine(home, certificate).collect() for one in family.samples}


def certificate(path: Path, expires: datetime) -> Path:
    """A file with a certificate that signs itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(expires - timedelta(days=30))
        .not_valid_after(expires)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def test_this_process_and_the_disk_of_the_home_are_told(tmp_path: Path) -> None:
    found = figures(tmp_path)
    assert 0 < time.time() - found["process_start_time_seconds"] < 86_400
    assert 3 <= found["process_open_fds"] < found["process_max_fds"]
    assert found["process_resident_memory_bytes"] > 2**20
    assert 0 <= found["hashdb_disk_free_bytes"] < found["hashdb_disk_size_bytes"]
    assert "hashdb_certificate_expiry_timestamp_seconds" not in found


def test_all_processes_of_a_service_are_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = figures(tmp_path)
    for pid in (os.getpid(), 2**22 + 1):
        # The second has ended, and its file is not removed yet.
        (tmp_path / f"gauge_livemin_{pid}.db").touch()
    (tmp_path / f"counter_{os.getppid()}.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    both = figures(tmp_path)
    assert both["process_resident_memory_bytes"] > alone["process_resident_memory_bytes"]
    assert both["process_start_time_seconds"] <= alone["process_start_time_seconds"]


def test_when_a_certificate_expires_is_told_and_one_that_cannot_be_read_is_told_as_0(tmp_path: Path) -> None:
    at = datetime(2027, 3, 1, 12, tzinfo=UTC)
    name = "hashdb_certificate_expiry_timestamp_seconds"
    assert figures(tmp_path, certificate(tmp_path / "tls_crt", at))[name] == at.timestamp()
    (tmp_path / "none").write_text("no certificate")
    assert figures(tmp_path, tmp_path / "none")[name] == figures(tmp_path, tmp_path / "missing")[name] == 0
