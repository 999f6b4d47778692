"""The routes of look-back: uploads are remembered, and their matches are reported until acknowledged."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hashdb.local.lookback import LookBack
from hashdb.wire.matching import QueriesIn
from tests.builders import excerpt, text, words
from tests.looking_back import look_back_to_end
from tests.sidecar.conftest import Pair
from tests.web.callers import body, faults, item, pdq, problem

MATCHES = "/remembered/matches"


def look_back(pair: Pair) -> int:
    """Sync, look back, and return the number of new reports."""
    pair.sync()
    return look_back_to_end(LookBack(pair.state.index, pair.state.reports, pair.service.clock))


def reports(pair: Pair, query: str = "") -> list[Any]:
    """Return the reports that are not acknowledged."""
    return list(body(pair.ask("GET", f"{MATCHES}?{query}"))["reports"])


def test_a_later_match_is_reported_and_a_withdrawal_takes_it_back(pair: Pair) -> None:
    pair.sync()
    at = "2026-11-20T10:00:00.000000Z"
    uploads = [{"id": "u-1", "at": at, "signals": [pdq(1)]}, {"id": "u-2", "at": at, "signals": [pdq(2)]}]
    assert body(pair.ask("POST", "/v1/remember", json={"uploads": uploads})) == {"remembered": 2}
    query = {"queries": [{"signals": [pdq(3)], "remember": "u-3"}]}
    assert body(pair.ask("POST", "/v1/matches", json=query))["results"][0]["matches"] == []
    assert look_back(pair) == 0 and reports(pair) == []

    (contribution, _) = pair.other.contribute(item(1), item(3))
    assert look_back(pair) == 2
    first, second = sorted(reports(pair), key=lambda report: str(report["upload"]))
    assert (first["kind"], first["upload"], first["uploaded_at"]) == ("matched", "u-1", at)
    assert (second["upload"], second["match"]["labels"]) == ("u-3", ["glorification"])
    matched = pair.ask("POST", "/v1/matches", json={"queries": [{"signals": [pdq(1)]}]})
    assert first["match"] == json.loads(matched.data)["results"][0]["matches"][0]

    pair.other.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    assert look_back(pair) == 1
    last = reports(pair)[-1]
    assert (last["kind"], last["upload"], bool(last["reason"])) == ("taken-back", "u-1", True)

    assert [report["number"] for report in reports(pair, "after=0&limit=2")] == [1, 2]
    assert body(pair.ask("POST", "/remembered/acknowledged", json={"number": 2})) == {"acknowledged": 2}
    assert [report["number"] for report in reports(pair)] == [3]
    assert body(pair.ask("POST", "/remembered/acknowledged", json={"number": 1})) == {"acknowledged": 2}


def test_a_match_of_a_text_is_reported_with_its_words(pair: Pair) -> None:
    pair.sync()
    request = json.loads(
        QueriesIn.from_domain([excerpt(words(2, 900), words(1, 400))]).model_dump_json(exclude_unset=True)
    )
    (query,) = request["queries"]
    upload = {"id": "u-1", "at": "2026-11-20T10:00:00Z", "signals": [], "frames": query["frames"]}
    assert body(pair.ask("POST", "/v1/remember", json={"uploads": [upload]})) == {"remembered": 1}
    query["remember"] = "u-2"
    body(pair.ask("POST", "/v1/matches", json=request))
    pair.client.contribute([text(words(1, 400))])
    assert look_back(pair) == 2
    segments = {report["upload"]: report["match"]["segments"] for report in reports(pair)}
    assert segments["u-1"] == segments["u-2"]
    assert segments["u-1"][0]["unit"] == "words" and segments["u-1"][0]["query"][1] == 1_300


def test_a_reader_waits_for_reports_no_longer_than_requested(pair: Pair) -> None:
    pair.sync()
    started = time.monotonic()
    assert reports(pair, "wait=1") == []
    assert 0.9 < time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/v1/remember", {"uploads": []}, "uploads"),
        ("POST", "/v1/remember", {"uploads": [{"id": "a", "at": "soon", "signals": ["pdq:1"]}]}, "uploads[0].at"),
        (
            "POST",
            "/v1/remember",
            {"uploads": [{"id": "", "at": "2026-11-20T10:00:00Z"}]},
            "uploads[0].id",
        ),
        ("POST", "/remembered/acknowledged", {"number": 7}, "number"),
        ("POST", "/remembered/acknowledged", {"number": -1}, "number"),
        ("GET", f"{MATCHES}?after=7", None, "after"),
        ("GET", f"{MATCHES}?wait=31", None, "wait"),
        ("GET", f"{MATCHES}?wait=1&wait=2", None, "wait"),
        ("GET", f"{MATCHES}?since=1", None, "since"),
    ],
)
def test_an_invalid_field_is_reported(filled: Pair, method: str, path: str, body: Any, field: str) -> None:
    answer = filled.ask(method, path) if body is None else filled.ask(method, path, json=body)
    assert field in faults(answer)


def test_a_full_disk_rejects_requests_that_succeed_later(pair: Pair) -> None:
    pair.sync()
    assert reports(pair) == []
    pair.other.contribute(item(1))
    upload = {"id": "u-1", "at": "2026-11-20T10:00:00Z", "signals": [pdq(1)]}
    requests = [
        ("/v1/remember", {"uploads": [upload]}),
        ("/v1/matches", {"queries": [{"signals": [pdq(1)], "remember": "u-2"}]}),
    ]
    with full_disk():
        for path, request in requests:
            error = problem(pair.ask("POST", path, json=request), 503, "not-remembered")
            assert error["reason"] == "file too large"
        problem(pair.ask("POST", "/remembered/acknowledged", json={"number": 0}), 503, "store-busy")
    for path, request in requests:
        assert pair.ask("POST", path, json=request).status_code == 200
    assert look_back(pair) == 2 and {report["upload"] for report in reports(pair)} == {"u-1", "u-2"}


@contextmanager
def full_disk() -> Iterator[None]:
    """Limit the size of files during the block, so that a frame is written only in part."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_can_be_remembered_without_a_copy(pair: Pair) -> None:
    problem(pair.ask("POST", "/v1/remember", json={"uploads": []}), 503, "copy-not-ready")
