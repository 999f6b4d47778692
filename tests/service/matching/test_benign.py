"""Nothing close to the benign list is accepted or matches, in every process, until the entry is deleted."""

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


def add_entry(db: HashDB, *signals: Signal, note: str = "", **radius: int) -> BenignEntry:
    entry_draft = BenignDraft(signals, {Algorithm(name): bits for name, bits in radius.items()}, note)
    added = benign.add(db, COMMAND_LINE, entry_draft)
    assert isinstance(added, BenignEntry)
    return added


def matching_ids(db: HashDB, actor: Actor, *signals: Signal | int) -> list[int]:
    answer = matches.match(db, actor, [query(*signals)])
    return [match.contribution for match in answer.results[0].matches]


def read_feed(db: HashDB, actor: Actor) -> dict[int, Contribution | str]:
    """The contributions of a copy of the feed read from 0, and the reasons of those that are gone."""
    contributions_by_id: dict[int, Contribution | str] = {}
    for change in feed.read(db, actor, 0, 1000).changes:
        if isinstance(change.what, Gone):
            contributions_by_id[change.what.contribution] = change.what.reason
        else:
            contributions_by_id[change.what.id] = change.what
    return contributions_by_id


def amendments(db: HashDB, id: int) -> list[tuple[str, object]]:
    with db.store.read() as tx:
        events = tx.audit.events(0, 1000, None, None, ("contribution", id))
    return [(event.action, dict(event.details)) for event in events if event.action != "contribution.added"]


def test_a_signal_close_to_a_benign_signal_is_rejected_with_its_position(db: HashDB, actor: Actor) -> None:
    add_entry(db, signal(1))
    inside, outside = near(signal(1), 15), near(signal(1), 16)
    with pytest.raises(InvalidInput) as caught:
        contributions.contribute(db, actor, [draft(outside), draft(2, inside, signal(1), labels=("nice",))])
    assert [(fault.at, fault.reason) for fault in caught.value.faults if "signals" in fault.at] == [
        ("contributions[1].signals[1]", CLOSE_TO_BENIGN),
        ("contributions[1].signals[2]", CLOSE_TO_BENIGN),
    ]
    assert len(caught.value.faults) == 3
    assert inside.to_bytes().hex() not in str(caught.value)
    assert contributed(db, actor, draft(outside))[0].signals == (outside,)


@pytest.mark.parametrize("algorithm", OF_PICTURES)
def test_the_default_radius_of_an_entry_is_half_of_the_algorithms_radius(
    database_url: str, algorithm: Algorithm, clock: Clock
) -> None:
    db = hashdb(database_url, clock, replace(RULES, algorithms=OF_PICTURES))
    actor, radius = member_with(db), algorithm.radius // 2
    entry = add_entry(db, signal(1, algorithm))
    assert entry.radius == {algorithm: radius}
    with pytest.raises(InvalidInput):
        contributions.contribute(db, actor, [draft(near(signal(1, algorithm), radius))])
    contributed(db, actor, draft(near(signal(1, algorithm), radius + 1)))
    db.close()


