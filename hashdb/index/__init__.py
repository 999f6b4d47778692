"""Exact Hamming range search over bare values of one length; knows no rows and no members.

An engine holds one index an algorithm and knows the number (`seq`) of the log up to which its values are stored
durably. Three engines follow one protocol: `SegmentStore` (tiered), `BKTreeEngine` and `MilvusEngine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm

if TYPE_CHECKING:
    # NumPy takes longer to import than most commands take to run.
    import numpy as np
    from numpy.typing import NDArray

    from hashdb.index.vectors import Words

Alive = Callable[[Algorithm, "Words"], "NDArray[np.bool_]"]
"""Which of these values (distinct and sorted) a contribution still holds that may match, now or later."""

Leaf = Callable[[int], str]
"""The leaf of an event of the store's log, in hex; empty where there is none of this number."""


class Index(Protocol):
    """A growing set of values, all of one number of bits. Any thread may call any method at any time."""

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        """Take in the values of the events up to number `seq`; a value that is stored already is stored once.

        A search that begins after this call finds them.
        """

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        """Take in all values of the store, of the events up to number `seq`.

        Each part holds many values of bits / 8 bytes, big-endian, one after the other.
        """

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all stored values within `radius` bits of it: recall 1.0, each once, nearest first.

        Raises IndexError where a file turns out to be damaged, IndexNotReady where a server does not answer.
        """

    def __len__(self) -> int:
        """How many values are stored; a value that is in memory and in a file may count twice."""

    @property
    def in_memory(self) -> int:
        """How many values stand in this process's memory alone."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an engine stored durably: every value of the events up to number `last_seq` of the log of this epoch.

    `files` names the segments of each algorithm. `leaf` is the leaf of event `last_seq`, in hex: a log that was set
    back and grew again has another leaf there.
    """

    epoch: str
    last_seq: int = 0
    files: Mapping[Algorithm, tuple[str, ...]] = field(default_factory=dict)
    leaf: str = ""

    @property
    def void(self) -> bool:
        """Whether it says that what was stored is of no use, and was thrown away."""
        return not self.last_seq and not self.files

    @property
    def names(self) -> frozenset[str]:
        """The files of all algorithms."""
        return frozenset(name for names in self.files.values() for name in names)


class Snapshot(NamedTuple):
    """The values that stood in memory at one moment, beside what this manifest names."""

    manifest: Manifest
    words: Mapping[Algorithm, Words]


class Engine(Protocol):
    """One index an algorithm, and what of them is stored outside of this process."""

    doubted: bool
    """Whether a search has failed, so that what is stored must be checked before the next answer."""

    @property
    def indexes(self) -> Mapping[Algorithm, Index]:
        """The index of each algorithm. `start` replaces them; a search that runs goes on in those of before."""

    @property
    def failing(self) -> bool:
        """Whether the last attempt to write has failed."""

    @property
    def on_disk(self) -> bool:
        """Whether values are stored outside of this process, so that one process builds them for all."""

    @property
    def shared(self) -> bool:
        """Whether processes of other machines write to the same place."""

    @property
    def sweeps(self) -> bool:
        """Whether ended values leave by a `merge` every few seconds, and not when segments are merged."""

    @property
    def moved(self) -> bool:
        """Whether another process has written since this one last looked."""

    @property
    def unflushed(self) -> int:
        """How many values wait for the next `flush`."""

    @property
    def last_seq(self) -> int:
        """The number of the log up to which every value is stored outside of this process."""

    def start(self, epoch: str, head: int, leaf: Leaf) -> int:
        """Begin with what is stored of the log of this epoch, whose last event is `head`; return `last_seq`."""

    def refresh(self, head: int, leaf: Leaf) -> bool:
        """Take over what another process has written since; return False where the engine must `start` again."""

    def snapshot(self) -> Snapshot:
        """The values that `flush` writes. For the process that may write."""

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        """Store a snapshot taken at number `seq` of the log, and let it leave the memory. `leaf` is that of `seq`.

        For the process that may write. Raises OSError where the folder cannot be written.
        """

    def merge(self, alive: Alive) -> bool:
        """Take one step of merging segments and of removing values that are not `alive`; return whether more is due.

        For the process that may write. Raises OSError where the folder cannot be written.
        """

    def sound(self, *, thoroughly: bool) -> bool:
        """Whether what is stored is what this process goes on from; if not, it is thrown away.

        `thoroughly` reads every file against its checksums. For the process that may write.
        """

    def throw_away(self) -> None:
        """Let no process go on with what is stored. For the process that may write."""

    def fail(self, error: OSError) -> None:
        """Note that what is in memory could not be written, and log it once."""

    def writing(self) -> AbstractContextManager[bool]:
        """Whether this process may write; if so, no other process of this machine may until the block ends."""


OpenEngine = Callable[[Path | None, Mapping[Algorithm, int]], Engine]
"""Makes an engine from the folder for its files (None: memory only) and each algorithm's usual radius in bits."""
