"""Exact Hamming range search over bare values of one length; it has no notion of rows or members.

An engine holds one index for each algorithm, and the seq up to which its values are stored durably. Three engines
have one base class: `SegmentStore` (tiered), `BKTreeEngine` and `MilvusEngine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm

if TYPE_CHECKING:
    # NumPy takes longer to import than most commands take to run.
    import numpy as np
    from numpy.typing import NDArray

    from hashdb.index.vectors import Words

FLUSH_SIZE = 4_096
"""The number of values in memory from which on they should be written to a segment file."""

Alive = Callable[[Algorithm, "Words"], "NDArray[np.bool_]"]
"""Returns which values (distinct and sorted) belong to a contribution that may match, now or later."""

LeafOf = Callable[[int], str]
"""Returns the leaf of an event of the store's log by its seq, in hex; empty if there is no such event."""


class Index(ABC):
    """A growing set of values with the same number of bits. Any thread may call any method at any time."""

    @abstractmethod
    def add(self, values: Iterable[int], seq: int = 0) -> None:
        """Add the values of the events up to `seq`; a value that is already there is stored once.

        A search that begins after this call finds them.
        """

    @abstractmethod
    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        """Add all values of the store, of the events up to `seq`.

        Each part holds one or more whole values of bits / 8 bytes, big-endian, one after the other.
        """

    def add_octets(self, values: Sequence[bytes], seq: int) -> None:
        """As `add`, of big-endian values. Many at once become one segment, without going through memory."""
        if len(values) < FLUSH_SIZE:
            self.add(map(int.from_bytes, values), seq)
        else:
            self.fill(values, seq)

    @abstractmethod
    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all stored values within `radius` bits of it: recall 1.0, each once, nearest first.

        Raises IndexError for a damaged file, IndexNotReady while the server of the engine does not answer.
        """

    @abstractmethod
    def __len__(self) -> int:
        """How many values are stored; a value that is in memory and in a file may count twice."""

    @property
    @abstractmethod
    def in_memory(self) -> int:
        """How many values only the memory of this process has."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an engine stored durably: every value of the events up to `last_seq` in the log with this epoch.

    `files` has the names of the segment files of each algorithm. `leaf` is the leaf of event `last_seq`, in hex: a log
    that was set back and grew again has another leaf there.
    """

    epoch: str
    last_seq: int = 0
    files: Mapping[Algorithm, tuple[str, ...]] = field(default_factory=dict)
    leaf: str = ""

    @property
    def void(self) -> bool:
        """Whether the manifest says that the stored values are invalid and were discarded."""
        return not self.last_seq and not self.files

    @property
    def names(self) -> frozenset[str]:
        """The names of the files of all algorithms."""
        return frozenset(name for names in self.files.values() for name in names)


class Snapshot(NamedTuple):
    """The values in memory at one moment, by algorithm, and the manifest of the other values."""

    manifest: Manifest
    words: Mapping[Algorithm, Words]


class Engine:
    """The index of each algorithm, and the storage of their values outside of this process, if it has one.

    An engine without a storage overrides only what has no default here.
    """

    indexes: Mapping[Algorithm, Index]
    """The index of each algorithm. `start` replaces the indexes; a running search continues in the old ones."""
    doubted = False
    """Whether a search failed, so that the stored values must be checked before the next search."""
    failing = False
    """Whether the last write failed."""
    on_disk = False
    """Whether values are stored outside of this process, so that one process builds the index for all."""
    shared = False
    """Whether processes of other machines write to the same storage."""
    sweeps = True
    """Whether `merge`, called every few seconds, only removes values that are not alive; if not, it merges segments."""

    @property
    def moved(self) -> bool:
        """Whether another process has written to the storage since this one last checked."""
        return False

    @property
    def unflushed(self) -> int:
        """How many values wait for the next `flush`."""
        return 0

    @property
    def last_seq(self) -> int:
        """The seq up to which every value is stored outside of this process."""
        return 0

    def start(self, epoch: str, head: int, leaf_of: LeafOf) -> int:
        """Load what is stored for the log with this epoch, whose last event is `head`; return `last_seq`."""
        raise NotImplementedError

    def merge(self, alive: Alive) -> bool:
        """Do one step of merging segments and of removing values that are not `alive`; return whether more is due.

        Only the process that may write calls it. Raises OSError if the folder cannot be written.
        """
        raise NotImplementedError

    def refresh(self, head: int, leaf_of: LeafOf) -> bool:
        """Load what another process has written since; return False where the engine must `start` again."""
        return True

    def snapshot(self) -> Snapshot:
        """The values that `flush` writes. Only the process that may write calls it."""
        return Snapshot(Manifest(""), {})

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        """Store a snapshot taken at `seq`, and free its memory. `leaf` is the leaf of event `seq`, in hex.

        Only the process that may write calls it. Raises OSError if the folder cannot be written.
        """

    def keep_if_sound(self, *, thoroughly: bool) -> bool:
        """Return whether the stored values are those that this process uses; if not, discard them.

        `thoroughly` verifies the checksums of every file. Only the process that may write calls it.
        """
        return True

    def throw_away(self) -> None:
        """Discard the stored values, for all processes. Only the process that may write calls it."""

    def fail(self, error: OSError) -> None:
        """Note that a write failed, and log it once."""

    def writing(self) -> AbstractContextManager[bool]:
        """Yield whether this process may write; if so, no other process of this machine may until the block ends."""
        return nullcontext(True)


OpenEngine = Callable[[Path | None, Mapping[Algorithm, int]], Engine]
"""Makes an engine, from the folder for its files (None: memory only) and the usual radius of each algorithm (bits)."""
