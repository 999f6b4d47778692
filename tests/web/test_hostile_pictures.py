"""Malicious pictures are rejected or hashed by every route that accepts pictures, with little memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.users import Role
from hashdb.hashing.documents import begins_as_document
from hashdb.web import deferring
from tests.hashing.processes import worker_processes
from tests.web.callers import Caller, Service, body, problem, service_at
from tests.web.console.visitors import form_secret, sign_in_new_user
from tests.web.hostile_pictures import corpus
from tests.web.pictures import METADATA, form, multipart, photo

MEGABYTE = 1024 * 1024
MEMORY = 320 * MEGABYTE
"""The memory limit, in bytes, for hashing one picture. The process itself uses about half as much besides."""
GROWTH = 256 * MEGABYTE
"""The memory, in bytes, that the answering process may take. It holds a form of up to 64 megabytes."""
V1 = ("/v1/signals", "/v1/matches/media", "/v1/matches/media?transforms=1", "/v1/contributions/media")
SLOW = "many scans"
"""The picture that uses up the time limit."""


@cache
def all_pictures() -> dict[str, bytes]:
    """All pictures, by name."""
    return corpus()


def pictures() -> dict[str, bytes]:
    """The pictures without the slow one and without the documents."""
    return {
        name: octets
        for name, octets in all_pictures().items()
        if name != SLOW and not begins_as_document(octets[:4_096])
    }


def documents() -> dict[str, bytes]:
    """The files that are recognised as documents or texts."""
    return {name: octets for name, octets in all_pictures().items() if begins_as_document(octets[:4_096])}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests, with low limits. It never defers an answer, however busy the machine is."""
    url = f"sqlite:///{tmp_path_factory.mktemp('hostile')}/hashdb.sqlite"
    limits = {"media_max_pixels": 2_000_000, "media_seconds": 1.0, "media_memory": MEMORY}
    with pytest.MonkeyPatch.context() as patch, service_at(url, interop_label="incitement", **limits) as service:
        patch.setattr(deferring, "SECONDS_TO_JOB", 300.0)
        yield service


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    """A caller with all scopes, whose member has contributed a picture."""
    caller = service.caller(name="Alpha")
    caller.post("/v1/contributions/media", **form(photo(), metadata=METADATA))
    return caller


@pytest.fixture
def memory_checked(service: Service, caller: Caller) -> Iterator[None]:
    """After the test, memory is within its limits, and an ordinary picture is matched as before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < GROWTH
    (result,) = body(caller.post("/v1/matches/media", **form(photo())))["results"]
    assert 1 in [match["contribution"] for match in result["matches"]]
    assert max(_peak(process) for process in worker_processes()) < 1.5 * MEMORY


def _peak(process: int) -> int:
    """The peak memory of a process, in bytes."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def _groups() -> Iterator[dict[str, bytes]]:
    """Groups of pictures: each as many as fit a form, within its 64 megabytes."""
    names = list(pictures())
    for start in range(0, len(names), 31):
        yield {name: pictures()[name] for name in names[start : start + 31]}


def _assert_hashed_or_reported(response: TestResponse, names: list[str]) -> None:
    """Assert that each picture of a form was hashed, or is reported with a reason."""
    assert response.status_code in (200, 201, 415, 422), response.text
    if response.status_code in (415, 422):
        for fault in problem(response, response.status_code)["errors"]:
            assert names[int(fault["at"].partition("[")[2].partition("]")[0])]
            assert fault["reason"]


@pytest.mark.parametrize("path", V1)
def test_malicious_pictures_in_one_form_are_rejected_or_hashed(
    memory_checked: None, service: Service, caller: Caller, path: str
) -> None:
    before = service.rows()
    for group in _groups():
        metadata = METADATA if path.startswith("/v1/contributions") else None
        response = caller.post(path, **form(*group.values(), metadata=metadata))
        _assert_hashed_or_reported(response, list(group))
        assert response.status_code == 415
    assert service.rows()["contributions"] == before["contributions"]


def test_each_malicious_picture_alone_is_rejected_or_hashed(memory_checked: None, caller: Caller) -> None:
    for name, octets in pictures().items():
        response = caller.post("/v1/signals", **form(octets))
        if response.status_code != 415:
            (hashed,) = body(response)["pictures"]
            assert hashed["signals"], name
        else:
            (fault,) = problem(response, 415, "unreadable-picture")["errors"]
            assert "was not hashed" not in fault["reason"], name


@pytest.mark.parametrize("path", ["/hma/h/hash", "/hma/m/lookup", "/hma/c/bank/ALPHA/content"])
def test_malicious_pictures_are_rejected_or_hashed_by_the_hma_routes(
    memory_checked: None, caller: Caller, path: str
) -> None:
    for name, octets in pictures().items():
        response = caller.post(path, **multipart("b", ('name="photo"; filename="a"', octets)))
        assert response.status_code in (200, 415, 422), (name, response.text)
        assert response.mimetype == "application/json"


def test_documents_among_pictures_are_rejected_by_every_route(caller: Caller) -> None:
    assert len(documents()) >= 4
    for octets in documents().values():
        for path in V1:
            metadata = METADATA if path.startswith("/v1/contributions") else None
            problem(caller.post(path, **form(octets, metadata=metadata)), 403, "text-refused")
        for path in ("/hma/h/hash", "/hma/m/lookup", "/hma/c/bank/ALPHA/content"):
            response = caller.post(path, **multipart("b", ('name="photo"; filename="a"', octets)))
            assert response.status_code == 403


def test_malicious_pictures_are_rejected_or_searched_for_by_the_console(memory_checked: None, service: Service) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    secret = form_secret(otto.get("/console/account"))
    for name, octets in pictures().items():
        response = otto.client.post("/console/debugger", **form(octets, csrf=secret), buffered=True)
        assert response.status_code in (200, 422), (name, response.text)


def test_hashing_stops_after_two_pictures_that_take_too_long(memory_checked: None, caller: Caller) -> None:
    slow = all_pictures()[SLOW]
    response = caller.post("/v1/signals", **form(slow, slow, slow, photo()))
    reasons = [fault["reason"] for fault in problem(response, 415)["errors"]]
    assert (
        reasons
        == ["hashing the picture took longer than 1 s"] * 2
        + ["the picture was not hashed: other pictures of the request took too long"] * 2
    )
