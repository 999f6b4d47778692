"""The segment store: the tiers of every algorithm, and the folder of their segments.

The manifest of the folder names the files in use. One process writes at a time and holds the lock file; the others
notice a new manifest by its stamp. All that the folder has can be read from the database again, so a manifest that
cannot be used counts as none: one of another log, of a seq past the head, or with a damaged file. If the folder cannot
be written, the values stay in memory.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.errors import os_reason
from hashdb.index import Alive, LeafOf, Manifest, Snapshot
from hashdb.index.folder import lock_folder, opener, sync_folder
from hashdb.index.segment import (
    DamagedSegment,
    Segment,
    Step,
    build_segment,
    build_sorted_segment,
    max_values,
    no_step,
    open_segment,
    split_for_segments,
    verify_segment,
    write_segment,
)
from hashdb.index.tiered import TieredEngine, TieredIndex
from hashdb.index.vectors import Words, allocate, copy_columns, distinct

log = logging.getLogger("hashdb.index")

MERGE_RATIO = 4
"""Two segments are merged when the smaller one has more than a fourth of the values of the larger one."""
MANIFEST_NAME = "manifest.json"
"""The name of the manifest's file."""
_VERSION = 2
"""The version of the manifest's format."""
NO_MANIFEST = (0, 0)
"""The stamp of a folder without a manifest."""
BLOCK_ROWS = 65_536
"""How many values of the largest segment are merged at a time."""


