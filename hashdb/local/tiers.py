"""The index of a member's copy: the service's own tiers, level with the copy's tables before each search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.index.segment import most
from hashdb.index.segments import SegmentStore
from hashdb.index.tiered import ARRAY, TieredIndex
from hashdb.index.words import Words, among, from_octets
from hashdb.local.tables import Tables


class Tiers:
    """Searches the values of some tables; whatever is wrong with the files, the tables have it all."""

    def __init__(self, tables: Tables, folder: Path) -> None:
        """Over open tables; segments stand in `folder`. Fills at the first search."""
        self._tables = tables
        self._radii = {one: one.radius for one in Algorithm}
        self._engine = SegmentStore(folder, self._radii)
        self._epoch = tables.state().epoch
        self._known: int | None = None
        self._lock = Lock()

    def search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all of an algorithm that are stored within `radius` bits of it, nearest first."""
        try:
            return self._engine.indexes[algorithm].search(values, radius)
        except IndexError:
            # A file turns out to be damaged: this process goes on in memory, and the next sync throws the file away.
            with self._lock:
                self._engine, self._known = SegmentStore(None, self._radii), None
        self.level()
        return self._engine.indexes[algorithm].search(values, radius)

    def level(self) -> int:
        """Take in what the tables have and this process has not; return the number that it is level with."""
        cursor = self._tables.cursor()
        if cursor == self._known and not self._engine.moved:
            return cursor
        with self._lock:
            return self._catch_up()

    def write(self) -> None:
        """Write what is in memory to segments once it is much, and merge segments; for the process that syncs."""
        self.level()
        if self._engine.unflushed < ARRAY:
            return
        with self._engine.writing() as may:
            if not may:
                return
            with self._lock:
                cursor, snapshot = self._catch_up(), self._engine.snapshot()
            self._engine.flush(cursor, "", snapshot)
            while self._engine.merge(self._alive):
                pass

    def check(self) -> None:
        """Read the files against their checksums; what is damaged is thrown away, and built anew from the tables."""
        with self._engine.writing() as may:
            if may:
                self.level()
                if not self._engine.sound(thoroughly=True):
                    self._known = None

    def _catch_up(self) -> int:
        cursor = self._tables.cursor()
        if self._known is None or not self._engine.refresh(cursor, _no_leaf):
            after = self._engine.start(self._epoch, cursor, _no_leaf)
        else:
            after = max(self._known, self._engine.last_seq)
        # What has been taken in since the cursor was read comes again the next time, which does no harm.
        if after == 0:
            for algorithm, index in self._engine.indexes.items():
                _load(index, self._tables.every(algorithm), cursor)
        elif after < cursor:
            for algorithm, values in self._tables.added(after).items():
                index = self._engine.indexes[algorithm]
                if len(values) < ARRAY:
                    index.add(map(int.from_bytes, values), cursor)
                else:
                    _load(index, b"".join(values), cursor)
        self._known = cursor
        return cursor

    def _alive(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        return among(words, from_octets(self._tables.every(algorithm), algorithm.bits))


def _no_leaf(seq: int) -> str:
    """A copy has the numbers of the log, not its leaves: a log that was set back has another epoch."""
    return ""


def _load(index: TieredIndex, octets: bytes, upto: int) -> None:
    words = from_octets(octets, index.bits)
    for start in range(0, len(words), most(index.bits)):
        index.load(words[start : start + most(index.bits)], upto)
