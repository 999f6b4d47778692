"""The benign list: near it nothing is accepted and nothing matches, in every process, and back again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import Frame
from hashdb.domain.listings import Place
from hashdb.domain.matching.benign import (
    CLOSE_TO_BENIGN,
    BenignDraft,
    BenignEntry,
    BenignFilter,
    BenignImpact,
    BenignSort,
)
from hashdb.domain.sharing.feed import Gone
from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.errors import InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign, matches
from hashdb.service.sharing import feed
from tests.builders import NOON, RULES, Clock, contributed, draft, hashdb, member_with, near, query, signal, video


def listed(db: HashDB, *signals: Signal, note: str = "", **radius: int) -> BenignEntry:
    asked = BenignDraft(signals, {Algorithm(name): bits for name, bits in radius.items()}, note)
    added = benign.add(db, COMMAND_LINE, asked)
    assert isinstance(added, BenignEntry)
    return added


def found(db: HashDB, actor: Actor, *signals: Signal | int) -> list[int]:
    answer = matches.match(db, actor, [query(*signals)])
    return [match.contribution for match in answer.results[0].matches]


def fed(db: HashDB, actor: Actor) -> dict[int, Contribution | str]:
    """What a copy of the feed, read from 0, holds and has dropped."""
    held: dict[int, Contribution | str] = {}
    for change in feed.read(db, actor, 0, 1000).changes:
        if isinstance(change.what, Gone):
            held[change.what.contribution] = change.what.reason
        else:
            held[change.what.id] = change.what
    return held


def told(db: HashDB, id: int) -> list[tuple[str, object]]:
    with db.store.read() as tx:
        events = tx.audit.events(0, 1000, None, None, ("contribution", id))
    return [(event.action, dict(event.details)) for event in events if event.action != "contribution.added"]


def test_what_is_close_to_a_benign_signal_is_refused_at_that_signal(db: HashDB, actor: Actor) -> None:
    listed(db, signal(1))
    inside, outside = near(signal(1), 15), near(signal(1), 16)
    with pytest.raises(InvalidInput) as refusal:
        contributions.contribute(db, actor, [draft(outside), draft(2, inside, signal(1), labels=("nice",))])
    assert [(fault.at, fault.reason) for fault in refusal.value.faults if "signals" in fault.at] == [
        ("contributions[1].signals[1]", CLOSE_TO_BENIGN),
        ("contributions[1].signals[2]", CLOSE_TO_BENIGN),
    ]
    assert len(refusal.value.faults) == 3
    assert inside.to_bytes().hex() not in str(refusal.value)
    assert contributed(db, actor, draft(outside))[0].signals == (outside,)


@pytest.mark.parametrize("algorithm", OF_PICTURES)
def test_the_radius_is_half_the_algorithms_where_none_is_named(
    database_url: str, algorithm: Algorithm, clock: Clock
) -> None:
    db = hashdb(database_url, clock, replace(RULES, algorithms=OF_PICTURES))
    actor, radius = member_with(db), algorithm.radius // 2
    entry = listed(db, signal(1, algorithm))
    assert entry.radius == {algorithm: radius}
    with pytest.raises(InvalidInput):
        contributions.contribute(db, actor, [draft(near(signal(1, algorithm), radius))])
    contributed(db, actor, draft(near(signal(1, algorithm), radius + 1)))
    db.close()


def test_adding_one_masks_what_it_touches_with_one_event_a_contribution(db: HashDB, actor: Actor, other: Actor) -> None:
    both, one, none = contributed(db, actor, draft(1, 2, near(signal(1), 9)), draft(near(signal(1), 5)), draft(3))
    (theirs,) = contributed(db, other, draft(near(signal(1), 15)))
    entry = listed(db, signal(1))
    assert found(db, other, 1) == []
    assert found(db, other, 2) == [both.id]
    assert found(db, other, 3) == [none.id]
    assert entry.masked == 4
    said = ("contribution.amended", {"fields": ["signals"], "benign": entry.id, "masked": 1})
    assert told(db, both.id) == [("contribution.amended", {**said[1], "masked": 2})]
    assert told(db, one.id) == told(db, theirs.id) == [said]
    assert told(db, none.id) == []
    seen = contributions.get(db, actor, both.id)
    assert (seen.signals, seen.masked) == ((signal(2),), 2)


def test_in_the_feed_masked_signals_are_left_out_and_an_item_without_any_is_gone(db: HashDB, actor: Actor) -> None:
    both, one = contributed(db, actor, draft(1, 2), draft(near(signal(1), 5)))
    entry = listed(db, signal(1))
    held = fed(db, actor)
    assert held[one.id] == "masked"
    shown = held[both.id]
    assert isinstance(shown, Contribution) and shown.signals == (signal(2),)
    benign.delete(db, COMMAND_LINE, entry.id)
    shown, again = fed(db, actor)[both.id], fed(db, actor)[one.id]
    assert isinstance(shown, Contribution) and shown.signals == (signal(1), signal(2))
    assert isinstance(again, Contribution) and again.signals == one.signals


@pytest.mark.parametrize("is_before", [True, False])
def test_a_title_card_of_a_video_is_masked_with_all_its_frames_and_unmasked(
    db: HashDB, actor: Actor, other: Actor, is_before: bool
) -> None:
    # The card stands for three seconds, and its frames differ a little.
    card = [near(signal(1), bits, bits) for bits in (0, 2, 4)]
    frames = [Frame(float(at), (one,), 90) for at, one in enumerate([*card, signal(2), signal(3), signal(4)])]
    film_draft = replace(video(2, 3, 4), frames=tuple(frames), duration=6.0)
    entry = listed(db, signal(1)) if is_before else None
    (film,) = contributed(db, actor, film_draft)
    entry = entry or listed(db, signal(1))
    assert contributions.get(db, actor, film.id).masked == 1
    assert found(db, other, 1) == [] and found(db, other, 3) == [film.id]
    shown = fed(db, other)[film.id]
    assert isinstance(shown, Contribution)
    assert shown.frames == contributions.frames(db, actor, film.id)
    assert [frame.signals for frame in shown.frames] == [(), (), (), *[(signal(seed),) for seed in (2, 3, 4)]]
    benign.delete(db, COMMAND_LINE, entry.id)
    assert contributions.frames(db, actor, film.id) == film_draft.frames
    assert found(db, other, 1) == [film.id]


def test_deleting_one_unmasks_what_no_other_masks(db: HashDB, actor: Actor, other: Actor) -> None:
    (item,) = contributed(db, actor, draft(1, near(signal(1), 14, seed=3), 2))
    first, second = listed(db, signal(1)), listed(db, near(signal(1), 14, seed=3), pdq=5)
    assert (first.masked, second.masked) == (2, 0)
    benign.delete(db, COMMAND_LINE, first.id)
    assert contributions.get(db, actor, item.id).signals == (signal(1), signal(2))
    assert benign.get(db, COMMAND_LINE, second.id).masked == 1
    assert found(db, other, 1) == [item.id]
    benign.delete(db, COMMAND_LINE, second.id)
    assert contributions.get(db, actor, item.id).signals == item.signals
    assert [details for _, details in told(db, item.id)] == [
        {"fields": ["signals"], "benign": first.id, "masked": 2},
        {"fields": ["signals"], "benign": first.id, "unmasked": 1},
        {"fields": ["signals"], "benign": second.id, "unmasked": 1},
    ]


def test_another_process_goes_by_it_in_its_very_next_answer(database_url: str, clock: Clock) -> None:
    one, two = hashdb(database_url, clock), hashdb(database_url, clock)
    actor = member_with(one)
    (item,) = contributed(one, actor, draft(1))
    assert found(two, actor, 1) == [item.id]
    entry = listed(one, signal(1))
    assert found(two, actor, 1) == []
    with pytest.raises(InvalidInput):
        contributions.contribute(two, actor, [draft(near(signal(1), 3))])
    benign.delete(one, COMMAND_LINE, entry.id)
    assert found(two, actor, 1) == [item.id]
    contributed(two, actor, draft(near(signal(1), 3)))
    one.close()
    two.close()


def test_a_masked_item_that_ends_and_comes_back_stays_masked(db: HashDB, actor: Actor, clock: Clock) -> None:
    (item,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(minutes=1)))
    clock.go(minutes=2)
    contributions.emit_pending(db)
    listed(db, signal(1))
    assert contributions.get(db, actor, item.id).signals == ()
    assert found(db, actor, 1) == []


def test_what_is_erased_is_not_kept_as_masked(db: HashDB, actor: Actor) -> None:
    (item,) = contributed(db, actor, draft(1, 2))
    entry = listed(db, signal(1))
    contributions.erase(db, actor, item.id, at_once=True)
    assert benign.get(db, COMMAND_LINE, entry.id).masked == 0
    benign.delete(db, COMMAND_LINE, entry.id)
    assert contributions.get(db, actor, item.id).signals == ()


def test_the_list_goes_page_by_page_and_an_entry_is_deleted_once(db: HashDB) -> None:
    entries = [listed(db, signal(seed), note=f"number {seed}", pdq=seed) for seed in range(3)]
    assert benign.page(db, COMMAND_LINE, 0, 2) == tuple(entries[:2])
    assert benign.page(db, COMMAND_LINE, entries[1].id, 2) == (entries[2],)
    benign.delete(db, COMMAND_LINE, entries[0].id)
    assert benign.page(db, COMMAND_LINE, 0, 9) == tuple(entries[1:])
    for again in (benign.delete, benign.get):
        with pytest.raises(NotFound):
            again(db, COMMAND_LINE, entries[0].id)


def test_every_fault_of_an_entry_is_told(db: HashDB) -> None:
    digest = signal(1, Algorithm.MD5)
    asked = BenignDraft((signal(1), signal(1, Algorithm.DHASH), digest), {Algorithm.PDQ: 32})
    with pytest.raises(InvalidInput) as refusal:
        benign.add(db, COMMAND_LINE, asked)
    assert [str(fault) for fault in refusal.value.faults] == [
        "signals[1]: dhash is not enabled on this service: pdq, phash256, phash",
        "signals[2]: md5 is a digest: it is near no other content",
        "radius.pdq: the radius of pdq must be 0 to 31 bits",
    ]


VERBS: list[Callable[[HashDB, Actor], object]] = [
    lambda db, actor: benign.add(db, actor, BenignDraft((signal(1),))),
    lambda db, actor: benign.delete(db, actor, 1),
]


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_is_for_administrators_to_change(db: HashDB, verb: Callable[[HashDB, Actor], object]) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope is not Scope.ADMIN)))


def test_what_comes_with_hashdb_is_added_once_replaced_where_it_differs_and_stays_deleted(
    db: HashDB, actor: Actor
) -> None:
    (old,) = contributed(db, actor, draft(1))
    first = (BenignDraft((signal(1), signal(2)), built_in="one"), BenignDraft((signal(3),), built_in="two"))
    benign.start(db, first)
    head = db.store.head()
    benign.start(db, first)
    assert db.store.head() == head
    with pytest.raises(InvalidInput):
        contributions.contribute(db, actor, [draft(3)])
    one, two = benign.page(db, COMMAND_LINE, 0, 9)
    assert [(entry.built_in, entry.signals) for entry in (one, two)] == [(d.built_in, d.signals) for d in first]
    benign.delete(db, COMMAND_LINE, two.id)
    assert contributions.get(db, actor, old.id).masked == 1
    benign.start(db, (BenignDraft((signal(2), signal(4)), built_in="one"), first[1]))
    (newer,) = benign.page(db, COMMAND_LINE, 0, 9)
    assert (newer.built_in, newer.signals) == ("one", (signal(2), signal(4)))


def test_of_a_pictures_signals_only_variants_are_left_out(db: HashDB) -> None:
    listed(db, signal(1), signal(2))
    assert benign.without_benign_variants(db, (signal(1), signal(2), signal(3)), 1) == (signal(1), signal(3))


def test_the_effect_of_an_entry_is_told_before_it_is_added(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1), draft(near(signal(1), 9), signal(5)), draft(2))
    contributed(db, member_with(db), draft(signal(1)))
    asked = BenignDraft((signal(1),), {Algorithm.PDQ: 9})
    assert benign.impact(db, COMMAND_LINE, asked) == BenignImpact(3, 3, 2, 2)
    assert benign.impact(db, COMMAND_LINE, replace(asked, radius={Algorithm.PDQ: 8})) == BenignImpact(2, 2, 2, 2)
    assert benign.impact(db, COMMAND_LINE, BenignDraft((signal(7),))) == BenignImpact(0, 0, 0, 0)
    added = benign.add(db, COMMAND_LINE, asked)
    assert isinstance(added, BenignEntry)
    assert benign.suppressed_by(db, COMMAND_LINE, added.id) == BenignImpact(3, 3, 2, 2)
    assert benign.impact(db, COMMAND_LINE, asked) == BenignImpact(0, 0, 0, 0), "it is masked already"
    with pytest.raises(NotFound):
        benign.suppressed_by(db, COMMAND_LINE, 99)


def test_a_video_with_a_digest_is_not_silenced_by_what_masks_its_frames(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, video(1), video(1, signals=(signal(1, Algorithm.MD5),)), video(1, 2))
    assert benign.impact(db, COMMAND_LINE, BenignDraft((signal(1),))) == BenignImpact(3, 3, 1, 1)
    entry = listed(db, signal(1))
    assert benign.suppressed_by(db, COMMAND_LINE, entry.id) == BenignImpact(3, 3, 1, 1)


def test_the_list_is_filtered(db: HashDB) -> None:
    one, two = listed(db, signal(1), note="50%_off"), listed(db, signal(2, Algorithm.PHASH), note="a card")
    built = BenignFilter(built_in=True)

    def ids(chosen: BenignFilter) -> list[int]:
        page = benign.listed(db, COMMAND_LINE, chosen, BenignSort.ADDED, Place(), 9, descending=False)
        return [entry.id for entry in page.rows]

    assert ids(BenignFilter()) == [one.id, two.id]
    assert (ids(BenignFilter("%_O")), ids(BenignFilter("_card"))) == ([one.id], [])
    assert ids(BenignFilter(algorithm=Algorithm.PHASH)) == [two.id]
    assert (ids(built), ids(BenignFilter(built_in=False))) == ([], [one.id, two.id])


def test_the_list_is_shown_to_auditors(db: HashDB) -> None:
    entry, auditor = listed(db, signal(1)), member_with(db, Scope.AUDIT)
    assert benign.page(db, auditor, 0, 9) == (benign.get(db, auditor, entry.id),) == (entry,)
    with pytest.raises(ScopeMissing):
        benign.page(db, member_with(db, Scope.REVIEW), 0, 9)
