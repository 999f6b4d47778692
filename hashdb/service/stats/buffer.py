"""The statistics buffer: the matches, refusals and uses of keys that a process has counted and not yet stored."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from threading import Lock
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor
from hashdb.domain.matching.matches import Answer, Match, Query, flood_step
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import ANY_ALGORITHM, Cell, CountKind, Hit, QueryOutcome, RefusalReason, Use
from hashdb.service.background import is_due

_A_USE_EVERY = timedelta(minutes=1)


class Refusal(NamedTuple):
    """A refusal: the caller (None: without a valid key), the reason, and the scopes that would have sufficed."""

    actor: Actor | None
    reason: RefusalReason
    scopes: tuple[str, ...] = ()


_Algorithms = tuple[Algorithm, ...]
_Matched = tuple[datetime, int, int, dict[_Algorithms, int], list[tuple[_Algorithms, tuple[Match, ...]]]]
"""What is kept of a request: the time, the seq of the answer, the member, the number of queries without a match by
their algorithms, and the algorithms and the matches of the others.

It has no signals. It is a plain tuple because every match makes one.
"""


class _Refused(NamedTuple):
    at: datetime
    kind: CountKind
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
"""Queries of one day and member with the same algorithms, of which the same ones matched (None: none)."""


@dataclass(slots=True)
class Tally:
    """What was counted since the last one was stored."""

    queries: Counter[_Alike] = field(default_factory=Counter)
    refused: Counter[tuple[date, Cell]] = field(default_factory=Counter)
    hits: dict[tuple[date, int, int], Seen] = field(default_factory=dict)
    keyless: Counter[str] = field(default_factory=Counter)
    named: dict[str, Refusal] = field(default_factory=dict)
    """The first refusal of each key, and of each user of the console, by the name in the log."""

    def __bool__(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.queries or self.refused)

    def add(self, matched: _Matched) -> None:
        """Count the queries of a request and the contributions in its answer, without the test item."""
        at, seq, member, empty, found = matched
        for algorithms, times in empty.items():
            self.queries[at.date(), member, tuple(dict.fromkeys(algorithms)), None] += times
        for algorithms, matches in found:
            hits = [match for match in matches if match.standing.matches and match.contribution != TEST_ID]
            near = frozenset(algorithm for match in hits for algorithm in _found_by(match)) if hits else None
            self.queries[at.date(), member, tuple(dict.fromkeys(algorithms)), near] += 1
            for match in hits:
                self._add_hit(at, seq, member, match)

    def numbers(self) -> dict[date, Counter[Cell]]:
        """The numbers of queries and refusals, by day."""
        numbers: dict[date, Counter[Cell]] = defaultdict(Counter)
        for (day, member, algorithms, near), times in self.queries.items():
            outcome = QueryOutcome.NONE if near is None else QueryOutcome.HIT
            numbers[day][Cell(CountKind.QUERY, member, ANY_ALGORITHM, outcome)] += times
            for algorithm in {*algorithms, *(near or ())}:
                outcome = QueryOutcome.HIT if near and algorithm in near else QueryOutcome.NONE
                numbers[day][Cell(CountKind.QUERY, member, str(algorithm), outcome)] += times
        for (day, cell), times in self.refused.items():
            numbers[day][cell] += times
        return numbers

    def _add_hit(self, at: datetime, seq: int, member: int, match: Match) -> None:
        key = at.date(), member, match.contribution
        seen = self.hits.get(key)
        if seen is None:
            distance = {str(algorithm): bits for algorithm, bits in match.distance.items() if bits is not None}
            seen = self.hits[key] = Seen(at, at, seq, distance)
        seen.last_at = max(seen.last_at, at)
        seen.times += 1
        seen.algorithms.update(map(str, _found_by(match)))

    def refuse(self, refused: _Refused) -> None:
        """Count a refusal."""
        self.refused[refused.at.date(), Cell(refused.kind, refused.member, ANY_ALGORITHM, refused.code)] += 1
        refusal = refused.turned_away
        if refusal is not None and refusal.actor is not None:
            self.named.setdefault(str(refusal.actor), refusal)
        elif refusal is not None:
            self.keyless[refusal.reason] += 1

    def recent(self) -> Counter[tuple[int, int, datetime]]:
        """The number of hits by contribution, member and five-minute step."""
        times: Counter[tuple[int, int, datetime]] = Counter()
        for (_, member, contribution), seen in self.hits.items():
            times[contribution, member, flood_step(seen.last_at)] += seen.times
        return times

    def found(self) -> list[Hit]:
        """The hits."""
        return [
            Hit(day, member, contribution, seen.first_at, seen.last_at, seen.seq, seen.times, seen.distance)
            for (day, member, contribution), seen in self.hits.items()
        ]


def _found_by(match: Match) -> Iterable[Algorithm]:
    """The algorithms of the signals that a match found."""
    return match.distance if match.digest is None else (*match.distance, match.digest)


class StatsBuffer:
    """Collects what requests count: an append for each; the background task `counts` does the rest."""

    def __init__(self) -> None:
        """Empty."""
        self.writing = Lock()
        self._matched: deque[_Matched] = deque()
        self._refused: deque[_Refused] = deque()
        self._tally = Tally()
        self._used: dict[int, datetime] = {}
        self._fed: dict[int, tuple[datetime, int]] = {}
        self._stored: dict[int, datetime] = {}

    def use(self, at: datetime, key: int) -> None:
        """Note that a key was used."""
        self._used[key] = at

    def feed(self, at: datetime, key: int, seq: int) -> None:
        """Note that a reader with this key has read the feed up to an event."""
        self._used[key], self._fed[key] = at, (at, seq)

    def used(self, now: datetime) -> list[Use]:
        """The keys with a use that is not stored; a key whose use was stored within the last minute waits."""
        used = dict(self._used)
        stored = {key: self._stored.get(key) for key in used}
        due = [key for key, at in used.items() if at != stored[key] and is_due(stored[key], now, _A_USE_EVERY)]
        return [Use(key, used[key], *self._fed.get(key, (None, None))) for key in due]

    def used_written(self, uses: Sequence[Use]) -> None:
        """Note that these uses are stored."""
        for use in uses:
            self._stored[use.key] = use.used_at

    def match(self, at: datetime, member: int, queries: Sequence[Query], answer: Answer) -> None:
        """Note the answer to a member."""
        empty: dict[_Algorithms, int] = {}
        found: list[tuple[_Algorithms, tuple[Match, ...]]] = []
        for query, result in zip(queries, answer.results, strict=True):
            algorithms = tuple([signal.algorithm for signal in query.signals])
            if query.frames:
                of_frames = [signal.algorithm for frame in query.frames for signal in frame.signals]
                algorithms += tuple(dict.fromkeys(of_frames))
            if result.matches:
                found.append((algorithms, result.matches))
            else:
                empty[algorithms] = empty.get(algorithms, 0) + 1
        self._matched.append((at, answer.checkpoint, member, empty, found))

    def refuse(self, at: datetime, member: int, code: str) -> None:
        """Note that contributions of a member were refused."""
        self._refused.append(_Refused(at, CountKind.REFUSAL, member, code, None))

    def refuse_form(self, at: datetime, code: str) -> None:
        """Note that a form of the console was refused."""
        self._refused.append(_Refused(at, CountKind.FORM, 0, code, None))

    def turn_away(self, at: datetime, member: int, refusal: Refusal) -> None:
        """Note that a request was refused; `member` is whose the key is or was, 0 if that is unknown."""
        self._refused.append(_Refused(at, CountKind.ACCESS, member, refusal.reason, refusal))

    def take(self) -> Tally:
        """All that was noted and is not yet `written`; the caller holds `writing`."""
        while self._matched:
            self._tally.add(self._matched.popleft())
        while self._refused:
            self._tally.refuse(self._refused.popleft())
        return self._tally

    def written(self) -> None:
        """Forget what was taken: it is stored."""
        self._tally = Tally()
