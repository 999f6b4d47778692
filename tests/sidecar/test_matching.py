"""Files are hashed and matched as by the service, and an upload is remembered before it is matched."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.local.remembered import FOLDER, Remembered
from hashdb.local.syncing import CURRENT
from hashdb.service.matching import seeds
from hashdb.sidecar import matching
from hashdb.wire.matching import AnswerOut, QueriesIn
from tests.builders import clip, draft, excerpt, near, signal, text, video, words
from tests.films import film
from tests.sidecar.conftest import Pair, same
from tests.web.callers import faults, pdq, problem
from tests.web.pictures import NOT_A_PICTURE, form, multipart, photo

MEDIA = "/v1/matches/media"


def sent(pair: Pair, path: str, parts: dict[str, Any]) -> Any:
    """What both answer to a form."""
    return same(pair.both("POST", path, **parts))


def test_files_are_matched_and_hashed_as_by_the_service(filled: Pair) -> None:
    matched = sent(filled, MEDIA, form(photo(), film(seconds=2)))
    assert [len(result["signals"]) for result in matched["results"]] == [3, 2]
    sent(filled, f"{MEDIA}?transforms=1", form(photo()))
    hashed = sent(filled, "/v1/signals?transforms=1", form(photo()))
    assert hashed["pictures"][0]["transforms"]


ADDRESS = Signal(Algorithm.URL, 5 << 128)
WORDS = words(1, 1_200)
PAGES = tuple(Frame(page, (signal(100 + page),), 90, unit=Unit.PAGES) for page in range(1, 6))
WINDOWS = text(WORDS).frames
EXCERPT = excerpt(words(2, 900), WORDS[300:700], words(3, 900))
SHOWN = tuple(replace(page, at=page.at + 7, signals=(near(page.signals[0], 4),)) for page in PAGES[1:4])


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        pytest.param(video(*range(100, 160)), clip(*range(120, 140)), id="video"),
        pytest.param(text(WORDS), EXCERPT, id="text"),
        pytest.param(text(WORDS), replace(EXCERPT, min_words=5_000), id="text that is shorter than asked for"),
        pytest.param(text(WORDS), Query((WINDOWS[3].signals[0],)), id="window"),
        pytest.param(draft(frames=(*PAGES, *WINDOWS), media=Media.DOCUMENT), EXCERPT, id="text of a document"),
        pytest.param(draft(frames=(*PAGES, *WINDOWS), media=Media.DOCUMENT), Query((), frames=SHOWN), id="pages"),
        pytest.param(draft(frames=PAGES, media=Media.DOCUMENT), Query((signal(103),)), id="picture of a page"),
        pytest.param(draft(103), Query((), frames=(*SHOWN, *EXCERPT.frames)), id="page of a listed picture"),
        pytest.param(draft(ADDRESS), Query((ADDRESS,)), id="address"),
    ],
)
def test_the_service_a_copy_and_a_sidecar_answer_the_same(pair: Pair, listed: Draft, asked: Query) -> None:
    pair.client.contribute([listed])
    pair.sync()
    body = json.loads(QueriesIn.from_domain([asked]).model_dump_json(exclude_unset=True))
    answered = same(pair.both("POST", "/v1/matches", json=body))
    found = [match["contribution"] for match in answered["results"][0]["matches"]]
    assert found == ([] if asked.min_words else [1])
    of_service = pair.client.match([asked])
    assert pair.state.index.match([asked]) == of_service
    assert (
        AnswerOut.model_validate(answered, strict=False).to_domain().results[0].matches == of_service.results[0].matches
    )


def test_a_text_is_hashed_at_the_member_whatever_the_service_accepts(filled: Pair) -> None:
    sent = " ".join(f"word{number}" for number in range(300)).encode()
    answer = filled.ask("POST", "/v1/signals", **form(sent))
    assert answer.status_code == 200
    (hashed,) = json.loads(answer.data)["pictures"]
    assert hashed["words"] == 300
    assert filled.ask("POST", MEDIA, **form(sent)).status_code == 200


@pytest.mark.parametrize(
    "parts",
    [
        form(photo(), NOT_A_PICTURE, b""),
        form(),
        multipart("b", ('name="x"', b"1")),
        {"data": b"nothing", "content_type": "multipart/form-data; boundary=b"},
        {"data": b"{}", "content_type": "application/json"},
        form(*[photo()] * 33),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_as_by_the_service(filled: Pair, parts: dict[str, Any]) -> None:
    assert sent(filled, MEDIA, parts)["status"] in (400, 413, 415, 422)


def test_quarantined_contributions_are_not_in_a_copy(filled: Pair) -> None:
    body = {"queries": [{"signals": [pdq(1)]}]}
    told = faults(filled.ask("POST", "/v1/matches?include=quarantined", json=body))
    assert told == {"include": "a local copy has no quarantined contributions"}


def remembered(pair: Pair) -> int:
    """How many uploads are remembered."""
    with closing(Remembered(pair.state.folder / FOLDER, clock=pair.service.clock)) as uploads:
        uploads.refresh()
        return len(uploads)


def test_an_upload_is_remembered_before_it_is_matched(pair: Pair) -> None:
    pair.sync()
    queries: list[dict[str, Any]] = [{"signals": [pdq(1)], "remember": "u-1"}, {"signals": [pdq(2)]}]
    plain = {"queries": [{"signals": [pdq(1)]}, {"signals": [pdq(2)]}]}
    local = pair.ask("POST", "/v1/matches", json={"queries": queries})
    same((pair.member.request("POST", "/v1/matches", json=plain), local))
    assert remembered(pair) == 1
    # The copy vanishes in between: what cannot be matched was remembered nevertheless.
    (pair.state.folder / CURRENT).unlink()
    queries[1]["remember"] = "u-2"
    problem(pair.ask("POST", "/v1/matches", json={"queries": queries}), 503, "copy-not-ready")
    assert remembered(pair) == 3


def test_what_cannot_be_remembered_is_not_matched_either(pair: Pair) -> None:
    pair.sync()
    flat = {"at": 0.5, "quality": 49, "signals": [pdq(1)]}
    for query, at in (
        ({"signals": [pdq(1)], "remember": ""}, "remember"),
        ({"signals": [pdq(1)], "remember": "x" * 257}, "remember"),
        ({"signals": [pdq(1)], "remember": 7}, "remember"),
        ({"signals": [], "remember": "a", "duration": 9.5, "frames": [flat]}, "signals"),
        ({"signals": ["pdq:1"], "remember": "a"}, "signals[0]"),
    ):
        body = {"queries": [{"signals": [pdq(1)], "remember": "first"}, query]}
        assert list(faults(pair.ask("POST", "/v1/matches", json=body))) == [f"queries[1].{at}"]
    assert remembered(pair) == 0


def test_requests_with_videos_leave_threads_for_matches(filled: Pair) -> None:
    places = matching._VIDEOS
    taken = [places.acquire(blocking=False) for _ in range(matching._MOST_VIDEOS)]
    try:
        assert all(taken)
        answer = filled.ask("POST", MEDIA, **form(film(seconds=2)))
        problem(answer, 429, "hashing-busy")
        assert int(answer.headers["Retry-After"]) > 0
        assert filled.ask("POST", MEDIA, **form(photo())).status_code == 200
    finally:
        for _ in taken:
            places.release()


def test_a_batch_waits_for_its_turn_and_a_single_match_does_not(filled: Pair) -> None:
    body = json.dumps({"queries": [{"signals": [pdq(1)]}]}).encode()
    with filled.state.batch_turn():
        assert b'"matches":[{' in matching.match_plain(filled.state, body)
    with pytest.raises(InvalidInput):
        matching.match_plain(filled.state, b'{"queries":[]}' + b" " * matching.LARGE)


def test_what_the_service_accepts_is_told_and_its_seeds_only_on_a_socket(pair: Pair) -> None:
    seeds.rotate(pair.service.db, COMMAND_LINE)
    pair.sync()
    served, local = pair.both("GET", "/v1/me")
    told, known = json.loads(served.data), json.loads(local.data)
    assert told.pop("secret_views") and "secret_views" not in known
    assert known == told
    pair.state.on_socket = True
    assert len(json.loads(pair.ask("GET", "/v1/me").data)["secret_views"]) == 1
