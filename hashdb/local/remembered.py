"""The remembered uploads of a member: a folder for each UTC day, to which many processes append at once.

A lock orders the appends. Of two records with the same id the later one counts, whatever their days are.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np

from hashdb.domain.matching.lookback import Upload, id_fault, uploads_faults
from hashdb.domain.rules import CLOCK_SKEW
from hashdb.domain.signals import Algorithm
from hashdb.errors import BadSetting, Fault, NotRemembered, os_reason, reject
from hashdb.index.folder import restrict_access, sync_folder
from hashdb.local.syncing import system_clock
from hashdb.local.upload_days import Day
from hashdb.local.upload_log import LOG, LOGS, append, draft_blocks, hash_id, log_name
from hashdb.local.upload_parts import SearchValues
from hashdb.local.upload_scans import Scan

REMEMBERED_FOLDER: Final = "remembered"
"""The name of the folder of the uploads, in that of the copy."""
_LOCK: Final = "lock"
_DEFAULT_DAYS, _MOST_DAYS = 90, 36_500
_DAY = timedelta(days=1)
_RETRY_SECONDS: Final = 5
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""macOS has no fdatasync."""
_WALKED_AT_ONCE: Final = 1_000
"""Uploads that a walk reads together, because programs may remember them one by one."""


def retention_from_environment() -> timedelta:
    """How long uploads are remembered: HASHDB_REMEMBER_DAYS, 90 days by default. Raises BadSetting."""
    text = os.environ.get("HASHDB_REMEMBER_DAYS") or str(_DEFAULT_DAYS)
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_DAYS:
        raise BadSetting("HASHDB_REMEMBER_DAYS", f"must be 1 to {_MOST_DAYS} days")
    return timedelta(days=int(text))


