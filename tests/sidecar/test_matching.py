"""The sidecar hashes and matches like the service, and remembers an upload before it matches it."""

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
from hashdb.local.remembered import REMEMBERED_FOLDER, Remembered
from hashdb.local.syncing import CURRENT
from hashdb.service.matching import seeds
from hashdb.sidecar import matching
from hashdb.wire.matching import AnswerOut, QueriesIn
from tests.builders import clip, draft, excerpt, near, signal, text, video, words
from tests.films import film
from tests.sidecar.conftest import Pair, same_answer
from tests.web.callers import faults, pdq, problem
from tests.web.pictures import NOT_A_PICTURE, form, multipart, photo

MEDIA = "/v1/matches/media"


def post_form(pair: Pair, path: str, parts: dict[str, Any]) -> Any:
    """Send a form to both, and return their common answer."""
    return same_answer(pair.ask_both("POST", path, **parts))


def test_the_sidecar_matches_and_hashes_files_like_the_service(filled: Pair) -> None:
    matched = post_form(filled, MEDIA, form(photo(), film(seconds=2)))
    assert [len(result["signals"]) for result in matched["results"]] == [3, 2]
    post_form(filled, f"{MEDIA}?transforms=1", form(photo()))
    hashed = post_form(filled, "/v1/signals?transforms=1", form(photo()))
    assert hashed["pictures"][0]["transforms"]


ADDRESS = Signal(Algorithm.URL, 5 << 128)
WORDS = words(1, 1_200)
PAGES = tuple(Frame(page, (signal(100 + page),), 90, unit=Unit.PAGES) for page in range(1, 6))
WINDOWS = text(WORDS).frames
EXCERPT = excerpt(words(2, 900), WORDS[300:700], words(3, 900))
QUERIED_PAGES = tuple(replace(page, at=page.at + 7, signals=(near(page.signals[0], 4),)) for page in PAGES[1:4])


@pytest.mark.parametrize(
    ("listed", "query"),
    [
        pytest.param(video(*range(100, 160)), clip(*range(120, 140)), id="video"),
        pytest.param(text(WORDS), EXCERPT, id="text"),
        pytest.param(text(WORDS), replace(EXCERPT, min_words=5_000), id="text shorter than requested"),
        pytest.param(text(WORDS), Query((WINDOWS[3].signals[0],)), id="window"),
        pytest.param(draft(frames=(*PAGES, *WINDOWS), media=Media.DOCUMENT), EXCERPT, id="text of a document"),
        pytest.param(
            draft(frames=(*PAGES, *WINDOWS), media=Media.DOCUMENT), Query((), frames=QUERIED_PAGES), id="pages"
        ),
        pytest.param(draft(frames=PAGES, media=Media.DOCUMENT), Query((signal(103),)), id="picture of a page"),
        pytest.param(draft(103), Query((), frames=(*QUERIED_PAGES, *EXCERPT.frames)), id="page of a listed picture"),
        pytest.param(draft(ADDRESS), Query((ADDRESS,)), id="address"),
    ],
)
def test_service_copy_and_sidecar_return_the_same_matches(pair: Pair, listed: Draft, query: Query) -> None:
    pair.client.contribute([listed])
    pair.sync()
    body = json.loads(QueriesIn.from_domain([query]).model_dump_json(exclude_unset=True))
    answer = same_answer(pair.ask_both("POST", "/v1/matches", json=body))
    contributions = [match["contribution"] for match in answer["results"][0]["matches"]]
    assert contributions == ([] if query.min_words else [1])
    of_service = pair.client.match([query])
    assert pair.state.index.match([query]) == of_service
    assert (
        AnswerOut.model_validate(answer, strict=False).to_domain().results[0].matches == of_service.results[0].matches
    )


def test_the_sidecar_hashes_texts_even_if_the_service_accepts_none(filled: Pair) -> None:
    octets = " ".join(f"word{number}" for number in range(300)).encode()
    answer = filled.ask("POST", "/v1/signals", **form(octets))
    assert answer.status_code == 200
    (hashed,) = json.loads(answer.data)["pictures"]
    assert hashed["words"] == 300
    assert filled.ask("POST", MEDIA, **form(octets)).status_code == 200


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
def test_the_sidecar_rejects_an_invalid_form_like_the_service(filled: Pair, parts: dict[str, Any]) -> None:
    assert post_form(filled, MEDIA, parts)["status"] in (400, 413, 415, 422)


