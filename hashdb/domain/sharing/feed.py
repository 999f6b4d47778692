"""Change: one step of the feed from which a member keeps a copy."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.ledger.events import Action, ContributionState
from hashdb.domain.matching.matches import Match
from hashdb.domain.review.cases import Opinion
from hashdb.domain.signals import Algorithm, Signal


@dataclass(frozen=True, slots=True)
class Gone:
    """A contribution that no longer matches, and why."""

    contribution: int
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """What happened at number `seq` of the log: a contribution as it is now, or one that is gone."""

    seq: int
    what: Contribution | Gone


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the feed. Read on after `checkpoint`; a copy of another `epoch` is worth nothing."""

    changes: tuple[Change, ...]
    checkpoint: int
    more: bool
    epoch: str


class Copied(NamedTuple):
    """What a copy keeps of a contribution: what a match tells of it, and until when it matches.

    A value is big-endian, 8 or 32 bytes: a copy takes in a million, and makes nothing of them but a row each.
    """

    id: int
    member: int
    signals: tuple[tuple[Algorithm, bytes], ...]
    labels: tuple[str, ...]
    severity: int | None
    standing: Standing
    context: tuple[str, ...]
    removed_at: datetime | None
    received_at: datetime
    expires_at: datetime | None


class FeedStep(NamedTuple):
    """A change as a copy takes it in."""

    seq: int
    what: Copied | Gone


class FeedPage(NamedTuple):
    """Some changes of a stream; the last ones come with the epoch, and whether there is more."""

    steps: tuple[FeedStep, ...]
    checkpoint: int
    more: bool = True
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
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
class ExchangePage:
    """A page of records in the order of their events, each value once. Read on after `checkpoint`."""

    records: tuple[ExchangeRecord, ...]
    checkpoint: int
    more: bool


def matched(actions: Iterable[Action]) -> bool:
    """Whether a contribution matched after these events, all that there had been on it, in their order."""
    state = ContributionState()
    for action in actions:
        state = state.after(action)
    return state.matches


_OTHER = re.compile(r"[^A-Z0-9]+")


class BankHit(NamedTuple):
    """A match, and the bank that it is in."""

    bank: str
    match: Match


def bank_names(members: Iterable[Member], *reserved: str) -> dict[int, str]:
    """The names of members' banks by their ids: upper case with underscores, each once, and none as a reserved one.

    Of two members whose names come to the same, the one that joined later has its number in the name.
    """
    names: dict[int, str] = {}
    taken = set(reserved)
    for member in sorted(members, key=lambda one: one.id):
        name = bank_name(member.name) or f"MEMBER_{member.id}"
        while name in taken:
            name = f"{name}_{member.id}"
        names[member.id] = name
        taken.add(name)
    return names


def bank_name(name: str) -> str:
    """A name in upper case with underscores; empty where nothing of it is left.

    >>> bank_name("Alpha Vidéo, Ltd.")
    'ALPHA_VIDEO_LTD'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _OTHER.sub("_", plain.upper()).strip("_")