class Remembered:
    """The uploads in a folder; many threads and processes may remember and forget at once.

    One process, which holds the lock of the copy, packs what is appended for its searches.
    """

    def __init__(
        self, folder: str | Path, retention: timedelta | None = None, clock: Callable[[], datetime] = system_clock
    ) -> None:
        """Opens nothing yet. `retention` is by default that of the environment."""
        self.folder, self._now, self._retention = Path(folder), clock, retention
        self.owns = False
        """Whether this process is the one that packs what is remembered; the others only read its files."""
        self._days: dict[tuple[date, str], Day] = {}
        """The days, by date and name of the log."""
        self._durable_names: set[tuple[date, str]] = set()
        """The logs whose names are surely on the disk (`_sync_names`), by date and name."""
        self._searching = Lock()
        """Held while `_days` is read or changed."""

    @property
    def retention(self) -> timedelta:
        """How long uploads are remembered, in whole days. Raises BadSetting."""
        if self._retention is None:
            self._retention = retention_from_environment()
        return self._retention

    def close(self) -> None:
        """Let go of the files that are mapped; a search maps them again."""
        with self._searching:
            self._days.clear()

    def remember(self, uploads: Sequence[Upload]) -> None:
        """Store uploads durably; one with the id of an earlier one replaces it. Raises InvalidInput, NotRemembered."""
        reject(self.faults(uploads))
        by_log: dict[tuple[date, str], list[Upload | str]] = defaultdict(list)
        for upload in uploads:
            by_log[upload.at.astimezone(UTC).date(), log_name(upload.query)].append(upload)
        self._append(by_log)

    def forget(self, ids: Collection[str]) -> None:
        """Forget the uploads with these ids: look-back no longer finds them. Unknown ids are ignored.

        What was written of them leaves the disk with its day. Raises NotRemembered.
        """
        valid_ids = [id for id in ids if id_fault(id) is None]
        # No upload has a later day than this, so that none is remembered again when a day is dropped.
        self._append({((self._now() + CLOCK_SKEW).date(), LOG): valid_ids} if valid_ids else {})

    def refresh(self) -> None:
        """Read what was remembered before this call, without the days that are over: the process that packs drops them.

        A process that only reads, such as a command, drops none: it may have a shorter retention by mistake.
        """
        if self.owns:
            self.drop_days()
        with self._searching:
            days = self._day_folders()
            present = {(at, log): path / log for at, path in days.items() if not self._is_over(at) for log in LOGS}
            for gone in self._days.keys() - present.keys():
                del self._days[gone]
            for key, path in sorted(present.items()):
                if (day := self._days.get(key)) is None:
                    day = self._days[key] = Day(path)
                with suppress(FileNotFoundError):
                    day.refresh(self._is_quiet, owns=self.owns)

    def pack(self, least: int = 1) -> bool:
        """Write `least` records or more of a day to a file, or merge files of a day; return whether there was any."""
        with self._searching:
            return any(day.pack(least) for day in self._days.values())

    def drop_days(self) -> None:
        """Drop the days that ended longer ago than uploads are remembered."""
        over = [path for day, path in self._day_folders().items() if self._is_over(day)]
        if over:
            # Under the lock: no process appends to a day that is dropped.
            with self._appending():
                for path in over:
                    shutil.rmtree(path, ignore_errors=True)

    def __len__(self) -> int:
        """How many records were read; those that are replaced or forgotten count too."""
        return sum(len(part) for day in self._days.values() for part in day.parts)

    def count_by_day(self) -> dict[date, int]:
        """How many records there are of each day; those that are replaced or forgotten count too."""
        self.refresh()
        with self._searching:
            counts: dict[date, int] = defaultdict(int)
            for (at, _), day in sorted(self._days.items()):
                counts[at] += sum(map(len, day.parts))
            return counts

    def count_values(self) -> Mapping[Algorithm, int]:
        """How many values of each algorithm were read, those of frames among them."""
        counts: dict[Algorithm, int] = defaultdict(int)
        for day in self._days.values():
            for part in day.parts:
                for algorithm, many in (*part.value_counts.items(), *part.frame_value_counts.items()):
                    counts[algorithm] += many
        return counts

    def scan(self, searched: Mapping[Algorithm, SearchValues]) -> Scan:
        """Begin to compare values with those of all uploads that were read, at the usual radii."""
        with self._searching:
            return Scan(self._searching, [day for _, day in sorted(self._days.items())], searched)

    def latest(self, ids: Collection[str]) -> dict[str, Upload]:
        """The uploads with these ids, as they were remembered last."""
        with self._searching:
            return self._latest(frozenset(ids))

    def walk(self, after: date | None = None) -> Iterator[tuple[date, list[Upload]]]:
        """All uploads of the days after one, some at a time, in the order of their days.

        What is remembered meanwhile may be left out.
        """
        for at, log in sorted(key for key in self._days if after is None or key[0] > after):
            with self._searching:
                if (day := self._days.get((at, log))) is None:
                    continue
                blocks = day.blocks()
            while True:
                with self._searching:
                    if self._days.get((at, log)) is not day:
                        break
                    ids: set[str] = set()
                    while len(ids) < _WALKED_AT_ONCE and (block := next(blocks, None)) is not None:
                        ids.update(map(block.id, range(len(block))))
                        if block.frames is not None:
                            # A block with frames is large enough alone.
                            break
                    if not ids:
                        break
                    uploads = self._latest(ids)
                yield at, list(uploads.values())

    def _latest(self, ids: Set[str]) -> dict[str, Upload]:
        hashes = np.sort(np.array([hash_id(id) for id in ids], np.uint64))
        # By id, of the last record: the stamp of its block, its number in the block, and its upload (None: forgotten).
        newest: dict[str, tuple[int, int, Upload | None]] = {}
        for day in self._days.values():
            for part in day.parts:
                for place in part.places_of(hashes).tolist():
                    try:
                        block, number = day.block(place)
                    except LookupError:
                        continue
                    id = block.id(number)
                    if id in ids and (block.stamp, number) > newest.get(id, (-1, 0))[:2]:
                        newest[id] = block.stamp, number, block.upload(number)
        return {id: upload for id, (*_, upload) in newest.items() if upload is not None}

    def faults(self, uploads: Sequence[Upload]) -> Iterator[Fault]:
        """Every fault of uploads, at `uploads[i].field`."""
        faults = list(uploads_faults(uploads, self._now()))
        yield from faults
        if not faults:
            is_over = cache(self._is_over)
            for position, upload in enumerate(uploads):
                if is_over(upload.at.astimezone(UTC).date()):
                    yield Fault(
                        f"uploads[{position}].at",
                        f"is too long ago: uploads are remembered for {self.retention.days} days"
                        " (HASHDB_REMEMBER_DAYS)",
                    )

    def _is_over(self, day: date) -> bool:
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + _DAY
        return end + self.retention <= self._now()

    def _day_folders(self) -> dict[date, Path]:
        """The folders of the days, by day."""
        folders: dict[date, Path] = {}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(ValueError):
                day = date.fromisoformat(path.name)
                if day.isoformat() == path.name:
                    folders[day] = path
        return folders

    def _append(self, by_log: Mapping[tuple[date, str], Sequence[Upload | str]]) -> None:
        """Append uploads, and the ids of uploads to forget, durably to logs, by date and name of the log."""
        drafts = {key: draft_blocks(uploads) for key, uploads in by_log.items()}
        files: list[int] = []
        has_new_day = False
        try:
            with self._appending(sum(map(len, drafts.values()))) as stamp:
                stamps = count(stamp)
                for (day, log), own in drafts.items():
                    path = self.folder / day.isoformat() / log
                    if is_new := not path.exists():
                        path.parent.mkdir(mode=0o700, exist_ok=True)
                        has_new_day = True
                    files.append(append(path, [draft.stamped(next(stamps)) for draft in own]))
                    if is_new or (day, log) not in self._durable_names:
                        self._sync_names(day, log)
            for file in files:
                _sync(file)
        except OSError as error:
            raise NotRemembered(_RETRY_SECONDS, os_reason(error)) from None
        finally:
            for file in files:
                os.close(file)
        if has_new_day:
            self.drop_days()

    def _sync_names(self, day: date, log: str) -> None:
        """Make the names of a log and its folders durable: the process that made them may have been killed before."""
        for folder in (self.folder / day.isoformat(), self.folder, *self.folder.parents[:2]):
            with suppress(PermissionError):
                sync_folder(folder)
        self._durable_names.add((day, log))

    @contextmanager
    def _appending(self, blocks: int = 0) -> Iterator[int]:
        """Hold the lock of the appends, and yield the stamp of the first of some new blocks: higher than all before.

        The file of the lock has the stamp after the last one.
        """
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            restrict_access(self.folder.parent)
        lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = int.from_bytes(os.pread(lock, 8, 0), "little")
            stamp = max(time.time_ns(), before)
            os.pwrite(lock, (stamp + blocks).to_bytes(8, "little"), 0)
            yield stamp
        finally:
            os.close(lock)

    def _is_quiet(self) -> bool:
        """Wait until no process appends, and return True."""
        with self._appending():
            return True
