"""The views of the log that need no search index: keys, what is read when it changes, and retired signals.

The follower passes each view the kinds of subject of the new events (`log.source`), which say what must be read again.
`advance` returns False if the view must `start` again instead; these views never must.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from hashdb.domain.accounts.members import Actor, Key
from hashdb.domain.contributions import Draft
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from hashdb.domain.review.incidents import Incident
from hashdb.domain.signals import Algorithm, Signal, is_within_match_radius
from hashdb.errors import Fault
from hashdb.index.follower import LogSnapshot
from hashdb.index.tiered import TieredIndex
from hashdb.store import Store, Transaction
from hashdb.store.matching.benign import BenignSignal

Kinds = frozenset[str]
"""The kinds of subject of some events."""
INTAKE = frozenset({"benign", "incident"})
"""The kinds of subject of events that change the intake rules."""


class KeyCache:
    """The keys that were used, each with its actor."""

    def __init__(self, store: Store) -> None:
        """Empty."""
        self._store = store
        self._keys: dict[bytes, tuple[Key, Actor]] = {}

    def start(self, log: LogSnapshot[Kinds]) -> None:
        """Forget the keys."""
        # A new dict, not a cleared one: a reader that began before this may still fill the old one.
        self._keys = {}

    def advance(self, log: LogSnapshot[Kinds], after: int) -> bool:
        """Forget the keys if a key or a member has changed."""
        if log.source & {"member", "key"}:
            self._keys = {}
        return True

    def find(self, digest: bytes) -> tuple[Key, Actor] | None:
        """The key whose secret has this digest, and its actor, as of the follower's head; None if there is none."""
        cache = self._keys
        key_and_actor = cache.get(digest)
        if key_and_actor is None:
            with self._store.read() as tx:
                key = tx.members.key_by_digest(digest)
                if key is None:
                    return None
                key_and_actor = key, Actor(f"key:{key.id}", key.scopes, tx.members.get(key.member), key)
            cache[digest] = key_and_actor
        return key_and_actor


_Content = TypeVar("_Content")


class CachedRead(Generic[_Content]):
    """What `read` returns, kept until an event on a subject of one of the kinds. The next use then reads again."""

    def __init__(self, store: Store, kinds: Kinds, read: Callable[[Transaction], _Content]) -> None:
        """Nothing is read yet."""
        self._store, self._kinds, self._read = store, kinds, read
        self._content: list[_Content] = []

    def start(self, log: LogSnapshot[Kinds]) -> None:
        """Forget the content."""
        # A new list, not an emptied one: a reader that began before this may still fill the old one.
        self._content = []

    def advance(self, log: LogSnapshot[Kinds], after: int) -> bool:
        """Forget the content if it has changed."""
        if log.source & self._kinds:
            self._content = []
        return True

    def __call__(self) -> _Content:
        """The content as of the follower's head, or later."""
        content = self._content
        if not content:
            with self._store.read() as tx:
                content.append(self._read(tx))
        return content[0]


class IntakeRules:
    """The content of the database that drafts are checked against: the benign list and the incidents."""

    def __init__(self, benign_signals: Iterable[BenignSignal], incidents: Iterable[Incident]) -> None:
        """Index every benign signal with its radius, and every incident by its label."""
        # By label; the label None, of contributions without one, is of no incident.
        self.incidents: Mapping[str | None, Incident] = {incident.label: incident for incident in incidents}
        # By algorithm and radius: the benign values, each with the id of its entry.
        self._entries: dict[tuple[Algorithm, int], dict[int, int]] = defaultdict(dict)
        for entry, signal, radius in benign_signals:
            self._entries[signal.algorithm, radius].setdefault(signal.value, entry)
        self._indexes: dict[tuple[Algorithm, int], TieredIndex] = {}
        for (algorithm, radius), values in self._entries.items():
            index = self._indexes[algorithm, radius] = TieredIndex(algorithm.bits, radius)
            index.add(values)

    def close_to_benign(self, signals: Iterable[Signal]) -> dict[Signal, int]:
        """The signals that are close to a benign one, each with the id of one entry that it is close to."""
        entries: dict[Signal, int] = {}
        # Lists, not a set of signals: there may be thousands, and almost none is close to a benign one.
        by_algorithm: dict[Algorithm, list[int]] = defaultdict(list)
        for signal in signals if self._indexes else ():
            by_algorithm[signal.algorithm].append(signal.value)
        for (algorithm, radius), index in self._indexes.items():
            values = by_algorithm.get(algorithm, [])
            for value, neighbors in zip(values, index.search(values, radius) if values else (), strict=True):
                if neighbors:
                    entries.setdefault(Signal(algorithm, value), self._entries[algorithm, radius][neighbors[0].value])
        return entries

    def faults(self, drafts: Sequence[Draft], now: datetime) -> Iterator[tuple[int, Fault]]:
        """The faults of drafts, each at its field, with the position of its draft."""
        benign = self.close_to_benign(signal for draft in drafts for signal in draft.signals)
        for position, draft in enumerate(drafts):
            for place, signal in enumerate(draft.signals) if benign else ():
                if signal in benign:
                    yield position, Fault(f"signals[{place}]", CLOSE_TO_BENIGN)
            if reason := self.incident_fault(draft.incident, now):
                yield position, Fault("incident", reason)

    def incident_fault(self, label: str | None, now: datetime) -> str | None:
        """Why nothing can be contributed under this label any more; None if it can."""
        incident = self.incidents.get(label)
        if incident is None or incident.expiry is None or incident.expiry > now:
            return None
        return "this incident has ended, and its contributions have expired"


