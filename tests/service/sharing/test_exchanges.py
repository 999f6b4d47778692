"""Exchanges: the feed by values for readers of other systems, and their opinions on values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.frames import Frame
from hashdb.domain.ledger.events import Action
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.sharing.exchanges import ExchangePage
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.review import opinions
from hashdb.service.sharing import exchanges, feed
from hashdb.store.contributions.frames import Frames
from tests.builders import Clock, contributed, draft, film, member_with, signal, video

PDQ = (Algorithm.PDQ,)
CONFIRMS = OpinionDraft(Stance.CONFIRMS)


def all_pages(db: HashDB, actor: Actor, since: int, limit: int = 2) -> list[ExchangePage]:
    pages: list[ExchangePage] = []
    after, upto = since, exchanges.head(db, actor)
    while not pages or pages[-1].more:
        pages.append(exchanges.exchange(db, actor, since, after, upto, limit, PDQ))
        after = pages[-1].checkpoint
    assert after == upto
    return pages


def contributions_by_value(pages: list[ExchangePage]) -> dict[object, list[int]]:
    """The contributions of each value, from the last record of the value."""
    return {
        record.value: [contribution.id for contribution in record.contributions]
        for page in pages
        for record in page.records
    }


def test_pages_of_any_size_list_all_matching_values(db: HashDB, actor: Actor, other: Actor) -> None:
    ids = [each.id for each in contributed(db, actor, draft(1), draft(2, 3, 4), draft(5))]
    ids += [each.id for each in contributed(db, other, draft(1))]
    contributions.withdraw(db, actor, ids[2], "other")
    for limit in (1, 2, 3, 100):
        pages = all_pages(db, other, 0, limit)
        assert contributions_by_value(pages) == {
            signal(1): [ids[0], ids[3]],
            signal(2): [ids[1]],
            signal(3): [ids[1]],
            signal(4): [ids[1]],
        }
        assert all(len(page.records) <= limit + 2 for page in pages)


def test_a_withdrawn_or_erased_value_is_reported_without_contributions(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    withdrawn, erased, erased_at_once = contributed(db, actor, draft(1), draft(2), draft(3))
    head_before = exchanges.head(db, other)
    contributions.withdraw(db, actor, withdrawn.id, "other")
    contributions.erase(db, actor, erased.id)
    contributions.erase(db, actor, erased_at_once.id, at_once=True)
    assert contributions_by_value(all_pages(db, other, head_before)) == {signal(1): [], signal(2): []}
    assert (
        contributions_by_value(all_pages(db, other, 0))
        == contributions_by_value(all_pages(db, other, exchanges.head(db, other)))
        == {}
    )
    clock.advance(days=90)
    contributions.purge(db)
    assert contributions_by_value(all_pages(db, other, head_before)) == {signal(1): []}


def test_an_opinion_is_reported_also_if_the_standing_stays_the_same(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    opinions.give(db, other, contribution.id, CONFIRMS)
    head_before = exchanges.head(db, other)
    opinions.give(db, member_with(db), contribution.id, CONFIRMS)
    (page,) = all_pages(db, other, head_before)
    assert [len(record.opinions) for record in page.records] == [2]


def test_head_returns_the_last_event_before_a_time(db: HashDB, actor: Actor, clock: Clock) -> None:
    heads = []
    for seed in range(9):
        contributed(db, actor, *[draft(seed * 10 + extra) for extra in range(seed % 3 + 1)])
        heads.append((clock(), exchanges.head(db, actor)))
        clock.advance(seconds=seed)
    for time, head in heads:
        assert exchanges.head(db, actor, time) <= head
        earlier = [seq for other_time, seq in heads if other_time < time]
        assert exchanges.head(db, actor, time) == (max(earlier) if earlier else exchanges.head(db, actor, heads[0][0]))
    assert exchanges.head(db, actor, clock()) == heads[-1][1]


def test_an_opinion_on_a_value_applies_to_all_contributions_of_other_members(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    ids = [each.id for each in contributed(db, actor, draft(1), draft(1, 2))]
    contributed(db, other, draft(1))
    assert exchanges.give_opinions(db, other, [(signal(1), CONFIRMS)], "opinions") == 2
    with db.store.read() as tx:
        assert tx.opinions.current(ids).keys() == set(ids)
    with pytest.raises(InvalidInput) as caught:
        exchanges.give_opinions(db, other, [(signal(2), CONFIRMS), (signal(3), CONFIRMS)], "opinions")
    assert [fault.at for fault in caught.value.faults] == ["opinions[1]"]


def test_a_contribution_that_ends_before_an_opinion_is_given_is_left_out(
    db: HashDB, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [each.id for each in contributed(db, actor, draft(1), draft(1, 2))]
    spend = opinions.spend

    def spend_then_withdraw(*arguments: Any) -> None:
        spend(*arguments)
        contributions.withdraw(db, actor, ids[0], "other")

    monkeypatch.setattr(opinions, "spend", spend_then_withdraw)
    assert exchanges.give_opinions(db, other, [(signal(1), CONFIRMS)], "opinions") == 1
    with db.store.read() as tx:
        assert tx.opinions.current(ids).keys() == {ids[1]}


def test_a_withdrawn_picture_is_gone_although_a_video_has_it_as_a_frame(db: HashDB, actor: Actor, other: Actor) -> None:
    (picture,) = contributed(db, actor, draft(1))
    contributed(db, actor, video(1, 2, signals=(signal(3),)))
    assert contributions_by_value(all_pages(db, other, 0)) == {signal(1): [picture.id], signal(3): [picture.id + 1]}
    assert exchanges.give_opinions(db, other, [(signal(1), CONFIRMS)], "opinions") == 1
    head_before = exchanges.head(db, other)
    contributions.withdraw(db, actor, picture.id, "other")
    assert contributions_by_value(all_pages(db, other, head_before)) == {signal(1): []}


def test_frames_of_videos_with_the_same_start_are_read_once_in_small_groups(
    db: HashDB, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_start = [each.id for each in contributed(db, actor, *[video(1, 2, 3, seed) for seed in range(100, 104)])]
    three_frames, two_frames = contributed(db, other, video(1, 2, 3), video(1, 2))
    equal_to_three, equal_to_two, _ = contributed(db, actor, video(1, 2, 3), video(1, 2), video(1))
    head_before = exchanges.head(db, actor)
    for id in (three_frames.id, two_frames.id):
        opinions.give(db, actor, id, CONFIRMS)
    read: list[list[int]] = []
    original_get = Frames.get

    def recorded_get(frames: Frames, ids: Collection[int], *, suppressed: bool = False) -> dict[int, tuple[Frame, ...]]:
        read.append(sorted(ids))
        return original_get(frames, ids, suppressed=suppressed)

    monkeypatch.setattr(Frames, "get", recorded_get)
    monkeypatch.setattr(feed, "FRAMES_A_REQUEST", 8)
    page = exchanges.exchange(db, actor, head_before, head_before, exchanges.head(db, actor), 9, PDQ, videos=True)
    assert contributions_by_value([page]) == {
        film(1, 2, 3): [three_frames.id, equal_to_three.id],
        film(1, 2): [two_frames.id, equal_to_two.id],
    }
    first, *further = read
    assert first == [three_frames.id, two_frames.id]
    # The video with a single frame is not read.
    assert sorted(id for ids in further for id in ids) == [*same_start, equal_to_three.id, equal_to_two.id]
    assert {len(ids) for ids in further} <= {1, 2}


def test_reading_is_logged_as_a_read_of_the_feed(db: HashDB, actor: Actor) -> None:
    exchanges.exchange(db, actor, 0, 0, 1, 10, PDQ)
    with db.store.read() as tx:
        (event,) = tx.audit.since(0, 1000, [Action.FEED_READ])
    assert event.actor == str(actor)


def test_reading_needs_the_feed_scope_and_opinions_need_the_match_scope(db: HashDB) -> None:
    with pytest.raises(ScopeMissing):
        exchanges.head(db, member_with(db, Scope.MATCH))
    with pytest.raises(ScopeMissing):
        exchanges.exchange(db, member_with(db, Scope.MATCH), 0, 0, 1, 1, PDQ)
    with pytest.raises(ScopeMissing):
        exchanges.give_opinions(db, member_with(db, Scope.FEED), [], "opinions")
