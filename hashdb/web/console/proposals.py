"""/console/proposals: what one person asked for, and a second one is to ask for, too."""

from __future__ import annotations

from flask import Response, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.cases import Decision
from hashdb.domain.review.incidents import REVIEWED, Proposal, TwoPersonAction
from hashdb.errors import Fault, InvalidInput
from hashdb.service.accounts import members
from hashdb.service.ledger import events
from hashdb.service.matching import benign
from hashdb.service.review import cases, proposals
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import grid
from hashdb.web.context import actor, hashdb, validation_context
from hashdb.wire import read
from hashdb.wire.accounts import MemberChangeIn
from hashdb.wire.matching import BenignIn
from hashdb.wire.review import DecisionIn

blueprint = pages.blueprint_of("proposals", __name__)
_ALL = 1_000


@blueprint.get("")
def browse() -> Response:
    """List what waits for a second person, the first to expire first."""
    found = proposals.page(hashdb(), actor(), 0, _ALL)
    names = events.names(hashdb(), actor(), {who for one in found for who in (one.actor, one.request.subject)})
    two_persons = hashdb().rules.two_persons
    return pages.page("proposals.html", proposals=found, two_persons=two_persons, name=_NAMES, names=names)


@blueprint.get("/<id:proposal_id>")
def show(proposal_id: int) -> Response:
    """Show what is asked, and what it would do."""
    return _shown(proposals.get(hashdb(), actor(), proposal_id), Form())


@blueprint.post("/<id:proposal_id>")
def confirm(proposal_id: int) -> Response:
    """Ask for the same as a second person: it is done."""
    proposal, sent = proposals.get(hashdb(), actor(), proposal_id), Form.sent()
    actor().require(_scope(proposal))
    try:
        done = _repeat(proposal, sent)
    except pages.REFUSALS as error:
        return _shown(proposal, sent.refused(error), status=422)
    if isinstance(done, Proposal):
        sent.error = "you asked for it first: it takes another person"
        return _shown(proposal, sent, status=422)
    return pages.done(url_for("console.proposals.browse"), f"Done: {_NAMES[proposal.request.act]}.")


@blueprint.post("/<id:proposal_id>/removal")
def drop(proposal_id: int) -> Response:
    """Let a proposal be forgotten."""
    proposals.drop(hashdb(), actor(), proposal_id)
    return pages.done(url_for("console.proposals.browse"), f"Proposal {proposal_id} is dropped.")


_NAMES = {
    TwoPersonAction.SUSPEND: "suspend a member",
    TwoPersonAction.BENIGN: "add a benign signal",
    TwoPersonAction.RETIRE: "retire a contribution",
}


def _repeat(proposal: Proposal, sent: Form) -> object:
    """The same request, by who is signed in; a proposal where that is the first one again."""
    request = proposal.request
    content = pages.query_text(request.content)
    if request.act is TwoPersonAction.SUSPEND:
        return members.change(hashdb(), actor(), request.id, read(MemberChangeIn, content).to_domain())
    if request.act is TwoPersonAction.BENIGN:
        return benign.add(hashdb(), actor(), read(BenignIn, content, validation_context()).to_domain())
    asked = read(DecisionIn, pages.query_text({**request.content, "note": sent.text("note") or None}))
    if asked.note is None:
        raise InvalidInput((Fault("note", "is required: who contributed it and who disputed it read it"),))
    return cases.decide(hashdb(), actor(), request.id, Decision.RETIRE, asked.note, asked.signals)


def _shown(proposal: Proposal, form: Form, status: int = 200) -> Response:
    request = proposal.request
    told: dict[str, object] = {}
    if request.act is TwoPersonAction.SUSPEND:
        told = {"member": members.get(hashdb(), actor(), request.id)}
        told["effect"] = members.effect(hashdb(), actor(), request.id)
    elif request.act is TwoPersonAction.BENIGN:
        draft = read(BenignIn, pages.query_text(request.content), validation_context()).to_domain()
        told = {"draft": draft, "effect": pages.once_built(lambda: benign.effect(hashdb(), actor(), draft))}
    else:
        case = cases.get(hashdb(), actor(), request.id)
        told = {"case": case, "effect": cases.impact(hashdb(), actor(), case.contribution)}
    return pages.page(
        "proposal.html",
        status=status,
        form=form,
        proposal=proposal,
        name=_NAMES,
        names=events.names(hashdb(), actor(), [proposal.actor]),
        by_me=proposal.actor == str(actor()),
        mine=actor().has(_scope(proposal)),
        grid=grid,
        **told,
    )


def _scope(proposal: Proposal) -> Scope:
    return Scope.REVIEW if proposal.request.act in REVIEWED else Scope.ADMIN
