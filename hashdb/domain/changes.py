"""Change: one step of the feed from which a member keeps a copy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.signals import Algorithm


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


class Step(NamedTuple):
    """A change as a copy takes it in."""

    seq: int
    what: Copied | Gone


class Steps(NamedTuple):
    """Some changes of a stream; the last ones come with the epoch, and whether there is more."""

    steps: tuple[Step, ...]
    checkpoint: int
    more: bool = True
    epoch: str = ""
