"""Proposals on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hashdb.domain.proposals import Act, Proposal, Request
from hashdb.wire import Answered, Moment


class ProposalOut(Answered):
    """What waits for the same request of a second person."""

    proposal: int
    act: Act
    subject: str = Field(description="kind:id; of what is new, number 0.")
    content: dict[str, Any] = Field(description="What was asked, as it is to be asked again.")
    actor: str
    proposed_at: Moment
    expires_at: Moment

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalOut:
        """The wire form of a proposal; `value` is the inverse."""
        request = proposal.request
        return cls.model_construct(
            proposal=proposal.id,
            act=request.act,
            subject=request.subject,
            content=dict(request.content),
            actor=proposal.actor,
            proposed_at=proposal.proposed_at,
            expires_at=proposal.expires_at,
        )

    def value(self) -> Proposal:
        """The proposal that this spells."""
        kind, _, id = self.subject.partition(":")
        request = Request(self.act, kind, int(id), self.content)
        return Proposal(self.proposal, request, self.actor, self.proposed_at, self.expires_at)


class ProposalsOut(Answered):
    """A page of proposals that wait."""

    proposals: list[ProposalOut]
    next: int | None
