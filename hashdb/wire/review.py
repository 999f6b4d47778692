"""Models of opinions, cases, proposals, incidents and reversals."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo

from hashdb.domain.review.bulk import BatchChoices
from hashdb.domain.review.cases import Case, CaseState, Decision, Opinion, OpinionDraft, Stance
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft, end_fault
from hashdb.domain.review.proposals import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.review.shadows import FRAMES_PLACE
from hashdb.domain.stats.counts import Reversal
from hashdb.domain.vocabulary import incident_fault
from hashdb.wire import LARGEST_ID, UNSENT, Moment, Next, Note, PageModel, RequestModel, ResponseModel, ShortText
from hashdb.wire.contributions import Contributor, Shown
from hashdb.wire.conversions import ChangeMirror, MappedTo, Mirror
from hashdb.wire.drafts import Reason


def _check_reason(reason: str | None, info: ValidationInfo) -> str | None:
    stance = info.data.get("opinion")
    if stance is not None and (fault := OpinionDraft(stance, reason).fault()):
        raise ValueError(fault)
    return reason


class OpinionIn(RequestModel, Mirror[OpinionDraft]):
    """An opinion on another member's contribution."""

    opinion: Annotated[Stance, MappedTo("stance")] = Field(description="Whether you agree.")
    reason: Annotated[Reason | None, AfterValidator(_check_reason)] = Field(
        None, validate_default=True, description="Why you dispute: a reason of the vocabulary. Required with a dispute."
    )
    note: Note | None = Field(None, description="A note to the contributor and the reviewers. Do not name people.")


class OpinionOut(ResponseModel, Shown[Opinion]):
    """An opinion. Without the right to see it, `note` is left out."""

    HIDEABLE: ClassVar[frozenset[str]] = frozenset({"note"})

    id: int = Field(description="The id of the opinion.")
    contribution: int = Field(description="The id of the contribution.")
    member: Contributor = Field(description="The member that gave it.")
    opinion: Annotated[Stance, MappedTo("stance")] = Field(description="Whether the member agrees.")
    reason: str | None = Field(description="Why the member disputes: a reason of the vocabulary.")
    note: str | None = Field(None, description="The note of the member.")
    given_at: Moment = Field(description="When it was given.")
    case: int | None = Field(description="The case that was open then, or that it opened; null if there was none.")
    counts: bool = Field(description="Whether the standing of the contribution takes it into account.")


class OpinionsOut(PageModel):
    """A page of opinions."""

    opinions: list[OpinionOut] = Field(description="The opinions of this page.")
    next: Next


class DecisionIn(RequestModel):
    """The decision of a reviewer."""

    decision: Decision = Field(description="The decision.")
    note: Note | None = Field(
        None, description="The reason, for the contributor and the disputers. Do not name people."
    )
    # The signals of the item itself have the places before FRAMES_PLACE; it stands for those of all frames.
    signals: (
        Annotated[list[Annotated[int, Field(ge=0, le=FRAMES_PLACE)]], Field(max_length=FRAMES_PLACE + 1)] | None
    ) = Field(
        None,
        description="With `retire`: the places of the signals, from 0. A later contribution near one of them "
        "starts quarantined. By default, the first signal of each algorithm, and those within the "
        "default radius of it.",
    )


class UpholdIn(RequestModel):
    """The reason to uphold the cases of a pile, up to a case id."""

    note: Annotated[Note, Field(min_length=1)]
    upto: Annotated[int, Field(ge=1, le=LARGEST_ID)]


class CaseNoteIn(RequestModel):
    """A note of a reviewer on a case, for other reviewers."""

    text: Annotated[Note, Field(min_length=1)]


class BatchIn(RequestModel, Mirror[BatchChoices]):
    """What a user chose for all items of a batch; the expiry becomes `days` later, or `expires_at`."""

    note: Note = ""
    reason: ShortText | None = None
    days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    expires_at: Moment | None = None


