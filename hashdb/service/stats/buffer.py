"""The statistics buffer: the answers, refusals and uses of keys that a process has noted and not yet stored."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from threading import Lock
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor
from hashdb.domain.matching.floods import flood_step
from hashdb.domain.matching.matches import Answer, Match, Query
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import ANY_ALGORITHM, AccessRefusal, Cell, CountKind, Hit, QueryOutcome, Use
from hashdb.service.background import is_due

_STORE_USE_EVERY = timedelta(minutes=1)
"""The use of a key is stored at most this often."""


class Refusal(NamedTuple):
    """A refused request: its actor (None: it had no valid key), the reason, and the scopes that would have sufficed."""

    actor: Actor | None
    reason: AccessRefusal
    scopes: tuple[str, ...] = ()


_Algorithms = tuple[Algorithm, ...]
_NotedAnswer = tuple[datetime, int, int, dict[_Algorithms, int], list[tuple[_Algorithms, tuple[Match, ...]]]]
"""What is noted of the answer to a match request.

The fields: the time; the seq of the answer; the member; the number of queries without a match, by their algorithms;
and for each other query its algorithms and its matches. No signals of the query are kept.

It is a plain tuple for speed: every match request makes one.
"""


class _NotedRefusal(NamedTuple):
    """What is noted of something that was refused: a request, a contribution, or a form of the console."""

    at: datetime
    kind: CountKind
    member: int
    """The id of the member; 0 if it is unknown."""
    code: str
    """Why it was refused: the outcome under which it is counted."""
    request: Refusal | None = None
    """The refused request; None for contributions and forms."""


@dataclass(slots=True)
class HitTotals:
    """The hits of one contribution at one member on one day."""

    first_at: datetime
    last_at: datetime
    seq: int
    """The seq of the first answer with the contribution."""
    distance: dict[str, int]
    """The distances in bits, by algorithm, in the first answer."""
    times: int = 0
    algorithms: Counter[str] = field(default_factory=Counter)
    """How often each algorithm agreed."""


_QueryGroup = tuple[date, int, _Algorithms, frozenset[Algorithm] | None]
"""Queries that are counted together: the day, the member, the algorithms of the query, and those that agreed.

