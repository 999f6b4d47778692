"""The counts of a day on the wire, in the very lines that are sealed."""

from __future__ import annotations

from datetime import date

from hashdb.domain.counts import Count, digest, lines
from hashdb.wire import Answered


class SealOut(Answered):
    """The event that sealed a day, and the digest that it tells."""

    seq: int
    digest: str


class CountsOut(Answered):
    """The counts of a day: the SHA-256 of the day and the lines, each ended by a line feed, is the digest."""

    day: date
    lines: list[str]
    digest: str
    sealed: SealOut | None

    @classmethod
    def of(cls, day: date, counts: tuple[Count, ...], sealed: tuple[int, str] | None) -> CountsOut:
        """The wire form of a day; `sealed` is the number of the event that sealed it, and its digest."""
        seal = None if sealed is None else SealOut.model_construct(seq=sealed[0], digest=sealed[1])
        return cls.model_construct(day=day, lines=list(lines(counts)), digest=digest(day, counts), sealed=seal)
