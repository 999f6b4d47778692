"""Cases on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hashdb.domain.cases import Case, CaseState, Decision
from hashdb.wire import Answered, Moment, Note, Sent
from hashdb.wire.contributions import Contributor
from hashdb.wire.opinions import OpinionOut

Place = Annotated[int, Field(ge=0, le=63)]


class DecisionIn(Sent):
    """What a reviewer rules."""

    decision: Decision
    note: Note | None = Field(None, description="Why, for the contributor and who disputed; name nobody.")
    signals: Annotated[list[Place], Field(max_length=64)] | None = Field(
        None,
        description="With `retire`: the places, from 0, of the signals near which later contributions wait for a"
        " reviewer. Left out: the first of each algorithm, and what is within the default radius of it.",
    )


class CaseOut(Answered):
    """A contribution before a reviewer; `decided_by` is left out for the parties."""

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

    @classmethod
    def of(cls, case: Case) -> CaseOut:
        """The wire form of a case; `value` is the inverse."""
        seen: dict[str, Any] = {
            "id": case.id,
            "contribution": case.contribution,
            "member": Contributor.made(id=case.member, name=case.member_name),
            "state": case.state,
            "reason": case.reason,
            "holds": case.holds,
            "opened_at": case.opened_at,
            "due_at": case.due_at,
            "opinions": [OpinionOut.of(opinion) for opinion in case.opinions],
            "decision": case.decision,
            "note": case.note,
            "decided_at": case.decided_at,
            "decided_by": case.decided_by,
            "shadow": None if case.shadow is None else list(case.shadow),
            "follows": case.follows,
        }
        return cls.made(**{name: value for name, value in seen.items() if name not in case.hidden})

    def value(self) -> Case:
        """The case that this spells."""
        return Case(
            id=self.id,
            contribution=self.contribution,
            member=self.member.id,
            member_name=self.member.name,
            reason=self.reason,
            holds=self.holds,
            opened_at=self.opened_at,
            due_at=self.due_at,
            decision=self.decision,
            note=self.note,
            decided_at=self.decided_at,
            decided_by=self.decided_by,
            shadow=None if self.shadow is None else tuple(self.shadow),
            follows=self.follows,
            opinions=tuple(one.value() for one in self.opinions),
            hidden=frozenset({"decided_by"} - self.model_fields_set),
        )


class CasesOut(Answered):
    """A page of cases."""

    cases: list[CaseOut]
    next: int | None
