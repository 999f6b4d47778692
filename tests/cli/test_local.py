"""hashdb local serve: real processes on a Unix socket, beside a real service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from signal import SIGHUP, SIGKILL
from typing import Any

import pytest

from hashdb.cli.local import loopback_address
from hashdb.client import Client
from hashdb.domain.matching.matches import Answer, Query
from hashdb.errors import BadSetting, UnsafeStart
from tests.builders import draft, near, signal
from tests.cli.conftest import Commands
from tests.processes import children
from tests.warm import HASHDB, program

_WITHIN = 30.0
QUERIES = [Query((near(signal(seed), 4),), str(seed)) for seed in range(7_000, 7_010)]


def eventually(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + _WITHIN
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


class _Connection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_WITHIN)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class Running:
    """A sidecar that runs on a socket, and a client of it without a key."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
        self.process, self.path, self.log = process, path, log
        self.client = Client(f"unix:{path}", retries=0)

    def get(self, path: str) -> tuple[int, str]:
        """The status and the text of the answer to a GET. Raises OSError."""
        with closing(_Connection(self.path)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def is_ready(self) -> bool:
        """Whether it says so."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def processes(self) -> list[int]:
        """Its workers."""
        return children(self.process.pid)


@contextmanager
def running(member: Commands, folder: Path, start: Sequence[str] = ()) -> Iterator[Running]:
    """A sidecar with one worker, ended by SIGTERM; `start` are the first words of its process."""
    path, log = folder / "sidecar.sock", folder / "sidecar.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    words = [*(start or program(HASHDB)), "local", "serve", "--socket", str(path), "--workers", "1"]
    with log.open("wb") as file:
        process = subprocess.Popen(words, env=kept | member.environment, stdout=file, stderr=file)
    try:
        made = Running(process, path, log)
        with made.client:
            yield made
    finally:
        process.terminate()
        process.wait(_WITHIN)


@pytest.fixture
def own(member: Commands, tmp_path: Path) -> Commands:
    """A member with a home of its own, apart from the service's."""
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    return member


def contributed(member: Commands, *seeds: int) -> None:
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.contribute([draft(seed) for seed in seeds])


def found(answer: Answer) -> list[tuple[str | None, list[int]]]:
    """The contributions of each query."""
    return [(result.id, [match.contribution for match in result.matches]) for result in answer.results]


def test_it_follows_the_service_answers_as_it_does_and_ends_when_told(own: Commands, tmp_path: Path) -> None:
    contributed(own, 7_000, 7_001)
    # A process of its own, whose children are known.
    start = [sys.executable, "-m", "hashdb"]
    with (
        Client(own.environment["HASHDB_URL"], own.environment["HASHDB_KEY"]) as service,
        running(own, tmp_path, start) as one,
    ):
        eventually(one.is_ready)
        assert one.path.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "own" / "local").stat().st_mode & 0o777 == 0o700
        eventually(lambda: found(one.client.match(QUERIES)) == found(service.match(QUERIES)))
        assert found(one.client.match(QUERIES))[0][1]
        # What is new is there within moments.
        contributed(own, 7_002)
        eventually(lambda: found(one.client.match(QUERIES)) == found(service.match(QUERIES)))
        assert one.get("/metrics")[1].count("hashdb_sidecar_copy_age_seconds")

        status = own.json("local", "status")
        assert (status["followed"], status["contributions"] > 0, status["age"] <= 60) == (True, True, True)
        refused = own("local", "serve", "--socket", one.path)
        assert (refused.returncode, "another hashdb runs from" in refused.stderr) == (1, True)
        refused = own("local", "serve", "--socket", one.path, HASHDB_HOME=str(tmp_path / "third"))
        assert (refused.returncode, "already in use" in refused.stderr) == (1, True)
        assert "another process syncs" in own("sync").stderr

        # Each process is replaced when it is killed, also the one that follows; SIGHUP changes nothing.
        before = one.processes()
        assert len(before) == 2
        one.process.send_signal(SIGHUP)
        for pid in before:
            os.kill(pid, SIGKILL)
        eventually(lambda: len(one.processes()) == 2 and not {*before} & {*one.processes()})
        contributed(own, 7_003)
        eventually(one.is_ready)
        eventually(lambda: found(one.client.match(QUERIES)) == found(service.match(QUERIES)))

        one.process.terminate()
        assert one.process.wait(_WITHIN) == 0
        assert not one.path.exists()
        log = one.log.read_text()
        assert own.environment["HASHDB_KEY"] not in log
        assert '"route": "/v1/matches", "status": 200' in log
        assert not own.json("local", "status")["followed"]


def test_without_a_service_it_answers_from_the_copy_that_it_has(own: Commands, tmp_path: Path) -> None:
    contributed(own, 7_004)
    with Client(own.environment["HASHDB_URL"], own.environment["HASHDB_KEY"]) as service:
        expected = found(service.match(QUERIES))
    assert own.json("sync")["contributions"] > 0
    own.environment["HASHDB_URL"] = "http://127.0.0.1:9"
    with running(own, tmp_path) as one:
        eventually(one.is_ready)
        assert found(one.client.match(QUERIES)) == expected
        eventually(lambda: "no answer from http://127.0.0.1:9" in one.log.read_text())
        assert own.json("local", "status")["contributions"] > 0


def test_it_listens_on_this_machine_only(own: Commands, tmp_path: Path) -> None:
    for text, expected in (
        ("127.0.0.1:8765", ("127.0.0.1", 8765)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9000", ("::1", 9000)),
    ):
        assert loopback_address(text) == expected
    for text in ("0.0.0.0:8765", "[::]:8765", "10.0.0.1:80"):
        with pytest.raises(UnsafeStart, match="open to other machines"):
            loopback_address(text)
    for text in ("8765", ":8765", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "unix:/x"):
        with pytest.raises(BadSetting, match="must be an address and a port"):
            loopback_address(text)
    for words in (("--socket", "s", "--bind", "127.0.0.1:0"), ("--socket-group", "g")):
        assert own("local", "serve", *words).returncode == 2
    assert "is not set" in own("local", "serve", HASHDB_KEY="", HASHDB_CONFIG="").stderr


def test_it_loads_neither_the_web_framework_nor_the_database_of_the_service(tmp_path: Path) -> None:
    program_text = """
import sys
from pathlib import Path
from werkzeug.test import Client
import hashdb.cli.sidecar as module
from hashdb.sidecar.application import ROUTES
state = module.SidecarState(module.Settings(home=Path(sys.argv[1])), 300)
client = Client(module.Sidecar(state, module.Metrics()))
for path in ROUTES:
    assert client.get(path).status_code and client.post(path, json={}).status_code
assert client.get("/metrics").status_code == 200
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", program_text, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "gunicorn" in loaded
    assert loaded.isdisjoint(
        {"flask", "sqlalchemy", "alembic", "argon2", "authlib", "jinja2", "limits", "cryptography"}
    )
