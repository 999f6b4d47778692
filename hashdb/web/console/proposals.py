"""/console/proposals: requests of one person that need a second person to make the same request."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import Decision
from hashdb.domain.review.proposals import REVIEWER_ACTIONS, Proposal, TwoPersonAction
from hashdb.errors import InvalidInput
from hashdb.service.accounts import members
from hashdb.service.ledger import events
from hashdb.service.matching import benign
from hashdb.service.review import cases, impacts, notes, proposals
from hashdb.web.console import pages
from hashdb.web.console.lists import Column, page_of_all
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query, validation_context
from hashdb.wire.accounts import MemberChangeIn
from hashdb.wire.matching import BenignIn
from hashdb.wire.pages import ListQuery
from hashdb.wire.review import DecisionIn

blueprint = pages.blueprint_of("proposals")


@blueprint.get("")
def browse() -> Response:
    """List the proposals in the order in which they expire."""
    columns: tuple[Column[Proposal], ...] = (
        Column("Proposal", "proposal", lambda proposal: proposal.id, number=True),
        Column("Expires", "expires", lambda proposal: (proposal.expires_at, proposal.id), ascending_first=True),
        Column(
            "Change", "change", lambda proposal: (_ACTIONS[proposal.request.act], proposal.id), ascending_first=True
        ),
        Column("Subject"),
        Column("Proposed by", "actor", lambda proposal: (proposal.actor, proposal.id), ascending_first=True),
        Column("Proposed", "proposed", lambda proposal: (proposal.proposed_at, proposal.id)),
    )
    rows = pages.read_all(partial(proposals.page, hashdb(), actor()))
    shown, list = page_of_all(
        rows,
        columns,
        query(ListQuery),
        "console.proposals.browse",
        first="expires",
        row_kind="proposal" if actor().has(Scope.REVIEW) else "",
        upto=max((proposal.id for proposal in rows), default=0),
    )
    names = events.names(
        hashdb(), actor(), {name for proposal in shown for name in (proposal.actor, proposal.request.subject)}
    )
    return pages.page("proposals.html", proposals=shown, list=list, actions=_ACTIONS, names=names)


@blueprint.get("/<id:proposal_id>")
def show(proposal_id: int) -> Response:
    """Show a proposal and its effect."""
    return _proposal_page(proposals.get(hashdb(), actor(), proposal_id), Form())


@blueprint.post("/<id:proposal_id>")
def confirm(proposal_id: int) -> Response:
    """Make the same request as a second person, which carries it out."""
    proposal, sent = proposals.get(hashdb(), actor(), proposal_id), Form.sent()
    actor().require(_scope(proposal))
    try:
        result = _repeat(proposal, sent)
    except pages.REFUSALS as error:
        return _proposal_page(proposal, sent.refused(error))
    if isinstance(result, Proposal):
        sent.error = "you proposed this yourself: another person must confirm it"
        return _proposal_page(proposal, sent)
    return pages.redirect_with_notice(f"Done: {_ACTIONS[proposal.request.act]}.", "proposals.browse")


@blueprint.post("/<id:proposal_id>/removal")
def drop(proposal_id: int) -> Response:
    """Discard a proposal."""
    proposals.drop(hashdb(), actor(), proposal_id)
    return pages.redirect_with_notice(f"Proposal {proposal_id} was dropped.", "proposals.browse")


_ACTIONS = {
    TwoPersonAction.SUSPEND: "suspend a member",
    TwoPersonAction.BENIGN: "add a benign entry",
    TwoPersonAction.RETIRE: "retire a contribution",
}


def _repeat(proposal: Proposal, sent: Form) -> object:
    """Make the request again as the signed-in user. Returns the proposal if this user made it first."""
    request = proposal.request
    if request.act is TwoPersonAction.SUSPEND:
        change = pages.read_fields(MemberChangeIn, request.content).to_domain()
        return members.change(hashdb(), actor(), request.id, change)
    if request.act is TwoPersonAction.BENIGN:
        return benign.add(hashdb(), actor(), _benign_draft(proposal))
    decision = pages.read_fields(DecisionIn, {**request.content, "note": sent.text("note") or None})
    if decision.note is None:
        raise InvalidInput.at_field("note", "is required: the contributor and the disputers read it")
    return cases.decide(hashdb(), actor(), request.id, Decision.RETIRE, decision.note, decision.signals)


def _proposal_page(proposal: Proposal, form: Form) -> Response:
    request = proposal.request
    values: dict[str, Any] = {}
    if request.act is TwoPersonAction.SUSPEND:
        values = {"member": members.get(hashdb(), actor(), request.id)}
        values["effect"] = members.impact(hashdb(), actor(), request.id)
    elif request.act is TwoPersonAction.BENIGN:
        draft = _benign_draft(proposal)
        values = {"draft": draft, "effect": pages.if_index_ready(lambda: benign.impact(hashdb(), actor(), draft))}
    else:
        case = cases.get(hashdb(), actor(), request.id)
        values = {"case": case, "effect": impacts.impact(hashdb(), actor(), case.contribution)}
        case_notes = notes.list_on(hashdb(), actor(), case.id)
        values["reasons"] = [note.text for note in case_notes if note.proposal == proposal.id]
    return pages.page(
        "proposal.html",
        form=form,
        proposal=proposal,
        actions=_ACTIONS,
        names=events.names(hashdb(), actor(), [proposal.actor]),
        may_confirm=actor().has(_scope(proposal)),
        **values,
    )


def _benign_draft(proposal: Proposal) -> BenignDraft:
    return pages.read_fields(BenignIn, proposal.request.content, validation_context()).to_domain()


def _scope(proposal: Proposal) -> Scope:
    """The scope that the second person needs."""
    return Scope.REVIEW if proposal.request.act in REVIEWER_ACTIONS else Scope.ADMIN
