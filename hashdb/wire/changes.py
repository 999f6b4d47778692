"""The feed on the wire."""

from __future__ import annotations

from hashdb.domain.changes import Change, Changes, Gone
from hashdb.wire import Answered
from hashdb.wire.contributions import ContributionOut


class ChangeOut(Answered):
    """One change: a contribution as it is now, or the id of one that is gone and why."""

    seq: int
    contribution: ContributionOut | None = None
    gone: int | None = None
    reason: str | None = None

    @classmethod
    def of(cls, change: Change) -> ChangeOut:
        """The wire form of a change; `value` is the inverse."""
        if isinstance(change.what, Gone):
            return cls.made(seq=change.seq, gone=change.what.contribution, reason=change.what.reason)
        return cls.made(seq=change.seq, contribution=ContributionOut.of(change.what))

    def value(self) -> Change:
        """The change that this spells."""
        if self.contribution is not None:
            return Change(self.seq, self.contribution.value())
        return Change(self.seq, Gone(self.gone or 0, self.reason or ""))


class ChangesOut(Answered):
    """A page of the feed; read on after `checkpoint`."""

    changes: list[ChangeOut]
    checkpoint: int
    more: bool
    epoch: str

    @classmethod
    def of(cls, page: Changes) -> ChangesOut:
        """The wire form of a page; `value` is the inverse."""
        changes = [ChangeOut.of(change) for change in page.changes]
        return cls.model_construct(changes=changes, checkpoint=page.checkpoint, more=page.more, epoch=page.epoch)

    def value(self) -> Changes:
        """The page that this spells."""
        return Changes(tuple(change.value() for change in self.changes), self.checkpoint, self.more, self.epoch)


class ChangesEnd(Answered):
    """The last line of a stream of changes."""

    checkpoint: int
    more: bool
    epoch: str
