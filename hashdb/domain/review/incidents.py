"""Incidents and retention: crises under whose label members contribute, and when contributions expire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from hashdb.domain.contributions import UNSET, Unset


@dataclass(frozen=True, slots=True)
class IncidentDraft:
    """What a client sends to open an incident; with `expires`, contributions under its label expire at its end."""

    label: str
    start: datetime
    end: datetime | None = None
    expires: bool = False


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident; without an end it continues."""

    id: int
    label: str
    start: datetime
    end: datetime | None
    expires: bool

    @property
    def expiry(self) -> datetime | None:
        """When contributions under its label expire; None if they do not."""
        return self.end if self.expires else None


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """What a client sends to change an incident; a field that is UNSET stays as it is."""

    start: datetime | Unset = UNSET
    end: datetime | None | Unset = UNSET
    expires: bool | Unset = UNSET

    def apply_to(self, incident: Incident) -> Incident:
        """The incident with this change."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(incident, **{name: value for name, value in values.items() if value is not UNSET})


@dataclass(frozen=True, slots=True)
class IncidentImpact:
    """The effect of an incident: of the `held` active contributions with its label, `sooner` expire earlier for it.

    They expire at `expiry`; if the incident has `ended`, they expire now.
    """

    held: int
    sooner: int
    expiry: datetime | None
    ended: bool


def end_fault(start: datetime, end: datetime | None) -> str | None:
    """Why an incident with this start cannot have this end, or None."""
    return "must be after the start" if end is not None and end <= start else None


@dataclass(frozen=True, slots=True)
class Retention:
    """After how many days contributions expire, by label; with several labels the shortest time counts."""

    days: Mapping[str, int]

    def until(self, labels: tuple[str, ...], received_at: datetime) -> datetime | None:
        """When a contribution with these labels expires; None if no label sets a limit."""
        limits = [self.days[label] for label in labels if label in self.days]
        return received_at + timedelta(days=min(limits)) if limits else None

    def expiry(
        self, own: datetime | None, labels: tuple[str, ...], received_at: datetime, incident: Incident | None
    ) -> datetime | None:
        """When a contribution expires: the earliest of its own expiry, the end of its incident and the retention."""
        if incident is None and not self.days:
            return own
        limits = own, incident.expiry if incident else None, self.until(labels, received_at)
        return min((at for at in limits if at is not None), default=None)
