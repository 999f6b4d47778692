"""The feed, from which a member keeps a copy, and the records of other systems' exchange formats."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Contribution, Media, Standing
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.ledger.commitments import commit_lines, placed_line
from hashdb.domain.ledger.events import Action, ContributionState
from hashdb.domain.matching.matches import Match
from hashdb.domain.review.cases import Opinion
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind


@dataclass(frozen=True, slots=True)
class Gone:
    """A contribution that no longer matches, with the reason.

    The reason is its status or its standing, or `masked` if all of its signals are suppressed.
    """

    contribution: int
    reason: str
    withdrawal_reason: str | None = None
    """Only if it was withdrawn."""
    standing: Standing | None = None
    """Only if it is masked: it is still in the active set. So is `commitment`."""
    commitment: bytes | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change at event `seq`: a contribution as it is now, or one that is gone."""

    seq: int
    what: Contribution | Gone


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the feed. The next one starts after `checkpoint`; a copy of another `epoch` is invalid."""

    changes: tuple[Change, ...]
    checkpoint: int
    more: bool
    epoch: str


class CopiedContribution(NamedTuple):
    """What a copy stores of a contribution: the fields of a match, and until when it matches.

    Values are big-endian octets, since a copy stores a million of them and needs no objects.
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
    duration: float | None = None
    """The length of a video with frames, in seconds."""
    shots: tuple[CopiedShot, ...] = ()
    signatures: tuple[tuple[Kind, bytes], ...] = ()
    pages: int | None = None
    """How many pages a document has."""
    words: int | None = None
    """How many words a text has."""
    salt: bytes | None = None
    commitment: bytes | None = None
    undisclosed: tuple[bytes, ...] = ()
    """The seals of suppressed signals; with the signals and the salt, they give the commitment in the log."""

    def lines(self) -> Iterator[str]:
        """The lines of its commitment (`domain.ledger.commitments`) for the signals that it has."""
        for algorithm, octets in self.signals:
            yield f"{algorithm}:{octets.hex()}"
        for shot in self.shots:
            for algorithm, octets in shot.signals:
                yield placed_line(shot.unit, shot.start, shot.end, f"{algorithm}:{octets.hex()}")
        for kind, octets in self.signatures:
            yield f"{kind}:{octets.hex()}"

    @property
    def fits_commitment(self) -> bool:
        """Whether its commitment is to its signals and signatures, or it has none yet."""
        if self.commitment is None:
            return True
        return self.salt is not None and commit_lines(self.salt, self.lines(), self.undisclosed) == self.commitment


class CopiedShot(NamedTuple):
    """The signals of a shot (of a video, a page, a window of words), and its start and end in `unit`, as in `Shot`."""

    start: float
    end: float
    signals: tuple[tuple[Algorithm, bytes], ...]
    unit: Unit = Unit.SECONDS


class FeedStep(NamedTuple):
    """A change as a copy reads it."""

    seq: int
    what: CopiedContribution | Gone


class FeedPage(NamedTuple):
    """Some changes of a streamed feed; only the last page has the epoch, and says whether there are more changes."""

    steps: tuple[FeedStep, ...]
    checkpoint: int
    more: bool = True
    epoch: str = ""


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


_NOT_IN_NAMES = re.compile(r"[^A-Z0-9]+")


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
