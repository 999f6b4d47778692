"""A member's local copy of the active contributions, kept from the feed as the documentation describes."""

from __future__ import annotations

from hashdb.domain.accounts.members import Actor
from hashdb.domain.contributions import Contribution
from hashdb.domain.sharing.feed import Changes, Gone
from hashdb.service import HashDB
from hashdb.service.sharing import feed


class Copy:
    """The contributions that a reader has, and its checkpoint."""

    def __init__(self) -> None:
        self.contributions: dict[int, Contribution] = {}
        self.checkpoint = 0

    def read(self, db: HashDB, actor: Actor, limit: int = 1_000, *, times: int = 1) -> Changes:
        """Read the next page and apply it, `times` times: repeating must change nothing."""
        page = feed.read(db, actor, self.checkpoint, limit)
        for _ in range(times):
            for change in page.changes:
                if isinstance(change.what, Gone):
                    self.contributions.pop(change.what.contribution, None)
                else:
                    self.contributions[change.what.id] = change.what
        self.checkpoint = page.checkpoint
        return page

    def follow(self, db: HashDB, actor: Actor, limit: int = 1_000) -> None:
        """Read up to the head of the log."""
        while self.read(db, actor, limit).more:
            pass
