"""Replay: the counts of one member, of amended and ended contributions, and catches."""

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
    """An event on a contribution, one hour after the previous one."""
    return Event(seq, NOON + seq * HOUR, "key:1", f"contribution.{verb}", "contribution", id, details, b"")


def added(seq: int, id: int, member: int = 3, **details: Any) -> Event:
    fields = {"member": member, "kind": "platform", "labels": ["manifesto"], "algorithms": ["pdq"], "media": "image"}
    return event(seq, "added", id, **fields, **details)


def replayed(*events: Event, only: int | None = None) -> Replay:
    replay = Replay(TODAY, {17, 18}, only)
    for event in events:
        replay.add_event(event)
    return replay


def test_added_counts_use_the_first_fields_and_active_counts_the_amended_ones() -> None:
    changed = event(2, "amended", 17, fields=["labels", "basis"], labels=["incitement"], basis="terms")
    by = replayed(added(1, 17), changed).contributed().by
    assert by["label"] == {"incitement": GroupCounts(0, 0, 1), "manifesto": GroupCounts(1, 0, 0)}
    assert by["basis"] == {"terms": GroupCounts(0, 0, 1), "unknown": GroupCounts(1, 0, 0)}


def test_a_replay_of_one_member_ignores_other_members() -> None:
    replay = replayed(added(1, 17), added(2, 18, member=4), event(3, "withdrawn", 18, reason="other"), only=3)
    counts = replay.contributed()
    assert (counts.added, counts.active, counts.withdrawn) == (1, 1, {})
    assert (replay.contributor(17), replay.contributor(18)) == (3, None)


def test_an_ended_quarantined_or_retired_contribution_is_not_active() -> None:
    for verb in ("withdrawn", "expired", "suspended", "quarantined", "retired"):
        assert replayed(added(1, 17), event(2, verb, 17)).contributed().active == 0
    for verb in ("reinstated", "confirmed", "disputed", "cleared", "erased", "amended"):
        assert replayed(added(1, 17), event(2, verb, 17)).contributed().active == 1
    assert replayed(added(1, 17), event(2, "retired", 17), event(3, "cleared", 17)).contributed().active == 1


def test_a_catch_is_the_first_hit_of_another_member() -> None:
    replay = replayed(added(1, 17), added(2, 18))
    firsts = {
        17: {3: NOON + HOUR, 5: NOON + 6 * HOUR, 6: NOON + 5 * HOUR},
        18: {3: NOON + 3 * HOUR},
        19: {5: NOON + 3 * HOUR},
    }
    catches = replay.caught(firsts)
    assert (catches.contributions, catches.first_catch.median) == (1, 4 * 3600)
    assert replay.caught({17: {5: NOON + 30 * HOUR}}).contributions == 0