class CaseOut(ResponseModel, Shown[Case]):
    """A case. The parties do not see `decided_by`: it is left out."""

    HIDEABLE: ClassVar[frozenset[str]] = frozenset({"decided_by"})

    id: int = Field(description="The id of the case.")
    contribution: int = Field(description="The id of the contribution.")
    member: Contributor = Field(description="The member that contributed it.")
    state: CaseState = Field(description="Whether the case still needs a decision.")
    reason: str = Field(
        description="The reason of the dispute that opened it; or `contested`, `near_retired` or `flood`."
    )
    holds: bool = Field(description="Whether the contribution is quarantined while the case is open.")
    opened_at: Moment = Field(description="When the case was opened.")
    due_at: Moment = Field(description="When the decision is due. An overdue case is not decided automatically.")
    opinions: list[OpinionOut] = Field(
        description="The opinions given while the case was open: the last one of each member."
    )
    decision: Decision | None = Field(description="The decision; null while the case is open.")
    note: str | None = Field(description="The reason of the decision.")
    decided_at: Moment | None = Field(description="When the case was decided.")
    decided_by: str | None = Field(None, description="Who decided it, as in the audit log.")
    shadow: list[int] | None = Field(
        None, description="After `retire`: the places of the signals near which later contributions start quarantined."
    )
    follows: int | None = Field(
        None, description="The earlier case that this one continues, on an earlier contribution of the same member."
    )


class CasesOut(PageModel):
    """A page of cases."""

    cases: list[CaseOut] = Field(description="The cases of this page.")
    next: Next


class ProposalOut(ResponseModel, Mirror[Proposal]):
    """A proposal: a request that needs the same request of a second person."""

    proposal: Annotated[int, MappedTo("id")] = Field(description="The id of the proposal.")
    act: Annotated[TwoPersonAction, MappedTo("request.act")] = Field(description="What is proposed.")
    subject: Annotated[str, MappedTo("request.subject")] = Field(
        description="What it changes, as `kind:id`; the id of a new entry is 0."
    )
    content: Annotated[dict[str, Any], MappedTo("request.content")] = Field(
        description="The body of the request. The second person sends the same."
    )
    actor: str = Field(description="Who proposed it, as in the audit log.")
    proposed_at: Moment = Field(description="When it was proposed.")
    expires_at: Moment = Field(description="When it expires.")

    def to_domain(self) -> Proposal:
        """The proposal."""
        kind, _, id = self.subject.partition(":")
        request = ProposedChange(self.act, kind, int(id), self.content)
        return Proposal(request=request, **self.arguments())


class ProposalsOut(PageModel):
    """A page of open proposals."""

    proposals: list[ProposalOut] = Field(description="The proposals of this page.")
    next: Next


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

    label: Annotated[ShortText, AfterValidator(_check_label)] = Field(
        description="The label, `PCI:`, `CIP:` or `CI:` and a slug."
    )
    start: Moment = Field(description="When the incident begins.")
    end: _End = Field(None, description="When the incident ends, if known; may be in the future.")
    expires: bool = Field(False, description="Whether contributions with the label expire when the incident ends.")


class IncidentChangeIn(RequestModel, ChangeMirror[IncidentChange]):
    """A change of an incident: only the fields to change."""

    start: Annotated[Moment, Field(description="When the incident begins.")] = UNSENT
    end: _End = Field(None, description="When the incident ends; null removes the end.")
    expires: Annotated[
        bool, Field(description="Whether contributions with the label expire when the incident ends.")
    ] = UNSENT


class IncidentOut(ResponseModel, Mirror[Incident]):
    """An incident."""

    id: int = Field(description="The id of the incident.")
    label: str = Field(description="The label, `PCI:`, `CIP:` or `CI:` and a slug.")
    start: Moment = Field(description="When the incident begins.")
    end: Moment | None = Field(description="When the incident ends; null if it has no end yet.")
    expires: bool = Field(description="Whether contributions with the label expire when the incident ends.")


class IncidentsOut(PageModel):
    """A page of incidents."""

    incidents: list[IncidentOut] = Field(description="The incidents of this page.")
    next: Next


class ReversalOut(ResponseModel, Mirror[Reversal]):
    """A contribution that was returned to you as a match and no longer matches."""

    seq: int = Field(description="The seq of the event.")
    contribution: int = Field(description="The id of the contribution.")
    now: str = Field(description="What it is now: `withdrawn`, `quarantined` or `retired`.")
    reason: str | None = Field(description="Why: a reason of the vocabulary, or of the case.")
    at: Moment = Field(description="When it happened.")


class ReversalsOut(PageModel):
    """A page of reversals. Continue after `next`, or later after the last `seq`."""

    CURSOR: ClassVar[str] = "seq"

    reversals: list[ReversalOut] = Field(description="The reversals of this page.")
    next: Next
