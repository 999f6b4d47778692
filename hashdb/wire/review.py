"""Models of opinions, cases, proposals, incidents and reversals."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo

from hashdb.domain.review.cases import Case, CaseState, Decision, Opinion, OpinionDraft, Stance, stance_fault
from hashdb.domain.review.incidents import (
    Incident,
    IncidentChange,
    IncidentDraft,
    Proposal,
    ProposedChange,
    TwoPersonAction,
    end_fault,
)
from hashdb.domain.rules import incident_fault
from hashdb.domain.stats.counts import Reversal
from hashdb.wire import LARGEST_ID, UNSENT, Moment, Note, PageModel, RequestModel, ResponseModel, Token
from hashdb.wire.contributions import Contributor, Reason, Shown
from hashdb.wire.conversions import ChangeMirror, MappedTo, Mirror


def _check_reason(reason: str | None, info: ValidationInfo) -> str | None:
    stance = info.data.get("opinion")
    if stance is not None and (fault := stance_fault(stance, reason)):
        raise ValueError(fault)
    return reason


class OpinionIn(RequestModel, Mirror[OpinionDraft]):
    """An opinion on another member's contribution."""

    opinion: Annotated[Stance, MappedTo("stance")]
    reason: Annotated[Reason | None, AfterValidator(_check_reason)] = Field(
        None, validate_default=True, description="A reason of the vocabulary, with a dispute."
    )
    note: Note | None = Field(None, description="For the contributor and the reviewer; name nobody.")


class OpinionOut(ResponseModel, Shown[Opinion]):
    """An opinion; `note` is left out for readers who may not see it."""

    HIDEABLE: ClassVar[frozenset[str]] = frozenset({"note"})

    id: int
    contribution: int
    member: Contributor
    opinion: Annotated[Stance, MappedTo("stance")]
    reason: str | None
    note: str | None = None
    given_at: Moment
    case: int | None = Field(description="The case that was open then, or that it opened.")
    counts: bool = Field(description="Whether the standing of the contribution takes account of it.")


class OpinionsOut(PageModel):
    """A page of opinions."""

    opinions: list[OpinionOut]
    next: int | None


Place = Annotated[int, Field(ge=0, le=63)]


class DecisionIn(RequestModel):
    """The decision of a reviewer."""

    decision: Decision
    note: Note | None = Field(None, description="Why, for the contributor and who disputed; name nobody.")
    signals: Annotated[list[Place], Field(max_length=64)] | None = Field(
        None,
        description="With `retire`: the places, from 0, of the signals near which later contributions wait for a"
        " reviewer. Left out: the first of each algorithm, and what is within the default radius of it.",
    )


class UpholdIn(RequestModel):
    """The reason to uphold the cases of a pile, up to a case id."""

    note: Annotated[Note, Field(min_length=1)]
    upto: Annotated[int, Field(ge=1, le=LARGEST_ID)]


class CaseOut(ResponseModel, Shown[Case]):
    """A case; `decided_by` is left out for the parties."""

    HIDEABLE: ClassVar[frozenset[str]] = frozenset({"decided_by"})

    id: int
    contribution: int
    member: Contributor
    state: CaseState
    reason: str = Field(description="Of the dispute that opened it; or `contested`, `near_retired`, `flood`.")
    holds: bool = Field(description="Whether the contribution is quarantined while it is open.")
    opened_at: Moment
    due_at: Moment = Field(description="When it is to be decided; nothing happens by itself.")
    opinions: list[OpinionOut] = Field(description="Those given while it was open, the last of each member.")
    decision: Decision | None
    note: str | None
    decided_at: Moment | None
    decided_by: str | None = None
    shadow: list[int] | None = Field(
        None, description="Once it is retired: the places of the signals near which later contributions wait."
    )
    follows: int | None = Field(
        None, description="The case on an earlier contribution of the same member that this one continues."
    )


class CasesOut(PageModel):
    """A page of cases."""

    cases: list[CaseOut]
    next: int | None


class ProposalOut(ResponseModel, Mirror[Proposal]):
    """A proposal: a request that waits for the same request of a second person."""

    proposal: Annotated[int, MappedTo("id")]
    act: Annotated[TwoPersonAction, MappedTo("request.act")]
    subject: Annotated[str, MappedTo("request.subject")] = Field(description="kind:id; of what is new, number 0.")
    content: Annotated[dict[str, Any], MappedTo("request.content")] = Field(
        description="What was asked, as it is to be asked again."
    )
    actor: str
    proposed_at: Moment
    expires_at: Moment

    def to_domain(self) -> Proposal:
        """The proposal."""
        kind, _, id = self.subject.partition(":")
        request = ProposedChange(self.act, kind, int(id), self.content)
        return Proposal(request=request, **self.arguments())


class ProposalsOut(PageModel):
    """A page of open proposals."""

    proposals: list[ProposalOut]
    next: int | None


def _check_label(label: str) -> str:
    if reason := incident_fault(label):
        raise ValueError(reason)
    return label


def _check_end(end: Any, info: ValidationInfo) -> Any:
    start = info.data.get("start")
    if start is not None and (reason := end_fault(start, end)):
        raise ValueError(reason)
    return end


_End = Annotated[Moment | None, AfterValidator(_check_end)]


class IncidentIn(RequestModel, Mirror[IncidentDraft]):
    """An incident to open."""

    label: Annotated[Token, AfterValidator(_check_label)] = Field(description="`CIP:<slug>` or `CI:<slug>`.")
    start: Moment
    end: _End = Field(None, description="Where it is known already; may lie in the future.")
    expires: bool = Field(False, description="Whether what is contributed under the label expires at the end.")


class IncidentChangeIn(RequestModel, ChangeMirror[IncidentChange]):
    """A change to an incident: the fields to change; `end` null removes the end."""

    start: Moment = UNSENT
    end: _End = None
    expires: bool = UNSENT


class IncidentOut(ResponseModel, Mirror[Incident]):
    """An incident; one without an end is still on."""

    id: int
    label: str
    start: Moment
    end: Moment | None
    expires: bool


class IncidentsOut(PageModel):
    """A page of incidents."""

    incidents: list[IncidentOut]
    next: int | None


class ReversalOut(ResponseModel, Mirror[Reversal]):
    """A contribution that the member was given as a match, and its state now."""

    seq: int
    contribution: int
    now: str
    reason: str | None
    at: Moment


class ReversalsOut(PageModel):
    """A page of reversals; read on after `next`, or after the last `seq`."""

    CURSOR: ClassVar[str] = "seq"

    reversals: list[ReversalOut]
    next: int | None
