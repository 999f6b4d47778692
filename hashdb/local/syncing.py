"""Sync a copy with the feed: one process does it; if it is killed, the next run continues where it stopped.

Each copy has its own folder. The link `current` names the copy in use, and `next` names a new copy until it is up to
date; then it becomes `current` in one step. So a match never sees half a copy, and uses the old one until then.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hashdb.domain.sharing.feed import FeedStep
from hashdb.errors import CopyInUse, FeedRestarted, ServiceUnreachable
from hashdb.index.folder import lock_folder, restrict_access
from hashdb.local.tables import CopyState, CopyTables
from hashdb.local.tiers import CopyIndex

if TYPE_CHECKING:
    # At run time, a match in the copy needs no client.
    from hashdb.client import Client

CURRENT, FILE, INDEX = "current", "copy.sqlite", "index"
_NEXT = "next"
_BATCH = 5_000
"""Changes that are stored in one transaction."""
_RULES_KEPT = timedelta(minutes=5)
"""How old the rules and the seeds of a copy become while it is kept up to date."""


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


def ignore(_: object) -> None:
    """Does nothing: the default callback."""


@contextmanager
def syncing(
    folder: Path, client: Client, *, say: Callable[[str], None] = ignore, clock: Callable[[], datetime] = system_clock
) -> Iterator[Sync]:
    """Lock the copy in a folder for this process and yield its Sync; `say` is called when the copy starts over.

    Raises CopyInUse.
    """
    with lock_folder(folder) as may:
        if not may:
            raise CopyInUse(str(folder))
        restrict_access(folder)
        sync = Sync(folder, client, say, clock)
        try:
            yield sync
        finally:
            sync.close()


class Sync:
    """Reads the feed into a copy; created by `syncing`."""

    def __init__(self, folder: Path, client: Client, say: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        """Opens nothing yet."""
        self._folder, self._client, self._say, self._now = folder, client, say, clock
        self._tables: CopyTables | None = None
        self._told_at = clock()

    @property
    def state(self) -> CopyState:
        """Up to where the copy is complete."""
        return self._opened().state()

    def count(self) -> int:
        """How many contributions the copy has."""
        return self._opened().count()

    def catch_up(self, wait: int = 0, progress: Callable[[int], None] = ignore) -> int:
        """Store the new changes, and return how many; at the head, wait up to `wait` seconds for one.

        `progress` is called with the number of changes that arrived. Raises what the client raises; the changes that
        arrived before stay.
        """
        tables = self._opened()
        # Also when the clock was set back.
        if not timedelta() <= self._now() - self._told_at < _RULES_KEPT:
            self._store_rules(tables)
        try:
            count = self._read(tables, wait, progress)
        except FeedRestarted:
            self._say("the service has another log than this copy, perhaps after a restore: building a new copy")
            tables = self._create()
            count = self._read(tables, 0, progress)
        self._tiers.write()
        if (self._folder / _NEXT).is_symlink():
            os.replace(self._folder / _NEXT, self._folder / CURRENT)
            self._tidy()
        return count

    def close(self) -> None:
        """Close the copy."""
        if self._tables is not None:
            self._tables.close()
            self._tables = None

    def _read(self, tables: CopyTables, wait: int, progress: Callable[[int], None]) -> int:
        count, epoch = 0, tables.state().epoch
        while True:
            before, pending = tables.head().seq, list[FeedStep]()
            seq = before
            try:
                for page in self._client.stream(before, epoch=epoch, wait=wait):
                    pending += page.steps
                    seq = page.checkpoint
                    progress(len(page.steps))
                    if page.epoch or len(pending) >= _BATCH:
                        tables.store(pending, seq, self._now() if page.epoch and not page.more else None)
                        count += len(pending)
                        pending.clear()
                    if page.epoch and not page.more:
                        return count
            except ServiceUnreachable:
                if seq == before:
                    raise
            if pending:
                tables.store(pending, seq, None)
                count += len(pending)
            elif seq == before:
                raise ServiceUnreachable(self._client.url, "the stream has no end")

    def _opened(self) -> CopyTables:
        if self._tables is None:
            self._tables = self._existing() or self._create()
            self._store_rules(self._tables)
            self._tiers.check()
        return self._tables

    def _store_rules(self, tables: CopyTables) -> None:
        tables.store_rules(self._client.me())
        self._told_at = self._now()

    def _existing(self) -> CopyTables | None:
        for name in (_NEXT, CURRENT):
            path = self._folder / name / FILE
            if not path.exists():
                continue
            try:
                tables = self._open(path)
                if tables.current:
                    return tables
                tables.close()
            except sqlite3.DatabaseError:
                pass
            self._say(f"the copy in {self._folder} is damaged or of another version: building a new copy")
            return None
        return None

    def _create(self) -> CopyTables:
        """Create a new, empty copy of the service's current log."""
        self.close()
        (self._folder / _NEXT).unlink(missing_ok=True)
        self._tidy()
        me, epoch = self._client.me(), self._client.changes(0, limit=1).epoch
        name = f"copy-{secrets.token_hex(8)}"
        (self._folder / name).mkdir(mode=0o700)
        tables = CopyTables(self._folder / name / FILE)
        tables.create(epoch, me, self._now())
        (self._folder / _NEXT).symlink_to(name)
        self._tables, self._tiers = tables, CopyIndex(tables, self._folder / name / INDEX)
        return tables

    def _open(self, path: Path) -> CopyTables:
        tables = CopyTables(path)
        if tables.sound:
            self._tiers = CopyIndex(tables, path.parent.resolve() / INDEX)
        return tables

    def _tidy(self) -> None:
        """Remove copies without a link; a process that still reads one continues until it looks for the current one."""
        links = [self._folder / name for name in (CURRENT, _NEXT)]
        named = {os.readlink(link) for link in links if link.is_symlink()}
        for path in self._folder.glob("copy-*"):
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)
