"""Pictures that were made to do harm, at every place that takes one: refused or hashed, in little memory."""

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
"""For hashing one of them; at rest a process has half as much again."""
GROWTH = 256 * MEGABYTE
"""By which the process that answers may grow: a form of pictures has up to 64 megabytes, and is held as it comes."""
V1 = ("/v1/signals", "/v1/matches/media", "/v1/matches/media?transforms=1", "/v1/contributions/media")
SLOW = "many scans"
"""What takes all the time that there is."""


@cache
def everything() -> dict[str, bytes]:
    """All pictures, by name."""
    return corpus()


def pictures() -> dict[str, bytes]:
    """All but the slow one and the documents."""
    return {
        name: octets for name, octets in everything().items() if name != SLOW and not begins_as_document(octets[:4_096])
    }


def documents() -> dict[str, bytes]:
    """Those that are documents or texts in truth."""
    return {name: octets for name, octets in everything().items() if begins_as_document(octets[:4_096])}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all, with little of everything; it answers at once, however busy the machine is."""
    url = f"sqlite:///{tmp_path_factory.mktemp('hostile')}/hashdb.sqlite"
    caps = {"media_max_pixels": 2_000_000, "media_seconds": 1.0, "media_memory": MEMORY}
    with pytest.MonkeyPatch.context() as patch, service_at(url, interop_label="incitement", **caps) as made:
        patch.setattr(deferring, "PATIENCE", 300.0)
        yield made


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    """A key of all scopes, whose member has contributed a picture."""
    caller = service.caller(name="Alpha")
    caller.post("/v1/contributions/media", **form(photo(), metadata=METADATA))
    return caller


@pytest.fixture
def watched(service: Service, caller: Caller) -> Iterator[None]:
    """Nothing has grown too much in the end, and an ordinary picture is answered as before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < GROWTH
    (result,) = body(caller.post("/v1/matches/media", **form(photo())))["results"]
    assert 1 in [match["contribution"] for match in result["matches"]]
    assert max(_peak(process) for process in worker_processes()) < 1.5 * MEMORY


def _peak(process: int) -> int:
    """The most memory that a process has had in use, in bytes."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) * 1024


def _sent_together() -> Iterator[dict[str, bytes]]:
    """As many as a form takes, and no more than its 64 megabytes."""
    names = list(pictures())
    for start in range(0, len(names), 31):
        yield {name: pictures()[name] for name in names[start : start + 31]}


def _judged(answer: TestResponse, names: list[str]) -> None:
    """Every one of a form is hashed, or each that is not is told with a sentence."""
    assert answer.status_code in (200, 201, 415, 422), answer.text
    if answer.status_code in (415, 422):
        for fault in problem(answer, answer.status_code)["errors"]:
            assert names[int(fault["at"].partition("[")[2].partition("]")[0])]
            assert fault["reason"]


@pytest.mark.parametrize("path", V1)
def test_together_they_are_refused_or_hashed(watched: None, service: Service, caller: Caller, path: str) -> None:
    before = service.rows()
    for some in _sent_together():
        said = METADATA if path.startswith("/v1/contributions") else None
        answer = caller.post(path, **form(*some.values(), metadata=said))
        _judged(answer, list(some))
        assert answer.status_code == 415
    assert service.rows()["contributions"] == before["contributions"]


def test_each_alone_is_refused_or_hashed(watched: None, caller: Caller) -> None:
    for name, octets in pictures().items():
        answer = caller.post("/v1/signals", **form(octets))
        if answer.status_code != 415:
            (hashed,) = body(answer)["pictures"]
            assert hashed["signals"], name
        else:
            (fault,) = problem(answer, 415, "unreadable-picture")["errors"]
            assert "not tried" not in fault["reason"], name


@pytest.mark.parametrize("path", ["/hma/h/hash", "/hma/m/lookup", "/hma/c/bank/ALPHA/content"])
def test_where_hmas_clients_send_them(watched: None, caller: Caller, path: str) -> None:
    for name, octets in pictures().items():
        answer = caller.post(path, **multipart("b", ('name="photo"; filename="a"', octets)))
        assert answer.status_code in (200, 415, 422), (name, answer.text)
        assert answer.mimetype == "application/json"


def test_what_is_a_document_is_refused_everywhere(caller: Caller) -> None:
    assert len(documents()) >= 4
    for octets in documents().values():
        for path in V1:
            said = METADATA if path.startswith("/v1/contributions") else None
            problem(caller.post(path, **form(octets, metadata=said)), 403, "text-refused")
        for path in ("/hma/h/hash", "/hma/m/lookup", "/hma/c/bank/ALPHA/content"):
            answer = caller.post(path, **multipart("b", ('name="photo"; filename="a"', octets)))
            assert answer.status_code == 403


def test_where_the_console_looks_for_one(watched: None, service: Service) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    secret = form_secret(otto.get("/console/account"))
    for name, octets in pictures().items():
        answer = otto.client.post("/console/debugger", **form(octets, csrf=secret), buffered=True)
        assert answer.status_code in (200, 422), (name, answer.text)


def test_what_takes_all_the_time_is_given_up_and_holds_up_no_more_than_twice(watched: None, caller: Caller) -> None:
    slow = everything()[SLOW]
    answer = caller.post("/v1/signals", **form(slow, slow, slow, photo()))
    reasons = [fault["reason"] for fault in problem(answer, 415)["errors"]]
    assert (
        reasons
        == ["the picture takes longer than 1 seconds to hash"] * 2
        + ["the picture was not hashed: other pictures of the request took too long"] * 2
    )
