"""A log without a store, and processes that keep a segment store level with it, as the service does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.segment import no_step
from hashdb.index.segment_store import SegmentStore
from hashdb.index.vectors import Words, unpack

PHASH, PDQ = Algorithm.PHASH, Algorithm.PDQ
STEPS = ("write .segment", "body", "sync", "rename", "manifest", "swap", "swapped", "tidy")
"""What a segment store does to write one segment, in order."""


@dataclass
class Log:
    """Values by the number of the event that added them, and those that have ended."""

    epoch: str = "epoch"
    values: list[int] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)

    def add(self, count: int) -> Log:
        """Some more values, always the same."""
        rng = random.Random(len(self.values))
        self.values += [rng.getrandbits(64) for _ in range(count)]
        return self

    def end_some(self, step: int = 3) -> Log:
        """Let every third value end (or another part)."""
        self.ended |= set(self.values[::step])
        return self

    @property
    def head(self) -> int:
        """The number of the last event."""
        return len(self.values)

    @property
    def lasting(self) -> list[int]:
        """The values that must be found."""
        return [value for value in self.values if value not in self.ended]

    def leaf(self, seq: int) -> str:
        """What stands for event `seq`."""
        return f"{self.values[seq - 1]:x}" if 0 < seq <= self.head else ""

    def alive(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        """Which values have not ended."""
        return np.array([value not in self.ended for value in unpack(words)], bool)


class Keeper:
    """A process that keeps a segment store level with a log."""

    def __init__(self, log: Log, folder: Path, step: Callable[[str], None] = no_step) -> None:
        self.log = log
        self.store = SegmentStore(folder, {PHASH: 6, PDQ: 31}, step)
        self.known = self.begun = self.store.start(log.epoch, log.head, log.leaf)
        self.level()

    def level(self) -> None:
        """Take in what is new."""
        head = self.log.head
        self.store.refresh(head, self.log.leaf)
        for seq in range(max(self.known, self.store.last_seq), head):
            self.store.indexes[PHASH].add([self.log.values[seq]], seq + 1)
        self.known = head

    def write(self) -> bool:
        """Freeze and merge, if no other process does; return whether it did."""
        with self.store.writing() as may:
            if not may:
                return False
            self.level()
            if not self.store.keep_if_sound(thoroughly=True):
                self.known = self.store.start(self.log.epoch, self.log.head, self.log.leaf)
                self.level()
            self.store.flush(self.known, self.log.leaf(self.known), self.store.snapshot())
            while self.store.merge(self.log.alive):
                pass
        return True

    def missed(self, values: Sequence[int] | None = None) -> list[int]:
        """Those of the values (else of all that last) that a search does not find."""
        asked = self.log.lasting if values is None else list(values)
        answers = self.store.indexes[PHASH].search(asked, 0)
        return [value for value, found in zip(asked, answers, strict=True) if [one.value for one in found] != [value]]

    def held(self) -> list[int]:
        """Every value that is found at all, ended or not."""
        return sorted(found.value for found in self.store.indexes[PHASH].search([0], 64)[0])


def files_of(folder: Path) -> set[str]:
    """The names of all files but the manifest and the lock."""
    return {path.name for path in folder.iterdir()} - {"manifest.json", "lock"}