def read_intake_rules(tx: Transaction) -> IntakeRules:
    """The rules in force."""
    return IntakeRules(tx.benign.all_signals(), tx.incidents.all())


NearSignals = Mapping[Signal, Sequence[Signal]]
"""The stored signals near each signal; a signal without any is left out."""


class RetiredSignals:
    """The signals of contributions that ever had a case, in small indexes of their own.

    That is more than the retired ones, since a decision can be reversed and a member can withdraw under a case. The
    store decides which of them count.
    """

    def __init__(self, store: Store, radii: Mapping[Algorithm, int]) -> None:
        """Empty; `radii` has the search radius in bits of each enabled algorithm."""
        self._store, self._radii = store, radii
        self._indexes: dict[Algorithm, TieredIndex] = {}
        self._digests: set[Signal] = set()

    def start(self, log: LogSnapshot[Kinds]) -> None:
        """Read all of them."""
        with self._store.read() as tx:
            values = tx.shadows.case_values()
        # Until all are added, searches go on in the old indexes.
        indexes: dict[Algorithm, TieredIndex] = {}
        digests: set[Signal] = set()
        self._add(values, indexes, digests)
        self._indexes, self._digests = indexes, digests

    def advance(self, log: LogSnapshot[Kinds], after: int) -> bool:
        """Add the signals of cases opened past seq `after`."""
        if "case" in log.source:
            with self._store.read() as tx:
                self._add(tx.shadows.case_values_since(after, log.head.seq), self._indexes, self._digests)
        return True

    def near(self, signals: Iterable[Signal]) -> NearSignals:
        """The stored signals within the radius of each of the signals."""
        by_algorithm: dict[Algorithm, dict[int, None]] = defaultdict(dict)
        indexes = self._indexes
        close: dict[Signal, Sequence[Signal]] = {}
        for signal in signals if indexes or self._digests else ():
            if signal.algorithm in indexes:
                by_algorithm[signal.algorithm][signal.value] = None
            elif signal in self._digests:
                close[signal] = [signal]
        for algorithm, values in by_algorithm.items():
            index = indexes[algorithm]
            for value, neighbors in zip(values, index.search(list(values), index.radius), strict=True):
                near = [
                    stored
                    for distance, stored in neighbors
                    if is_within_match_radius(algorithm, distance, value, stored)
                ]
                if near:
                    close[Signal(algorithm, value)] = [Signal(algorithm, stored) for stored in near]
        return close

    def _add(
        self, added: Mapping[Algorithm, Sequence[bytes]], indexes: dict[Algorithm, TieredIndex], digests: set[Signal]
    ) -> None:
        """Add digests to `digests`, and the big-endian values of each enabled algorithm to its index."""
        for algorithm, values in added.items():
            if algorithm.is_digest:
                digests.update(Signal.from_bytes(algorithm, value) for value in values)
            elif algorithm in self._radii:
                index = indexes.setdefault(algorithm, TieredIndex(algorithm.bits, self._radii[algorithm]))
                index.add_octets(values, seq=0)
