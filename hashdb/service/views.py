"""The views of the log that need no search index: keys, intake rules, and what was retired.

The kinds of subject of the events since the last look say which of them must be read again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from hashdb.domain.accounts.members import Actor, Key
from hashdb.domain.contributions import Draft
from hashdb.domain.matching.benign import REFUSAL
from hashdb.domain.review.incidents import Incident
from hashdb.domain.signals import Algorithm, Signal, counts
from hashdb.errors import Fault
from hashdb.index.follower import LogSnapshot
from hashdb.index.tiered import ARRAY, TieredIndex
from hashdb.index.vectors import from_octets
from hashdb.store import Store
from hashdb.store.matching.benign import BenignBall

Kinds = frozenset[str]
"""The kinds of subject of some events."""
INTAKE = frozenset({"benign", "incident"})
"""The kinds of subject of events that change the intake rules."""


class KeyCache:
    """The keys that were used, each with the actor that holds it."""

    def __init__(self, store: Store) -> None:
        """Empty."""
        self._store = store
        self._keys: dict[bytes, tuple[Key, Actor]] = {}

    def start(self, log: LogSnapshot[Kinds]) -> None:
        """Forget the keys."""
        # A new cache, not a cleared one: a reader that began before this may still fill the old one.
        self._keys = {}

    def advance(self, log: LogSnapshot[Kinds], after: int) -> bool:
        """Forget the keys if one of them, or a member, has changed."""
        if log.source & {"member", "key"}:
            self._keys = {}
        return True

    def find(self, digest: bytes) -> tuple[Key, Actor] | None:
        """The key whose secret has this digest and who acts with it, as of the follower's head."""
        cache = self._keys
        found = cache.get(digest)
        if found is None:
            with self._store.read() as tx:
                key = tx.members.key_with(digest)
                if key is None:
                    return None
                found = key, Actor(f"key:{key.id}", key.scopes, tx.members.get(key.member), key)
            cache[digest] = found
        return found


class IntakeRules:
    """What of the database a draft is checked against: the benign list, for many signals at once, and the incidents."""

    def __init__(self, near: Iterable[BenignBall], incidents: Iterable[Incident]) -> None:
        """Of every benign signal there is, and every incident."""
        self.incidents: Mapping[str, Incident] = {one.label: one for one in incidents}
        self._entries: dict[tuple[Algorithm, int], dict[int, int]] = defaultdict(dict)
        for entry, signal, radius in near:
            self._entries[signal.algorithm, radius].setdefault(signal.value, entry)
        self._indexes: dict[tuple[Algorithm, int], TieredIndex] = {}
        for (algorithm, radius), values in self._entries.items():
            index = self._indexes[algorithm, radius] = TieredIndex(algorithm.bits, radius)
            index.add(values)

    def touched(self, signals: Iterable[Signal]) -> dict[Signal, int]:
        """Those of the signals that are close to a benign one, and one entry of which each is."""
        found: dict[Signal, int] = {}
        # Not a set of signals: there may be thousands, and next to none is close to any.
        asked: dict[Algorithm, list[int]] = defaultdict(list)
        for one in signals if self._indexes else ():
            asked[one.algorithm].append(one.value)
        for (algorithm, radius), index in self._indexes.items():
            values = asked.get(algorithm, [])
            for value, neighbors in zip(values, index.search(values, radius) if values else (), strict=True):
                if neighbors:
                    found.setdefault(Signal(algorithm, value), self._entries[algorithm, radius][neighbors[0].value])
        return found

    def faults(self, drafts: Sequence[Draft], now: datetime) -> Iterator[tuple[int, Fault]]:
        """What is wrong with drafts, each fault at its field, with the position of its draft."""
        touched = self.touched(signal for draft in drafts for signal in draft.signals)
        for position, draft in enumerate(drafts):
            for place, signal in enumerate(draft.signals) if touched else ():
                if signal in touched:
                    yield position, Fault(f"signals[{place}]", REFUSAL)
            if reason := self.incident_fault(draft.incident, now):
                yield position, Fault("incident", reason)

    def incident_fault(self, label: str | None, now: datetime) -> str | None:
        """Why nothing can be contributed under that label any more, or None."""
        incident = self.incidents.get(label) if label else None
        if incident is None or incident.expiry is None or incident.expiry > now:
            return None
        return "this incident has ended, and what was contributed under it has expired with it"


class IntakeCache:
    """The intake rules, read when they are first asked for after a change."""

    def __init__(self, store: Store) -> None:
        """Empty."""
        self._store = store
        self._rules: list[IntakeRules] = []

    def start(self, log: LogSnapshot[Kinds]) -> None:
        """Forget the rules."""
        self._rules = []

    def advance(self, log: LogSnapshot[Kinds], after: int) -> bool:
        """Forget the rules if they have changed."""
        if log.source & INTAKE:
            self._rules = []
        return True

    def rules(self) -> IntakeRules:
        """The intake rules, as of the follower's head or later."""
        cache = self._rules
        if not cache:
            with self._store.read() as tx:
                cache.append(IntakeRules(tx.benign.every(), tx.incidents.every()))
        return cache[0]


Close = Mapping[Signal, Sequence[Signal]]
"""What is close to each signal; those to which nothing is close are left out."""


class RetiredSignals:
    """The signals of contributions on which a case was opened, in an index of their own, as they are few."""

    def __init__(self, store: Store, radii: Mapping[Algorithm, int]) -> None:
        """For these algorithms, within these radii; empty."""
        self._store, self._radii = store, radii
        self._indexes: dict[Algorithm, TieredIndex] = {}

    def start(self, log: LogSnapshot[Kinds]) -> None:
        """Read them all."""
        with self._store.read() as tx:
            found = tx.retired.every()
        # Who asks until all are added is answered by the indexes of before.
        indexes: dict[Algorithm, TieredIndex] = {}
        self._add(found, indexes)
        self._indexes = indexes

    def advance(self, log: LogSnapshot[Kinds], after: int) -> bool:
        """Add those of the cases since."""
        if "case" in log.source:
            with self._store.read() as tx:
                self._add(tx.retired.since(after, log.head.seq), self._indexes)
        return True

    def near(self, signals: Iterable[Signal]) -> Close:
        """What lies within the radius of each of the signals."""
        asked: dict[Algorithm, dict[int, None]] = defaultdict(dict)
        indexes = self._indexes
        for one in signals if indexes else ():
            if one.algorithm in indexes:
                asked[one.algorithm][one.value] = None
        found: dict[Signal, Sequence[Signal]] = {}
        for algorithm, values in asked.items():
            index = indexes[algorithm]
            for value, neighbors in zip(values, index.search(list(values), index.radius), strict=True):
                close = [one.value for one in neighbors if counts(algorithm, one.distance, value, one.value)]
                if close:
                    found[Signal(algorithm, value)] = [Signal(algorithm, one) for one in close]
        return found

    def _add(self, found: Mapping[Algorithm, Sequence[bytes]], indexes: dict[Algorithm, TieredIndex]) -> None:
        """Add values to indexes; those of algorithms that are not enabled are left out."""
        for algorithm, values in found.items():
            if algorithm not in self._radii:
                continue
            index = indexes.setdefault(algorithm, TieredIndex(algorithm.bits, self._radii[algorithm]))
            if len(values) < ARRAY:
                index.add(map(int.from_bytes, values))
            else:
                index.load(from_octets(b"".join(values), algorithm.bits), 0)
