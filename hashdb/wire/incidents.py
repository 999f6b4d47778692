"""Incidents on the wire."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from hashdb.domain.contributions import UNSET
from hashdb.domain.incidents import Incident, IncidentChange, IncidentDraft, end_fault
from hashdb.domain.labels import incident_fault
from hashdb.wire import Answered, Moment, Sent, Token


def _labelled(label: str) -> str:
    if reason := incident_fault(label):
        raise ValueError(reason)
    return label


def _after_start(end: Any, info: ValidationInfo) -> Any:
    start = info.data.get("start")
    if start is not None and (reason := end_fault(start, end)):
        raise ValueError(reason)
    return end


_End = Annotated[Moment | None, AfterValidator(_after_start)]


class IncidentIn(Sent):
    """An incident to open."""

    label: Annotated[Token, AfterValidator(_labelled)] = Field(description="`CIP:<slug>` or `CI:<slug>`.")
    start: Moment
    end: _End = Field(None, description="Where it is known already; may lie in the future.")
    expires: bool = Field(False, description="Whether what is contributed under the label expires at the end.")

    @classmethod
    def of(cls, draft: IncidentDraft) -> IncidentIn:
        """The wire form of a draft; `value` is the inverse."""
        return cls.model_construct(label=draft.label, start=draft.start, end=draft.end, expires=draft.expires)

    def value(self) -> IncidentDraft:
        """The draft that this spells."""
        return IncidentDraft(self.label, self.start, self.end, self.expires)


_UNSENT: Any = Field(default_factory=lambda: None)
"""The default of a field of a change: it may be left out, and null is refused."""


class IncidentChangeIn(Sent):
    """A change to an incident: the fields to change; `end` null lets it go on."""

    start: Moment = _UNSENT
    end: _End = None
    expires: bool = _UNSENT

    @classmethod
    def of(cls, change: IncidentChange) -> IncidentChangeIn:
        """The wire form of a change; `value` is the inverse."""
        asked = {f.name: getattr(change, f.name) for f in fields(change)}
        return cls.model_construct(**{name: value for name, value in asked.items() if value is not UNSET})

    def value(self) -> IncidentChange:
        """The change that this spells; what was not sent stays as it is."""
        return IncidentChange(**{name: getattr(self, name) for name in self.model_fields_set})


class IncidentOut(Answered):
    """An incident; without an end it goes on."""

    id: int
    label: str
    start: Moment
    end: Moment | None
    expires: bool

    @classmethod
    def of(cls, incident: Incident) -> IncidentOut:
        """The wire form of an incident; `value` is the inverse."""
        return cls.model_construct(**{f.name: getattr(incident, f.name) for f in fields(incident)})

    def value(self) -> Incident:
        """The incident that this spells."""
        return Incident(self.id, self.label, self.start, self.end, self.expires)


class IncidentsOut(Answered):
    """A page of incidents."""

    incidents: list[IncidentOut]
    next: int | None
