"""Change: one step of the feed from which a member keeps a copy."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.contributions import Contribution


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
