"""Review: /v1/contributions/…/opinions, /v1/cases, /v1/proposals, /v1/incidents."""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.incidents import Proposal
from hashdb.service.review import cases, incidents, opinions, proposals
from hashdb.web.context import (
    actor,
    answer,
    body,
    hashdb,
    no_content,
    query,
    read_idempotency_key,
    validation_context,
)
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read, review
from hashdb.wire.pages import CasesQuery, PageQuery

opinions_api = ApiBlueprint("opinions", __name__, url_prefix="/v1/contributions", tag="Opinions")


@opinions_api.post("/<id:contribution_id>/opinions", endpoint="give")
@operation({201: review.OpinionOut}, scopes=[Scope.MATCH], reads=review.OpinionIn, idempotent=True, refuses=[404, 409])
def give_opinion(contribution_id: int) -> Response:
    """Confirm or dispute another member's contribution.

    Your last opinion counts. A dispute needs a reason, and opens a case or joins the one that is open.
    """
    text = body()
    draft = read(review.OpinionIn, text, validation_context()).to_domain()
    return answer(
        review.OpinionOut.from_domain(
            opinions.give(hashdb(), actor(), contribution_id, draft, read_idempotency_key(text))
        ),
        201,
    )


@opinions_api.get("/<id:contribution_id>/opinions", endpoint="browse")
@operation({200: review.OpinionsOut}, takes=PageQuery, refuses=[404])
def browse_opinions(contribution_id: int) -> Response:
    """List the opinions on a contribution that you may see, those that count no more with them."""
    params = query(PageQuery)
    rows = opinions.page(hashdb(), actor(), contribution_id, params.after, params.limit + 1)
    return answer(review.OpinionsOut.of(rows, params.limit))


cases_api = ApiBlueprint("cases", __name__, url_prefix="/v1/cases", tag="Cases")


@cases_api.get("", endpoint="browse")
@operation({200: review.CasesOut}, takes=CasesQuery)
def browse_cases() -> Response:
    """List the cases on your contributions and those under which you disputed; with scope review or audit all."""
    params = query(CasesQuery)
    rows = cases.page(hashdb(), actor(), params.state, params.after, params.limit + 1)
    return answer(review.CasesOut.of(rows, params.limit))


@cases_api.get("/<id:case_id>", endpoint="show")
@operation({200: review.CaseOut}, refuses=[404])
def show_case(case_id: int) -> Response:
    """Show one case: to its parties, and with scope review or audit."""
    return answer(review.CaseOut.from_domain(cases.get(hashdb(), actor(), case_id)))


@cases_api.post("/<id:case_id>/decision", endpoint="decide")
@operation(
    {200: review.CaseOut, 202: review.ProposalOut}, scopes=[Scope.REVIEW], reads=review.DecisionIn, refuses=[404, 409]
)
def decide_case(case_id: int) -> Response:
    """Decide a case, once: the next match, of any worker, follows it.

    `uphold`: the contribution stands. `quarantine`: it is kept out until further notice. `retire`: it was wrong; where
    that takes two persons, the first one's request is answered with 202 and waits for the second one's. `signals` says
    near which of its signals later contributions wait for a reviewer.
    """
    requested = read(review.DecisionIn, body())
    decided = cases.decide(hashdb(), actor(), case_id, requested.decision, requested.note, requested.signals)
    if isinstance(decided, Proposal):
        return answer(review.ProposalOut.from_domain(decided), 202)
    return answer(review.CaseOut.from_domain(decided))


proposals_api = ApiBlueprint("proposals", __name__, url_prefix="/v1/proposals", tag="Two persons")

_WHO = [Scope.ADMIN, Scope.REVIEW]


@proposals_api.get("", endpoint="browse")
@operation({200: review.ProposalsOut}, scopes=_WHO, takes=PageQuery)
def browse_proposals() -> Response:
    """List what waits for a second person: who sends the same request as the first one, approves it.

    With scope review only what is asked of cases.
    """
    params = query(PageQuery)
    rows = proposals.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(review.ProposalsOut.of(rows, params.limit))


@proposals_api.delete("/<id:proposal_id>", endpoint="drop")
@operation({204: None}, scopes=_WHO, refuses=[404])
def drop_proposal(proposal_id: int) -> Response:
    """Let a proposal be forgotten."""
    proposals.drop(hashdb(), actor(), proposal_id)
    return no_content()


incidents_api = ApiBlueprint("incidents", __name__, url_prefix="/v1/incidents", tag="Incidents")

_ADMIN = [Scope.ADMIN]


@incidents_api.get("", endpoint="browse")
@operation({200: review.IncidentsOut}, scopes=_ADMIN, takes=PageQuery)
def browse_incidents() -> Response:
    """List the incidents."""
    params = query(PageQuery)
    rows = incidents.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(review.IncidentsOut.of(rows, params.limit))


@incidents_api.post("", endpoint="add")
@operation({201: review.IncidentOut}, scopes=_ADMIN, reads=review.IncidentIn, refuses=[409])
def add_incident() -> Response:
    """Open an incident, at whose end what is contributed under its label may expire."""
    draft = read(review.IncidentIn, body()).to_domain()
    return answer(review.IncidentOut.from_domain(incidents.add(hashdb(), actor(), draft)), 201)


@incidents_api.get("/<id:incident_id>", endpoint="show")
@operation({200: review.IncidentOut}, scopes=_ADMIN, refuses=[404])
def show_incident(incident_id: int) -> Response:
    """Show one incident."""
    return answer(review.IncidentOut.from_domain(incidents.get(hashdb(), actor(), incident_id)))


@incidents_api.patch("/<id:incident_id>", endpoint="change")
@operation({200: review.IncidentOut}, scopes=_ADMIN, reads=review.IncidentChangeIn, refuses=[404])
def change_incident(incident_id: int) -> Response:
    """Change when an incident starts or ends, or whether its contributions expire with it: they follow at once."""
    requested = read(review.IncidentChangeIn, body()).to_domain()
    return answer(review.IncidentOut.from_domain(incidents.change(hashdb(), actor(), incident_id, requested)))
