"""Review: /v1/contributions/…/opinions, /v1/cases, /v1/proposals, /v1/incidents."""

from __future__ import annotations

from functools import partial

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.proposals import Proposal
from hashdb.service.review import cases, incidents, opinions, proposals
from hashdb.web.context import actor, body, hashdb, list_page, query, read_idempotency_key, validation_context
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire import read, review
from hashdb.wire.pages import CasesQuery, PageQuery

opinions_api = ApiBlueprint(
    "opinions",
    url_prefix="/v1/contributions",
    tag="Opinions",
    about="For members: confirm or dispute the contributions of others.",
)


@opinions_api.post("/<id:contribution_id>/opinions")
@operation({201: review.OpinionOut}, any_scope=[Scope.MATCH], body=review.OpinionIn, idempotent=True, errors=[404, 409])
def give_opinion(contribution_id: int) -> review.OpinionOut:
    """Confirm or dispute a contribution.

    The contribution must be active, and another member's. Your last opinion counts. A dispute needs a reason. It opens
    a case, or joins the open case of the contribution.
    """
    text = body()
    draft = read(review.OpinionIn, text, validation_context()).to_domain()
    opinion = opinions.give(hashdb(), actor(), contribution_id, draft, read_idempotency_key(text))
    return review.OpinionOut.from_domain(opinion)


@opinions_api.get("/<id:contribution_id>/opinions")
@operation({200: review.OpinionsOut}, query=PageQuery, errors=[404])
def list_opinions(contribution_id: int) -> review.OpinionsOut:
    """List the opinions on a contribution.

    Returns those that you may see, including those that no longer count.
    """
    return list_page(review.OpinionsOut, query(PageQuery), partial(opinions.page, hashdb(), actor(), contribution_id))


cases_api = ApiBlueprint("cases", tag="Cases", about="For reviewers and parties: contributions that need a decision.")


@cases_api.get("")
@operation({200: review.CasesOut}, query=CasesQuery)
def list_cases() -> review.CasesOut:
    """List cases.

    Returns the cases on your contributions, and those in which you disputed. With scope `review` or `audit`, returns
    all cases.
    """
    params = query(CasesQuery)
    return list_page(review.CasesOut, params, partial(cases.page, hashdb(), actor(), params.state))


@cases_api.get("/<id:case_id>")
@operation({200: review.CaseOut}, errors=[404])
def get_case(case_id: int) -> review.CaseOut:
    """Get one case.

    You see the cases on your contributions, and those in which you disputed. With scope `review` or `audit` you see
    any case. For other ids the response is 404.
    """
    return review.CaseOut.from_domain(cases.get(hashdb(), actor(), case_id))


@cases_api.post("/<id:case_id>/decision")
@operation(
    {200: review.CaseOut, 202: review.ProposalOut}, any_scope=[Scope.REVIEW], body=review.DecisionIn, errors=[404, 409]
)
def decide_case(case_id: int) -> review.CaseOut | review.ProposalOut:
    """Decide a case.

    A case is decided once; later requests get 409. The next match of any worker follows the decision. If retiring needs
    two persons, the first request returns 202 with a proposal, and nothing changes until a second person sends the same
    decision with the same signals.
    """
    requested = read(review.DecisionIn, body())
    decided = cases.decide(hashdb(), actor(), case_id, requested.decision, requested.note, requested.signals)
    if isinstance(decided, Proposal):
        return review.ProposalOut.from_domain(decided)
    return review.CaseOut.from_domain(decided)


proposals_api = ApiBlueprint(
    "proposals", tag="Proposals", about="For administrators and reviewers: changes that need a second person."
)

_WHO = [Scope.ADMIN, Scope.REVIEW]


@proposals_api.get("")
@operation({200: review.ProposalsOut}, any_scope=_WHO, query=PageQuery)
def list_proposals() -> review.ProposalsOut:
    """List the open proposals.

    A proposal is a request that needs a second person. The second person approves it by sending the same request within
    72 hours. With scope `review` alone, returns only the proposals on cases.
    """
    return list_page(review.ProposalsOut, query(PageQuery), partial(proposals.page, hashdb(), actor()))


@proposals_api.delete("/<id:proposal_id>")
@operation({204: None}, any_scope=_WHO, errors=[404])
def drop_proposal(proposal_id: int) -> None:
    """Drop a proposal.

    What it proposed is not done. With scope `review` alone, only proposals on cases can be dropped.
    """
    proposals.drop(hashdb(), actor(), proposal_id)


incidents_api = ApiBlueprint(
    "incidents", tag="Incidents", about="For administrators: crises, and when their contributions expire."
)

_ADMIN = [Scope.ADMIN]


@incidents_api.get("")
@operation({200: review.IncidentsOut}, any_scope=_ADMIN, query=PageQuery)
def list_incidents() -> review.IncidentsOut:
    """List the incidents.

    Returns current and past incidents in the order of their ids.
    """
    return list_page(review.IncidentsOut, query(PageQuery), partial(incidents.page, hashdb(), actor()))


@incidents_api.post("")
@operation({201: review.IncidentOut}, any_scope=_ADMIN, body=review.IncidentIn, errors=[409])
def create_incident() -> review.IncidentOut:
    """Open an incident.

    Members contribute under its label. With `expires`, these contributions expire when the incident ends. If an
    incident has the label already, the response is 409.
    """
    draft = read(review.IncidentIn, body()).to_domain()
    return review.IncidentOut.from_domain(incidents.add(hashdb(), actor(), draft))


@incidents_api.get("/<id:incident_id>")
@operation({200: review.IncidentOut}, any_scope=_ADMIN, errors=[404])
def get_incident(incident_id: int) -> review.IncidentOut:
    """Get one incident.

    Has its label, start and end, and whether its contributions expire with it.
    """
    return review.IncidentOut.from_domain(incidents.get(hashdb(), actor(), incident_id))


@incidents_api.patch("/<id:incident_id>")
@operation({200: review.IncidentOut}, any_scope=_ADMIN, body=review.IncidentChangeIn, errors=[404])
def update_incident(incident_id: int) -> review.IncidentOut:
    """Change an incident.

    Changes its start or end, or whether its contributions expire with it. Only the fields in the body change. The
    expiry of the contributions follows at once.
    """
    requested = read(review.IncidentChangeIn, body()).to_domain()
    return review.IncidentOut.from_domain(incidents.change(hashdb(), actor(), incident_id, requested))
