"""The segment store: every algorithm's tiers, and the folder in which their segments stand.

One process writes at a time (it holds the lock file); the others notice a new manifest. Whatever is lost in the folder
is in the store: a manifest of another log, of a number past its head, or with a damaged file counts as none. Where the
folder cannot be written, all stays in memory.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock, get_native_id

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.index import Alive, Leaf, Manifest, Snapshot
from hashdb.index.folder import locked, opener, sync_folder
from hashdb.index.segment import (
    DamagedSegment,
    Segment,
    Step,
    arrange,
    build,
    most,
    no_step,
    open_segment,
    verify,
    write_segment,
)
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import Words, copied, distinct, room

log = logging.getLogger("hashdb.index")

GROWTH = 4
"""A segment is merged with the next smaller one when that has more than a fourth of its values."""

NAME = "manifest.json"
"""Of the file in the folder."""
_VERSION = 2
NOWHERE = (0, 0)
"""The stamp of a folder without a manifest."""
_ROWS = 65_536
"""Values of the largest segment that are merged at a time."""


class SegmentStore:
    """The engine *tiered*: the tiers of some algorithms, with segments in a folder (None: all in memory)."""

    shared = sweeps = False

    def __init__(self, folder: Path | None, radii: Mapping[Algorithm, int], step: Step = no_step) -> None:
        """`radii` are those that each algorithm is mostly searched at. Opens nothing yet."""
        self._folder, self._step = folder, step
        self.indexes = {algorithm: TieredIndex(algorithm.bits, radius) for algorithm, radius in radii.items()}
        # Whether a search has shown that an open file is damaged; whether the folder could not be written lately.
        self.doubted = self.failing = False
        self._manifest: Manifest | None = None
        self._stamp = self._refused = self._seen = NOWHERE
        self._open: dict[str, Segment] = {}
        # Held from looking at a manifest until it is taken over, so that none is taken over after a later one.
        self._guard = Lock()

    @property
    def on_disk(self) -> bool:
        """Whether there is a folder for segments."""
        return self._folder is not None

    @property
    def moved(self) -> bool:
        """Whether another process has written since this one last looked."""
        return self._folder is not None and stamp(self._folder) != self._seen

    @property
    def unflushed(self) -> int:
        """How many values no file holds yet."""
        return sum(index.in_memory for index in self.indexes.values())

    @property
    def last_seq(self) -> int:
        """The number of the log up to which files hold every value."""
        return 0 if self._manifest is None else self._manifest.last_seq

    def start(self, epoch: str, head: int, leaf: Leaf) -> int:
        """Begin with what the folder holds of the log of this epoch; return the number up to which that is all.

        `indexes` are others from here on: who searches goes on in those of before.
        """
        with self._guard:
            again = self._manifest is not None
            self.indexes = {name: TieredIndex(index.bits, index.radius) for name, index in self.indexes.items()}
            self._manifest, self._stamp, self._open = Manifest(epoch), NOWHERE, {}
            self.doubted = False
            self._refresh(head, leaf)
            now = NOWHERE if self._folder is None else stamp(self._folder)
            if self._folder is not None and now not in (NOWHERE, self._stamp, self._refused):
                if fault := self._fault(read_manifest(self._folder), self._manifest, head, leaf):
                    log.warning("the index on disk is not used: %s", fault)
                    # Nor later, when a log that was set back has grown to where it was.
                    self._stamp, self._refused = now, now if again else NOWHERE
        return self.last_seq

    def refresh(self, head: int, leaf: Leaf) -> bool:
        """Take over what another process has written since; return whether what is open is still of use.

        It is not after another process has thrown it away, as it was damaged.
        """
        with self._guard:
            return self._refresh(head, leaf)

    def snapshot(self) -> Snapshot:
        """What is in memory now, to be written. For who holds the lock."""
        assert self._manifest is not None
        return Snapshot(self._manifest, {algorithm: index.snapshot() for algorithm, index in self.indexes.items()})

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        """Write a snapshot taken at number `seq` of the log, and let it leave the memory. For who holds the lock.

        `leaf` is that of event `seq`. Raises OSError where the folder cannot be written.
        """
        files: dict[Algorithm, tuple[str, ...]] = {}
        # Only those of today: of an algorithm that is no longer enabled, nothing is known up to `seq`.
        for algorithm, words in snapshot.words.items():
            files[algorithm] = snapshot.manifest.files.get(algorithm, ())
            for start in range(0, len(words), most(algorithm.bits)):
                part = words[start : start + most(algorithm.bits)]
                files[algorithm] += (self._write(algorithm, build(part, algorithm.radius)),)
        self._publish(snapshot.manifest, Manifest(snapshot.manifest.epoch, seq, files, leaf))

    def merge(self, alive: Alive) -> bool:
        """Merge the two last segments of an algorithm that are of like size; return whether there were any.

        Values that are not `alive` leave. For who holds the lock. Raises OSError where the folder cannot be written.
        """
        with self._guard:
            manifest, opened = self._manifest, self._open
        assert manifest is not None
        for algorithm in self.indexes:
            last = [opened[name] for name in manifest.files.get(algorithm, ())[-2:]]
            if len(last) == 2 and len(last[1]) * GROWTH > len(last[0]) and sum(map(len, last)) <= most(algorithm.bits):
                self._replace(manifest, algorithm, last, alive)
                return True
        return False

    def sound(self, *, thoroughly: bool) -> bool:
        """Whether the folder has what this process goes on from, `thoroughly` read against its checksums.

        What is of no use is thrown away, in every process, so that everything is built anew. For who holds the lock.
        """
        assert self._folder is not None and self._manifest is not None
        try:
            if read_manifest(self._folder) == self._manifest:
                for name in self._manifest.names:
                    check = verify if thoroughly else open_segment
                    check(self._folder / name)
                self._tidy(self._manifest)
                return True
        except DamagedSegment as error:
            log.warning("the index is built anew from the store: %s", error)
        self.throw_away()
        # At 0 there is nothing on disk to miss.
        return self.last_seq == 0

    def throw_away(self) -> None:
        """Let no process go on with what the folder holds. For who holds the lock."""
        assert self._folder is not None and self._manifest is not None
        now = stamp(self._folder)
        if now == NOWHERE:
            return
        void = Manifest(self._manifest.epoch)
        try:
            write_manifest(self._folder, void, self._step)
            self._tidy(void)
        except OSError as error:
            # Then at least not in this one.
            self._refused = now
            self.fail(error)

    def fail(self, error: OSError) -> None:
        """Note that the folder could not be written, and log it once."""
        if not self.failing:
            log.warning("the index cannot be written and stays in memory: %s", (error.strerror or "").lower())
        self.failing = True

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Whether this process may write now; it may until the block ends."""
        if self._folder is None:
            yield False
            return
        with ExitStack() as stack:
            may = False
            try:
                may = stack.enter_context(locked(self._folder))
            except OSError as error:
                self.fail(error)
            yield may

    def _refresh(self, head: int, leaf: Leaf) -> bool:
        if self._folder is None or self._manifest is None:
            return True
        while (now := self._look()) not in (self._stamp, self._refused):
            found = read_manifest(self._folder)
            if found is not None and found.void and found.epoch == self._manifest.epoch:
                self._stamp = now
                return self.last_seq == 0
            if found is None or self._fault(found, self._manifest, head, leaf):
                return True
            try:
                self._take(found)
            except DamagedSegment as error:
                if stamp(self._folder) != now:
                    continue  # They were merged away while we looked.
                log.warning("the index on disk is not used: %s", error)
            self._stamp = now
        return True

    def _look(self) -> tuple[int, int]:
        assert self._folder is not None
        self._seen = stamp(self._folder)
        return self._seen

    def _fault(self, found: Manifest | None, known: Manifest, head: int, leaf: Leaf) -> str | None:
        """Why a manifest cannot be taken over at number `head`; None: it can."""
        if found is None:
            return "its manifest is damaged or of another version"
        if found.epoch != known.epoch:
            return "it is of another log"
        if found.last_seq > head:
            return f"it covers events up to {found.last_seq:,}, and the log has {head:,}"
        if found.leaf != leaf(found.last_seq):
            return f"event {found.last_seq:,} is not what it was when it was written: the log was set back"
        if found.last_seq < known.last_seq:
            return "it is older than what is in use"
        if missing := set(self.indexes) - set(found.files):
            # Enabled since: its values are in no file.
            return f"it does not have {', '.join(sorted(missing))}"
        return None

    def _replace(self, manifest: Manifest, algorithm: Algorithm, segments: Sequence[Segment], alive: Alive) -> None:
        words = merged(segments)
        lasting = alive(algorithm, words)
        if not lasting.all():
            words = words.compress(lasting, axis=0)
        kept = manifest.files[algorithm][: -len(segments)]
        if len(words):
            kept += (self._write(algorithm, arrange(words, algorithm.radius)),)
        self._publish(manifest, replace(manifest, files={**manifest.files, algorithm: kept}))

    def _write(self, algorithm: Algorithm, segment: Segment) -> str:
        assert self._folder is not None
        name = f"{algorithm}-{secrets.token_hex(8)}.segment"
        try:
            write_segment(self._folder / name, segment, self._step)
        except OSError:
            # As on a full disk: let the next attempt have the room.
            (self._folder / name).with_suffix(".part").unlink(missing_ok=True)
            raise
        return name

    def _publish(self, before: Manifest, manifest: Manifest) -> None:
        assert self._folder is not None
        write_manifest(self._folder, manifest, self._step)
        with self._guard:
            # If this process has started over with another log meanwhile, this is not for it.
            if self._manifest in (before, manifest):
                self._take(manifest)
                self._stamp = self._seen = stamp(self._folder)
        if self.failing:
            self.failing = False
            log.warning("the index is written again")
        self._step("tidy")
        self._tidy(manifest)

    def _tidy(self, manifest: Manifest) -> None:
        """Remove files that the manifest does not name: merged ones, and what a process left that ended in a write."""
        assert self._folder is not None
        for path in self._folder.iterdir():
            if path.suffix in (".segment", ".part") and path.name not in manifest.names:
                path.unlink(missing_ok=True)

    def _take(self, manifest: Manifest) -> None:
        assert self._folder is not None
        opened: dict[str, Segment] = {}
        for name in (name for algorithm in self.indexes for name in manifest.files[algorithm]):
            known = self._open.get(name)
            opened[name] = open_segment(self._folder / name) if known is None else known
        for algorithm, index in self.indexes.items():
            index.adopt([opened[name] for name in manifest.files[algorithm]], manifest.last_seq)
        # What was doubted is gone.
        self.doubted = self.doubted and not self._open.keys().isdisjoint(opened)
        self._open, self._manifest = opened, manifest


