"""Incident: a crisis with a start and an end, under whose label members contribute; and when contributions expire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.contributions import UNSET, Unset


@dataclass(frozen=True, slots=True)
class IncidentDraft:
    """What is sent to open an incident; with `expires`, what is contributed under its label expires at its end."""

    label: str
    start: datetime
    end: datetime | None = None
    expires: bool = False


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident; without an end it goes on."""

    id: int
    label: str
    start: datetime
    end: datetime | None
    expires: bool

    @property
    def expiry(self) -> datetime | None:
        """When what is contributed under its label expires; None where it does not."""
        return self.end if self.expires else None


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """What is sent to change an incident."""

    start: datetime | Unset = UNSET
    end: datetime | None | Unset = UNSET
    expires: bool | Unset = UNSET

    def of(self, incident: Incident) -> Incident:
        """The incident so changed."""
        return Incident(
            incident.id,
            incident.label,
            incident.start if self.start is UNSET else self.start,
            incident.end if self.end is UNSET else self.end,
            incident.expires if self.expires is UNSET else self.expires,
        )


@dataclass(frozen=True, slots=True)
class IncidentEffect:
    """What an incident does to contributions: of those `held` under its label, `sooner` end earlier by it.

    They end at `expiry`, which with `ended` is now.
    """

    held: int
    sooner: int
    expiry: datetime | None
    ended: bool


def end_fault(start: datetime, end: datetime | None) -> str | None:
    """Why an incident that starts then cannot end then, or None."""
    return "this is not after the start" if end is not None and end <= start else None


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days a contribution is kept for matching, by label; of several labels the shortest counts."""

    days: Mapping[str, int]

    def until(self, labels: tuple[str, ...], received_at: datetime) -> datetime | None:
        """When a contribution with these labels is to expire; None where no label says so."""
        found = [self.days[label] for label in labels if label in self.days]
        return received_at + timedelta(days=min(found)) if found else None

    def expiry(
        self, own: datetime | None, labels: tuple[str, ...], received_at: datetime, incident: Incident | None
    ) -> datetime | None:
        """When a contribution expires: the earliest of what its member asked, its incident's end and the retention."""
        if incident is None and not self.days:
            return own
        others = (incident.expiry if incident else None, self.until(labels, received_at))
        return min((at for at in (own, *others) if at is not None), default=None)


class TwoPersonAction(StrEnum):
    """What takes two persons, where the operator says so."""

    SUSPEND = "member.suspend"
    BENIGN = "benign.add"
    RETIRE = "case.retire"


REVIEWED = (TwoPersonAction.RETIRE,)
"""What is for those who review."""


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """What is asked for: an act on a subject (`member`, 3; of something new, number 0), with the content of it."""

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
    """A request that waits for the same one of a second person, until it expires."""

    id: int
    request: ProposedChange
    actor: str
    proposed_at: datetime
    expires_at: datetime
