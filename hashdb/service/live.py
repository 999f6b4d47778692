"""Live: this process's view of the log (the index, and who the keys are), brought level before each answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from threading import Lock

from hashdb.domain.members import Key, Member
from hashdb.domain.signals import Algorithm
from hashdb.index import Index
from hashdb.index.bktree import BKTreeIndex
from hashdb.store import Store
from hashdb.store.audit import Head


class Live:
    """An index an algorithm, and the keys seen lately, as of one number of the log."""

    def __init__(self, store: Store, algorithms: Collection[Algorithm]) -> None:
        """Empty, at number 0; `level` fills it."""
        self._store = store
        self._algorithms = frozenset(algorithms)
        self._lock = Lock()
        self._head: Head | None = None
        self._indexes: Mapping[Algorithm, Index] = self._empty()
        self._keys: dict[bytes, tuple[Key, Member]] = {}

    @property
    def head(self) -> Head | None:
        """The last event that this process knows of; None before the first `level`."""
        return self._head

    def level(self) -> Head:
        """Take in what the log has and this process has not, in a transaction of its own; return the head.

        After this, a search finds every contribution that was answered before the call, by any process.
        """
        with self._store.read() as tx:
            head = tx.audit.head()
        known = self._head
        if known is not None and known.epoch == head.epoch and known.seq >= head.seq:
            return head
        with self._lock:
            return self._catch_up()

    def index(self, algorithm: Algorithm) -> Index:
        """The index of an algorithm's values."""
        return self._indexes[algorithm]

    def key(self, digest: bytes) -> tuple[Key, Member] | None:
        """The key whose secret has this digest and its member, as of the last `level`."""
        cache = self._keys
        found = cache.get(digest)
        if found is None:
            with self._store.read() as tx:
                key = tx.members.key_with(digest)
                if key is None:
                    return None
                found = key, tx.members.get(key.member)
            cache[digest] = found
        return found

    def _catch_up(self) -> Head:
        with self._store.read() as tx:
            head = tx.audit.head()
            known = self._head
            if known is None or known.epoch != head.epoch or known.seq > head.seq:
                self._indexes, known = self._empty(), Head(0, head.at, head.epoch)
            if known.seq == 0 or tx.audit.kinds(known.seq, head.seq) & {"member", "key"}:
                # A new dict, not a cleared one: a reader that began before this may still fill the old one.
                self._keys = {}
            fresh: dict[Algorithm, list[int]] = defaultdict(list)
            for signal in tx.matches.values(known.seq, head.seq):
                fresh[signal.algorithm].append(signal.value)
        for algorithm, values in fresh.items():
            if algorithm in self._algorithms:
                self._indexes[algorithm].add(values)
        self._head = head
        return head

    def _empty(self) -> Mapping[Algorithm, Index]:
        return {algorithm: BKTreeIndex() for algorithm in self._algorithms}