def test_a_new_entry_suppresses_close_signals_with_one_event_per_contribution(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    one_of_two, own, unaffected = contributed(
        db, actor, draft(1, 2, near(signal(1), 9)), draft(near(signal(1), 5)), draft(3)
    )
    (of_other_member,) = contributed(db, other, draft(near(signal(1), 15)))
    entry = add_entry(db, signal(1))
    assert matching_ids(db, other, 1) == []
    assert matching_ids(db, other, 2) == [one_of_two.id]
    assert matching_ids(db, other, 3) == [unaffected.id]
    assert entry.masked == 4
    amendment = ("contribution.amended", {"fields": ["signals"], "benign": entry.id, "masked": 1})
    assert amendments(db, one_of_two.id) == [("contribution.amended", {**amendment[1], "masked": 2})]
    assert amendments(db, own.id) == amendments(db, of_other_member.id) == [amendment]
    assert amendments(db, unaffected.id) == []
    shown = contributions.get(db, actor, one_of_two.id)
    assert (shown.signals, shown.masked) == ((signal(2),), 2)


def test_the_feed_omits_suppressed_signals_and_items_with_no_other_signal(db: HashDB, actor: Actor) -> None:
    one_of_two, close = contributed(db, actor, draft(1, 2), draft(near(signal(1), 5)))
    entry = add_entry(db, signal(1))
    read = read_feed(db, actor)
    assert read[close.id] == "masked"
    shown = read[one_of_two.id]
    assert isinstance(shown, Contribution) and shown.signals == (signal(2),)
    benign.delete(db, COMMAND_LINE, entry.id)
    shown, again = read_feed(db, actor)[one_of_two.id], read_feed(db, actor)[close.id]
    assert isinstance(shown, Contribution) and shown.signals == (signal(1), signal(2))
    assert isinstance(again, Contribution) and again.signals == close.signals


@pytest.mark.parametrize("is_before", [True, False])
def test_an_entry_suppresses_all_frames_of_a_title_card_until_deleted(
    db: HashDB, actor: Actor, other: Actor, is_before: bool
) -> None:
    # The title card is shown for three seconds, and its frames differ slightly.
    card = [near(signal(1), bits, bits) for bits in (0, 2, 4)]
    frames = [
        Frame(float(at), (frame_signal,), 90)
        for at, frame_signal in enumerate([*card, signal(2), signal(3), signal(4)])
    ]
    film_draft = replace(video(2, 3, 4), frames=tuple(frames), duration=6.0)
    entry = add_entry(db, signal(1)) if is_before else None
    (film,) = contributed(db, actor, film_draft)
    entry = entry or add_entry(db, signal(1))
    assert contributions.get(db, actor, film.id).masked == 1
    assert matching_ids(db, other, 1) == [] and matching_ids(db, other, 3) == [film.id]
    shown = read_feed(db, other)[film.id]
    assert isinstance(shown, Contribution)
    assert shown.frames == contributions.frames(db, actor, film.id)
    assert [frame.signals for frame in shown.frames] == [(), (), (), *[(signal(seed),) for seed in (2, 3, 4)]]
    benign.delete(db, COMMAND_LINE, entry.id)
    assert contributions.frames(db, actor, film.id) == film_draft.frames
    assert matching_ids(db, other, 1) == [film.id]


def test_deleting_an_entry_restores_signals_that_no_other_entry_suppresses(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    (item,) = contributed(db, actor, draft(1, near(signal(1), 14, seed=3), 2))
    first, second = add_entry(db, signal(1)), add_entry(db, near(signal(1), 14, seed=3), pdq=5)
    assert (first.masked, second.masked) == (2, 0)
    benign.delete(db, COMMAND_LINE, first.id)
    assert contributions.get(db, actor, item.id).signals == (signal(1), signal(2))
    assert benign.get(db, COMMAND_LINE, second.id).masked == 1
    assert matching_ids(db, other, 1) == [item.id]
    benign.delete(db, COMMAND_LINE, second.id)
    assert contributions.get(db, actor, item.id).signals == item.signals
    assert [details for _, details in amendments(db, item.id)] == [
        {"fields": ["signals"], "benign": first.id, "masked": 2},
        {"fields": ["signals"], "benign": first.id, "unmasked": 1},
        {"fields": ["signals"], "benign": second.id, "unmasked": 1},
    ]


def test_another_process_applies_a_changed_list_in_its_next_answer(database_url: str, clock: Clock) -> None:
    first, second = hashdb(database_url, clock), hashdb(database_url, clock)
    actor = member_with(first)
    (item,) = contributed(first, actor, draft(1))
    assert matching_ids(second, actor, 1) == [item.id]
    entry = add_entry(first, signal(1))
    assert matching_ids(second, actor, 1) == []
    with pytest.raises(InvalidInput):
        contributions.contribute(second, actor, [draft(near(signal(1), 3))])
    benign.delete(first, COMMAND_LINE, entry.id)
    assert matching_ids(second, actor, 1) == [item.id]
    contributed(second, actor, draft(near(signal(1), 3)))
    first.close()
    second.close()


def test_an_entry_also_suppresses_an_expired_contribution(db: HashDB, actor: Actor, clock: Clock) -> None:
    (item,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(minutes=1)))
    clock.advance(minutes=2)
    contributions.emit_pending(db)
    add_entry(db, signal(1))
    assert contributions.get(db, actor, item.id).signals == ()
    assert matching_ids(db, actor, 1) == []


def test_deleting_an_entry_does_not_restore_an_erased_signal(db: HashDB, actor: Actor) -> None:
    (item,) = contributed(db, actor, draft(1, 2))
    entry = add_entry(db, signal(1))
    contributions.erase(db, actor, item.id, at_once=True)
    assert benign.get(db, COMMAND_LINE, entry.id).masked == 0
    benign.delete(db, COMMAND_LINE, entry.id)
    assert contributions.get(db, actor, item.id).signals == ()


def test_the_list_has_pages_and_a_deleted_entry_is_not_found(db: HashDB) -> None:
    entries = [add_entry(db, signal(seed), note=f"number {seed}", pdq=seed) for seed in range(3)]
    assert benign.page(db, COMMAND_LINE, 0, 2) == tuple(entries[:2])
    assert benign.page(db, COMMAND_LINE, entries[1].id, 2) == (entries[2],)
    benign.delete(db, COMMAND_LINE, entries[0].id)
    assert benign.page(db, COMMAND_LINE, 0, 9) == tuple(entries[1:])
    for verb in (benign.delete, benign.get):
        with pytest.raises(NotFound):
            verb(db, COMMAND_LINE, entries[0].id)


def test_all_faults_of_an_entry_are_reported_together(db: HashDB) -> None:
    digest = signal(1, Algorithm.MD5)
    entry_draft = BenignDraft((signal(1), signal(1, Algorithm.DHASH), digest), {Algorithm.PDQ: 32})
    with pytest.raises(InvalidInput) as caught:
        benign.add(db, COMMAND_LINE, entry_draft)
    assert [str(fault) for fault in caught.value.faults] == [
        "signals[1]: dhash is not enabled on this service: pdq, phash256, phash",
        "signals[2]: md5 is a digest, which matches only equal content",
        "radius.pdq: the radius of pdq must be 0 to 31 bits",
    ]


VERBS: list[Callable[[HashDB, Actor], object]] = [
    lambda db, actor: benign.add(db, actor, BenignDraft((signal(1),))),
    lambda db, actor: benign.delete(db, actor, 1),
]


@pytest.mark.parametrize("verb", VERBS)
def test_only_administrators_may_change_the_list(db: HashDB, verb: Callable[[HashDB, Actor], object]) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope is not Scope.ADMIN)))


