"""Frames of videos, documents and texts in SQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Draft
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.store import Store
from hashdb.store.contributions.frames import position_of
from hashdb.store.tables import masks, shots, signals
from tests.builders import NOON, document, film, near, signal, text, video, words

SAME_SHOT = tuple(Frame(at / 2, (near(signal(1), at),), 90 - at) for at in range(4))
"""Four frames of one shot."""
LOW_QUALITY = Frame(2.001, (Signal(Algorithm.PDQ, 0),), 7)
NEXT_SHOT = Frame(2.5, (signal(2), signal(2, Algorithm.PHASH256)), 80)
FRAMES = (*SAME_SHOT, LOW_QUALITY, NEXT_SHOT)
FILM = replace(video(1), frames=FRAMES, duration=3.0)


def add(store: Store, member: Member, *drafts: Draft, suppressed: dict[Signal, int] | None = None) -> list[int]:
    with store.begin() as tx:
        return [
            contribution.id for contribution in tx.contributions.add(member, drafts, NOON, suppressed=suppressed or {})
        ]


def test_all_frames_are_returned_in_order_of_time(store: Store, member: Member) -> None:
    ids = add(store, member, FILM, video(5, 6, 7))
    with store.read() as tx:
        assert tx.frames.get(ids) == {ids[0]: FRAMES, ids[1]: film(5, 6, 7)}
        (contribution, _) = (tx.contributions.one(id, NOON) for id in ids)
    assert (contribution.frame_count, contribution.duration, contribution.signals) == (6, 3.0, ())


def test_only_the_first_frame_of_a_shot_is_searchable(store: Store, member: Member) -> None:
    add(store, member, FILM)
    with store.read() as tx:
        values = set(tx.connection.scalars(select(signals.c.value)))
        assert values == {each.to_bytes() for each in (*SAME_SHOT[0].signals, *NEXT_SHOT.signals)}
        assert tx.connection.scalars(select(func.count()).select_from(shots)).one() == 3


def test_a_shot_has_the_times_of_its_first_and_last_frame(store: Store, member: Member) -> None:
    (id,) = add(store, member, FILM)
    first, next_shot = SAME_SHOT[0].signals[0], NEXT_SHOT.signals[1]
    with store.read() as tx:
        assert tx.matches.times({id: {first, next_shot, signal(9)}}) == {
            (id, first): (ShotTimes(0.0, 1.5),),
            (id, next_shot): (ShotTimes(2.5, 2.5),),
        }
        assert list(tx.matches.shots(id)) == [
            ListedShot(0.0, 1.5, list(SAME_SHOT[0].signals)),
            ListedShot(2.5, 2.5, list(NEXT_SHOT.signals)),
        ]


def test_a_repeated_value_of_a_video_has_all_its_times_in_order(store: Store, member: Member) -> None:
    ids = add(store, member, video(1, 2, 1, 3, 1), video(2, 1))
    first, second = signal(1), signal(2)
    with store.read() as tx:
        times = tx.matches.times({ids[0]: {first}, ids[1]: {first, second}})
    assert times[ids[0], first] == tuple(ShotTimes(time, time) for time in (0.0, 2.0, 4.0))
    assert times.keys() == {(ids[0], first), (ids[1], first), (ids[1], second)}


def test_only_the_first_times_of_a_loop_are_read(store: Store, member: Member) -> None:
    ids = add(store, member, video(*[1, 2] * 5), video(3, 1))
    first, second = signal(1), signal(2)
    with store.read() as tx:
        times = tx.matches.times({ids[0]: {first, second}, ids[1]: {first}}, 3)
    starts = {key: [shot.start for shot in shots] for key, shots in times.items()}
    assert starts == {(ids[0], first): [0, 2, 4], (ids[0], second): [1, 3, 5], (ids[1], first): [1]}


def test_times_of_more_values_than_a_statement_accepts_are_read(
    store: Store, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashdb.store.contributions.frames.CHUNK", 4)
    drafts = [video(*range(start, start + 6)) for start in (0, 3, 20)]
    ids = add(store, member, *drafts)
    values_by_id = {id: {frame.signals[0] for frame in draft.frames} for id, draft in zip(ids, drafts, strict=True)}
    with store.read() as tx:
        times = tx.matches.times(values_by_id)
    assert times.keys() == {(id, value) for id, group in values_by_id.items() for value in group}


def test_a_suppressed_frame_is_kept_but_neither_searchable_nor_shown(store: Store, member: Member) -> None:
    with store.begin() as tx:
        entry = tx.benign.add(BenignDraft(SAME_SHOT[0].signals), NOON).id
    (id,) = add(store, member, FILM, suppressed={SAME_SHOT[0].signals[0]: entry})
    with store.read() as tx:
        assert tx.frames.get([id])[id] == (*(replace(frame, signals=()) for frame in SAME_SHOT), LOW_QUALITY, NEXT_SHOT)
        assert tx.connection.scalars(select(masks.c.value)).all() == [SAME_SHOT[0].signals[0].to_bytes()]


def test_a_picture_has_no_frames(store: Store, member: Member) -> None:
    (id,) = add(store, member, Draft((signal(1),), ("glorification",), NOON))
    with store.read() as tx:
        assert tx.frames.get([id]) == {}
        assert tx.contributions.one(id, NOON).frame_count == 0


def test_pages_and_windows_are_returned_in_order_with_their_positions(store: Store, member: Member) -> None:
    sent = document((1, 2), words(1, 220))
    low_quality = replace(sent.frames[1], at=3, signals=(signal(3),), quality=10)
    sent = replace(sent, frames=(*sent.frames[:2], low_quality, *sent.frames[2:]))
    (id, text_id) = add(store, member, sent, text(words(1, 220)))
    window = sent.frames[4].signals[0]
    with store.read() as tx:
        assert tx.frames.get([id]) == {id: sent.frames}
        assert [(shot.unit, shot.start, shot.end) for shot in tx.frames.shots(id)][2:4] == [
            (Unit.PAGES, 3.0, 3.0),
            (Unit.WORDS, 0.0, 150.0),
        ]
        assert tx.matches.times({id: {signal(2), window}, text_id: {window}}) == {
            (id, signal(2)): (ShotTimes(2.0, 2.0),),
            (id, window): (ShotTimes(50.0, 200.0),),
            (text_id, window): (ShotTimes(50.0, 200.0),),
        }
        # The page of low quality is not searchable.
        assert [(shot.unit, shot.start) for shot in tx.matches.shots(id)][:3] == [
            (Unit.PAGES, 1.0),
            (Unit.PAGES, 2.0),
            (Unit.WORDS, 0.0),
        ]
        assert (tx.contributions.one(id, NOON).pages, tx.contributions.one(id, NOON).words) == (3, 220)


def test_one_page_or_two_windows_of_a_document_make_a_re_upload(store: Store, member: Member) -> None:
    (id, text_id) = add(store, member, document((1, 2), words(1, 400)), text(words(1, 30)))
    first_window = position_of(2)
    with store.read() as tx:
        assert tx.shadows.with_enough_signals({id: {position_of(1)}, text_id: {position_of(0)}}) == (id, text_id)
        assert tx.shadows.with_enough_signals({id: {first_window}}) == ()
        assert tx.shadows.with_enough_signals({id: {first_window, position_of(3)}}) == (id,)
        assert tx.shadows.with_enough_signals({id: set()}) == ()
