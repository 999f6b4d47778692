"""Documents and texts over HTTP: rejected unless the operator accepts them, and never logged."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hashdb.hashing.texts import LISTED_STEP, WINDOW
from tests.web.callers import Caller, Service, body, problem, service_at
from tests.web.pictures import METADATA, form, photo
from tests.web.test_deferring import finished_job, start_job
from tests.web.test_logs import log_output

__all__ = ["log_output"]

PATHS = ("/v1/signals", "/v1/matches/media", "/v1/contributions/media")


def text(count: int, seed: int) -> bytes:
    """A text of this many random words."""
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(count)).encode()


def _metadata(path: str) -> Any:
    """The metadata that the route requires, or None."""
    return METADATA if path.startswith("/v1/contributions") else None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that accepts texts."""
    url = f"sqlite:///{tmp_path_factory.mktemp('texts')}/hashdb.sqlite"
    with service_at(url, accept_text=True, media_max_bytes=100_000) as service:
        yield service


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    """A caller with all scopes."""
    return service.caller()


@pytest.mark.parametrize("path", PATHS)
def test_by_default_documents_and_texts_are_rejected(path: str) -> None:
    with service_at(None) as service:
        member = service.caller()
        before = service.rows()
        details = problem(
            member.post(path, **form(photo(), text(300, 1), metadata=_metadata(path))), 403, "text-refused"
        )
        assert details["errors"] == [{"at": "file[1]", "reason": "is a document or a text"}]
        assert "`hashdb hash`" in details["detail"]
        pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
        problem(member.post(path, **form(pdf, metadata=_metadata(path))), 403, "text-refused")
        assert service.rows() == before


def test_a_text_is_hashed_by_windows_of_words(caller: Caller) -> None:
    (hashed,) = body(caller.post("/v1/signals", **form(text(400, 2))))["pictures"]
    assert hashed["words"] == 400
    assert [frame["words"] for frame in hashed["frames"]][:2] == [[0, WINDOW], [LISTED_STEP, LISTED_STEP + WINDOW]]
    assert hashed["frames"][-1]["words"][1] == 400
    assert [signal.partition(":")[0] for signal in hashed["signals"]] == ["sha256", "md5"]
    assert not {"pages", "duration", "incomplete"} & hashed.keys()


def test_a_contributed_text_is_found_inside_another_text(caller: Caller) -> None:
    listed = text(600, 3)
    (contribution,) = body(caller.post("/v1/contributions/media", **form(listed, metadata=METADATA)))["contributions"]
    assert (contribution["media"], contribution["words"]) == ("text", 600)
    upload = text(500, 4) + b" " + b" ".join(listed.split()[100:500]) + b" " + text(500, 5)
    (result,) = body(caller.post("/v1/matches/media", **form(upload)))["results"]
    (match,) = result["matches"]
    assert match["contribution"] == contribution["id"]
    assert match["segments"][0]["unit"] == "words"
    location = start_job(caller, "/v1/matches/media", upload)
    assert finished_job(caller, location)["result"]["results"][0]["matches"] == [match]


def test_a_text_that_is_too_large_or_too_short_is_rejected_with_the_reason(caller: Caller) -> None:
    details = problem(caller.post("/v1/signals", **form(text(20_000, 6))), 413, "video-too-large")
    assert details["detail"].startswith("the document has more than 100000 bytes: hash it on your machine")
    details = problem(caller.post("/v1/signals", **form(photo(), b"a few words")), 415, "unreadable-picture")
    assert details["errors"] == [
        {"at": "file[1]", "reason": "the document has too little text to be hashed: 3 words, and no pictures"}
    ]


def test_no_word_of_a_text_is_logged(log_output: io.StringIO, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    sent = text(300, 7)
    with caplog.at_level(logging.DEBUG):
        for path in PATHS:
            caller.post(path, **form(sent, metadata=_metadata(path)))
        problem(caller.post("/v1/signals", **form(b"secretword " * 3)), 415)
    assert len(log_output.getvalue().splitlines()) == len(PATHS) + 1
    logged = log_output.getvalue() + caplog.text + str([vars(record) for record in caplog.records])
    assert not [word for word in sent.decode().split() if word in logged]
    assert "secretword" not in logged