def test_start_adds_built_in_entries_once_and_updates_them_but_not_deleted_ones(db: HashDB, actor: Actor) -> None:
    (old,) = contributed(db, actor, draft(1))
    built_in = (BenignDraft((signal(1), signal(2)), built_in="one"), BenignDraft((signal(3),), built_in="two"))
    benign.add_built_in(db, built_in)
    head = db.store.head()
    benign.add_built_in(db, built_in)
    assert db.store.head() == head
    with pytest.raises(InvalidInput):
        contributions.contribute(db, actor, [draft(3)])
    entry_one, entry_two = benign.page(db, COMMAND_LINE, 0, 9)
    assert [(entry.built_in, entry.signals) for entry in (entry_one, entry_two)] == [
        (d.built_in, d.signals) for d in built_in
    ]
    benign.delete(db, COMMAND_LINE, entry_two.id)
    assert contributions.get(db, actor, old.id).masked == 1
    benign.add_built_in(db, (BenignDraft((signal(2), signal(4)), built_in="one"), built_in[1]))
    (newer,) = benign.page(db, COMMAND_LINE, 0, 9)
    assert (newer.built_in, newer.signals) == ("one", (signal(2), signal(4)))


def test_without_benign_variants_keeps_the_signals_of_the_picture_itself(db: HashDB) -> None:
    add_entry(db, signal(1), signal(2))
    assert benign.without_benign_variants(db, (signal(1), signal(2), signal(3)), 1) == (signal(1), signal(3))


def test_the_impact_of_an_entry_is_computed_before_it_is_added(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1), draft(near(signal(1), 9), signal(5)), draft(2))
    contributed(db, member_with(db), draft(signal(1)))
    entry_draft = BenignDraft((signal(1),), {Algorithm.PDQ: 9})
    assert benign.impact(db, COMMAND_LINE, entry_draft) == BenignImpact(3, 3, 2, 2)
    assert benign.impact(db, COMMAND_LINE, replace(entry_draft, radius={Algorithm.PDQ: 8})) == BenignImpact(2, 2, 2, 2)
    assert benign.impact(db, COMMAND_LINE, BenignDraft((signal(7),))) == BenignImpact(0, 0, 0, 0)
    added = benign.add(db, COMMAND_LINE, entry_draft)
    assert isinstance(added, BenignEntry)
    assert benign.suppressed_by(db, COMMAND_LINE, added.id) == BenignImpact(3, 3, 2, 2)
    assert benign.impact(db, COMMAND_LINE, entry_draft) == BenignImpact(0, 0, 0, 0), "the entry suppresses it already"
    with pytest.raises(NotFound):
        benign.suppressed_by(db, COMMAND_LINE, 99)


def test_a_video_with_a_digest_stays_searchable_if_its_frames_are_suppressed(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, video(1), video(1, signals=(signal(1, Algorithm.MD5),)), video(1, 2))
    assert benign.impact(db, COMMAND_LINE, BenignDraft((signal(1),))) == BenignImpact(3, 3, 1, 1)
    entry = add_entry(db, signal(1))
    assert benign.suppressed_by(db, COMMAND_LINE, entry.id) == BenignImpact(3, 3, 1, 1)


def test_the_list_can_be_filtered(db: HashDB) -> None:
    picture_entry, phash_entry = (
        add_entry(db, signal(1), note="50%_off"),
        add_entry(db, signal(2, Algorithm.PHASH), note="a card"),
    )
    built_in = BenignFilter(built_in=True)

    def ids(chosen: BenignFilter) -> list[int]:
        page = benign.listed(db, COMMAND_LINE, chosen, BenignSort.ADDED, Place(), 9, descending=False)
        return [entry.id for entry in page.rows]

    assert ids(BenignFilter()) == [picture_entry.id, phash_entry.id]
    assert (ids(BenignFilter("%_O")), ids(BenignFilter("_card"))) == ([picture_entry.id], [])
    assert ids(BenignFilter(algorithm=Algorithm.PHASH)) == [phash_entry.id]
    assert (ids(built_in), ids(BenignFilter(built_in=False))) == ([], [picture_entry.id, phash_entry.id])


def test_auditors_may_read_the_list_and_reviewers_may_not(db: HashDB) -> None:
    entry, auditor = add_entry(db, signal(1)), member_with(db, Scope.AUDIT)
    assert benign.page(db, auditor, 0, 9) == (benign.get(db, auditor, entry.id),) == (entry,)
    with pytest.raises(ScopeMissing):
        benign.page(db, member_with(db, Scope.REVIEW), 0, 9)
