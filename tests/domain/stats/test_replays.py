"""Replay: of one member alone, amended, and asked about what it does not know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hashdb.domain.ledger.events import Event
from hashdb.domain.stats.replays import Replay
from hashdb.domain.stats.reports import GroupCounts
from hashdb.domain.times import Period
from tests.builders import NOON

TODAY = Period(NOON.date(), NOON.date())
HOUR = timedelta(hours=1)


def event(seq: int, verb: str, id: int, **details: Any) -> Event:
    """An event on a contribution, an hour after the one before."""
    return Event(seq, NOON + seq * HOUR, "key:1", f"contribution.{verb}", "contribution", id, details, b"")


def added(seq: int, id: int, member: int = 3, **details: Any) -> Event:
    told = {"member": member, "kind": "platform", "labels": ["manifesto"], "algorithms": ["pdq"], "media": "image"}
    return event(seq, "added", id, **told, **details)


def replayed(*events: Event, only: int | None = None) -> Replay:
    replay = Replay(TODAY, {17, 18}, only)
    for one in events:
        replay.add_event(one)
    return replay


def test_what_is_amended_counts_as_it_was_when_it_was_added_and_as_it_is_when_active() -> None:
    changed = event(2, "amended", 17, fields=["labels", "basis"], labels=["incitement"], basis="terms")
    by = replayed(added(1, 17), changed).contributed().by
    assert by["label"] == {"incitement": GroupCounts(0, 0, 1), "manifesto": GroupCounts(1, 0, 0)}
    assert by["basis"] == {"terms": GroupCounts(0, 0, 1), "unknown": GroupCounts(1, 0, 0)}


def test_of_one_member_the_others_are_not_counted() -> None:
    replay = replayed(added(1, 17), added(2, 18, member=4), event(3, "withdrawn", 18, reason="other"), only=3)
    found = replay.contributed()
    assert (found.added, found.active, found.withdrawn) == (1, 1, {})
    assert (replay.contributor(17), replay.contributor(18)) == (3, None)


def test_what_has_ended_or_is_ruled_out_is_not_active() -> None:
    for verb in ("withdrawn", "expired", "suspended", "quarantined", "retired"):
        assert replayed(added(1, 17), event(2, verb, 17)).contributed().active == 0
    for verb in ("reinstated", "confirmed", "disputed", "cleared", "erased", "amended"):
        assert replayed(added(1, 17), event(2, verb, 17)).contributed().active == 1
    assert replayed(added(1, 17), event(2, "retired", 17), event(3, "cleared", 17)).contributed().active == 1


def test_a_catch_is_the_first_by_another_member() -> None:
    replay = replayed(added(1, 17), added(2, 18))
    firsts = {
        17: {3: NOON + HOUR, 5: NOON + 6 * HOUR, 6: NOON + 5 * HOUR},
        18: {3: NOON + 3 * HOUR},
        19: {5: NOON + 3 * HOUR},
    }
    found = replay.caught(firsts)
    assert (found.contributions, found.first_catch.median) == (1, 4 * 3600)
    assert replay.caught({17: {5: NOON + 30 * HOUR}}).contributions == 0
