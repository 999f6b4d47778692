"""What a process that reads hostile pictures may do and see."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits
from hashdb.hashing.workers import Worker
from tests.hashing.processes import workers
from tests.hashing.samples import drawn, encoded

MEMORY = 300_000_000


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder under /proc of a process that has hashed a picture."""
    monkeypatch.setenv("HASHDB_DATABASE_URL", "postgresql://user:secret@db/hashdb")
    worker = Worker(30, MEMORY, Limits())
    worker.hash(encoded(drawn()), [Algorithm.PDQ])
    (process,) = workers()
    yield Path(f"/proc/{process}")
    worker.stop()


def _limit(process: Path, name: str) -> list[str]:
    lines = (process / "limits").read_text().splitlines()
    return next(line.removeprefix(name).split()[:2] for line in lines if line.startswith(name))


def test_it_has_loaded_neither_the_web_framework_nor_the_database() -> None:
    program = "import sys, hashdb.hashing.sandbox; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"flask", "werkzeug", "sqlalchemy", "pydantic", "httpx"} & set(ran.stdout.split())


def test_it_writes_no_file_and_leaves_no_core_dump(process: Path) -> None:
    assert _limit(process, "Max file size") == ["0", "0"]
    assert _limit(process, "Max core file size") == ["0", "0"]


def test_its_memory_is_limited_to_what_it_needs_at_rest_and_the_given(process: Path) -> None:
    soft, hard = map(int, _limit(process, "Max address space"))
    at_rest = int((process / "statm").read_text().split()[0]) * 4096
    assert soft == hard
    assert abs(soft - MEMORY - at_rest) < 20_000_000


def test_it_does_not_see_the_settings_of_the_service(process: Path) -> None:
    assert b"secret" not in (process / "environ").read_bytes()


def test_it_shares_no_file_with_the_service(process: Path) -> None:
    targets = [link.readlink() for link in (process / "fd").iterdir()]
    kinds = sorted(str(target).partition(":")[0] for target in targets)
    assert kinds == ["/dev/null", "/dev/null", "pipe", "socket"]


def test_it_is_not_interrupted_with_the_service(process: Path) -> None:
    session = (process / "stat").read_text().rpartition(")")[2].split()[3]
    assert session == process.name