class SegmentStore(TieredEngine):
    """The engine *tiered*: the tiers of each algorithm, with segments in a folder (None: all in memory)."""

    # `merge` merges segments, and removes values on the way.
    sweeps = False

    def __init__(self, folder: Path | None, radii: Mapping[Algorithm, int], step: Step = no_step) -> None:
        """A store that opens nothing yet. `radii` has the usual radius of each algorithm in bits.

        `step` is called with the name of each step of a write, for tests.
        """
        self._folder, self._step, self.on_disk = folder, step, folder is not None
        self.indexes = {algorithm: TieredIndex(algorithm.bits, radius) for algorithm, radius in radii.items()}
        # The stamps of the manifest in use, of one that must not be used, and of the one that was read last.
        self._current_stamp = self._rejected_stamp = self._last_stamp = NO_MANIFEST
        self._segments: dict[str, Segment] = {}  # the open ones, by the names of their files
        # Held from reading a manifest until it is adopted, so that none is adopted after a later one.
        self._manifest_lock = Lock()

    @property
    def moved(self) -> bool:
        """Whether another process has replaced the manifest since this one last checked."""
        return self._folder is not None and manifest_stamp(self._folder) != self._last_stamp

    def start(self, epoch: str, head: int, leaf_of: LeafOf) -> int:
        """Load what the folder has for the log with this epoch, whose last event is `head`; return `last_seq`.

        `leaf_of` returns the leaf of an event by its seq.
        """
        with self._manifest_lock:
            is_restart = self._manifest is not None
            self.indexes = {algorithm: TieredIndex(old.bits, old.radius) for algorithm, old in self.indexes.items()}
            self._manifest, self._current_stamp, self._segments = Manifest(epoch), NO_MANIFEST, {}
            self.doubted = False
            self._refresh(head, leaf_of)
            self._reject_unusable(head, leaf_of, is_restart=is_restart)
        return self.last_seq

    def refresh(self, head: int, leaf_of: LeafOf) -> bool:
        """Load what another process has written since; return False if the store must `start` again."""
        with self._manifest_lock:
            return self._refresh(head, leaf_of)

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        """Write a snapshot taken at `seq` to new segments. `leaf` is the leaf of event `seq`, in hex."""
        files: dict[Algorithm, tuple[str, ...]] = {}
        # Only enabled algorithms: of others, this process does not know the values up to `seq`.
        for algorithm, words in snapshot.words.items():
            files[algorithm] = snapshot.manifest.files.get(algorithm, ())
            for part in split_for_segments(words):
                files[algorithm] += (self._write(algorithm, build_segment(part, algorithm.radius)),)
        self._publish(snapshot.manifest, Manifest(snapshot.manifest.epoch, seq, files, leaf))

    def merge(self, alive: Alive) -> bool:
        """Merge the last two segments of one algorithm, if their sizes are similar; return whether there were such two.

        `alive` returns which values may still match; the others are removed.
        """
        with self._manifest_lock:
            manifest, segments = self._manifest, self._segments
        assert manifest is not None
        for algorithm in self.indexes:
            pair = [segments[name] for name in manifest.files.get(algorithm, ())[-2:]]
            if (
                len(pair) == 2
                and len(pair[1]) * MERGE_RATIO > len(pair[0])
                and sum(map(len, pair)) <= max_values(algorithm.bits)
            ):
                self._merge_segments(manifest, algorithm, pair, alive)
                return True
        return False

    def keep_if_sound(self, *, thoroughly: bool) -> bool:
        """Return whether the folder has what this process uses; if not, discard it. `thoroughly` reads every file."""
        assert self._folder is not None and self._manifest is not None
        try:
            if read_manifest(self._folder) == self._manifest:
                for name in self._manifest.names:
                    check = verify_segment if thoroughly else open_segment
                    check(self._folder / name)
                self._delete_unused(self._manifest)
                return True
        except DamagedSegment as error:
            log.warning("rebuilding the index from the database: %s", error)
        self.throw_away()
        # Up to seq 0, this process uses nothing of the folder, so nothing is lost.
        return self.last_seq == 0

    def throw_away(self) -> None:
        """Discard the stored values, for all processes."""
        assert self._folder is not None and self._manifest is not None
        stamp = manifest_stamp(self._folder)
        if stamp == NO_MANIFEST:
            return
        void = Manifest(self._manifest.epoch)
        try:
            write_manifest(self._folder, void, self._step)
            self._delete_unused(void)
        except OSError as error:
            # At least this process must not use it.
            self._rejected_stamp = stamp
            self.fail(error)

    def fail(self, error: OSError) -> None:
        """Note that a write failed, and log it once."""
        if not self.failing:
            log.warning("the index cannot be written and stays in memory: %s", os_reason(error))
        self.failing = True

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Yield whether this process may write, and hold the lock of the folder until the block ends."""
        if self._folder is None:
            yield False
            return
        with ExitStack() as stack:
            locked_here = False
            try:
                locked_here = stack.enter_context(lock_folder(self._folder))
            except OSError as error:
                self.fail(error)
            yield locked_here

    def _refresh(self, head: int, leaf_of: LeafOf) -> bool:
        """Do what `refresh` does, in a thread that holds `_manifest_lock`."""
        if self._folder is None or self._manifest is None:
            return True
        while (stamp := self._read_stamp()) not in (self._current_stamp, self._rejected_stamp):
            manifest = read_manifest(self._folder)
            # A void manifest says that the stored values were discarded.
            if manifest is not None and manifest.void and manifest.epoch == self._manifest.epoch:
                self._current_stamp = stamp
                return self.last_seq == 0
            # A manifest that cannot be used changes nothing.
            if manifest is None or self._rejection(manifest, head, leaf_of):
                return True
            try:
                self._adopt(manifest)
            except DamagedSegment as error:
                if manifest_stamp(self._folder) != stamp:
                    continue  # Another process merged them meanwhile.
                log.warning("the index on disk is not used: %s", error)
            self._current_stamp = stamp
        return True

    def _reject_unusable(self, head: int, leaf_of: LeafOf, *, is_restart: bool) -> None:
        """Log why this process starts without the manifest of the folder, if there is one that it did not adopt."""
        stamp = NO_MANIFEST if self._folder is None else manifest_stamp(self._folder)
        if self._folder is None or stamp in (NO_MANIFEST, self._current_stamp, self._rejected_stamp):
            return
        if reason := self._rejection(read_manifest(self._folder), head, leaf_of):
            log.warning("the index on disk is not used: %s", reason)
            self._current_stamp = stamp
            # A log that was set back may grow to the seq of the manifest again: it must not be used then either.
            self._rejected_stamp = stamp if is_restart else NO_MANIFEST

    def _read_stamp(self) -> tuple[int, int]:
        """The stamp of the manifest in the folder; `moved` is False until it changes again."""
        assert self._folder is not None
        self._last_stamp = manifest_stamp(self._folder)
        return self._last_stamp

    def _merge_segments(
        self, manifest: Manifest, algorithm: Algorithm, segments: Sequence[Segment], alive: Alive
    ) -> None:
        """Replace the last segments of an algorithm by one segment with their values that are alive."""
        words = merge_words(segments)
        is_alive = alive(algorithm, words)
        if not is_alive.all():
            words = words.compress(is_alive, axis=0)
        kept = manifest.files[algorithm][: -len(segments)]
        if len(words):
            kept += (self._write(algorithm, build_sorted_segment(words, algorithm.radius)),)
        self._publish(manifest, replace(manifest, files={**manifest.files, algorithm: kept}))

    def _write(self, algorithm: Algorithm, segment: Segment) -> str:
        """Write a segment to a new file; return the file's name."""
        assert self._folder is not None
        name = f"{algorithm}-{secrets.token_hex(8)}.segment"
        try:
            write_segment(self._folder / name, segment, self._step)
        except OSError:
            # On a full disk, this frees the room for the next attempt.
            (self._folder / name).with_suffix(".part").unlink(missing_ok=True)
            raise
        return name

    def _publish(self, before: Manifest, manifest: Manifest) -> None:
        """Write a manifest that was derived from `before`, adopt it, and delete the files that it does not name."""
        assert self._folder is not None
        write_manifest(self._folder, manifest, self._step)
        with self._manifest_lock:
            # Not if this process has started over with another log meanwhile.
            if self._manifest in (before, manifest):
                self._adopt(manifest)
                self._current_stamp = self._last_stamp = manifest_stamp(self._folder)
        if self.failing:
            self.failing = False
            log.warning("writing the index again")
        self._step("tidy")
        self._delete_unused(manifest)

    def _delete_unused(self, manifest: Manifest) -> None:
        """Delete files that the manifest does not name: merged segments, and unfinished files of killed processes."""
        assert self._folder is not None
        for path in self._folder.iterdir():
            if path.suffix in (".segment", ".part") and path.name not in manifest.names:
                path.unlink(missing_ok=True)

    def _adopt(self, manifest: Manifest) -> None:
        """Open the segments of a manifest, and make the indexes search them. Raises DamagedSegment."""
        assert self._folder is not None
        segments: dict[str, Segment] = {}
        for name in (name for algorithm in self.indexes for name in manifest.files[algorithm]):
            segment = self._segments.get(name)
            segments[name] = open_segment(self._folder / name) if segment is None else segment
        for algorithm, index in self.indexes.items():
            index.adopt([segments[name] for name in manifest.files[algorithm]], manifest.last_seq)
        # A doubted file that is no longer open needs no check.
        self.doubted = self.doubted and not self._segments.keys().isdisjoint(segments)
        self._segments, self._manifest = segments, manifest


