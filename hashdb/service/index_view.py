"""The index view: the search index of this process, which catches up with the log before each search."""

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
from hashdb.index import FLUSH_SIZE, Index, OpenEngine
from hashdb.index.follower import RETRY_AFTER, LogFollower, LogSnapshot
from hashdb.index.vectors import Words, from_octets, is_among, to_octets
from hashdb.store import Store, Transaction

Progress = Callable[[int], None]
"""Called with the number of values read since the last call."""

_PATIENCE = 1.0
"""Seconds that a request waits while the index starts."""
AFTER_FAILURE = 60.0
"""Seconds after a failure until this process tries again to write segments."""
_SWEEPS_EVERY = 10.0
"""Seconds between two merges of an engine that drops ended values only by merging (see `Engine.sweeps`)."""
FEW = 20_000
"""Up to this many values, the store is asked about each one; beyond, it lists all values that last."""
logger = logging.getLogger("hashdb.index")


def _no_progress(count: int) -> None:
    """Ignore the progress."""


class Size(NamedTuple):
    """Values of an index in memory and in files; a value in several tiers counts several times."""

    in_memory: int
    in_files: int


class IndexView:
    """One index for each algorithm, as of one event of the log.

    The engine has the indexes and stores their values, often in files that all processes of a machine read. The
    follower has the lock and the head up to which the indexes know the events. Its `feed`, for which the caller holds
    the lock, calls `start` or `advance` here; its `catch_up` takes the lock itself if there are new events. While
    another thread starts the indexes, `catch_up` waits `_PATIENCE` seconds at most, and then raises IndexNotReady.

    Stored values are of the events up to `engine.last_seq`, and name the leaf of that event (`Manifest`). If the log
    has another leaf there, it was restored from a backup, and the stored values are not used.
    """

    def __init__(
        self,
        store: Store,
        radii: Mapping[Algorithm, int],
        folder: Path | None,
        engine: OpenEngine,
    ) -> None:
        """Empty until the first `catch_up`; the engine keeps its files in `folder` (None: all is kept in memory)."""
        self._store = store
        self.engine = engine(folder, radii)
        self._indexes = self.engine.indexes
        # Only for the thread that holds the follower's lock: whether it may write segments, and its progress callback.
        self._may_write = False
        self._progress: Progress = _no_progress
        # Whether the stored values were checked since the start.
        self._checked = False
        # The time by `monotonic` from which this process may write segments, or sweep, again: later after a failure or
        # a sweep.
        self._write_after = 0.0
        self.follower = LogFollower(store.head, self._snapshot, (self,), moved=self._moved, patience=_PATIENCE)
        self.catch_up = self.follower.catch_up

    @property
    def head(self) -> Head | None:
        """The last event that the index knows of; None before the first `catch_up`."""
        return self.follower.head

    def fill(self, progress: Progress) -> Head:
        """Catch up, and build missing segments from the store, which may take minutes; return the head.

        One process builds them. Raises IndexNotReady in the others until it has.
        """
        with self._writing() as may_write, self._locked(may_write, progress):
            return self.follower.feed()

    def backlog(self) -> int:
        """The number of signals in the store, all of which `fill` reads if there are no segments."""
        with self._store.read() as tx:
            return tx.matches.count_signals()

    def index(self, algorithm: Algorithm) -> Index:
        """The index of an algorithm's values."""
        return self._indexes[algorithm]

    def sizes(self) -> Mapping[Algorithm, Size]:
        """The number of values in each index of this process."""
        indexes = self.engine.indexes
        return {name: Size(index.in_memory, len(index) - index.in_memory) for name, index in indexes.items()}

    def search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all stored values of the algorithm within `radius` bits, nearest first.

        Raises IndexNotReady if a file of the index is damaged, until it is rebuilt.
        """
        try:
            return self._indexes[algorithm].search(values, radius)
        except (IndexError, ValueError) as error:  # NumPy raises either for damaged tables
            logger.warning("checking the index: %s", error)
            self.engine.doubted = True
            raise IndexNotReady(RETRY_AFTER) from error

    def maintain(self, at_once: bool = False) -> None:
        """Write the values in memory to segments once there are many (`at_once`: always), and merge segments.

        One process writes. In the others, and while there is little to write, this is cheap. Searches go on.
        """
        with self._writing() as may_write:
            with self._locked(may_write), suppress(IndexNotReady):
                self.follower.feed()
            is_due = may_write and self._is_due(at_once)
            # A process whose engine cannot write files checks them, too.
            checks = (not self._checked or self.engine.doubted) and (may_write or self.engine.failing)
            if is_due or checks:
                try:
                    self._check_and_write(at_once, may_write=may_write)
                except OSError as error:
                    self._postpone(error)
            elif may_write and self.engine.sweeps and monotonic() >= self._write_after:
                self._write_after = monotonic() + _SWEEPS_EVERY
                self.engine.merge(self._lasting)

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """Yield whether this process may write the index in the block.

        One process of a machine may at a time; of an index that machines share, one process of all machines.
        """
        with ExitStack() as stack:
            may_write = stack.enter_context(self.engine.writing())
            yield may_write and (not self.engine.shared or stack.enter_context(self._store.index_lock()))

    def _is_due(self, at_once: bool) -> bool:
        """Whether there is enough in memory to write a segment, or that is to happen `at_once`."""
        return at_once or (self.engine.unflushed >= FLUSH_SIZE and monotonic() >= self._write_after)

    def _postpone(self, error: OSError) -> None:
        """Let the engine report a failure to write, and write no segments for a minute."""
        self.engine.fail(error)
        self._write_after = monotonic() + AFTER_FAILURE

    def _check_and_write(self, at_once: bool, *, may_write: bool) -> None:
        """Check the stored values; if this process may write, then write what is in memory and merge segments."""
        doubted = self.engine.doubted
        sound = self.engine.keep_if_sound(thoroughly=doubted or not self._checked)
        self._checked = True
        with self._locked(may_write):
            if doubted or not sound:
                # Then the follower calls `start` of this view again.
                self.follower.head = None
            head = self.follower.feed()
            snapshot, leaf = self.engine.snapshot(), self.follower.leaf
        if not may_write:
            return
        # If files were discarded, other processes wait for their replacement.
        if not sound or self._is_due(at_once):
            self.engine.flush(head.seq, leaf, snapshot)
        while self.engine.merge(self._lasting):
            pass

    def start(self, log: LogSnapshot[Transaction]) -> None:
        """Continue from the segments, or build them if they are missing and this process may write them."""
        seq, tx = log.head.seq, log.source
        # The seq up to which the engine has the values of events; 0 if it has none.
        after = self.engine.start(log.head.epoch, seq, log.leaf_of)
        if after == 0 and self.engine.on_disk and tx.matches.count_signals() >= FLUSH_SIZE:
            self._build(log)
        else:
            self._add(tx, after, seq)
        # Until here, searches went on in the old indexes.
        self._indexes = self.engine.indexes

    def advance(self, log: LogSnapshot[Transaction], after: int) -> bool:
        """Add the values of the events past `after`; return False if another process has discarded the segments."""
        if not self.engine.refresh(log.head.seq, log.leaf_of):
            return False
        if self.engine.doubted:
            raise IndexNotReady(RETRY_AFTER)
        # `refresh` may have opened files with values of events past `after`.
        self._add(log.source, max(after, self.engine.last_seq), log.head.seq)
        return True

    @contextmanager
    def _snapshot(self, after: int | None) -> Iterator[LogSnapshot[Transaction]]:
        # `after` is not needed here. This is a transaction of its own: a caller's could see its own uncommitted event,
        # and after a rollback another event gets that seq, which the index would then skip.
        with self._store.read() as tx:
            yield LogSnapshot(tx.audit.head(), tx.audit.leaf, tx)

    def _moved(self) -> bool:
        """Whether a file was damaged, or another process wrote files, since the index caught up."""
        return self.engine.doubted or self.engine.moved

    @contextmanager
    def _locked(self, may_write: bool, progress: Progress = _no_progress) -> Iterator[None]:
        """Hold the follower's lock for the block, in which `start` may write segments and reports its progress."""
        with self.follower.lock:
            self._may_write, self._progress = may_write, progress
            try:
                yield
            finally:
                self._may_write, self._progress = False, _no_progress

    def _build(self, log: LogSnapshot[Transaction]) -> None:
        """Fill an index of many values from the store; where files can be written, one process does it for all."""
        if not self._may_write and not self.engine.failing:
            raise IndexNotReady(RETRY_AFTER)
        logger.info("building the index from the database")
        if self._may_write:
            self.engine.throw_away()
        self._add(log.source, 0, log.head.seq)
        if self._may_write:
            try:
                self.engine.flush(log.head.seq, log.leaf_of(log.head.seq), self.engine.snapshot())
            except OSError as error:
                self._postpone(error)

    def _add(self, tx: Transaction, after: int, seq: int) -> None:
        """Add the values of the events past `after` up to `seq`."""
        if after == 0:
            for algorithm, index in self.engine.indexes.items():
                index.fill(_with_progress(tx.matches.all_values(algorithm), algorithm.bits // 8, self._progress), seq)
            return
        for algorithm, values in tx.matches.added_values(after, seq).items():
            if algorithm in self.engine.indexes:
                self.engine.indexes[algorithm].add_octets(values, seq)

    def _lasting(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        """A mask over the sorted values: whether a contribution that may match still has the value."""
        with self._store.read() as tx:
            if len(words) <= FEW:
                octets = to_octets(words)
                lasting = tx.matches.lasting_values(algorithm, octets)
                return np.fromiter((value in lasting for value in octets), bool, len(octets))
            if not tx.matches.has_ended_contributions():
                return np.ones(len(words), bool)
            mask, first = np.zeros(len(words), bool), np.ascontiguousarray(words[:, 0])
            for part in tx.matches.all_values(algorithm, lasting=True):
                stored = from_octets(part, algorithm.bits)
                # Both are sorted: a part of the stored values can only equal the words between its first and last.
                start, end = np.searchsorted(first, stored[0, 0]), np.searchsorted(first, stored[-1, 0], "right")
                mask[start:end] |= is_among(words[start:end], stored)
            return mask


def _with_progress(parts: Iterable[bytes], size: int, progress: Progress) -> Iterable[bytes]:
    for part in parts:
        progress(len(part) // size)
        yield part
