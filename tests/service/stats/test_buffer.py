"""StatsBuffer holds the counts and hits of a process until they are written."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Answer, Match, Result
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import ANY_ALGORITHM, Cell, CountKind, Hit, MatchLog, QueryOutcome
from hashdb.service.stats.buffer import StatsBuffer
from hashdb.settings import Settings
from tests.builders import NOON, clip, query, signal

DAY = NOON.date()
MATCH = Match(17, {Algorithm.PDQ: 6}, ("glorification",), None, Standing.UNREVIEWED, (), None, NOON)
BOTH = query(signal(1), signal(1, Algorithm.PHASH))


def _query(algorithm: str, outcome: QueryOutcome) -> Cell:
    return Cell(CountKind.QUERY, 3, algorithm, outcome)


def test_a_query_counts_once_per_algorithm_and_once_in_total() -> None:
    buffer = StatsBuffer()
    buffer.note_answer(NOON, 3, [BOTH, query(2)], Answer((Result(None, (MATCH,), 1), Result(None, (), 0)), 40))
    tally = buffer.take()
    assert tally.counts_by_day() == {
        DAY: Counter(
            {
                _query(ANY_ALGORITHM, QueryOutcome.HIT): 1,
                _query("pdq", QueryOutcome.HIT): 1,
                _query("phash", QueryOutcome.NONE): 1,
                _query(ANY_ALGORITHM, QueryOutcome.NONE): 1,
                _query("pdq", QueryOutcome.NONE): 1,
            }
        )
    }
    assert tally.daily_hits() == [Hit(DAY, 3, 17, NOON, NOON, 40, 1, {"pdq": 6})]


def test_frames_and_digests_of_a_query_count_under_their_algorithms() -> None:
    buffer = StatsBuffer()
    match = MATCH._replace(distance={}, digest=Algorithm.MD5)
    queried = replace(clip(1, 2, 3), signals=(signal(1, Algorithm.MD5),))
    buffer.note_answer(NOON, 3, [queried], Answer((Result(None, (match,), 1),), 40))
    expected = {ANY_ALGORITHM: QueryOutcome.HIT, "md5": QueryOutcome.HIT, "pdq": QueryOutcome.NONE}
    assert buffer.take().counts_by_day()[DAY] == {_query(name, outcome): 1 for name, outcome in expected.items()}


def test_hits_of_a_contribution_are_merged_and_keep_the_first_distance() -> None:
    buffer = StatsBuffer()
    later = NOON + timedelta(seconds=1)
    for at, distance in ((NOON, 6), (later, 2)):
        match = MATCH._replace(distance={Algorithm.PDQ: distance})
        buffer.note_answer(at, 3, [query(1)], Answer((Result(None, (match,), 1),), 40 + distance))
    assert buffer.take().daily_hits() == [Hit(DAY, 3, 17, NOON, later, 46, 2, {"pdq": 6})]


def test_a_quarantined_match_does_not_count_as_a_hit() -> None:
    buffer = StatsBuffer()
    match = MATCH._replace(standing=Standing.QUARANTINED)
    buffer.note_answer(NOON, 3, [query(1)], Answer((Result(None, (match,), 1),), 40))
    tally = buffer.take()
    assert tally.daily_hits() == []
    assert tally.counts_by_day()[DAY] == {
        _query(ANY_ALGORITHM, QueryOutcome.NONE): 1,
        _query("pdq", QueryOutcome.NONE): 1,
    }


def test_the_test_item_does_not_count_as_a_hit() -> None:
    buffer = StatsBuffer()
    buffer.note_answer(NOON, 3, [query(1)], Answer((Result(None, (MATCH._replace(contribution=TEST_ID),), 1),), 40))
    tally = buffer.take()
    assert (tally.daily_hits(), set(tally.counts_by_day()[DAY])) == (
        [],
        {_query(ANY_ALGORITHM, QueryOutcome.NONE), _query("pdq", QueryOutcome.NONE)},
    )


def test_counts_stay_in_the_buffer_until_they_are_marked_as_stored() -> None:
    buffer = StatsBuffer()
    for _ in range(2):
        buffer.note_refused_contributions(NOON, 3, "limit-reached")
        tally = buffer.take()
    assert tally.counts_by_day() == {DAY: {Cell(CountKind.REFUSAL, 3, ANY_ALGORITHM, "limit-reached"): 2}}
    buffer.mark_stored()
    assert not buffer.take()


def test_hits_are_kept_by_default() -> None:
    assert Settings().match_log is MatchLog.HITS