def test_a_query_for_quarantined_contributions_is_rejected(filled: Pair) -> None:
    body = {"queries": [{"signals": [pdq(1)]}]}
    reported = faults(filled.ask("POST", "/v1/matches?include=quarantined", json=body))
    assert reported == {"include": "a local copy has no quarantined contributions"}


def remembered_count(pair: Pair) -> int:
    """Return the number of remembered uploads."""
    with closing(Remembered(pair.state.folder / REMEMBERED_FOLDER, clock=pair.service.clock)) as uploads:
        uploads.refresh()
        return len(uploads)


def test_an_upload_is_remembered_before_it_is_matched(pair: Pair) -> None:
    pair.sync()
    queries: list[dict[str, Any]] = [{"signals": [pdq(1)], "remember": "u-1"}, {"signals": [pdq(2)]}]
    plain = {"queries": [{"signals": [pdq(1)]}, {"signals": [pdq(2)]}]}
    local = pair.ask("POST", "/v1/matches", json={"queries": queries})
    same_answer((pair.member.request("POST", "/v1/matches", json=plain), local))
    assert remembered_count(pair) == 1
    # Without the copy, the sidecar cannot match the queries, but it has remembered them.
    (pair.state.folder / CURRENT).unlink()
    queries[1]["remember"] = "u-2"
    problem(pair.ask("POST", "/v1/matches", json={"queries": queries}), 503, "copy-not-ready")
    assert remembered_count(pair) == 3


def test_an_upload_that_cannot_be_remembered_is_not_matched(pair: Pair) -> None:
    pair.sync()
    flat = {"at": 0.5, "quality": 49, "signals": [pdq(1)]}
    for query, field in (
        ({"signals": [pdq(1)], "remember": ""}, "remember"),
        ({"signals": [pdq(1)], "remember": "x" * 257}, "remember"),
        ({"signals": [pdq(1)], "remember": 7}, "remember"),
        ({"signals": [], "remember": "a", "duration": 9.5, "frames": [flat]}, "signals"),
        ({"signals": ["pdq:1"], "remember": "a"}, "signals[0]"),
    ):
        body = {"queries": [{"signals": [pdq(1)], "remember": "first"}, query]}
        assert list(faults(pair.ask("POST", "/v1/matches", json=body))) == [f"queries[1].{field}"]
    assert remembered_count(pair) == 0


def test_requests_with_videos_leave_threads_for_matches(filled: Pair) -> None:
    places = matching._VIDEO_REQUESTS
    acquired = [places.acquire(blocking=False) for _ in range(matching._MAX_VIDEO_REQUESTS)]
    try:
        assert all(acquired)
        answer = filled.ask("POST", MEDIA, **form(film(seconds=2)))
        problem(answer, 429, "hashing-busy")
        assert int(answer.headers["Retry-After"]) > 0
        assert filled.ask("POST", MEDIA, **form(photo())).status_code == 200
    finally:
        for _ in acquired:
            places.release()


def test_a_single_match_does_not_wait_for_batches(filled: Pair) -> None:
    body = json.dumps({"queries": [{"signals": [pdq(1)]}]}).encode()
    with filled.state.batches.turn(""):
        assert b'"matches":[{' in matching.match_plain(filled.state, body)
    with pytest.raises(InvalidInput):
        matching.match_plain(filled.state, b'{"queries":[]}' + b" " * matching.LARGE_BODY)


def test_the_sidecar_returns_the_service_rules_with_seeds_only_on_a_socket(pair: Pair) -> None:
    seeds.rotate(pair.service.db, COMMAND_LINE)
    pair.sync()
    served, local = pair.ask_both("GET", "/v1/me")
    service_rules, sidecar_rules = json.loads(served.data), json.loads(local.data)
    assert service_rules.pop("secret_views") and "secret_views" not in sidecar_rules
    assert sidecar_rules == service_rules
    pair.state.on_unix_socket = True
    assert len(json.loads(pair.ask("GET", "/v1/me").data)["secret_views"]) == 1