def merged(segments: Sequence[Segment]) -> Words:
    """The distinct values of some segments, sorted; never one less, even if what should be sorted is damaged."""
    firsts = [copied(segment.lanes[0][:, 0]) for segment in segments]
    # What has the same first word falls into the same block.
    bounds = max(firsts, key=len)[_ROWS::_ROWS]
    cuts = [
        np.maximum.accumulate([0, *np.searchsorted(first, bounds).tolist(), len(first)]).tolist() for first in firsts
    ]
    together = room((sum(map(len, firsts)), segments[0].cut.bits // 64), np.uint64)
    end = 0
    for number in range(len(bounds) + 1):
        rows = [slice(*cut[number : number + 2]) for cut in cuts]
        block = distinct(np.concatenate([one.words(some) for one, some in zip(segments, rows, strict=True)]))
        together[end : end + len(block)] = block
        end += len(block)
    return together[:end]


def read_manifest(folder: Path) -> Manifest | None:
    """What the folder holds; None where there is nothing, or nothing that this version reads."""
    try:
        said = json.loads((folder / NAME).read_text("utf-8"))
        if said["version"] != _VERSION or said.pop("checksum") != _checksum(said):
            return None
        files = {Algorithm(name): tuple(map(str, names)) for name, names in said["files"].items()}
        return Manifest(str(said["epoch"]), int(said["covers"]), files, str(said["leaf"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_manifest(folder: Path, manifest: Manifest, step: Step = no_step) -> None:
    """Put a manifest in the place of the one before, at once: a reader sees either."""
    said: dict[str, object] = {
        "version": _VERSION,
        "epoch": manifest.epoch,
        "covers": manifest.last_seq,
        "leaf": manifest.leaf,
        "files": {str(algorithm): list(names) for algorithm, names in manifest.files.items()},
    }
    said["checksum"] = _checksum(said)
    unfinished = folder / f"{NAME}.part"
    step("manifest")
    with open(unfinished, "w", encoding="utf-8", opener=opener) as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    step("swap")
    unfinished.rename(folder / NAME)
    sync_folder(folder)
    step("swapped")


def stamp(folder: Path) -> tuple[int, int]:
    """What differs when the manifest has been replaced; cheap to ask."""
    try:
        status = (folder / NAME).stat()
    except OSError:
        return NOWHERE
    return status.st_ino, status.st_mtime_ns


def _checksum(said: object) -> int:
    return zlib.crc32(json.dumps(said, sort_keys=True).encode())


def low_priority() -> None:
    """Let the calling thread give way to others (Linux; elsewhere nothing happens)."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 10)