def merge_words(segments: Sequence[Segment]) -> Words:
    """The distinct values of some segments, sorted. No value is lost, even if a damaged segment is not sorted."""
    first_words = [copy_columns(segment.lanes[0][:, 0]) for segment in segments]
    # The values are merged in blocks, whose bounds are first words of the largest segment: values with the same first
    # word are in the same block.
    bounds = max(first_words, key=len)[BLOCK_ROWS::BLOCK_ROWS]
    # The rows of each segment at which the blocks begin and end. They ascend even if a damaged segment is not sorted.
    cuts = [
        np.maximum.accumulate([0, *np.searchsorted(first, bounds).tolist(), len(first)]).tolist()
        for first in first_words
    ]
    words = allocate((sum(map(len, first_words)), segments[0].chunks.bits // 64), np.uint64)
    end = 0
    for number in range(len(bounds) + 1):
        rows = [slice(*cut[number : number + 2]) for cut in cuts]
        block = distinct(np.concatenate([segment.words(part) for segment, part in zip(segments, rows, strict=True)]))
        words[end : end + len(block)] = block
        end += len(block)
    return words[:end]


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None if there is none that this version can read."""
    try:
        body = json.loads((folder / MANIFEST_NAME).read_text("utf-8"))
        if body["version"] != _VERSION or body.pop("checksum") != _checksum(body):
            return None
        files = {Algorithm(name): tuple(map(str, names)) for name, names in body["files"].items()}
        return Manifest(str(body["epoch"]), int(body["covers"]), files, str(body["leaf"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_manifest(folder: Path, manifest: Manifest, step: Step = no_step) -> None:
    """Replace the manifest of a folder atomically: a reader sees the old or the new one. Raises OSError."""
    body: dict[str, object] = {
        "version": _VERSION,
        "epoch": manifest.epoch,
        "covers": manifest.last_seq,
        "leaf": manifest.leaf,
        "files": {str(algorithm): list(names) for algorithm, names in manifest.files.items()},
    }
    body["checksum"] = _checksum(body)
    unfinished = folder / f"{MANIFEST_NAME}.part"
    step("manifest")
    with open(unfinished, "w", encoding="utf-8", opener=opener) as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    step("swap")
    unfinished.rename(folder / MANIFEST_NAME)
    sync_folder(folder)
    step("swapped")


def manifest_stamp(folder: Path) -> tuple[int, int]:
    """A stamp that differs after the manifest was replaced (inode and time in nanoseconds); cheap to read."""
    try:
        status = os.stat(_manifest_path(folder))
    except OSError:
        return NO_MANIFEST
    return status.st_ino, status.st_mtime_ns


@lru_cache(64)
def _manifest_path(folder: Path) -> str:
    # Each match reads the stamp, and a Path takes longer than the system.
    return str(folder / MANIFEST_NAME)


def _checksum(body: object) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())
