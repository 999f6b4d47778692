"""Documents, texts and addresses: pages and words in drafts and queries, segments in answers."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.frames import Frame
from tests.builders import excerpt, near, signal, text, words
from tests.web.callers import Caller, Service, body, faults, item, pdq

URL = "/v1/matches"
WORDS = words(1, 1_200)
ADDRESS = f"url:{5 << 128:064x}"


def windows(frames: tuple[Frame, ...]) -> list[dict[str, Any]]:
    """The windows of words of a text, as a client sends them."""
    return [
        {"words": [int(each.at), int(each.end)], "signals": [str(signal) for signal in each.signals]} for each in frames
    ]


def pages(*seeds: int, first: int = 1, away: int = 0) -> list[dict[str, Any]]:
    """A page for each seed, with a signal `away` bits from that of the seed."""
    return [
        {"page": number, "signals": [str(near(signal(seed), away))], "quality": 90}
        for number, seed in enumerate(seeds, first)
    ]


def document(frames: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A draft of a document with these frames."""
    return {**item(signals=[], quality=None), "media": "document", "frames": frames, **fields}


LISTED = [*pages(101, 102, 103), *windows(text(WORDS).frames)]
INSIDE = windows(excerpt(words(2, 1_000), WORDS[450:750], words(3, 1_000)).frames)


def matches_of(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    """The matches of a query."""
    (result,) = body(caller.post(URL, {"queries": [{"signals": [], **query}]}))["results"]
    matches: list[dict[str, Any]] = result["matches"]
    return matches


def test_an_excerpt_inside_another_text_is_found_with_its_word_numbers(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(document(LISTED))
    (match,) = matches_of(other, frames=INSIDE)
    assert (match["contribution"], match["agree"]) == (contribution["id"], ["simhash256"])
    (segment,) = match["segments"]
    assert segment["unit"] == "words" and all(type(place) is int for place in (*segment["query"], *segment["listed"]))
    assert segment["query"] == pytest.approx([1_000, 1_300], abs=60)
    assert segment["listed"] == pytest.approx([450, 750], abs=60)
    assert match["covered"] == pytest.approx({"query": 300 / 2_300, "listed": 300 / 1_200}, abs=0.06)
    assert matches_of(other, frames=INSIDE, min_words=600) == []


def test_pages_are_found_with_their_page_numbers(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(document(LISTED))
    (match,) = matches_of(other, frames=pages(501, 502, 102, 103, 503, away=4))
    assert match["contribution"] == contribution["id"]
    (segment,) = match["segments"]
    assert (segment["unit"], segment["query"], segment["listed"]) == ("pages", [3, 4], [2, 3])
    assert (segment["frames"], segment["possible"], segment["distance"]) == (2, 2, 4)


def test_a_picture_matches_a_listed_page_and_a_page_a_listed_picture(platform: Caller, other: Caller) -> None:
    listed, picture = platform.contribute(document(LISTED), item(103))
    found = {match["contribution"]: match for match in matches_of(other, signals=[pdq(103)])}
    assert found[listed["id"]]["pages"] == [3] and "pages" not in found[picture["id"]]
    found = {match["contribution"]: match for match in matches_of(other, frames=pages(501, 103))}
    assert found[picture["id"]]["frames"] == [{"page": 2, "distance": {"pdq": 0}}]


def test_a_single_window_is_found_with_the_words_of_the_listed_text(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(document(LISTED))
    (match,) = matches_of(other, signals=LISTED[6]["signals"])
    assert match["contribution"] == contribution["id"] and LISTED[6]["words"] in match["words"]


def test_an_address_matches_only_the_identical_digest(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(document([], signals=[ADDRESS]))
    (match,) = matches_of(other, signals=[ADDRESS])
    assert (match["contribution"], match["digest"], match["distance"]) == (contribution["id"], "url", {})
    assert other.matched(f"url:{5 << 128 | 1:064x}") == []


def test_a_key_that_hides_distances_gets_words_and_pages_without_distance(
    service: Service, platform: Caller, other: Caller
) -> None:
    platform.contribute(document(LISTED), item(103))
    hidden = service.key(other.member, Scope.MATCH, hides_distances=True)
    of_document, of_picture = matches_of(hidden, frames=[*pages(103), *INSIDE])
    assert {segment["unit"] for segment in of_document["segments"]} == {"pages", "words"}
    assert {segment["distance"] for segment in of_document["segments"]} == {None}
    assert of_picture["frames"] == [{"page": 1, "distance": {"pdq": None}}]
    # The exact ends of a segment within a window depend on distances, so the segment has whole windows.
    segment = next(segment for segment in of_document["segments"] if segment["unit"] == "words")
    starts, ends = ({window["words"][place] for window in INSIDE} for place in (0, 1))
    assert segment["query"][0] in starts and segment["query"][1] in ends
    (match,) = matches_of(hidden, frames=INSIDE, min_words=segment["query"][1] - segment["query"][0])
    assert match["contribution"] == of_document["contribution"]


def test_pages_and_words_are_shown_to_keys_that_may_see_signals(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(document(LISTED))
    assert (contribution["frame_count"], contribution["pages"], contribution["words"]) == (len(LISTED), 3, 1_200)
    assert "duration" not in contribution and "frames" not in contribution
    url = f"/v1/contributions/{contribution['id']}/frames"
    first = body(platform.get(f"{url}?limit=4"))
    assert first == {"frames": LISTED[:4], "next": 4}
    assert body(platform.get(f"{url}?limit=1000&after=4")) == {"frames": LISTED[4:], "next": None}
    (change,) = body(platform.get("/v1/changes"))["changes"]
    assert change["contribution"]["frames"] == LISTED
    assert (change["contribution"]["pages"], change["contribution"]["words"]) == (3, 1_200)
    assert service.caller(Scope.MATCH).get(url).status_code == 404


def test_a_text_has_words_and_no_pages(platform: Caller) -> None:
    draft = document(windows(text(WORDS).frames), media="text")
    (contribution,) = platform.contribute(draft)
    assert (contribution["media"], contribution["words"]) == ("text", 1_200) and "pages" not in contribution
    (repeated,) = platform.contribute(draft)
    assert (repeated["id"], repeated["known"], repeated["media"]) == (contribution["id"], True, "text")


def test_faults_of_pages_and_words_are_named_and_nothing_is_stored(service: Service, platform: Caller) -> None:
    before = service.rows()
    invalid = [*pages(1, first=2), *pages(2, first=2), *LISTED[3:5], *pages(3, first=9), *LISTED[4:5]]
    rejected = platform.post("/v1/contributions", {"contributions": [document(LISTED), document(invalid)]})
    at = "contributions[1].frames"
    assert set(faults(rejected)) == {f"{at}[1].page", f"{at}[4].page", f"{at}[5].words"}
    window = LISTED[4]["signals"]
    rejected = platform.post("/v1/contributions", {"contributions": [document([], signals=window)]})
    assert faults(rejected) == {
        "contributions[0].signals[0]": "simhash256 belongs to a window of words: send it in `frames`"
    }
    assert service.rows() == before


def test_an_erased_document_shows_neither_pages_nor_words(platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(document(LISTED))
    platform.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{contribution['id']}/content?now=1")
    shown = body(platform.get(f"/v1/contributions/{contribution['id']}"))
    assert shown["erased"] and shown.keys().isdisjoint({"pages", "words", "frame_count"})
    assert body(platform.get(f"/v1/contributions/{contribution['id']}/frames"))["frames"] == []
    assert matches_of(other, frames=INSIDE) == []
