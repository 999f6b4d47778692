"""Proposal: what one person has asked for and a second one has to ask for, too, before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Act(StrEnum):
    """What takes two persons, where the operator says so."""

    SUSPEND = "member.suspend"
    BENIGN = "benign.add"
    RETIRE = "case.retire"


REVIEWED = (Act.RETIRE,)
"""What is for those who review."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: an act on a subject (`member`, 3; of something new, number 0), with the content of it."""

    act: Act
    kind: str
    id: int
    content: Mapping[str, object]

    @property
    def subject(self) -> str:
        """The form of the log, kind:id."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request that waits for the same one of a second person, until it expires."""

    id: int
    request: Request
    actor: str
    proposed_at: datetime
    expires_at: datetime
