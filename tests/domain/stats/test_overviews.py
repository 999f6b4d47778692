"""The figures of the overview, computed from events."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.ledger.events import Action, Details, Event
from hashdb.domain.stats.counts import ANY_ALGORITHM, Cell, Count
from hashdb.domain.stats.overviews import (
    BOUNDS,
    EVERYONE,
    DayCount,
    Figure,
    TotalCount,
    changed_contributions,
    deltas,
    sealed_days,
    share_figure,
    shared_within,
)
from tests.builders import NOON

TODAY = NOON.date()
FIGURES = (Figure.ADDED, Figure.WITHDRAWN, Figure.TIMED, Figure.IN_HOUR, Figure.IN_DAY)


def event(action: Action, id: int, days: int = 0, **details: object) -> Event:
    event_details: Details = details  # type: ignore[assignment]
    return Event(1, NOON + timedelta(days=days), "key:1", str(action), action.partition(".")[0], id, event_details, b"")


def added(id: int, member: int, seconds: int | None) -> Event:
    return event(Action.CONTRIBUTION_ADDED, id, member=member, seconds_to_share=seconds)


def test_an_addition_counts_for_its_day_its_member_and_all_members() -> None:
    by_day = deltas([added(1, 7, 3_600), added(2, 7, 3_601), added(3, 8, None)], {}, 0, {}).by_day
    assert [by_day[DayCount(TODAY, what, EVERYONE)] for what in FIGURES] == [3, 0, 2, 1, 2]
    assert [by_day[DayCount(TODAY, what, 7)] for what in FIGURES] == [2, 0, 2, 1, 2]
    assert [by_day[DayCount(TODAY, what, 8)] for what in FIGURES] == [1, 0, 0, 0, 0]
    assert (by_day[DayCount(TODAY, "share:3600", EVERYONE)], by_day[DayCount(TODAY, "share:4500", EVERYONE)]) == (1, 1)


def test_a_new_status_or_standing_moves_the_contribution_between_figures() -> None:
    events = [
        added(1, 7, 0),
        event(Action.CONTRIBUTION_DISPUTED, 1, before="unreviewed"),
        event(Action.CONTRIBUTION_SUSPENDED, 1, before="active"),
        event(Action.CONTRIBUTION_REINSTATED, 1, before="suspended"),
        event(Action.CONTRIBUTION_WITHDRAWN, 1, days=1, before="active"),
        event(Action.CONTRIBUTION_AMENDED, 1),
        event(Action.CONTRIBUTION_ERASED, 1),
        event(Action.CASE_OPENED, 1),
    ]
    change = deltas(events, {1: 7}, 0, {})
    assert +change.in_all == {TotalCount("status:withdrawn", 7): 1, TotalCount("standing:disputed", 7): 1}
    assert change.by_day[DayCount(TODAY + timedelta(days=1), Figure.WITHDRAWN, 7)] == 1


def test_queries_and_hits_of_a_day_count_when_the_day_is_sealed() -> None:
    counts = [
        Count(Cell("query", 7, ANY_ALGORITHM, "hit"), 3),
        Count(Cell("query", 7, ANY_ALGORITHM, "none"), 4),
        Count(Cell("query", 7, "pdq", "hit"), 3),
        Count(Cell("hit", 8, ANY_ALGORITHM, "others"), 2),
        Count(Cell("refusal", 8, ANY_ALGORITHM, "quality"), 9),
    ]
    events = [event(Action.COUNTS_SEALED, 20261120)]
    assert sealed_days(events) == {20261120}
    change = deltas(events, {}, 0, {20261120: counts})
    assert +change.by_day == {
        DayCount(TODAY, "queries", EVERYONE): 7,
        DayCount(TODAY, "queries", 7): 7,
        DayCount(TODAY, "hits", EVERYONE): 2,
        DayCount(TODAY, "hits", 8): 2,
    }


def test_a_change_of_an_unknown_contribution_counts_nothing() -> None:
    events = [added(1, 7, 0), event(Action.CONTRIBUTION_RETIRED, 2, before="disputed"), event(Action.KEY_ISSUED, 3)]
    assert changed_contributions(events) == {2}
    assert deltas(events[1:2], {}, 0, {}).in_all == {}


@pytest.mark.parametrize("seconds", [0, 59, 60, 61, 604_800, 604_801])
def test_a_time_to_share_counts_in_the_first_bucket_that_holds_it(seconds: int) -> None:
    counted = deltas([added(1, 7, seconds)], {}, 0, {}).by_day
    buckets = {key.what: times for key, times in counted.items() if key.what.startswith("share:")}
    expected = next((bound for bound in BOUNDS if seconds <= bound), None)
    assert buckets == {share_figure(expected): 1}
    assert shared_within({**buckets, Figure.TIMED: 1}, 0.5) == expected


def test_shared_within_returns_the_bound_for_a_share() -> None:
    buckets = {share_figure(60): 5, share_figure(3_600): 4, share_figure(None): 1, Figure.TIMED: 10}
    assert [shared_within(buckets, share) for share in (0.5, 0.51, 0.9, 0.91)] == [60, 3_600, 3_600, None]
    assert shared_within({}, 0.5) is None
