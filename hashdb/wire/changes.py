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


class _Line(ChangeOut):
    """A line of a stream: a change, or the end."""

    seq: int = 0
    checkpoint: int | None = None
    more: bool = True
    epoch: str = ""


def read_lines(text: bytes) -> Changes:
    """What some whole lines of a stream say; only the last ones tell the epoch. Raises ValueError where one is none."""
    lines = [_Line.model_validate_json(line) for line in text.splitlines()]
    end = lines.pop() if lines and lines[-1].checkpoint is not None else None
    if not all(line.seq for line in lines):
        raise ValueError("a line is neither a change nor the end")
    changes = tuple([line.value() for line in lines])
    if end is None or end.checkpoint is None:
        return Changes(changes, changes[-1].seq if changes else 0, True, "")
    return Changes(changes, end.checkpoint, end.more, end.epoch)
