"""Jobs of a real service of two workers: either tells how far a job is, and a killed worker leaves it failed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.jobs import JobStatus
from hashdb.service import later, open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.builders import Clock
from tests.faults.services import Service
from tests.films import film

ASYNC = {"Prefer": "respond-async"}


class Served(NamedTuple):
    """A running service, and a key of it."""

    service: Service
    secret: str
    actor: Actor

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to a request on a connection of its own, by whichever worker takes it."""
        headers = {"Authorization": f"Bearer {self.secret}", **more.pop("headers", {})}
        return httpx.request(method, f"{self.service.url}{path}", headers=headers, timeout=30, **more)

    def deferred(self, octets: bytes) -> str:
        """Where the job of a request with a video is."""
        response = self.ask("POST", "/v1/signals", files={"file": ("a.mp4", octets)}, headers=ASYNC)
        assert response.status_code == 202, response.text
        return response.headers["Location"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of two workers."""
    home = tmp_path_factory.mktemp("jobs") / "home"
    with Service(home).start() as service:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset({Scope.MATCH})))
        actor = members.authenticate(db, issued.secret)
        db.close()
        yield Served(service, issued.secret, actor)


def test_every_worker_tells_of_a_job(served: Served) -> None:
    location = served.deferred(film())
    until = time.monotonic() + 60
    seen: list[Any] = []
    while not seen or seen[-1]["status"] in ("waiting", "running"):
        assert time.monotonic() < until, seen
        seen.append(served.ask("GET", location).raise_for_status().json())
    assert seen[-1]["status"] == "done"
    assert [job["progress"] for job in seen] == sorted(job["progress"] for job in seen)
    # On connections of their own, some of these reach the other worker.
    answers = {served.ask("GET", location).text for _ in range(12)}
    assert len(answers) == 1
    (picture,) = seen[-1]["result"]["pictures"]
    assert len(picture["frames"]) >= 6


def test_a_large_video_is_never_whole_in_the_memory_of_a_worker(served: Served, tmp_path: Path) -> None:
    path, octets, most = tmp_path / "large.mp4", film(), 80 * 2**20
    # A box that readers skip.
    path.write_bytes(octets + most.to_bytes(4) + b"free")
    os.truncate(path, len(octets) + most)

    def ask(content: object) -> Any:
        return served.ask("POST", "/v1/signals", files={"file": ("a.mp4", content)}).raise_for_status().json()

    for _ in range(4):
        # Each worker has loaded what it needs.
        small = ask(octets)["pictures"][0]
    workers = served.service.workers()
    assert len(workers) == 2
    before = {worker: _peak(worker) for worker in workers}
    with path.open("rb") as file:
        large = ask(file)["pictures"][0]
    assert large["frames"] == small["frames"]
    assert max(_peak(worker) - before[worker] for worker in workers) < most / 2


def test_a_job_whose_worker_is_killed_has_failed(served: Served) -> None:
    location = served.deferred(film(2, 20.0))
    killed = served.service.workers()
    assert len(killed) == 2
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    settings = Settings(home=served.service.home)
    id = int(location.rpartition("/")[2])
    statuses = []
    for seconds in (0, 61):
        db = open_hashdb(settings.database, settings.rules(), clock=Clock(datetime.now(UTC) + timedelta(0, seconds)))
        statuses.append(later.get(db, served.actor, id).status)
        db.close()
    assert statuses[0] in (JobStatus.WAITING, JobStatus.RUNNING)
    assert statuses[1] is JobStatus.FAILED


def _peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
