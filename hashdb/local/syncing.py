"""Sync a copy with the feed: one process does it; if it is killed, the next run continues where it stopped.

Each copy has its own folder. The link `current` names the copy in use, and `next` names a new copy until it is up to
date; then it becomes `current` in one step. So a match never sees half a copy, and uses the old one until then.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hashdb.domain.sharing.feed import CopiedContribution, FeedStep
from hashdb.errors import (
    CheckTooEarly,
    CopyInUse,
    FeedRestarted,
    NotAsLogged,
    RootNotSigned,
    ServiceUnreachable,
    Unavailable,
)
from hashdb.index.folder import lock_folder, restrict_access
from hashdb.local.committed import FeedRead
from hashdb.local.copy_index import CopyIndex
from hashdb.local.tables import CopyState, CopyTables

if TYPE_CHECKING:
    # At run time, a match in the copy needs no client.
    from hashdb.client import Client
    from hashdb.domain.ledger.policies import Policy
    from hashdb.local.approvals import Approver

CURRENT, _NEXT = "current", "next"
COPY_FILE, INDEX_FOLDER = "copy.sqlite", "index"
"""Names in the folder of a copy: the file of its tables, and the folder of its index."""
_BATCH = 5_000
"""Changes that are stored in one transaction."""
_POLL = 2.0
"""Seconds until the newest root of the active set is asked for again."""
_RULES_KEPT = timedelta(minutes=5)
"""How old the rules and the seeds of a copy become while it is kept up to date."""


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


def ignore(_: object) -> None:
    """Does nothing: the default callback."""


@contextmanager
def syncing(
    folder: Path,
    client: Client,
    *,
    notify: Callable[[str], None] = ignore,
    clock: Callable[[], datetime] = system_clock,
    policy: Policy | None = None,
) -> Iterator[Sync]:
    """Lock the copy in a folder for this process and yield its Sync. Raises CopyInUse.

    `notify` is called with a sentence when a new copy is built. With a `policy`, the copy takes only what the
    organisations that it names signed.
    """
    with lock_folder(folder) as acquired:
        if not acquired:
            raise CopyInUse(str(folder))
        restrict_access(folder)
        sync = Sync(folder, client, notify, clock, policy)
        try:
            yield sync
        finally:
            sync.close()


class Sync:
    """Reads the feed into a copy; created by `syncing`."""

    def __init__(
        self,
        folder: Path,
        client: Client,
        notify: Callable[[str], None],
        clock: Callable[[], datetime],
        policy: Policy | None,
    ) -> None:
        """Opens nothing yet."""
        self._folder, self._client, self._notify, self._now = folder, client, notify, clock
        self._approver: Approver | None = None
        if policy is not None:
            from hashdb.local.approvals import Approver

            self._approver = Approver(client, policy)
        self._tables: CopyTables | None = None
        self._rules_at = clock()

    @property
    def state(self) -> CopyState:
        """The seq up to which the copy is complete, and its rules. Raises what the client raises."""
        return self._opened().state()

    def count(self) -> int:
        """How many contributions the copy has."""
        return self._opened().count()

    def catch_up(self, wait: int = 0, progress: Callable[[int], None] = ignore, *, patience: int = 0) -> int:
        """Store the new changes, and return how many; if there are none, wait up to `wait` seconds for one.

        `progress` is called with the number of changes that arrived. Raises what the client raises, and NotAsLogged for
        a contribution that is not what the log has committed to; the changes that arrived before stay.

        With a policy, it stores the changes up to the newest root of the active set, for whose signatures it waits up
        to `patience` seconds: otherwise it raises RootNotSigned, or CheckTooEarly.
        """
        tables = self._opened()
        # A negative age means that the clock was set back: then they are read again, too.
        if not timedelta() <= self._now() - self._rules_at < _RULES_KEPT:
            self._store_rules(tables)
        try:
            count = self._store_new(tables, wait=wait, patience=patience, progress=progress)
        except FeedRestarted:
            self._notify("the service has another log than this copy, perhaps after a restore: building a new copy")
            tables = self._create()
            count = self._store_new(tables, wait=0, patience=patience, progress=progress)
        self._index.write()
        if (self._folder / _NEXT).is_symlink():
            os.replace(self._folder / _NEXT, self._folder / CURRENT)
            self._tidy()
        return count

    def close(self) -> None:
        """Close the copy."""
        if self._tables is not None:
            self._tables.close()
            self._tables = None

    def _store_new(self, tables: CopyTables, wait: int, patience: int, progress: Callable[[int], None]) -> int:
        if self._approver is None:
            read = FeedRead()
            self._read(tables, wait=wait, progress=progress, read=read)
            return read.count
        begun = time.monotonic()
        while True:
            try:
                count = self._store_signed(self._approver, tables, progress)
                if count is not None or time.monotonic() + _POLL > begun + wait:
                    return count or 0
            except (CheckTooEarly, RootNotSigned, Unavailable):
                if time.monotonic() + _POLL > begun + max(wait, patience):
                    raise
            time.sleep(_POLL)

    def _store_signed(self, approver: Approver, tables: CopyTables, progress: Callable[[int], None]) -> int | None:
        """Store the changes up to the newest signed root, and return how many; None if there is nothing new.

        Unless the copy has this root then, nothing is stored: see `Approver.approve`.
        """
        committed, before = approver.newest(tables)
        # Nobody uses a copy that was never complete, so it may have some changes that are not approved yet.
        is_new = (self._folder / _NEXT).is_symlink()
        before = None if is_new else before
        try:
            with nullcontext() if is_new else tables.writing():
                read = FeedRead(before.pending if before is not None else ())
                self._read(tables, wait=0, progress=progress, read=read, upto=committed.covers)
                approver.approve(tables, committed, before, read, self._now())
        except BaseException as error:
            approver.forget()
            if is_new and isinstance(error, NotAsLogged):
                # The next sync builds a new copy.
                self.close()
                (self._folder / _NEXT).unlink()
            raise
        return None if before is not None and before.has_root(committed) and not read.count else read.count

    def _read(
        self, tables: CopyTables, wait: int, progress: Callable[[int], None], read: FeedRead, upto: int | None = None
    ) -> None:
        """Store the changes up to a seq, and those after it that leave the active set as it is; add them to `read`."""
        epoch = tables.state().epoch
        while True:
            before, pending = tables.head().seq, list[FeedStep]()
            seq = before
            try:
                for page in self._client.stream(before, epoch=epoch, wait=wait):
                    late = [] if upto is None else [step for step in page.steps if step.seq > upto]
                    pending += [step for step in page.steps if upto is None or step.seq <= upto]
                    if late:
                        _store(tables, read, pending, seq, head_at=None)
                        pending += [step for step in late if not read.skips(tables, step)]
                    seq = read.complete_to(page.checkpoint)
                    progress(len(page.steps))
                    # Only the last page of a stream has the epoch.
                    if page.epoch or len(pending) >= _BATCH:
                        at_head = page.epoch and not page.more and upto is None
                        _store(tables, read, pending, seq, head_at=self._now() if at_head else None)
                    if page.epoch and not page.more:
                        return
            except ServiceUnreachable:
                if seq == before:
                    raise
            if not pending and seq <= before:
                raise ServiceUnreachable(self._client.url, "the stream is incomplete")
            # With the seq, also without a change: else the next request would be the same.
            _store(tables, read, pending, seq, head_at=None)

    def _opened(self) -> CopyTables:
        if self._tables is None:
            self._tables = self._existing() or self._create()
            self._store_rules(self._tables)
            self._index.check()
        return self._tables

    def _store_rules(self, tables: CopyTables) -> None:
        tables.store_rules(self._client.me())
        self._rules_at = self._now()

    def _existing(self) -> CopyTables | None:
        """The tables of the copy to continue: the next one, else the current one; None if there is no sound one."""
        for name in (_NEXT, CURRENT):
            path = self._folder / name / COPY_FILE
            if not path.exists():
                continue
            try:
                tables = CopyTables(path)
                if tables.current:
                    self._index = CopyIndex(tables, path.parent.resolve() / INDEX_FOLDER)
                    return tables
                tables.close()
            except sqlite3.DatabaseError:
                pass
            self._notify(f"the copy in {self._folder} is damaged or of another version: building a new copy")
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
        tables = CopyTables(self._folder / name / COPY_FILE)
        tables.create(epoch, me, self._now())
        (self._folder / _NEXT).symlink_to(name)
        self._tables, self._index = tables, CopyIndex(tables, self._folder / name / INDEX_FOLDER)
        return tables

    def _tidy(self) -> None:
        """Remove copies without a link; a process that still reads one continues until it looks for the current one."""
        links = [self._folder / name for name in (CURRENT, _NEXT)]
        named = {os.readlink(link) for link in links if link.is_symlink()}
        for path in self._folder.glob("copy-*"):
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)


def _store(tables: CopyTables, read: FeedRead, steps: list[FeedStep], seq: int, head_at: datetime | None) -> None:
    """Store changes, all up to `seq`, and empty the list; `head_at` is as in `CopyTables.store`.

    Raises NotAsLogged if one does not fit its commitment, before any is stored.
    """
    for _, what in steps:
        if isinstance(what, CopiedContribution) and not what.fits_commitment:
            raise NotAsLogged(
                what.id,
                "its hashes in the feed do not match the commitment in the log, so this batch of changes was not"
                " stored; report it to the operator and to the other members",
            )
    tables.store(steps, seq, head_at)
    read.add_stored(steps)
    steps.clear()
