"""The index of a member's copy: the tiered index of the service, which catches up with the tables before a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import PERCEPTUAL, Algorithm
from hashdb.index import FLUSH_SIZE
from hashdb.index.follower import LogFollower, LogSnapshot
from hashdb.index.segment_store import SegmentStore
from hashdb.index.vectors import Words, from_octets, is_among
from hashdb.local.tables import CopyTables


class CopyIndex:
    """Searches the values of the tables; the index files can always be built again from the tables."""

    def __init__(self, tables: CopyTables, folder: Path) -> None:
        """Over open tables; `folder` has the segment files. The first search reads them and the tables."""
        self._tables = tables
        self._radii = {algorithm: algorithm.radius for algorithm in PERCEPTUAL}
        self._engine = SegmentStore(folder, self._radii)
        self._follower = LogFollower(tables.head, self._snapshot, (self,), moved=lambda: self._engine.moved)
        self.catch_up = self._follower.catch_up

    def search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all of an algorithm that are stored within `radius` bits of it, nearest first."""
        try:
            return self._engine.indexes[algorithm].search(values, radius)
        except IndexError:
            # A file is damaged: this process continues in memory, and the next sync deletes the file.
            with self._follower.lock:
                self._engine, self._follower.head = SegmentStore(folder=None, radii=self._radii), None
        self.catch_up()
        return self._engine.indexes[algorithm].search(values, radius)

    def sizes(self) -> dict[Algorithm, int]:
        """How many values of each perceptual algorithm there are."""
        self.catch_up()
        return {algorithm: len(index) for algorithm, index in self._engine.indexes.items()}

    def write(self) -> None:
        """Flush the values in memory to a segment once there are many, and merge segments; for the syncing process."""
        self.catch_up()
        if self._engine.unflushed < FLUSH_SIZE:
            return
        with self._engine.writing() as acquired:
            if not acquired:
                return
            with self._follower.lock:
                head, snapshot = self._follower.feed(), self._engine.snapshot()
            self._engine.flush(head.seq, "", snapshot)
            while self._engine.merge(self._are_stored):
                pass

    def check(self) -> None:
        """Check the files against their checksums; damaged ones are deleted and built again from the tables."""
        with self._engine.writing() as acquired:
            if acquired:
                self.catch_up()
                if not self._engine.keep_if_sound(thoroughly=True):
                    # The follower starts over: from the segment files that are left, and the tables.
                    self._follower.head = None

    def start(self, log: LogSnapshot[CopyTables]) -> None:
        """Start from the segment files, and add the changes after them. The follower calls it, and `advance` later."""
        self._add(log, self._engine.start(log.head.epoch, log.head.seq, log.leaf_of))

    def advance(self, log: LogSnapshot[CopyTables], after: int) -> bool:
        """Add the changes after a seq; False if another process has deleted the segment files."""
        if not self._engine.refresh(log.head.seq, log.leaf_of):
            return False
        self._add(log, max(after, self._engine.last_seq))
        return True

    @contextmanager
    def _snapshot(self, after: int | None) -> Iterator[LogSnapshot[CopyTables]]:
        # Changes that are stored after the head was read are added again the next time, which does no harm.
        # A copy has the seqs of the log, not its leaves: a log that was set back has another epoch.
        yield LogSnapshot(self._tables.head(), lambda seq: "", self._tables)

    def _add(self, log: LogSnapshot[CopyTables], after: int) -> None:
        """Add the values of the contributions that changed after a seq."""
        seq = log.head.seq
        if after == 0:
            for algorithm, index in self._engine.indexes.items():
                index.fill([log.source.all_values(algorithm)], seq)
        elif after < seq:
            for algorithm, values in log.source.added_values(after).items():
                if not algorithm.is_digest:
                    self._engine.indexes[algorithm].add_octets(values, seq)

    def _are_stored(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        """Whether each of some values is still in the tables."""
        return is_among(words, from_octets(self._tables.all_values(algorithm), algorithm.bits))
