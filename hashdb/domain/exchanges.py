"""Record: a value as other systems exchange it, who know values and no ids, with all that members say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hashdb.domain.audit import Action, State
from hashdb.domain.contributions import Contribution
from hashdb.domain.opinions import Opinion
from hashdb.domain.signals import Signal


@dataclass(frozen=True, slots=True)
class Record:
    """What a reader is to hold of a value after event `seq`: the contributions that match by it, and the opinions.

    Where no contribution is left, the reader is to drop the value.
    """

    seq: int
    at: datetime
    signal: Signal
    contributions: tuple[Contribution, ...]
    opinions: tuple[Opinion, ...]

    @property
    def gone(self) -> bool:
        """Whether nobody contributes the value any more."""
        return not self.contributions

    @property
    def number(self) -> int:
        """A number of the value that stays the same, for systems that ask for one; 56 bits of a digest."""
        return int.from_bytes(hashlib.sha256(str(self.signal).encode()).digest()[:7])


@dataclass(frozen=True, slots=True)
class Records:
    """A page of records in the order of their events, each value once. Read on after `checkpoint`."""

    records: tuple[Record, ...]
    checkpoint: int
    more: bool


def matched(actions: Iterable[Action]) -> bool:
    """Whether a contribution matched after these events, all that there had been on it, in their order."""
    state = State()
    for action in actions:
        state = state.after(action)
    return state.matches
