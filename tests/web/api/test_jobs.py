"""Jobs of a real service with two workers: both report the progress, and a killed worker leaves a failed job."""

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
    """A running service and one of its keys."""

    service: Service
    secret: str
    actor: Actor

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to a request on a connection of its own, from either worker."""
        headers = {"Authorization": f"Bearer {self.secret}", **more.pop("headers", {})}
        return httpx.request(method, f"{self.service.url}{path}", headers=headers, timeout=30, **more)

    def start_job(self, video: bytes) -> str:
        """Send a video to be hashed later; the address of the job."""
        response = self.request("POST", "/v1/signals", files={"file": ("a.mp4", video)}, headers=ASYNC)
        assert response.status_code == 202, response.text
        return response.headers["Location"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with two workers."""
    home = tmp_path_factory.mktemp("jobs") / "home"
    with Service(home).start() as service:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset({Scope.MATCH})))
        actor = members.authenticate(db, issued.secret)
        db.close()
        yield Served(service, issued.secret, actor)


def test_every_worker_reports_a_job(served: Served) -> None:
    location = served.start_job(film())
    deadline = time.monotonic() + 60
    jobs: list[Any] = []
    while not jobs or jobs[-1]["status"] in ("waiting", "running"):
        assert time.monotonic() < deadline, jobs
        jobs.append(served.request("GET", location).raise_for_status().json())
    assert jobs[-1]["status"] == "done"
    assert [job["progress"] for job in jobs] == sorted(job["progress"] for job in jobs)
    # Each request has a connection of its own, so some reach the other worker.
    answers = {served.request("GET", location).text for _ in range(12)}
    assert len(answers) == 1
    (picture,) = jobs[-1]["result"]["pictures"]
    assert len(picture["frames"]) >= 6


def test_a_worker_never_holds_a_whole_large_video_in_memory(served: Served, tmp_path: Path) -> None:
    path, video, padding = tmp_path / "large.mp4", film(), 80 * 2**20
    # The video is followed by a box that readers skip.
    path.write_bytes(video + padding.to_bytes(4) + b"free")
    os.truncate(path, len(video) + padding)

    def hash_video(content: object) -> Any:
        return served.request("POST", "/v1/signals", files={"file": ("a.mp4", content)}).raise_for_status().json()

    for _ in range(4):
        # After this, each worker has loaded the code that it needs.
        small = hash_video(video)["pictures"][0]
    workers = served.service.workers()
    assert len(workers) == 2
    before = {worker: _peak_memory(worker) for worker in workers}
    with path.open("rb") as file:
        large = hash_video(file)["pictures"][0]
    assert large["frames"] == small["frames"]
    assert max(_peak_memory(worker) - before[worker] for worker in workers) < padding / 2


def test_a_job_whose_worker_was_killed_is_failed(served: Served) -> None:
    location = served.start_job(film(2, 20.0))
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


def _peak_memory(pid: int) -> int:
    """The peak memory of a process, in bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
