"""StatsBuffer: what a process has counted of matches and refusals, and not yet written down."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from threading import Lock
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor
from hashdb.domain.matching.matches import Answer, Match, Query, step_of
from hashdb.domain.matching.suggestions import TEST_ID
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import ANY, Cell, Hit, Kind, QueryOutcome, Reason, Use

_A_USE_EVERY = timedelta(minutes=1)


class Refusal(NamedTuple):
    """Who was turned away (None: nobody with a valid key), why, and which scopes would have done."""

    actor: Actor | None
    reason: Reason
    scopes: tuple[str, ...] = ()


_Matched = tuple[datetime, int, int, list[Algorithm], tuple[Match, ...]]
"""What is kept of a query: when, level with which event, of whom, the algorithm of each signal, what was answered.

Nothing of its signals, and a plain tuple: it is made in the way of every match.
"""


class _Refused(NamedTuple):
    at: datetime
    kind: Kind
    member: int
    code: str
    turned_away: Refusal | None


@dataclass(slots=True)
class Seen:
    """How often, and by which algorithms, a contribution was answered to a member on a day."""

    first_at: datetime
    last_at: datetime
    seq: int
    distance: dict[str, int]
    times: int = 0
    algorithms: Counter[str] = field(default_factory=Counter)


_Alike = tuple[date, int, tuple[Algorithm, ...], frozenset[Algorithm] | None]
"""Queries of one day and member, by the same algorithms, found by the same (None: by none)."""


@dataclass(slots=True)
class Tally:
    """What was counted since the last one was written down."""

    queries: Counter[_Alike] = field(default_factory=Counter)
    refused: Counter[tuple[date, Cell]] = field(default_factory=Counter)
    hits: dict[tuple[date, int, int], Seen] = field(default_factory=dict)
    keyless: Counter[str] = field(default_factory=Counter)
    named: dict[str, Refusal] = field(default_factory=dict)
    """The first refusal of each key, and of each user of the console, by the name in the log."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.queries or self.refused)

    def add(self, matched: _Matched) -> None:
        """Count a query, and which contributions were answered; the test item is none."""
        at, seq, member, asked, matches = matched
        found = [match for match in matches if match.standing.matches and match.contribution != TEST_ID]
        near = frozenset(algorithm for match in found for algorithm in match.distance) if found else None
        self.queries[at.date(), member, tuple(dict.fromkeys(asked)), near] += 1
        for match in found:
            self._see(at, seq, member, match)

    def numbers(self) -> dict[date, Counter[Cell]]:
        """How many queries and refusals there were, by day."""
        numbers: dict[date, Counter[Cell]] = defaultdict(Counter)
        for (day, member, asked, near), times in self.queries.items():
            numbers[day][Cell(Kind.QUERY, member, ANY, QueryOutcome.NONE if near is None else QueryOutcome.HIT)] += (
                times
            )
            for algorithm in {*asked, *(near or ())}:
                outcome = QueryOutcome.HIT if near and algorithm in near else QueryOutcome.NONE
                numbers[day][Cell(Kind.QUERY, member, str(algorithm), outcome)] += times
        for (day, cell), times in self.refused.items():
            numbers[day][cell] += times
        return numbers

    def _see(self, at: datetime, seq: int, member: int, match: Match) -> None:
        where = at.date(), member, match.contribution
        seen = self.hits.get(where)
        if seen is None:
            distance = {str(algorithm): bits for algorithm, bits in match.distance.items() if bits is not None}
            seen = self.hits[where] = Seen(at, at, seq, distance)
        seen.last_at = max(seen.last_at, at)
        seen.times += 1
        seen.algorithms.update(map(str, match.distance))

    def refuse(self, refused: _Refused) -> None:
        """Count a refusal."""
        self.refused[refused.at.date(), Cell(refused.kind, refused.member, ANY, refused.code)] += 1
        one = refused.turned_away
        if one is not None and one.actor is not None:
            self.named.setdefault(str(one.actor), one)
        elif one is not None:
            self.keyless[one.reason] += 1

    def recent(self) -> Counter[tuple[int, int, datetime]]:
        """How often contributions were answered, by (contribution, member, five minutes)."""
        times: Counter[tuple[int, int, datetime]] = Counter()
        for (_, member, contribution), seen in self.hits.items():
            times[contribution, member, step_of(seen.last_at)] += seen.times
        return times

    def found(self) -> list[Hit]:
        """The hits."""
        return [
            Hit(day, member, contribution, seen.first_at, seen.last_at, seen.seq, seen.times, seen.distance)
            for (day, member, contribution), seen in self.hits.items()
        ]


def _due(told: datetime | None, at: datetime, now: datetime) -> bool:
    # A clock that was set back does not keep the next one away.
    return told is None or (at != told and not timedelta(0) <= now - told < _A_USE_EVERY)


class StatsBuffer:
    """Takes what is to be counted in the way of requests: an append each, and all else later, in the background."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.writing = Lock()
        self._matched: deque[_Matched] = deque()
        self._refused: deque[_Refused] = deque()
        self._tally = Tally()
        self._used: dict[int, datetime] = {}
        self._fed: dict[int, tuple[datetime, int]] = {}
        self._told: dict[int, datetime] = {}

    def use(self, at: datetime, key: int) -> None:
        """Note that a key was used."""
        self._used[key] = at

    def feed(self, at: datetime, key: int, seq: int) -> None:
        """Note that the feed made who reads with a key level with an event."""
        self._used[key], self._fed[key] = at, (at, seq)

    def used(self, now: datetime) -> list[Use]:
        """The keys that were used since that was written, and for which it was not within the last minute."""
        found = dict(self._used)
        due = [key for key, at in found.items() if _due(self._told.get(key), at, now)]
        return [Use(key, found[key], *self._fed.get(key, (None, None))) for key in due]

    def used_written(self, uses: Sequence[Use]) -> None:
        """Forget what is durable."""
        for one in uses:
            self._told[one.key] = one.used_at

    def match(self, at: datetime, member: int, queries: Sequence[Query], answer: Answer) -> None:
        """Note what was answered to a member."""
        seq = answer.checkpoint
        for query, result in zip(queries, answer.results, strict=True):
            asked = [signal.algorithm for signal in query.signals]
            self._matched.append((at, seq, member, asked, result.matches))

    def refuse(self, at: datetime, member: int, code: str) -> None:
        """Note that contributions of a member were refused."""
        self._refused.append(_Refused(at, Kind.REFUSAL, member, code, None))

    def refuse_form(self, at: datetime, code: str) -> None:
        """Note that a form of the console was refused."""
        self._refused.append(_Refused(at, Kind.FORM, 0, code, None))

    def turn_away(self, at: datetime, member: int, refusal: Refusal) -> None:
        """Note that a request was turned away; `member` is whose the key is or was, 0 where none is known."""
        self._refused.append(_Refused(at, Kind.ACCESS, member, refusal.reason, refusal))

    def take(self) -> Tally:
        """All that was noted and is not yet `written`. One thread at a time: hold `writing`."""
        while self._matched:
            self._tally.add(self._matched.popleft())
        while self._refused:
            self._tally.refuse(self._refused.popleft())
        return self._tally

    def written(self) -> None:
        """Forget what was taken: it is durable."""
        self._tally = Tally()
