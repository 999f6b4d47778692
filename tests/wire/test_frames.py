"""Wire models of the frames of videos, documents and texts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import Media
from hashdb.domain.frames import MAX_PAGES, MAX_WINDOW, MAX_WORDS, Frame, Unit
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.testing import contribution_of_test_item
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import InvalidInput, MalformedRequest, TooLarge
from hashdb.wire.contributions import visible_fields
from hashdb.wire.drafts import ContributionsIn, read_drafts
from hashdb.wire.frames import FrameOut, FramesOut
from hashdb.wire.matching import QueriesIn, read_queries
from tests.builders import clip, film, signal, video
from tests.wire.strategies import CONTEXT, usual_signals

MD5 = f"md5:{7:032x}"
FLAT = str(Signal(Algorithm.PDQ, 0))
_rows = st.lists(
    st.tuples(st.integers(0, 86_400_000), st.integers(0, 100), usual_signals()),
    min_size=1,
    unique_by=lambda row: row[0],
)
frames = _rows.map(
    lambda rows: tuple(
        Frame(at / 1000, (signal,), quality) for at, quality, signal in sorted(rows, key=lambda row: row[0])
    )
)


def _faults(read: Any, name: str, *items: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        read(json.dumps({name: list(items)}).encode(), CONTEXT)
    return {fault.at: fault.reason for fault in error.value.faults}


def _draft_with(frames: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    required = {"labels": ["glorification"], "removed_at": "2026-06-01T10:00:00Z", "media": "video", "signals": []}
    return {**required, "duration": 60.0, "frames": frames, **fields}


def _frame(at: float, **fields: Any) -> dict[str, Any]:
    return {"at": at, "quality": 90, "signals": [str(signal(1))], **fields}


@given(frames)
def test_frames_of_a_video_round_trip_unchanged(sent: tuple[Frame, ...]) -> None:
    drafts = [replace(video(1, signals=(Signal(Algorithm.MD5, 7),)), frames=sent, duration=86_400.0)]
    written = ContributionsIn.from_domain(drafts).model_dump_json().encode()
    assert [draft.frames for draft in read_drafts(written, CONTEXT)] == [sent]
    for frame in sent:
        assert FrameOut.model_validate_json(FrameOut.from_domain(frame).json_text()).to_domain() == frame


def test_frames_of_a_query_round_trip_unchanged() -> None:
    low_quality = Frame(9.5, (signal(3),), 49)
    mirrored = Frame(9.75, (signal(4),), None, {"mirror": (signal(5), signal(6))})
    queries = [clip(1, 2), clip(3)]
    queries[1] = replace(queries[1], frames=(low_quality, mirrored), duration=10.0, min_seconds=1.5)
    assert read_queries(QueriesIn.from_domain(queries).model_dump_json().encode(), CONTEXT) == tuple(queries)


def test_each_fault_of_a_frame_is_reported_at_its_field() -> None:
    draft = _draft_with(
        [
            _frame(1.0),
            _frame(1.0004),
            _frame(0.5),
            _frame(61),
        ]
    )
    at = "contributions[0].frames"
    not_later = "must be later than that of the frame before"
    assert _faults(read_drafts, "contributions", draft) == {
        f"{at}[1].at": not_later,
        f"{at}[2].at": not_later,
        f"{at}[3].at": "must be at most the duration",
    }
    others = [
        _frame(-1), _frame(2, quality=101), _frame(3, signals=[]), _frame(4, signals=[FLAT]), _frame(86_401),
        _frame(5, signals=[MD5]),
    ]  # fmt: skip
    assert _faults(read_drafts, "contributions", _draft_with(others)).keys() == {
        f"{at}[{place}].{name}"
        for place, name in enumerate(("at", "quality", "signals", "signals[0]", "at", "signals[0]"))
    }
    query = {"signals": [], "duration": 9, "frames": [_frame(-1), _frame(1), _frame(2, quality=-1)]}
    places = _faults(read_queries, "queries", query, query).keys()
    assert places == {f"queries[{item}].frames[{place}" for item in (0, 1) for place in ("0].at", "2].quality")}
    with pytest.raises(MalformedRequest):
        read_drafts(json.dumps({"contributions": [_draft_with([_frame(float("nan"))])]}).encode(), CONTEXT)


def test_a_digest_in_a_frame_of_a_query_is_rejected() -> None:
    frames = [{"at": 0, "signals": [MD5]}, {"at": 0, "signals": [str(signal(1))], "transforms": {"mirror": [MD5]}}]
    faults = [_faults(read_queries, "queries", {"signals": [], "duration": 1, "frames": [frame]}) for frame in frames]
    assert [fault.keys() for fault in faults] == [
        {f"queries[0].frames[0].{place}"} for place in ("signals[0]", "transforms.mirror[0]")
    ]


@pytest.mark.parametrize(
    "frames", ["[" + ",".join(["0"] * 7_200) + "]", "[" + ",".join(['""'] * 7_200) + "]"], ids=["numbers", "texts"]
)
@pytest.mark.parametrize(("read", "name"), [(read_drafts, "contributions"), (read_queries, "queries")])
def test_at_most_500_faults_of_very_many_invalid_frames_are_kept(read: Any, name: str, frames: str) -> None:
    text = f'{{"{name}":[{",".join([f"""{{"duration":1,"signals":[],"frames":{frames}}}"""] * 100)}]}}'
    with pytest.raises(InvalidInput) as error:
        read(text.encode(), CONTEXT)
    assert len(error.value.faults) + error.value.omitted <= 500


def test_a_list_with_very_many_invalid_hashes_gives_one_fault() -> None:
    frame = {"at": 0, "signals": [str(signal(1))], "transforms": {"mirror": [""] * 100_000}}
    query = {"signals": [str(signal(1))], "duration": 1, "frames": [frame], "transforms": frame["transforms"]}
    assert len(_faults(read_queries, "queries", query)) == 2


def test_a_request_with_too_many_frame_objects_is_rejected() -> None:
    item = {"duration": 1, "signals": [], "frames": [{}] * 7_200}
    for read, name in ((read_drafts, "contributions"), (read_queries, "queries")):
        with pytest.raises(TooLarge):
            read(json.dumps({name: [item] * 9}).encode(), CONTEXT)


def test_a_video_needs_a_duration_and_a_usable_frame_or_digest() -> None:
    at = "contributions[0]"
    without = _draft_with([_frame(1.0)], duration=None)
    assert _faults(read_drafts, "contributions", without) == {
        f"{at}.frames": "need the duration of the video, in `duration`"
    }
    assert _faults(read_drafts, "contributions", _draft_with([_frame(1.0)], duration=-1)).keys() == {f"{at}.duration"}
    low_quality = [_frame(1.0, quality=49, signals=[FLAT])]
    assert _faults(read_drafts, "contributions", _draft_with(low_quality)) == {
        f"{at}.signals": "must have a digest, since no frame has a quality of 50 or more"
    }
    with_digest = _draft_with(low_quality, signals=[f"sha256:{7:064x}"])
    assert read_drafts(json.dumps({"contributions": [with_digest]}).encode(), CONTEXT)[0].frames[0].quality == 49


def test_an_item_has_at_most_7200_frames_and_a_request_20000() -> None:
    many = [_frame(place / 100) for place in range(5_000)]
    drafts = json.dumps({"contributions": [_draft_with(many, duration=90)] * 4}).encode()
    assert sum(len(draft.frames) for draft in read_drafts(drafts, CONTEXT)) == 20_000
    more = [_draft_with(many, duration=90)] * 4 + [_draft_with([_frame(1)])]
    assert _faults(read_drafts, "contributions", *more) == {"contributions": "must be at most 20000 frames in all"}
    most = [_frame(place / 100) for place in range(7_201)]
    assert _faults(read_drafts, "contributions", _draft_with(most, duration=90)) == {
        "contributions[0].frames": "must have at most 7200 entries"
    }


def test_the_duration_of_a_video_is_returned_until_it_is_erased() -> None:
    contribution = replace(contribution_of_test_item([]), duration=9.5)
    assert visible_fields(contribution)["duration"] == 9.5
    assert "duration" not in visible_fields(replace(contribution, erased=True))


def test_a_page_of_frames_states_where_the_next_page_starts() -> None:
    frames = film(*range(5))
    pages = [FramesOut.from_frames(frames, after, 2) for after in (0, 2, 4)]
    assert [len(page.frames) for page in pages] == [2, 2, 1]
    assert [page.next for page in pages] == [2, 4, None]
    assert FramesOut.from_frames((), 0, 2).next is None


WINDOW = str(Signal(Algorithm.SIMHASH256, (1 << 128) - 1))


def _page(number: int, **fields: Any) -> dict[str, Any]:
    return {"page": number, "quality": 90, "signals": [str(signal(1))], **fields}


def _words(first: int, end: int | None = None, **fields: Any) -> dict[str, Any]:
    return {"words": [first, first + 200 if end is None else end], "signals": [WINDOW], **fields}


def _document_draft(frames: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {**_draft_with(frames), "media": "document", "duration": None, **fields}


@st.composite
def _document_frames(draw: st.DrawFn) -> tuple[Frame, ...]:
    """Pages of a document, then windows of its words: at least one page or window."""
    pages = sorted(draw(st.sets(st.integers(1, MAX_PAGES), max_size=5)))
    firsts = sorted(draw(st.sets(st.integers(0, MAX_WORDS - MAX_WINDOW), min_size=0 if pages else 1, max_size=5)))
    lengths = [draw(st.integers(1, MAX_WINDOW)) for _ in firsts]
    qualities = [draw(st.integers(50, 100)) for _ in pages]
    windows = [
        Frame(first, (Signal.parse(WINDOW),), unit=Unit.WORDS, length=length)
        for first, length in zip(firsts, lengths, strict=True)
    ]
    page_frames = [
        Frame(page, (signal(page),), quality, unit=Unit.PAGES) for page, quality in zip(pages, qualities, strict=True)
    ]
    return (*page_frames, *windows)


@given(_document_frames())
def test_frames_of_a_document_round_trip_unchanged(sent: tuple[Frame, ...]) -> None:
    draft = replace(video(1), frames=sent, duration=None, media=Media.DOCUMENT)
    written = ContributionsIn.from_domain([draft]).model_dump_json(exclude_unset=True).encode()
    assert [draft.frames for draft in read_drafts(written, CONTEXT)] == [sent]
    for frame in sent:
        assert FrameOut.model_validate_json(FrameOut.from_domain(frame).json_text()).to_domain() == frame
    query = Query((), frames=sent, min_words=150)
    assert read_queries(QueriesIn.from_domain([query]).model_dump_json(exclude_unset=True).encode(), CONTEXT) == (
        query,
    )


def test_the_json_of_a_frame_has_only_the_fields_of_its_unit() -> None:
    page, words = Frame(3, (signal(1),), 90, unit=Unit.PAGES), Frame(0, (signal(2),), unit=Unit.WORDS, length=150)
    assert json.loads(FrameOut.from_domain(page).json_text()) == {"page": 3, "quality": 90, "signals": [str(signal(1))]}
    assert json.loads(FrameOut.from_domain(words).json_text()) == {"words": [0, 150], "signals": [str(signal(2))]}
    assert json.loads(FrameOut.from_domain(film(1)[0]).json_text()).keys() == {"at", "quality", "signals"}


def test_each_fault_of_pages_and_words_is_reported_at_its_field() -> None:
    at = "contributions[0].frames"
    draft = _document_draft([_page(1), _page(1), _words(0), _page(2), _words(0), _words(100), _frame(1.0)])
    assert _faults(read_drafts, "contributions", draft) == {
        f"{at}[1].page": "must be greater than that of the frame before",
        f"{at}[3].page": "must come before the words",
        f"{at}[4].words": "must begin later than those of the frame before",
        f"{at}[6].at": "must not be mixed with frames of another kind: a video has seconds, a document pages and words",
    }
    others = [
        _page(0), _page(MAX_PAGES + 1), _page(1, quality=None), _page(1, signals=[WINDOW]), _page(1, words=[0, 200]),
        _words(5, 5), _words(0, MAX_WINDOW + 1), _words(-1, 10), _words(MAX_WORDS, MAX_WORDS + 1),
        _words(0, quality=90),
        _words(0, signals=[str(signal(1))]), _words(0, signals=[MD5]), {"quality": 90, "signals": [str(signal(1))]},
        {"words": [0], "signals": [WINDOW]},
    ]  # fmt: skip
    places = (
        ".page", ".page", ".quality", ".signals[0]", "", ".words", ".words", ".words", ".words", ".quality",
        ".signals[0]", ".signals[0]", "", ".words[1]",
    )  # fmt: skip
    assert _faults(read_drafts, "contributions", _document_draft(others)).keys() == {
        f"{at}[{number}]{place}" for number, place in enumerate(places)
    }


def test_a_document_with_a_duration_is_rejected() -> None:
    fault = {
        "contributions[0].frames": (
            "must be frames of a video, because `duration` is given: pages and words have no duration"
        )
    }
    assert _faults(read_drafts, "contributions", _document_draft([_page(1)], duration=3.0)) == fault


def test_a_queried_page_can_have_transforms_and_words_cannot() -> None:
    page = {"page": 1, "signals": [str(signal(1))], "transforms": {"mirror": [str(signal(2))]}}
    query_fields = {"signals": [], "frames": [page, {"words": [0, 200], "signals": [WINDOW]}]}
    (query,) = read_queries(json.dumps({"queries": [query_fields]}).encode(), CONTEXT)
    assert [(frame.unit, frame.length, len(frame.transforms)) for frame in query.frames] == [
        ("pages", 0, 1),
        ("words", 200, 0),
    ]
    faulty = {"words": [0, 200], "signals": [WINDOW], "transforms": {"mirror": [str(signal(2))]}}
    assert _faults(read_queries, "queries", {**query_fields, "frames": [faulty]}).keys() == {
        "queries[0].frames[0].transforms.mirror[0]"
    }


def test_a_contribution_cannot_have_a_text_window_as_its_own_signal() -> None:
    draft = _draft_with([], duration=None, signals=[WINDOW])
    assert _faults(read_drafts, "contributions", draft) == {
        "contributions[0].signals[0]": "simhash256 belongs to a window of words: send it in `frames`"
    }
    (query,) = read_queries(json.dumps({"queries": [{"signals": [WINDOW]}]}).encode(), CONTEXT)
    assert query.signals == (Signal.parse(WINDOW),)


def test_a_document_with_only_low_quality_pages_needs_a_digest() -> None:
    low_quality = [_page(1, quality=49, signals=[FLAT])]
    assert _faults(read_drafts, "contributions", _document_draft(low_quality)).keys() == {"contributions[0].signals"}
    assert read_drafts(json.dumps({"contributions": [_document_draft([*low_quality, _words(0)])]}).encode(), CONTEXT)
