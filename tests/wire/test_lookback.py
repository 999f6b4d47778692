"""Wire models of remembered uploads and of look-back reports."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.lookback import LookBackReport, ReportKind, Upload
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, MalformedRequest
from hashdb.wire.lookback import ReportOut, ReportsOut, UploadsIn, read_uploads
from tests.builders import NOON, clip, excerpt, pages, signal, signature, words
from tests.wire.strategies import CONTEXT

UPLOAD: dict[str, object] = {"id": "u-1", "at": "2026-11-20T10:00:00Z", "signals": [str(signal(1))]}

FRAME: dict[str, object] = {"at": 1, "signals": [str(signal(1))]}


def faults(*uploads: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        read_uploads(json.dumps({"uploads": uploads}).encode(), CONTEXT)
    return {fault.at: fault.reason for fault in error.value.faults}


def test_uploads_round_trip_unchanged() -> None:
    picture = Query(
        (signal(1), signal(1, Algorithm.PHASH256)),
        transforms={"mirror": (signal(2),)},
        signatures={"whole": (signature(1),), "mirror": (signature(2),)},
    )
    film = replace(clip(1, 2, 3), signals=(signal(3, Algorithm.MD5),))
    uploads = (
        Upload("u-1", NOON, picture),
        Upload("ü/2 .jpg", NOON - timedelta(days=3), Query((signal(3),))),
        Upload("film", NOON, film),
        Upload("text", NOON, replace(excerpt(words(1, 300)), signals=(signal(1, Algorithm.URL),))),
        Upload("document", NOON, Query((), frames=(*pages(1, 2), *excerpt(words(1, 300)).frames))),
    )
    assert read_uploads(UploadsIn.from_domain(uploads).model_dump_json(exclude_unset=True).encode(), CONTEXT) == uploads


def test_every_fault_of_an_upload_is_reported_at_its_field() -> None:
    reasons = faults(
        UPLOAD | {"id": ""},
        UPLOAD | {"id": "x" * 257, "at": "2026-11-21T10:00:00Z"},
        UPLOAD | {"id": "a\nb", "at": "yesterday", "signals": []},
        UPLOAD | {"signals": ["pdq:12", f"dhash:{'12' * 8}"], "picture": "no"},
        UPLOAD | {"signatures": {"mirror": [str(signature(1))]}},
        {},
        UPLOAD | {"frames": [FRAME | {"at": 3}, FRAME, {"page": 1}, FRAME | {"signals": ["pdq:1"]}], "duration": 4},
        UPLOAD | {"frames": [FRAME]},
    )
    assert reasons["uploads[0].id"] == "must have at least 1 character"
    assert reasons["uploads[1].id"] == "must have at most 256 characters"
    assert reasons["uploads[1].at"] == "must not be in the future"
    assert reasons["uploads[2].id"] == "must have printable characters only"
    assert "RFC 3339" in reasons["uploads[2].at"]
    assert reasons["uploads[2].signals"] == "must have at least 1 entry, unless there are frames"
    assert {"uploads[3].signals[0]", "uploads[3].signals[1]", "uploads[3].picture"} < reasons.keys()
    assert "uploads[4].signatures.mirror" in reasons
    assert {f"uploads[5].{name}" for name in ("id", "at", "signals")} < reasons.keys()
    assert {"uploads[6].frames[2].signals", "uploads[6].frames[3].signals[0]"} < reasons.keys()
    assert "need the duration" in reasons["uploads[7].frames"]


def test_a_request_has_1_to_1000_uploads() -> None:
    assert faults() == {"uploads": "must have at least 1 entry"}
    assert faults(*[UPLOAD] * 1001) == {"uploads": "must have at most 1000 entries"}
    film = UPLOAD | {"frames": [FRAME | {"at": at} for at in range(5_001)], "duration": 5_001}
    assert faults(*[film] * 4) == {"uploads": "must be at most 20000 frames in all"}
    with pytest.raises(MalformedRequest):
        read_uploads(b"{", CONTEXT)


def test_a_look_back_report_round_trips_unchanged() -> None:
    match = Match(17, {Algorithm.PDQ: 4}, ("manifesto",), 3, Standing.DISPUTED, (), None, NOON)
    matched = LookBackReport(7, ReportKind.MATCHED, "u-1", NOON, NOON, match)
    taken_back = LookBackReport(8, ReportKind.TAKEN_BACK, "u-1", NOON, NOON, match, "withdrawn")
    written = json.loads(ReportsOut.from_domain([matched, taken_back]).json_text())["reports"]
    assert [report.get("reason") for report in written] == [None, "withdrawn"]
    assert written[0]["match"]["contribution"] == 17
    assert [ReportOut.model_validate_json(json.dumps(report)).to_domain() for report in written] == [
        matched,
        taken_back,
    ]
