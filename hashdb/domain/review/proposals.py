"""Proposals: changes that need two persons, as the first person asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TwoPersonAction(StrEnum):
    """What needs two persons, if the operator sets so.

    `member.suspend`: to suspend a member. `benign.add`: to add a benign entry. `case.retire`: to retire a contribution.
    """

    SUSPEND = "member.suspend"
    BENIGN = "benign.add"
    RETIRE = "case.retire"


REVIEWER_ACTIONS = (TwoPersonAction.RETIRE,)
"""The actions of reviewers; the others are for administrators."""


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """The change that a proposal asks for: an act on a subject, by its kind and id (`member`, 3; id 0: a new one).

    `content` has the values of the change by field.
    """

    act: TwoPersonAction
    kind: str
    id: int
    content: Mapping[str, object]

    @property
    def subject(self) -> str:
        """The form of the log, kind:id."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that waits for a second person to ask for the same, until it expires."""

    id: int
    request: ProposedChange
    actor: str
    proposed_at: datetime
    expires_at: datetime
