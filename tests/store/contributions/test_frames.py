"""Frames of videos in SQL."""

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

SLOW = tuple(Frame(at / 2, (near(signal(1), at),), 90 - at) for at in range(4))
"""Four frames of one shot."""
FLAT = Frame(2.001, (Signal(Algorithm.PDQ, 0),), 7)
CUT = Frame(2.5, (signal(2), signal(2, Algorithm.PHASH256)), 80)
FRAMES = (*SLOW, FLAT, CUT)
FILM = replace(video(1), frames=FRAMES, duration=3.0)


def add(store: Store, member: Member, *drafts: Draft, suppressed: dict[Signal, int] | None = None) -> list[int]:
    with store.begin() as tx:
        return [one.id for one in tx.contributions.add(member, drafts, NOON, suppressed=suppressed or {})]


def test_every_frame_comes_back_in_time(store: Store, member: Member) -> None:
    ids = add(store, member, FILM, video(5, 6, 7))
    with store.read() as tx:
        assert tx.frames.get(ids) == {ids[0]: FRAMES, ids[1]: film(5, 6, 7)}
        (one, _) = (tx.contributions.one(id, NOON) for id in ids)
    assert (one.frame_count, one.duration, one.signals) == (6, 3.0, ())


def test_only_the_first_frame_of_a_shot_is_searched_for(store: Store, member: Member) -> None:
    add(store, member, FILM)
    with store.read() as tx:
        values = set(tx.connection.scalars(select(signals.c.value)))
        assert values == {one.to_bytes() for one in (*SLOW[0].signals, *CUT.signals)}
        assert tx.connection.scalars(select(func.count()).select_from(shots)).one() == 3


def test_the_times_of_a_shot_are_those_of_its_first_and_last_frame(store: Store, member: Member) -> None:
    (id,) = add(store, member, FILM)
    first, cut = SLOW[0].signals[0], CUT.signals[1]
    with store.read() as tx:
        assert tx.matches.times({id: {first, cut, signal(9)}}) == {
            (id, first): (ShotTimes(0.0, 1.5),),
            (id, cut): (ShotTimes(2.5, 2.5),),
        }
        assert list(tx.matches.shots(id)) == [
            ListedShot(0.0, 1.5, list(SLOW[0].signals)),
            ListedShot(2.5, 2.5, list(CUT.signals)),
        ]


def test_a_value_that_a_video_shows_again_has_all_its_times_in_order(store: Store, member: Member) -> None:
    ids = add(store, member, video(1, 2, 1, 3, 1), video(2, 1))
    one, two = signal(1), signal(2)
    with store.read() as tx:
        times = tx.matches.times({ids[0]: {one}, ids[1]: {one, two}})
    assert times[ids[0], one] == tuple(ShotTimes(at, at) for at in (0.0, 2.0, 4.0))
    assert times.keys() == {(ids[0], one), (ids[1], one), (ids[1], two)}


def test_of_a_loop_the_first_times_are_read(store: Store, member: Member) -> None:
    ids = add(store, member, video(*[1, 2] * 5), video(3, 1))
    one, two = signal(1), signal(2)
    with store.read() as tx:
        times = tx.matches.times({ids[0]: {one, two}, ids[1]: {one}}, 3)
    starts = {key: [shot.start for shot in shots] for key, shots in times.items()}
    assert starts == {(ids[0], one): [0, 2, 4], (ids[0], two): [1, 3, 5], (ids[1], one): [1]}


def test_the_times_of_more_values_than_a_statement_takes_are_read(
    store: Store, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashdb.store.contributions.frames.CHUNK", 4)
    drafts = [video(*range(start, start + 6)) for start in (0, 3, 20)]
    ids = add(store, member, *drafts)
    found = {id: {frame.signals[0] for frame in draft.frames} for id, draft in zip(ids, drafts, strict=True)}
    with store.read() as tx:
        times = tx.matches.times(found)
    assert times.keys() == {(id, one) for id, group in found.items() for one in group}


def test_a_suppressed_frame_is_kept_and_neither_searched_for_nor_shown(store: Store, member: Member) -> None:
    with store.begin() as tx:
        entry = tx.benign.add(BenignDraft(SLOW[0].signals), NOON).id
    (id,) = add(store, member, FILM, suppressed={SLOW[0].signals[0]: entry})
    with store.read() as tx:
        assert tx.frames.get([id])[id] == (*(replace(frame, signals=()) for frame in SLOW), FLAT, CUT)
        assert tx.connection.scalars(select(masks.c.value)).all() == [SLOW[0].signals[0].to_bytes()]


def test_a_contribution_without_frames_has_none(store: Store, member: Member) -> None:
    (id,) = add(store, member, Draft((signal(1),), ("glorification",), NOON))
    with store.read() as tx:
        assert tx.frames.get([id]) == {}
        assert tx.contributions.one(id, NOON).frame_count == 0


def test_pages_and_windows_come_back_in_order_each_with_its_place(store: Store, member: Member) -> None:
    made = document((1, 2), words(1, 220))
    faint = replace(made.frames[1], at=3, signals=(signal(3),), quality=10)
    made = replace(made, frames=(*made.frames[:2], faint, *made.frames[2:]))
    (id, other) = add(store, member, made, text(words(1, 220)))
    window = made.frames[4].signals[0]
    with store.read() as tx:
        assert tx.frames.get([id]) == {id: made.frames}
        assert [(shot.unit, shot.start, shot.end) for shot in tx.frames.shots(id)][2:4] == [
            (Unit.PAGES, 3.0, 3.0),
            (Unit.WORDS, 0.0, 150.0),
        ]
        assert tx.matches.times({id: {signal(2), window}, other: {window}}) == {
            (id, signal(2)): (ShotTimes(2.0, 2.0),),
            (id, window): (ShotTimes(50.0, 200.0),),
            (other, window): (ShotTimes(50.0, 200.0),),
        }
        # The faint page is not searched for.
        assert [(shot.unit, shot.start) for shot in tx.matches.shots(id)][:3] == [
            (Unit.PAGES, 1.0),
            (Unit.PAGES, 2.0),
            (Unit.WORDS, 0.0),
        ]
        assert (tx.contributions.one(id, NOON).pages, tx.contributions.one(id, NOON).words) == (3, 220)


def test_of_a_document_one_page_or_two_windows_are_enough_to_be_a_re_upload(store: Store, member: Member) -> None:
    (id, other) = add(store, member, document((1, 2), words(1, 400)), text(words(1, 30)))
    first = position_of(2)
    with store.read() as tx:
        assert tx.retired.with_enough_signals({id: {position_of(1)}, other: {position_of(0)}}) == (id, other)
        assert tx.retired.with_enough_signals({id: {first}}) == ()
        assert tx.retired.with_enough_signals({id: {first, position_of(3)}}) == (id,)
        assert tx.retired.with_enough_signals({id: set()}) == ()
