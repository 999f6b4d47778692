"""The feed, from which a member keeps a copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.frames import Unit
from hashdb.domain.ledger.commitments import commit_lines, placed_line
from hashdb.domain.signals import Algorithm
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
