"""hashdb local serve: real sidecar processes on a Unix socket, and a real service."""

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

TIMEOUT = 30.0
QUERIES = [Query((near(signal(seed), 4),), str(seed)) for seed in range(7_000, 7_010)]


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class _Connection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class RunningSidecar:
    """A sidecar that listens on a Unix socket, and its client, which has no key."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
        self.process, self.path, self.log = process, path, log
        self.client = Client(f"unix:{path}", retries=0)

    def get(self, path: str) -> tuple[int, str]:
        """The status and the body of the response to a GET. Raises OSError."""
        with closing(_Connection(self.path)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def is_ready(self) -> bool:
        """Whether the sidecar reports that it is ready."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def processes(self) -> list[int]:
        """The processes that the sidecar started."""
        return children(self.process.pid)


@contextmanager
def running_sidecar(member: Commands, folder: Path, start: Sequence[str] = ()) -> Iterator[RunningSidecar]:
    """A sidecar with one worker, stopped with SIGTERM. `start` replaces the beginning of its command line."""
    path, log = folder / "sidecar.sock", folder / "sidecar.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    command = [*(start or program(HASHDB)), "local", "serve", "--socket", str(path), "--workers", "1"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=inherited | member.environment, stdout=file, stderr=file)
    try:
        sidecar = RunningSidecar(process, path, log)
        with sidecar.client:
            yield sidecar
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.fixture
def remote_member(member: Commands, tmp_path: Path) -> Commands:
    """A member whose home is not that of the service."""
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    return member


def contribute(member: Commands, *seeds: int) -> None:
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.contribute([draft(seed) for seed in seeds])


def matches_of(answer: Answer) -> list[tuple[str | None, list[int]]]:
    """The contributions that each query matched."""
    return [(result.id, [match.contribution for match in result.matches]) for result in answer.results]


def test_the_sidecar_syncs_answers_like_the_service_and_stops_cleanly(remote_member: Commands, tmp_path: Path) -> None:
    contribute(remote_member, 7_000, 7_001)
    # Not a warm process, so that all its children are its own.
    start = [sys.executable, "-m", "hashdb"]
    with (
        Client(remote_member.environment["HASHDB_URL"], remote_member.environment["HASHDB_KEY"]) as service,
        running_sidecar(remote_member, tmp_path, start) as sidecar,
    ):
        wait_until(sidecar.is_ready)
        assert sidecar.path.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "own" / "local").stat().st_mode & 0o777 == 0o700
        wait_until(lambda: matches_of(sidecar.client.match(QUERIES)) == matches_of(service.match(QUERIES)))
        assert matches_of(sidecar.client.match(QUERIES))[0][1]
        # A new contribution soon matches.
        contribute(remote_member, 7_002)
        wait_until(lambda: matches_of(sidecar.client.match(QUERIES)) == matches_of(service.match(QUERIES)))
        assert sidecar.get("/metrics")[1].count("hashdb_sidecar_copy_age_seconds")

        status = remote_member.json("local", "status")
        assert (status["followed"], status["contributions"] > 0, status["age"] <= 60) == (True, True, True)
        result = remote_member("local", "serve", "--socket", sidecar.path)
        assert (result.returncode, "another hashdb runs from" in result.stderr) == (1, True)
        result = remote_member("local", "serve", "--socket", sidecar.path, HASHDB_HOME=str(tmp_path / "third"))
        assert (result.returncode, "already in use" in result.stderr) == (1, True)
        assert "another process syncs" in remote_member("sync").stderr

        # A killed process is replaced, including the process that syncs. SIGHUP changes nothing.
        before = sidecar.processes()
        assert len(before) == 2
        sidecar.process.send_signal(SIGHUP)
        for pid in before:
            os.kill(pid, SIGKILL)
        wait_until(lambda: len(sidecar.processes()) == 2 and not {*before} & {*sidecar.processes()})
        contribute(remote_member, 7_003)
        wait_until(sidecar.is_ready)
        wait_until(lambda: matches_of(sidecar.client.match(QUERIES)) == matches_of(service.match(QUERIES)))

        sidecar.process.terminate()
        assert sidecar.process.wait(TIMEOUT) == 0
        assert not sidecar.path.exists()
        log = sidecar.log.read_text()
        assert remote_member.environment["HASHDB_KEY"] not in log
        assert '"route": "/v1/matches", "status": 200' in log
        assert not remote_member.json("local", "status")["followed"]


def test_without_a_service_the_sidecar_answers_from_its_copy(remote_member: Commands, tmp_path: Path) -> None:
    contribute(remote_member, 7_004)
    with Client(remote_member.environment["HASHDB_URL"], remote_member.environment["HASHDB_KEY"]) as service:
        expected = matches_of(service.match(QUERIES))
    assert remote_member.json("sync")["contributions"] > 0
    assert "; look-back has not begun; " in remote_member("local", "status").stdout
    remote_member.environment["HASHDB_URL"] = "http://127.0.0.1:9"
    with running_sidecar(remote_member, tmp_path) as sidecar:
        wait_until(sidecar.is_ready)
        assert matches_of(sidecar.client.match(QUERIES)) == expected
        wait_until(lambda: "no answer from http://127.0.0.1:9" in sidecar.log.read_text())
        assert remote_member.json("local", "status")["contributions"] > 0


def test_the_sidecar_listens_on_this_machine_only(remote_member: Commands, tmp_path: Path) -> None:
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
    for options in (("--socket", "s", "--bind", "127.0.0.1:0"), ("--socket-group", "g")):
        assert remote_member("local", "serve", *options).returncode == 2
    assert "is not set" in remote_member("local", "serve", HASHDB_KEY="", HASHDB_CONFIG="").stderr


def test_the_sidecar_imports_no_web_framework_and_no_database(tmp_path: Path) -> None:
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
    process = subprocess.run(
        [sys.executable, "-c", program_text, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(process.stdout.split())
    assert "gunicorn" in loaded
    assert loaded.isdisjoint(
        {"flask", "sqlalchemy", "alembic", "argon2", "authlib", "jinja2", "limits", "cryptography"}
    )
