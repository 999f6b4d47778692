"""A member's own copy of what is active, kept from the feed as its documentation says."""

from __future__ import annotations

from hashdb.domain.accounts.members import Actor
from hashdb.domain.contributions import Contribution
from hashdb.domain.sharing.feed import Changes, Gone
from hashdb.service import HashDB
from hashdb.service.sharing import feed


class Copy:
    """What a reader holds, and how far it has read."""

    def __init__(self) -> None:
        self.held: dict[int, Contribution] = {}
        self.checkpoint = 0

    def read(self, db: HashDB, actor: Actor, limit: int = 1_000, *, times: int = 1) -> Changes:
        """Read one page on and apply it (several times over, which must do no harm)."""
        page = feed.read(db, actor, self.checkpoint, limit)
        for _ in range(times):
            for change in page.changes:
                if isinstance(change.what, Gone):
                    self.held.pop(change.what.contribution, None)
                else:
                    self.held[change.what.id] = change.what
        self.checkpoint = page.checkpoint
        return page

    def follow(self, db: HashDB, actor: Actor, limit: int = 1_000) -> None:
        """Read up to the head."""
        while self.read(db, actor, limit).more:
            pass
