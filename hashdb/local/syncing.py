"""Keeping a copy level with the feed: one process does, and killed at any moment it goes on where it was.

A copy stands in a folder of its own, which `current` names. One that begins is `next` until it is level: then, in one
step, it is the current one. So whoever matches never sees half a copy, and has the old one while a new one fills.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hashdb.client import Client
from hashdb.domain.sharing.feed import FeedStep
from hashdb.errors import CopyInUse, FeedRestarted, ServiceUnreachable
from hashdb.index.folder import locked, restrict
from hashdb.local.tables import CopyState, Tables
from hashdb.local.tiers import Tiers

CURRENT, FILE, INDEX = "current", "copy.sqlite", "index"
_NEXT = "next"
_BATCH = 5_000
"""Changes that are taken in together."""


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


def untold(said: object) -> None:
    """Tells nobody."""


@contextmanager
def syncing(
    folder: Path, client: Client, *, say: Callable[[str], None] = untold, clock: Callable[[], datetime] = system_clock
) -> Iterator[Sync]:
    """What keeps the copy in a folder level, for this process alone; `say` is told when it starts over.

    Raises CopyInUse.
    """
    with locked(folder) as may:
        if not may:
            raise CopyInUse(str(folder))
        restrict(folder)
        sync = Sync(folder, client, say, clock)
        try:
            yield sync
        finally:
            sync.close()


class Sync:
    """Takes the feed into a copy; `syncing` makes one."""

    def __init__(self, folder: Path, client: Client, say: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        """Opens nothing yet."""
        self._folder, self._client, self._say, self._now = folder, client, say, clock
        self._tables: Tables | None = None

    @property
    def state(self) -> CopyState:
        """Up to where the copy is level."""
        return self._opened().state()

    def count(self) -> int:
        """How many contributions the copy has."""
        return self._opened().count()

    def catch_up(self, wait: int = 0, progress: Callable[[int], None] = untold) -> int:
        """Take in what is new, at the head after waiting up to `wait` seconds for it; return how many changes.

        `progress` is told how many more have come. Raises what the client raises; what came until then stays.
        """
        tables = self._opened()
        try:
            count = self._read(tables, wait, progress)
        except FeedRestarted:
            self._say("the service's log is not the one of the copy: it starts over")
            tables = self._renew()
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

    def _read(self, tables: Tables, wait: int, progress: Callable[[int], None]) -> int:
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
                        tables.take(pending, seq, self._now() if page.epoch and not page.more else None)
                        count += len(pending)
                        pending.clear()
                    if page.epoch and not page.more:
                        return count
            except ServiceUnreachable:
                if seq == before:
                    raise
            if pending:
                tables.take(pending, seq, None)
                count += len(pending)
            elif seq == before:
                raise ServiceUnreachable(self._client.url, "the stream has no end")

    def _opened(self) -> Tables:
        if self._tables is None:
            self._tables = self._found() or self._renew()
            self._tables.tell(self._client.me())
            self._tiers.check()
        return self._tables

    def _found(self) -> Tables | None:
        for name in (_NEXT, CURRENT):
            path = self._folder / name / FILE
            if not path.exists():
                continue
            try:
                tables = self._open(path)
                if tables.sound:
                    return tables
                tables.close()
            except sqlite3.DatabaseError:
                pass
            self._say(f"the copy in {self._folder} is damaged, or of another version: it starts over")
            return None
        return None

    def _renew(self) -> Tables:
        """A copy that begins, of the log of today."""
        self.close()
        (self._folder / _NEXT).unlink(missing_ok=True)
        self._tidy()
        me, epoch = self._client.me(), self._client.changes(0, limit=1).epoch
        name = f"copy-{secrets.token_hex(8)}"
        (self._folder / name).mkdir(mode=0o700)
        tables = Tables(self._folder / name / FILE)
        tables.make(epoch, me, self._now())
        (self._folder / _NEXT).symlink_to(name)
        self._tables, self._tiers = tables, Tiers(tables, self._folder / name / INDEX)
        return tables

    def _open(self, path: Path) -> Tables:
        tables = Tables(path)
        if tables.sound:
            self._tiers = Tiers(tables, path.parent.resolve() / INDEX)
        return tables

    def _tidy(self) -> None:
        """Remove copies that nothing names; whoever still reads one goes on until it looks again."""
        links = [self._folder / name for name in (CURRENT, _NEXT)]
        named = {os.readlink(link) for link in links if link.is_symlink()}
        for path in self._folder.glob("copy-*"):
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)
