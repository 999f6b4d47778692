"""Live: the index of this process, brought level with the log before each answer that needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady
from hashdb.index import Index, OpenEngine
from hashdb.index.segments import SegmentStore
from hashdb.index.tiered import ARRAY
from hashdb.index.words import Words, among, from_octets, to_octets
from hashdb.store import Store, Transaction
from hashdb.store.audit import Head

Progress = Callable[[int], None]
"""Told how many values more have been read."""

_PATIENCE = 1.0
_RETRY_AFTER = 5
_AFTER_FAILURE = 60.0
"""Seconds until segments are written again after that has failed."""
_SWEEPS_EVERY = 10.0
_FEW = 20_000
"""Values up to which the store is asked for each whether it lasts, and not for all that last."""
log = logging.getLogger("hashdb.index")


def _untold(count: int) -> None:
    pass


class Size(NamedTuple):
    """Values of an index in memory, and in files; one that is in several tiers counts several times."""

    in_memory: int
    in_files: int


class Live:
    """An index an algorithm, as of one number of the log."""

    def __init__(
        self,
        store: Store,
        radii: Mapping[Algorithm, int],
        folder: Path | None = None,
        engine: OpenEngine = SegmentStore,
    ) -> None:
        """Empty, at number 0; `level` fills it.

        The engine keeps its files in `folder` (None: all is kept in memory).
        """
        self._store = store
        self._engine = engine(folder, radii)
        self._indexes = self._engine.indexes
        self._lock = Lock()
        self._head: Head | None = None
        self._leaf = ""
        self._checked = False
        self._again = 0.0

    @property
    def head(self) -> Head | None:
        """The last event that the index knows of; None before the first `level`."""
        return self._head

    def level(self, head: Head | None = None) -> Head:
        """Take in what the log has and the index has not, in a transaction of its own; return the head.

        After this, a search finds every contribution that was answered before the call, by any process.
        `head` is the head of the log where the caller has just read it; it is read again unless the index knows it.
        Raises IndexNotReady while the index is being filled, where that takes long.
        """
        # In this order: a head below what was known before has been set back, by a restore.
        known = self._head
        if head is None or head != known:
            head = self._store.head()
        if known == head and not (self._engine.doubted or self._engine.moved):
            return head
        # Catching up takes milliseconds, filling an index of millions does not: then say so instead of waiting.
        if not self._lock.acquire(timeout=-1 if head.continues(known) else _PATIENCE):
            raise IndexNotReady(_RETRY_AFTER)
        try:
            return self._catch_up()
        finally:
            self._lock.release()

    def fill(self, progress: Progress) -> Head:
        """The same, and where segments are missing, build them from the store, which takes a while.

        One process does; for the others IndexNotReady is raised until it has.
        """
        with self._writing() as may, self._lock:
            return self._catch_up(progress, writing=may)

    def backlog(self) -> int:
        """How many signals the store has: what `fill` reads where there are no segments."""
        with self._store.read() as tx:
            return tx.matches.count()

    def index(self, algorithm: Algorithm) -> Index:
        """The index of an algorithm's values."""
        return self._indexes[algorithm]

    def sizes(self) -> Mapping[Algorithm, Size]:
        """How many values each index holds here."""
        return {
            name: Size(index.in_memory, len(index) - index.in_memory) for name, index in self._engine.indexes.items()
        }

    def search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all of an algorithm that are stored within `radius` bits of it, nearest first.

        Raises IndexNotReady where a file of the index turns out to be damaged, until it is built anew.
        """
        try:
            return self._indexes[algorithm].search(values, radius)
        except IndexError as error:
            log.warning("the index is checked: %s", error)
            self._engine.doubted = True
            raise IndexNotReady(_RETRY_AFTER) from error

    def maintain(self, at_once: bool = False) -> None:
        """Write what is in memory to segments once it is much (`at_once`: whatever it is), and merge segments.

        One process does it; for the others, and while there is little to do, it costs a look. Searches go on.
        """
        with self._writing() as may:
            with self._lock, suppress(IndexNotReady):
                self._catch_up(writing=may)
            unsure = not self._checked or self._engine.doubted
            # What cannot be written must be checked too.
            if (may and self._due(at_once)) or (unsure and (may or self._engine.failing)):
                try:
                    self._write(at_once, writing=may)
                except OSError as error:
                    self._failed(error)
            elif may and self._engine.sweeps and monotonic() >= self._again:
                self._again = monotonic() + _SWEEPS_EVERY
                self._engine.merge(self._alive)

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """Whether this process may write the index now: of those of this machine, or of all where they share it."""
        with ExitStack() as stack:
            may = stack.enter_context(self._engine.writing())
            yield may and (not self._engine.shared or stack.enter_context(self._store.alone()))

    def _due(self, at_once: bool) -> bool:
        return at_once or (self._engine.unflushed >= ARRAY and monotonic() >= self._again)

    def _failed(self, error: OSError) -> None:
        self._engine.fail(error)
        self._again = monotonic() + _AFTER_FAILURE

    def _write(self, at_once: bool, *, writing: bool) -> None:
        doubted = self._engine.doubted
        sound = self._engine.sound(thoroughly=doubted or not self._checked)
        self._checked = True
        with self._lock:
            if doubted or not sound:
                self._head = None
            head = self._catch_up(writing=writing)
            snapshot, leaf = self._engine.snapshot(), self._leaf
        if not writing:
            return
        # Where something was thrown away, other processes wait for what comes in its place.
        if not sound or self._due(at_once):
            self._engine.flush(head.seq, leaf, snapshot)
        while self._engine.merge(self._alive):
            pass

    def _catch_up(self, progress: Progress = _untold, *, writing: bool = False) -> Head:
        """Take in what is new; with `writing` (the engine's lock is held) build segments where they are missing."""
        with self._store.read() as tx:
            head = tx.audit.head()
            known, leaf = self._head, tx.audit.leaf
            if not head.continues(known) or leaf(known.seq) != self._leaf or not self._engine.refresh(head.seq, leaf):
                # Until all is there again: the next one who asks must not take this for level.
                self._head = None
                after = self._engine.start(head.epoch, head.seq, leaf)
                if after == 0 and self._engine.on_disk and tx.matches.count() >= ARRAY:
                    self._build(tx, head, progress, writing)
                    after = head.seq
            elif self._engine.doubted:
                raise IndexNotReady(_RETRY_AFTER)
            else:
                after = max(known.seq, self._engine.last_seq)
            self._take_in(tx, after, head.seq, progress)
            self._leaf = leaf(head.seq)
        self._indexes = self._engine.indexes
        self._head = head
        return head

    def _build(self, tx: Transaction, head: Head, progress: Progress, writing: bool) -> None:
        """Fill an index of many values, which one process does for all where it can be written."""
        if not writing and not self._engine.failing:
            raise IndexNotReady(_RETRY_AFTER)
        log.info("the index is built from the store")
        if writing:
            self._engine.throw_away()
        self._take_in(tx, 0, head.seq, progress)
        if writing:
            try:
                self._engine.flush(head.seq, tx.audit.leaf(head.seq), self._engine.snapshot())
            except OSError as error:
                self._failed(error)

    def _take_in(self, tx: Transaction, after: int, upto: int, progress: Progress) -> None:
        if after == 0:
            for algorithm, index in self._engine.indexes.items():
                index.fill(_counted(tx.matches.every(algorithm), algorithm.bits // 8, progress), upto)
            return
        for algorithm, values in tx.matches.added(after, upto).items():
            found = self._engine.indexes.get(algorithm)
            if found is None:
                continue
            if len(values) < ARRAY:
                found.add(map(int.from_bytes, values), upto)
            else:
                found.fill(values, upto)

    def _alive(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        with self._store.read() as tx:
            if len(words) <= _FEW:
                octets = to_octets(words)
                lasting = tx.matches.lasting(algorithm, octets)
                return np.fromiter((one in lasting for one in octets), bool, len(octets))
            if not tx.matches.ended():
                return np.ones(len(words), bool)
            found, first = np.zeros(len(words), bool), np.ascontiguousarray(words[:, 0])
            for part in tx.matches.every(algorithm, lasting=True):
                others = from_octets(part, algorithm.bits)
                start, end = np.searchsorted(first, others[0, 0]), np.searchsorted(first, others[-1, 0], "right")
                found[start:end] |= among(words[start:end], others)
            return found


def _counted(parts: Iterable[bytes], size: int, progress: Progress) -> Iterable[bytes]:
    for part in parts:
        progress(len(part) // size)
        yield part
