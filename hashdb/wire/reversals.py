"""Reversals on the wire."""

from __future__ import annotations

from hashdb.domain.reversals import Reversal
from hashdb.wire import Answered, Moment


class ReversalOut(Answered):
    """A contribution that was answered to you as a match, and what it is now."""

    seq: int
    contribution: int
    now: str
    reason: str | None
    at: Moment

    @classmethod
    def of(cls, one: Reversal) -> ReversalOut:
        """The wire form of a reversal; `value` is the inverse."""
        return cls.model_construct(
            seq=one.seq, contribution=one.contribution, now=one.now, reason=one.reason, at=one.at
        )

    def value(self) -> Reversal:
        """The reversal that this spells."""
        return Reversal(self.seq, self.contribution, self.now, self.reason, self.at)


class ReversalsOut(Answered):
    """A page of reversals; read on after `next`, or after the last `seq`."""

    reversals: list[ReversalOut]
    next: int | None
