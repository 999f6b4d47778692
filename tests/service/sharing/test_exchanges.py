"""Exchanges: what readers by values are told, page by page, and what they say of values."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.frames import Frame
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.sharing.feed import ExchangePage
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.review import opinions
from hashdb.service.sharing import feed
from hashdb.store.contributions.frames import Frames
from tests.builders import Clock, contributed, draft, film, member_with, signal, video

PDQ = (Algorithm.PDQ,)
CONFIRMS = OpinionDraft(Stance.CONFIRMS)


def all_pages(db: HashDB, actor: Actor, since: int, limit: int = 2) -> list[ExchangePage]:
    pages: list[ExchangePage] = []
    after, upto = since, feed.head(db, actor)
    while not pages or pages[-1].more:
        pages.append(feed.exchange(db, actor, since, after, upto, limit, PDQ))
        after = pages[-1].checkpoint
    assert after == upto
    return pages


def told(pages: list[ExchangePage]) -> dict[object, list[int]]:
    """The contributions by which each value matches, of the last record of it."""
    return {one.value: [each.id for each in one.contributions] for page in pages for one in page.records}


def test_pages_lead_to_what_there_is(db: HashDB, actor: Actor, other: Actor) -> None:
    ids = [one.id for one in contributed(db, actor, draft(1), draft(2, 3, 4), draft(5))]
    ids += [one.id for one in contributed(db, other, draft(1))]
    contributions.withdraw(db, actor, ids[2], "other")
    for limit in (1, 2, 3, 100):
        pages = all_pages(db, other, 0, limit)
        assert told(pages) == {
            signal(1): [ids[0], ids[3]],
            signal(2): [ids[1]],
            signal(3): [ids[1]],
            signal(4): [ids[1]],
        }
        assert all(len(page.records) <= limit + 2 for page in pages)


def test_what_a_reader_had_is_told_to_be_gone_also_when_it_is_erased(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    one, two, three = contributed(db, actor, draft(1), draft(2), draft(3))
    had = feed.head(db, other)
    contributions.withdraw(db, actor, one.id, "other")
    contributions.erase(db, actor, two.id)
    contributions.erase(db, actor, three.id, at_once=True)
    assert told(all_pages(db, other, had)) == {signal(1): [], signal(2): []}
    assert told(all_pages(db, other, 0)) == told(all_pages(db, other, feed.head(db, other))) == {}
    clock.go(days=90)
    contributions.purge(db)
    assert told(all_pages(db, other, had)) == {signal(1): []}


def test_every_opinion_is_told_even_where_it_changes_no_standing(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    opinions.give(db, other, one.id, CONFIRMS)
    before = feed.head(db, other)
    opinions.give(db, member_with(db), one.id, CONFIRMS)
    (page,) = all_pages(db, other, before)
    assert [len(record.opinions) for record in page.records] == [2]


def test_the_last_event_before_an_instant_is_found(db: HashDB, actor: Actor, clock: Clock) -> None:
    numbers = []
    for seed in range(9):
        contributed(db, actor, *[draft(seed * 10 + extra) for extra in range(seed % 3 + 1)])
        numbers.append((clock(), feed.head(db, actor)))
        clock.go(seconds=seed)
    for at, number in numbers:
        assert feed.head(db, actor, at) <= number
        later = [seq for when, seq in numbers if when < at]
        assert feed.head(db, actor, at) == (max(later) if later else feed.head(db, actor, numbers[0][0]))
    assert feed.head(db, actor, clock()) == numbers[-1][1]


def test_an_opinion_on_a_value_is_one_on_all_that_others_contribute_with_it(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    ids = [one.id for one in contributed(db, actor, draft(1), draft(1, 2))]
    contributed(db, other, draft(1))
    assert feed.give_opinions(db, other, [(signal(1), CONFIRMS)], "said") == 2
    with db.store.read() as tx:
        assert {id: [one.member_name for one in said] for id, said in tx.opinions.current(ids).items()}.keys() == set(
            ids
        )
    with pytest.raises(InvalidInput) as caught:
        feed.give_opinions(db, other, [(signal(2), CONFIRMS), (signal(3), CONFIRMS)], "said")
    assert [fault.at for fault in caught.value.faults] == ["said[1]"]


def test_a_picture_is_gone_though_a_video_shows_it_in_a_frame(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    contributed(db, actor, video(1, 2, signals=(signal(3),)))
    assert told(all_pages(db, other, 0)) == {signal(1): [one.id], signal(3): [one.id + 1]}
    assert feed.give_opinions(db, other, [(signal(1), CONFIRMS)], "said") == 1
    had = feed.head(db, other)
    contributions.withdraw(db, actor, one.id, "other")
    assert told(all_pages(db, other, had)) == {signal(1): []}


def test_of_other_videos_that_begin_the_same_the_frames_are_read_once_for_a_page_and_few_at_a_time(
    db: HashDB, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [one.id for one in contributed(db, actor, *[video(1, 2, 3, seed) for seed in range(100, 104)])]
    same, long = contributed(db, other, video(1, 2, 3), video(1, 2))
    twin, again, _ = contributed(db, actor, video(1, 2, 3), video(1, 2), video(1))
    had = feed.head(db, actor)
    for id in (same.id, long.id):
        opinions.give(db, actor, id, CONFIRMS)
    read: list[list[int]] = []
    of = Frames.get

    def noted(frames: Frames, ids: Collection[int], *, suppressed: bool = False) -> dict[int, tuple[Frame, ...]]:
        read.append(sorted(ids))
        return of(frames, ids, suppressed=suppressed)

    monkeypatch.setattr(Frames, "get", noted)
    monkeypatch.setattr(feed, "FRAMES_A_REQUEST", 8)
    page = feed.exchange(db, actor, had, had, feed.head(db, actor), 9, PDQ, videos=True)
    assert told([page]) == {film(1, 2, 3): [same.id, twin.id], film(1, 2): [long.id, again.id]}
    first, *further = read
    assert first == [same.id, long.id]
    # The one with a single frame is neither of them.
    assert sorted(id for ids in further for id in ids) == [*others, twin.id, again.id]
    assert {len(ids) for ids in further} <= {1, 2}


def test_reading_takes_the_scope_feed_and_judging_match(db: HashDB) -> None:
    with pytest.raises(ScopeMissing):
        feed.head(db, member_with(db, Scope.MATCH))
    with pytest.raises(ScopeMissing):
        feed.exchange(db, member_with(db, Scope.MATCH), 0, 0, 1, 1, PDQ)
    with pytest.raises(ScopeMissing):
        feed.give_opinions(db, member_with(db, Scope.FEED), [], "said")
