"""Requests that are answered by 202: what the client prefers, and what the database holds of the answer."""

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
from hashdb.web.context import LARGE
from tests.films import film
from tests.web.callers import Caller, Service, body, problem, service_at
from tests.web.pictures import METADATA, NOT_A_PICTURE, form, photo

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all, for the processes that hash take their time to start."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('deferring')}/hashdb.sqlite") as made:
        yield made


@pytest.fixture
def caller(service: Service) -> Caller:
    """A key of all scopes, of a member of its own."""
    return service.caller()


def start_job(caller: Caller, path: str, *files: bytes, metadata: object = None, **headers: str) -> str:
    """Send a request that prefers a deferred answer; the address of its job."""
    response = caller.post(path, **form(*files, metadata=metadata), headers={**ASYNC, **headers})
    assert response.status_code == 202, response.text
    assert response.headers["Retry-After"] == "1"
    return response.headers["Location"]


def finished_job(caller: Caller, location: str) -> Any:
    """The job, once it is done or has failed."""
    until = time.monotonic() + 60
    while (job := body(caller.get(location)))["status"] in ("waiting", "running"):
        assert time.monotonic() < until, job
        time.sleep(0.05)
    return job


def test_who_prefers_it_is_answered_at_once_and_later_as_others_are(caller: Caller) -> None:
    usual = body(caller.post("/v1/signals", **form(film(), photo())))
    location = start_job(caller, "/v1/signals", film(), photo())
    job = finished_job(caller, location)
    assert job == {"id": int(location.rpartition("/")[2]), "status": "done", "progress": 1.0, "result": usual}
    assert body(caller.get(location)) == job


@pytest.mark.parametrize("preference", ["respond-async, wait=5", "wait=5 , Respond-Async", "respond-async;x=1"])
def test_the_preference_is_read_as_http_has_it(caller: Caller, preference: str) -> None:
    assert finished_job(caller, start_job(caller, "/v1/signals", photo(), Prefer=preference))["status"] == "done"


@pytest.mark.parametrize("preference", ["", "wait=5", "return=minimal", "no-respond-async"])
def test_other_preferences_are_not_followed(caller: Caller, preference: str) -> None:
    body(caller.post("/v1/signals", **form(photo()), headers={"Prefer": preference}))


def test_a_request_that_is_refused_later_is_a_job_that_failed_with_the_problem(caller: Caller) -> None:
    usual = problem(caller.post("/v1/matches/media", **form(film(), NOT_A_PICTURE)), 415, "unreadable-picture")
    job = finished_job(caller, start_job(caller, "/v1/matches/media", film(), NOT_A_PICTURE))
    assert (job["status"], job["error"]) == ("failed", usual)
    assert "result" not in job


def test_the_answer_is_stored_in_a_form_that_only_the_key_that_asked_can_read(service: Service, caller: Caller) -> None:
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


def test_a_job_of_a_process_that_died_says_so(service: Service, caller: Caller) -> None:
    with service.db.store.begin() as tx:
        id = tx.answer_jobs.add(f"key:{caller.key}", service.clock())
    assert body(caller.get(f"/v1/jobs/{id}"))["status"] == "waiting"
    service.clock.go(seconds=61)
    job = body(caller.get(f"/v1/jobs/{id}"))
    assert (job["status"], job["error"]["type"]) == ("failed", "/problems/job-lost")
    assert "ended" in job["error"]["detail"]


@contextmanager
def videos_busy(service: Service) -> Iterator[None]:
    """Another key's video is being hashed for as long as the block lasts."""
    state, begun, over = service.app.extensions["hashdb"], Event(), Event()

    def advance(_: float) -> None:
        begun.set()
        over.wait(60)

    def hold_the_turn() -> None:
        with state.hashers.videos.turn("key:0", advance):
            pass

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(hold_the_turn)
        assert begun.wait(60)
        try:
            yield
        finally:
            over.set()
            holding.result()


def test_a_request_that_takes_long_is_answered_by_202_and_pictures_do_not_wait(
    service: Service, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferring, "PATIENCE", 0.1)
    with videos_busy(service):
        response = caller.post("/v1/contributions/media", **form(film(4), metadata=METADATA))
        assert response.status_code == 202
        body(caller.post("/v1/signals", **form(photo())))
    job = finished_job(caller, response.headers["Location"])
    (made,) = job["result"]["contributions"]
    assert body(caller.get(f"/v1/contributions/{made['id']}"))["media"] == "video"


def test_a_member_that_is_suspended_meanwhile_contributes_nothing(service: Service, caller: Caller) -> None:
    before = service.rows()["contributions"]
    with videos_busy(service):
        location = start_job(caller, "/v1/contributions/media", film(3), metadata=METADATA)
        members.change(service.db, COMMAND_LINE, caller.member, MemberChange(status=MemberStatus.SUSPENDED))
    until = time.monotonic() + 60
    while _unfinished(service):
        assert time.monotonic() < until
        time.sleep(0.05)
    members.change(service.db, COMMAND_LINE, caller.member, MemberChange(status=MemberStatus.ACTIVE))
    assert finished_job(caller, location)["error"]["type"] == "/problems/member-suspended"
    assert service.rows()["contributions"] == before


def test_a_key_has_few_requests_of_videos_at_once_and_nothing_is_left_of_those_refused(
    service: Service, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with videos_busy(service):
        locations = [start_job(caller, "/v1/signals", film()) for _ in range(KEY_REQUESTS)]
        refused = caller.post("/v1/signals", **form(film()), headers=ASYNC)
        assert problem(refused, 429, "hashing-busy")["retry_after"] > 0
    assert {finished_job(caller, location)["status"] for location in locations} == {"done"}
    assert open_files_in(tmp_path) == 0


def test_pictures_of_a_job_wait_while_the_queue_of_pictures_is_full(service: Service, caller: Caller) -> None:
    pool = service.app.extensions["hashdb"].hashers.pool
    body(caller.post("/v1/signals", **form(photo())))
    with ThreadPoolExecutor(1) as thread:
        before = thread.submit(pool.hash, [photo()] * 200, service.db.rules.algorithms, key="key:0")
        while not pool.pending["key:0"]:
            time.sleep(0.001)
        problem(caller.post("/v1/signals", **form(photo())), 429, "hashing-busy")
        location = start_job(caller, "/v1/signals", photo())
        assert finished_job(caller, location)["status"] == "done"
        before.result()


def test_nothing_is_left_of_a_video_for_which_its_key_has_no_place(
    service: Service, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(service.db, "request_slots", RequestSlots(0, 0))
    # Smaller than a body that takes a slot before it is read.
    assert len(film(1, 1.0)) < LARGE * 3 / 4
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
