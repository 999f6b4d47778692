"""Exchanges: the records of other systems' exchange formats, and the banks that these systems list."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Contribution, Media
from hashdb.domain.frames import Frame
from hashdb.domain.ledger.events import Action, ContributionState
from hashdb.domain.matching.matches import Match
from hashdb.domain.review.cases import Opinion
from hashdb.domain.signals import Signal

_NOT_IN_NAMES = re.compile(r"[^A-Z0-9]+")
Exchanged = Signal | tuple[Frame, ...]
"""A value that other systems know: a signal, or the frames of a video, each with its PDQ alone."""


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    """The state of a value after event `seq`: the contributions that match by it, and the opinions on them.

    A reader deletes a value without contributions.
    """

    seq: int
    at: datetime
    value: Exchanged
    contributions: tuple[Contribution, ...]
    opinions: tuple[Opinion, ...]

    @property
    def gone(self) -> bool:
        """Whether no contribution has the value any more."""
        return not self.contributions

    @property
    def number(self) -> int:
        """A stable number of the value, for systems that require one: 56 bits of a digest."""
        value = self.value
        text = (
            str(value)
            if isinstance(value, Signal)
            else " ".join(f"{frame.at:.3f}:{frame.signals[0]}" for frame in value)
        )
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])

    @property
    def of_video(self) -> bool:
        """Whether one of its contributions is a video."""
        return any(contribution.media is Media.VIDEO for contribution in self.contributions)


@dataclass(frozen=True, slots=True)
class ExchangePage:
    """A page of records in the order of their events, each value once. The next page starts after `checkpoint`."""

    records: tuple[ExchangeRecord, ...]
    checkpoint: int
    more: bool


def matched_after(actions: Iterable[Action]) -> bool:
    """Whether a contribution matched after these events, which are all events on it so far, in order."""
    state = ContributionState()
    for action in actions:
        state = state.after(action)
    return state.matches


class BankHit(NamedTuple):
    """A match, and the name of its bank: in other systems, the contributions of one member are a bank."""

    bank: str
    match: Match


def bank_names(members: Iterable[Member], *reserved: str) -> dict[int, str]:
    """The name of each member's bank by the member's id: upper case with underscores, unique, and not in `reserved`.

    If two members would have the same name, the name of the later one has its id at the end.
    """
    names: dict[int, str] = {}
    taken = set(reserved)
    for member in sorted(members, key=lambda member: member.id):
        name = bank_name(member.name) or f"MEMBER_{member.id}"
        while name in taken:
            name = f"{name}_{member.id}"
        names[member.id] = name
        taken.add(name)
    return names


def bank_name(name: str) -> str:
    """A name in upper case with underscores; empty if it has no letters or digits of ASCII.

    >>> bank_name("Alpha Vidéo, Ltd.")
    'ALPHA_VIDEO_LTD'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _NOT_IN_NAMES.sub("_", plain.upper()).strip("_")
