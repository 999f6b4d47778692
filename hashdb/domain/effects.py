"""Effect: what ends when a contribution matches no longer, said before it is done."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.contributions import Standing


@dataclass(frozen=True, slots=True)
class Effect:
    """Who would no longer match a contribution.

    `members` had it as a match lately, `times` in all; `equal` other contributions that match hold one of its signals
    to the bit, so that most of what matched it would still match; `readers` follow the feed and would be told.
    """

    matches: bool
    members: int
    times: int
    equal: int
    readers: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision would make of a contribution."""

    before: Standing
    after: Standing

    @property
    def ends(self) -> bool:
        """Whether it would match no longer."""
        return self.before.matches and not self.after.matches

    @property
    def begins(self) -> bool:
        """Whether it would match again."""
        return self.after.matches and not self.before.matches
