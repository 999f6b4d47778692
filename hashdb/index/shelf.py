"""The shelf: every algorithm's tiers, and the folder in which their segments stand.

One process writes at a time (it holds the lock file); the others notice a new manifest. Whatever is lost in the folder
is in the store: a manifest of another log, of a number past its head, or with a damaged file counts as none.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, get_native_id

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.files import DamagedSegment, Step, no_step, open_segment, verify, write_segment
from hashdb.index.manifest import Manifest, read_manifest, stamp, write_manifest
from hashdb.index.segment import Segment, build
from hashdb.index.tiered import TieredIndex
from hashdb.index.words import Words

log = logging.getLogger("hashdb.index")

GROWTH = 4
"""A segment is merged with the next smaller one when that has more than a fourth of its values."""

Alive = Callable[[Algorithm, Words], NDArray[np.bool_]]
"""Which of these values a contribution still holds that may match, now or later."""


class Shelf:
    """The tiers of some algorithms, with segments in a folder (None: all in memory)."""

    def __init__(self, folder: Path | None, radii: Mapping[Algorithm, int], step: Step = no_step) -> None:
        """`radii` are those that each algorithm is mostly searched at. Opens nothing yet."""
        self._folder, self._step = folder, step
        self.indexes = {algorithm: TieredIndex(algorithm.bits, radius) for algorithm, radius in radii.items()}
        self._manifest: Manifest | None = None
        self._stamp = (0, 0)
        self._open: dict[str, Segment] = {}
        self._guard = Lock()

    @property
    def on_disk(self) -> bool:
        """Whether there is a folder for segments."""
        return self._folder is not None

    @property
    def in_memory(self) -> int:
        """How many values no file holds yet."""
        return sum(index.in_memory for index in self.indexes.values())

    @property
    def covers(self) -> int:
        """The number of the log up to which files hold every value."""
        return 0 if self._manifest is None else self._manifest.covers

    def start(self, epoch: str, head: int) -> int:
        """Begin with what the folder holds of the log of this epoch; return the number up to which that is all."""
        self.indexes = {name: TieredIndex(index.bits, index.radius) for name, index in self.indexes.items()}
        self._manifest, self._stamp = Manifest(epoch), (0, 0)
        self.refresh(head)
        return self.covers

    def refresh(self, head: int) -> bool:
        """Take over what another process has written since; return whether there was anything."""
        if self._folder is None or self._manifest is None or (now := stamp(self._folder)) == self._stamp:
            return False
        found = read_manifest(self._folder)
        if found is None or found.epoch != self._manifest.epoch or not self.covers <= found.covers <= head:
            return False
        if set(self.indexes) - set(found.files):
            # An algorithm was enabled since: its values are in no file.
            return False
        try:
            self._take(found)
        except DamagedSegment as error:
            log.warning("the index on disk is not used: %s", error)
            return False
        self._stamp = now
        return True

    def frozen(self, head: int, held: Mapping[Algorithm, Words]) -> None:
        """Write what was held in memory at number `head` of the log, and let it go. For who holds the lock."""
        assert self._folder is not None and self._manifest is not None
        files = dict(self._manifest.files)
        for algorithm, words in held.items():
            if len(words):
                name = self._write(algorithm, build(words, algorithm.radius))
                files[algorithm] = (*files.get(algorithm, ()), name)
            files.setdefault(algorithm, ())
        self._publish(Manifest(self._manifest.epoch, head, files))

    def merge(self, alive: Alive) -> bool:
        """Merge the two last segments of an algorithm that are of like size; return whether there were any.

        Values that are not `alive` leave. For who holds the lock.
        """
        assert self._manifest is not None
        for algorithm, names in self._manifest.files.items():
            sizes = [len(self._open[name]) for name in names]
            if algorithm in self.indexes and len(names) > 1 and sizes[-1] * GROWTH > sizes[-2]:
                self._replace(algorithm, names[:-2], names[-2:], alive)
                return True
        return False

    def verify(self) -> None:
        """Check every file's body. Raises DamagedSegment."""
        if self._folder is not None and self._manifest is not None:
            for names in self._manifest.files.values():
                for name in names:
                    verify(self._folder / name)

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Whether this process may write now; it may until the block ends."""
        if self._folder is None:
            yield False
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def tidy(self) -> None:
        """Remove files that no manifest names: left by a process that ended as it wrote. For who holds the lock."""
        assert self._folder is not None and self._manifest is not None
        named = {name for names in self._manifest.files.values() for name in names}
        for path in self._folder.iterdir():
            if path.suffix in (".segment", ".part") and path.name not in named:
                path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the manifest, so that everything is built anew. For who holds the lock."""
        assert self._folder is not None
        (self._folder / "manifest.json").unlink(missing_ok=True)

    def _replace(self, algorithm: Algorithm, kept: Sequence[str], merged: Sequence[str], alive: Alive) -> None:
        words = np.concatenate([self._open[name].words(slice(None)) for name in merged])
        words = words[alive(algorithm, words)]
        assert self._manifest is not None
        files = dict(self._manifest.files)
        files[algorithm] = (*kept, self._write(algorithm, build(words, algorithm.radius))) if len(words) else (*kept,)
        self._publish(Manifest(self._manifest.epoch, self._manifest.covers, files))

    def _write(self, algorithm: Algorithm, segment: Segment) -> str:
        assert self._folder is not None
        name = f"{algorithm}-{secrets.token_hex(8)}.segment"
        write_segment(self._folder / name, segment, self._step)
        return name

    def _publish(self, manifest: Manifest) -> None:
        assert self._folder is not None
        write_manifest(self._folder, manifest, self._step)
        self._take(manifest)
        self._stamp = stamp(self._folder)
        self._step("tidy")
        self.tidy()

    def _take(self, manifest: Manifest) -> None:
        with self._guard:
            self._take_guarded(manifest)

    def _take_guarded(self, manifest: Manifest) -> None:
        assert self._folder is not None
        names = {name for algorithm in self.indexes for name in manifest.files[algorithm]}
        opened = {name: self._open.get(name) or open_segment(self._folder / name) for name in names}
        for algorithm, index in self.indexes.items():
            index.adopt([opened[name] for name in manifest.files[algorithm]], manifest.covers)
        self._open, self._manifest = opened, manifest


def low_priority() -> None:
    """Let the calling thread give way to others (Linux; elsewhere nothing happens)."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 10)
