"""Opinions on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from hashdb.domain.opinions import Opinion, OpinionDraft, Stance, stance_fault
from hashdb.wire import Answered, Moment, Note, Sent
from hashdb.wire.contributions import Contributor, Reason


def _fitting(reason: str | None, info: ValidationInfo) -> str | None:
    stance = info.data.get("opinion")
    if stance is not None and (fault := stance_fault(stance, reason)):
        raise ValueError(fault)
    return reason


class OpinionIn(Sent):
    """What a member thinks of another's contribution."""

    opinion: Stance
    reason: Annotated[Reason | None, AfterValidator(_fitting)] = Field(
        None, validate_default=True, description="A reason of the vocabulary, with a dispute."
    )
    note: Note | None = Field(None, description="For the contributor and the reviewer; name nobody.")

    @classmethod
    def of(cls, draft: OpinionDraft) -> OpinionIn:
        """The wire form of a draft; `value` is the inverse."""
        return cls.model_construct(opinion=draft.stance, reason=draft.reason, note=draft.note)

    def value(self) -> OpinionDraft:
        """The draft that this spells."""
        return OpinionDraft(self.opinion, self.reason, self.note)


class OpinionOut(Answered):
    """An opinion; `note` is left out for readers who may not see it."""

    id: int
    contribution: int
    member: Contributor
    opinion: Stance
    reason: str | None
    note: str | None = None
    given_at: Moment
    case: int | None = Field(description="The case that was open then, or that it opened.")
    counts: bool = Field(description="Whether the standing of the contribution takes account of it.")

    @classmethod
    def of(cls, opinion: Opinion) -> OpinionOut:
        """The wire form of an opinion; `value` is the inverse."""
        seen: dict[str, Any] = {
            "id": opinion.id,
            "contribution": opinion.contribution,
            "member": Contributor.made(id=opinion.member, name=opinion.member_name),
            "opinion": opinion.stance,
            "reason": opinion.reason,
            "note": opinion.note,
            "given_at": opinion.given_at,
            "case": opinion.case,
            "counts": opinion.counts,
        }
        return cls.made(**{name: value for name, value in seen.items() if name not in opinion.hidden})

    def value(self) -> Opinion:
        """The opinion that this spells."""
        return Opinion(
            id=self.id,
            contribution=self.contribution,
            member=self.member.id,
            member_name=self.member.name,
            stance=self.opinion,
            reason=self.reason,
            note=self.note,
            given_at=self.given_at,
            case=self.case,
            counts=self.counts,
            hidden=frozenset({"note"} - self.model_fields_set),
        )


class OpinionsOut(Answered):
    """A page of opinions."""

    opinions: list[OpinionOut]
    next: int | None