The last is None if the query had no hit.
"""


@dataclass(slots=True)
class Tally:
    """The counts of what was noted, until they are stored."""

    queries: Counter[_QueryGroup] = field(default_factory=Counter)
    refused: Counter[tuple[date, Cell]] = field(default_factory=Counter)
    hits: dict[tuple[date, int, int], HitTotals] = field(default_factory=dict)
    """The hits by day, member and contribution."""
    anonymous_refusals: Counter[str] = field(default_factory=Counter)
    """The number of refused requests without a valid key, by reason."""
    first_refusals: dict[str, Refusal] = field(default_factory=dict)
    """The first refusal of each key and of each user of the console, by the name of the actor in the log."""

    def __bool__(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.queries or self.refused)

    def add(self, answer: _NotedAnswer) -> None:
        """Count the queries of a request and the hits in its answer.

        A match with the test item is no hit. Neither is a match that was only returned because the query asked for
        contributions of its standing, such as quarantined ones.
        """
        at, seq, member, unmatched, matched = answer
        for algorithms, times in unmatched.items():
            self.queries[at.date(), member, tuple(dict.fromkeys(algorithms)), None] += times
        for algorithms, matches in matched:
            hits = [match for match in matches if match.standing.matches and match.contribution != TEST_ID]
            agreeing = frozenset(algorithm for match in hits for algorithm in _agreeing(match)) if hits else None
            self.queries[at.date(), member, tuple(dict.fromkeys(algorithms)), agreeing] += 1
            for match in hits:
                self._add_hit(at, seq, member, match)

    def counts_by_day(self) -> dict[date, Counter[Cell]]:
        """The numbers of queries and refusals, by day."""
        numbers: dict[date, Counter[Cell]] = defaultdict(Counter)
        for (day, member, algorithms, agreeing), times in self.queries.items():
            outcome = QueryOutcome.NONE if agreeing is None else QueryOutcome.HIT
            numbers[day][Cell(CountKind.QUERY, member, ANY_ALGORITHM, outcome)] += times
            for algorithm in {*algorithms, *(agreeing or ())}:
                outcome = QueryOutcome.HIT if agreeing and algorithm in agreeing else QueryOutcome.NONE
                numbers[day][Cell(CountKind.QUERY, member, str(algorithm), outcome)] += times
        for (day, cell), times in self.refused.items():
            numbers[day][cell] += times
        return numbers

    def _add_hit(self, at: datetime, seq: int, member: int, match: Match) -> None:
        key = at.date(), member, match.contribution
        totals = self.hits.get(key)
        if totals is None:
            distance = {str(algorithm): bits for algorithm, bits in match.distance.items() if bits is not None}
            totals = self.hits[key] = HitTotals(at, at, seq, distance)
        totals.last_at = max(totals.last_at, at)
        totals.times += 1
        totals.algorithms.update(map(str, _agreeing(match)))

    def add_refusal(self, refusal: _NotedRefusal) -> None:
        """Count a refusal."""
        self.refused[refusal.at.date(), Cell(refusal.kind, refusal.member, ANY_ALGORITHM, refusal.code)] += 1
        request = refusal.request
        if request is not None and request.actor is not None:
            self.first_refusals.setdefault(str(request.actor), request)
        elif request is not None:
            self.anonymous_refusals[request.reason] += 1

    def hits_by_step(self) -> Counter[tuple[int, int, datetime]]:
        """The number of hits by contribution, member, and the start of the five minutes (`flood_step`)."""
        times: Counter[tuple[int, int, datetime]] = Counter()
        for (_, member, contribution), totals in self.hits.items():
            times[contribution, member, flood_step(totals.last_at)] += totals.times
        return times

    def daily_hits(self) -> list[Hit]:
        """The hits, as they are stored: one record for each day, member and contribution."""
        return [
            Hit(day, member, contribution, hit.first_at, hit.last_at, hit.seq, hit.times, hit.distance)
            for (day, member, contribution), hit in self.hits.items()
        ]


def _agreeing(match: Match) -> Iterable[Algorithm]:
    """The algorithms that agree in a match, with the digest if one is equal."""
    return match.distance if match.digest is None else (*match.distance, match.digest)


class StatsBuffer:
    """Notes what is counted, with one append a request. The background task `counts` counts and stores it later."""

    def __init__(self) -> None:
        """Begin with nothing noted."""
        self.writing = Lock()
        """Held from `take` to `mark_stored`, so that one thread at a time stores the counts."""
        self._answers: deque[_NotedAnswer] = deque()
        self._refusals: deque[_NotedRefusal] = deque()
        self._tally = Tally()
        self._used_at: dict[int, datetime] = {}
        """When each key was last used, by its id."""
        self._feed_read: dict[int, tuple[datetime, int]] = {}
        """When the reader with each key last read the feed, and up to which seq."""
        self._stored_use: dict[int, datetime] = {}
        """The last use of each key that is stored."""

    def note_use(self, at: datetime, key: int) -> None:
        """Note that the key with this id was used."""
        self._used_at[key] = at

    def note_feed_read(self, at: datetime, key: int, seq: int) -> None:
        """Note that the reader with this key has read the feed up to the event with a seq."""
        self._used_at[key], self._feed_read[key] = at, (at, seq)

    def uses_to_store(self, now: datetime) -> list[Use]:
        """The last uses of keys that are not stored, except of keys whose stored use is less than a minute old."""
        used = dict(self._used_at)
        stored = {key: self._stored_use.get(key) for key in used}
        due = [key for key, at in used.items() if at != stored[key] and is_due(stored[key], now, _STORE_USE_EVERY)]
        return [Use(key, used[key], *self._feed_read.get(key, (None, None))) for key in due]

    def mark_uses_stored(self, uses: Sequence[Use]) -> None:
        """Remember that these uses are stored."""
        for use in uses:
            self._stored_use[use.key] = use.used_at

    def note_answer(self, at: datetime, member: int, queries: Sequence[Query], answer: Answer) -> None:
        """Note the answer to the match request of a member."""
        unmatched: dict[_Algorithms, int] = {}
        matched: list[tuple[_Algorithms, tuple[Match, ...]]] = []
        for query, result in zip(queries, answer.results, strict=True):
            algorithms = tuple([signal.algorithm for signal in query.signals])
            if query.frames:
                of_frames = [signal.algorithm for frame in query.frames for signal in frame.signals]
                algorithms += tuple(dict.fromkeys(of_frames))
            if result.matches:
                matched.append((algorithms, result.matches))
            else:
                unmatched[algorithms] = unmatched.get(algorithms, 0) + 1
        self._answers.append((at, answer.checkpoint, member, unmatched, matched))

    def note_refused_contributions(self, at: datetime, member: int, code: str) -> None:
        """Note that contributions of a member were refused, with the code of the error."""
        self._refusals.append(_NotedRefusal(at, CountKind.REFUSAL, member, code))

    def note_refused_form(self, at: datetime, code: str) -> None:
        """Note that a form of the console was refused, with the code of the error."""
        self._refusals.append(_NotedRefusal(at, CountKind.FORM, member=0, code=code))

    def note_refused_request(self, at: datetime, member: int, refusal: Refusal) -> None:
        """Note that a request was refused. `member` is the id of the member of its key, 0 if it is unknown."""
        self._refusals.append(_NotedRefusal(at, CountKind.ACCESS, member, refusal.reason, refusal))

    def take(self) -> Tally:
        """The counts of all that was noted and is not stored. The caller holds `writing` until `mark_stored`."""
        while self._answers:
            self._tally.add(self._answers.popleft())
        while self._refusals:
            self._tally.add_refusal(self._refusals.popleft())
        return self._tally

    def mark_stored(self) -> None:
        """Forget the counts that `take` returned: they are stored."""
        self._tally = Tally()
