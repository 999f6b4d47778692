"""Deferred answers: when a request gets 202 and a job, and how the job stores its result."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.domain.jobs import STALE_AFTER
from hashdb.service.accounts import members
from hashdb.service.accounts.limits import RequestSlots
from hashdb.service.later import KEY_REQUESTS
from hashdb.store.tables import answer_jobs
from hashdb.web import deferring
from hashdb.web.context import LARGE_BODY
from tests.films import film
from tests.web.callers import Caller, Service, body, problem, service_at
from tests.web.pictures import METADATA, NOT_A_PICTURE, form, photo

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests: hashing processes are slow to start."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('deferring')}/hashdb.sqlite") as service:
        yield service


@pytest.fixture
def caller(service: Service) -> Caller:
    """A caller with all scopes, of a new member."""
    return service.caller()


def start_job(caller: Caller, path: str, *files: bytes, metadata: object = None, **headers: str) -> str:
    """Send a request that prefers a deferred answer; the address of its job."""
    response = caller.post(path, **form(*files, metadata=metadata), headers={**ASYNC, **headers})
    assert response.status_code == 202, response.text
    assert response.headers["Retry-After"] == "1"
    return response.headers["Location"]


def finished_job(caller: Caller, location: str) -> Any:
    """The job, once it is done or has failed."""
    deadline = time.monotonic() + 60
    while (job := body(caller.get(location)))["status"] in ("waiting", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def test_a_deferred_request_gets_the_same_result_as_a_direct_one(caller: Caller) -> None:
    direct = body(caller.post("/v1/signals", **form(film(), photo())))
    location = start_job(caller, "/v1/signals", film(), photo())
    job = finished_job(caller, location)
    assert job == {"id": int(location.rpartition("/")[2]), "status": "done", "progress": 1.0, "result": direct}
    assert body(caller.get(location)) == job


@pytest.mark.parametrize("preference", ["respond-async, wait=5", "wait=5 , Respond-Async", "respond-async;x=1"])
def test_respond_async_is_recognised_among_other_preferences(caller: Caller, preference: str) -> None:
    assert finished_job(caller, start_job(caller, "/v1/signals", photo(), Prefer=preference))["status"] == "done"


@pytest.mark.parametrize("preference", ["", "wait=5", "return=minimal", "no-respond-async"])
def test_other_preferences_are_ignored(caller: Caller, preference: str) -> None:
    body(caller.post("/v1/signals", **form(photo()), headers={"Prefer": preference}))


def test_a_deferred_request_that_is_rejected_is_a_failed_job_with_the_problem(caller: Caller) -> None:
    direct = problem(caller.post("/v1/matches/media", **form(film(), NOT_A_PICTURE)), 415, "unreadable-picture")
    job = finished_job(caller, start_job(caller, "/v1/matches/media", film(), NOT_A_PICTURE))
    assert (job["status"], job["error"]) == ("failed", direct)
    assert "result" not in job


def test_only_the_key_that_sent_a_request_can_read_its_stored_answer(service: Service, caller: Caller) -> None:
    location = start_job(caller, "/v1/signals", photo())
    (picture,) = finished_job(caller, location)["result"]["pictures"]
    with service.db.store.read() as tx:
        stored = tx.connection.execute(select(answer_jobs)).all()[-1]
    value = picture["signals"][0].partition(":")[2]
    assert value not in str(stored)
    assert "pictures" not in str(stored)
    problem(service.key(caller.member).get(location), 404, "not-found")
    problem(service.caller(Scope.ADMIN).get(location), 404, "not-found")
    problem(service.anonymous.get(location), 401)


def test_a_job_whose_process_died_is_reported_as_failed(service: Service, caller: Caller) -> None:
    with service.db.store.begin() as tx:
        id = tx.answer_jobs.add(f"key:{caller.key}", service.clock())
    assert body(caller.get(f"/v1/jobs/{id}"))["status"] == "waiting"
    service.clock.advance(seconds=61)
    job = body(caller.get(f"/v1/jobs/{id}"))
    assert (job["status"], job["error"]["type"]) == ("failed", "/problems/job-lost")
    assert "ended" in job["error"]["detail"]


@contextmanager
def videos_busy(service: Service) -> Iterator[None]:
    """The video of another key is being hashed for the length of the block."""
    state, started, released = service.app.extensions["hashdb"], Event(), Event()

    def advance(_: float) -> None:
        started.set()
        released.wait(60)

    def hold_the_turn() -> None:
        with state.hashers.videos.turn("key:0", advance):
            pass

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(hold_the_turn)
        assert started.wait(60)
        try:
            yield
        finally:
            released.set()
            holding.result()


def test_a_long_video_request_gets_202_and_pictures_do_not_wait_for_it(
    service: Service, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferring, "SECONDS_TO_JOB", 0.1)
    with videos_busy(service):
        response = caller.post("/v1/contributions/media", **form(film(4), metadata=METADATA))
        assert response.status_code == 202
        body(caller.post("/v1/signals", **form(photo())))
    job = finished_job(caller, response.headers["Location"])
    (contribution,) = job["result"]["contributions"]
    assert body(caller.get(f"/v1/contributions/{contribution['id']}"))["media"] == "video"


def test_a_job_of_a_member_suspended_meanwhile_contributes_nothing(service: Service, caller: Caller) -> None:
    before = service.rows()["contributions"]
    with videos_busy(service):
        location = start_job(caller, "/v1/contributions/media", film(3), metadata=METADATA)
        members.change(service.db, COMMAND_LINE, caller.member, MemberChange(status=MemberStatus.SUSPENDED))
    deadline = time.monotonic() + 60
    while _unfinished(service):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    members.change(service.db, COMMAND_LINE, caller.member, MemberChange(status=MemberStatus.ACTIVE))
    assert finished_job(caller, location)["error"]["type"] == "/problems/member-suspended"
    assert service.rows()["contributions"] == before


def test_a_rejected_video_request_over_the_limit_of_a_key_leaves_no_file(
    service: Service, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with videos_busy(service):
        locations = [start_job(caller, "/v1/signals", film()) for _ in range(KEY_REQUESTS)]
        rejected = caller.post("/v1/signals", **form(film()), headers=ASYNC)
        assert problem(rejected, 429, "hashing-busy")["retry_after"] > 0
    assert {finished_job(caller, location)["status"] for location in locations} == {"done"}
    assert open_files_in(tmp_path) == 0


def test_the_pictures_of_a_job_wait_while_the_queue_is_full(service: Service, caller: Caller) -> None:
    pool = service.app.extensions["hashdb"].hashers.pool
    body(caller.post("/v1/signals", **form(photo())))
    with ThreadPoolExecutor(1) as thread:
        earlier = thread.submit(pool.hash, [photo()] * 200, service.db.rules.algorithms, key="key:0")
        while not pool.pending["key:0"]:
            time.sleep(0.001)
        problem(caller.post("/v1/signals", **form(photo())), 429, "hashing-busy")
        location = start_job(caller, "/v1/signals", photo())
        assert finished_job(caller, location)["status"] == "done"
        earlier.result()


def test_a_video_rejected_because_no_slot_is_free_leaves_no_file(
    service: Service, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(service.db, "request_slots", RequestSlots(0, 0))
    # The body is smaller than those that need a slot before they are read.
    assert len(film(1, 1.0)) < LARGE_BODY * 3 / 4
    problem(caller.post("/v1/signals", **form(film(1, 1.0))), 429, "too-many-at-once")
    assert open_files_in(tmp_path) == 0


def _unfinished(service: Service) -> int:
    now = service.clock()
    query = select(answer_jobs.c.id).where(answer_jobs.c.text.is_(None), answer_jobs.c.touched_at >= now - STALE_AFTER)
    with service.db.store.read() as tx:
        return len(tx.connection.execute(query).all())


def open_files_in(folder: Path) -> int:
    """The number of files in a folder that this process has open, also deleted ones."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/")
    return count
