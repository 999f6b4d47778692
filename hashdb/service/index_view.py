"""The index view: the search index of this process, which catches up with the log before each answer that needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.ledger.events import Head
from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady
from hashdb.index import Index, OpenEngine
from hashdb.index.follower import RETRY_AFTER, LogFollower, LogSnapshot
from hashdb.index.segments import SegmentStore
from hashdb.index.tiered import ARRAY
from hashdb.index.vectors import Words, among, from_octets, to_octets
from hashdb.store import Store, Transaction

Progress = Callable[[int], None]
"""Told how many values more have been read."""

_PATIENCE = 1.0
_AFTER_FAILURE = 60.0
"""Seconds until segments are written again after that has failed."""
_SWEEPS_EVERY = 10.0
_FEW = 20_000
"""Values up to which the store is asked for each whether it lasts, and not for all that last."""
logger = logging.getLogger("hashdb.index")


def _untold(count: int) -> None:
    pass


class Size(NamedTuple):
    """Values of an index in memory, and in files; one that is in several tiers counts several times."""

    in_memory: int
    in_files: int


class IndexView:
    """An index an algorithm, as of one event of the log."""

    def __init__(
        self,
        store: Store,
        radii: Mapping[Algorithm, int],
        folder: Path | None = None,
        engine: OpenEngine = SegmentStore,
    ) -> None:
        """Empty; the first `catch_up` fills it.

        The engine keeps its files in `folder` (None: all is kept in memory).
        """
        self._store = store
        self._engine = engine(folder, radii)
        self._indexes = self._engine.indexes
        # Only for a thread that holds the follower's lock: whether it may write segments, and whom it tells of values.
        self._writes = False
        self._progress: Progress = _untold
        self._checked = False
        self._again = 0.0
        self._follower = LogFollower(store.head, self._snapshot, (self,), self._moved, _PATIENCE)
        self.catch_up = self._follower.catch_up

    @property
    def head(self) -> Head | None:
        """The last event that the index knows of; None before the first `catch_up`."""
        return self._follower.head

    def fill(self, progress: Progress) -> Head:
        """Catch up, and where segments are missing, build them from the store, which takes a while.

        One process does; for the others IndexNotReady is raised until it has.
        """
        with self._writing() as may, self._alone(may, progress):
            return self._follower.feed()

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
            logger.warning("the index is checked: %s", error)
            self._engine.doubted = True
            raise IndexNotReady(RETRY_AFTER) from error

    def maintain(self, at_once: bool = False) -> None:
        """Write what is in memory to segments once it is much (`at_once`: whatever it is), and merge segments.

        One process does it; for the others, and while there is little to do, it costs a look. Searches go on.
        """
        with self._writing() as may:
            with self._alone(may), suppress(IndexNotReady):
                self._follower.feed()
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
        with self._alone(writing):
            if doubted or not sound:
                self._follower.head = None
            head = self._follower.feed()
            snapshot, leaf = self._engine.snapshot(), self._follower.leaf
        if not writing:
            return
        # Where something was thrown away, other processes wait for what comes in its place.
        if not sound or self._due(at_once):
            self._engine.flush(head.seq, leaf, snapshot)
        while self._engine.merge(self._alive):
            pass

    def start(self, log: LogSnapshot[Transaction]) -> None:
        """Go on from the segments, or build them where they are missing and this process writes them."""
        seq, tx = log.head.seq, log.source
        after = self._engine.start(log.head.epoch, seq, log.leaf)
        if after == 0 and self._engine.on_disk and tx.matches.count() >= ARRAY:
            self._build(log)
        else:
            self._add(tx, after, seq)
        # Who searches until here goes on in the indexes of before.
        self._indexes = self._engine.indexes

    def advance(self, log: LogSnapshot[Transaction], after: int) -> bool:
        """Add the values of the events past `after`; False where another process has thrown the segments away."""
        if not self._engine.refresh(log.head.seq, log.leaf):
            return False
        if self._engine.doubted:
            raise IndexNotReady(RETRY_AFTER)
        self._add(log.source, max(after, self._engine.last_seq), log.head.seq)
        return True

    @contextmanager
    def _snapshot(self, after: int | None) -> Iterator[LogSnapshot[Transaction]]:
        # Not the transaction of a caller: after a roll-back the index would skip a seq that is given again.
        with self._store.read() as tx:
            yield LogSnapshot(tx.audit.head(), tx.audit.leaf, tx)

    def _moved(self) -> bool:
        """Whether a file is damaged, or another process has written files, since the index caught up."""
        return self._engine.doubted or self._engine.moved

    @contextmanager
    def _alone(self, writes: bool, progress: Progress = _untold) -> Iterator[None]:
        with self._follower.lock:
            self._writes, self._progress = writes, progress
            try:
                yield
            finally:
                self._writes, self._progress = False, _untold

    def _build(self, log: LogSnapshot[Transaction]) -> None:
        """Fill an index of many values, which one process does for all where it can be written."""
        if not self._writes and not self._engine.failing:
            raise IndexNotReady(RETRY_AFTER)
        logger.info("the index is built from the store")
        if self._writes:
            self._engine.throw_away()
        self._add(log.source, 0, log.head.seq)
        if self._writes:
            try:
                self._engine.flush(log.head.seq, log.leaf(log.head.seq), self._engine.snapshot())
            except OSError as error:
                self._failed(error)

    def _add(self, tx: Transaction, after: int, seq: int) -> None:
        """Add the values of the events past `after` up to `seq`."""
        if after == 0:
            for algorithm, index in self._engine.indexes.items():
                index.fill(_counted(tx.matches.every(algorithm), algorithm.bits // 8, self._progress), seq)
            return
        for algorithm, values in tx.matches.added(after, seq).items():
            found = self._engine.indexes.get(algorithm)
            if found is None:
                continue
            if len(values) < ARRAY:
                found.add(map(int.from_bytes, values), seq)
            else:
                found.fill(values, seq)

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
