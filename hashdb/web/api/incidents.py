"""/v1/incidents"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.service import incidents
from hashdb.web.context import actor, answer, body, cut, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.incidents import IncidentChangeIn, IncidentIn, IncidentOut, IncidentsOut
from hashdb.wire.pages import PageQuery

blueprint = ApiBlueprint("incidents", __name__, url_prefix="/v1/incidents", tag="Incidents")

_ADMIN = [Scope.ADMIN]


@blueprint.get("")
@operation({200: IncidentsOut}, scopes=_ADMIN, takes=PageQuery)
def browse() -> Response:
    """List the incidents."""
    asked = query(PageQuery)
    page, more = cut(incidents.page(hashdb(), actor(), asked.after, asked.limit + 1), asked.limit)
    listed = [IncidentOut.of(incident) for incident in page]
    return answer(IncidentsOut.model_construct(incidents=listed, next=page[-1].id if more else None))


@blueprint.post("")
@operation({201: IncidentOut}, scopes=_ADMIN, reads=IncidentIn, refuses=[409])
def add() -> Response:
    """Open an incident, at whose end what is contributed under its label may expire."""
    draft = read(IncidentIn, body()).value()
    return answer(IncidentOut.of(incidents.add(hashdb(), actor(), draft)), 201)


@blueprint.get("/<id:incident_id>")
@operation({200: IncidentOut}, scopes=_ADMIN, refuses=[404])
def show(incident_id: int) -> Response:
    """Show one incident."""
    return answer(IncidentOut.of(incidents.get(hashdb(), actor(), incident_id)))


@blueprint.patch("/<id:incident_id>")
@operation({200: IncidentOut}, scopes=_ADMIN, reads=IncidentChangeIn, refuses=[404])
def change(incident_id: int) -> Response:
    """Change when an incident starts or ends, or whether its contributions expire with it: they follow at once."""
    asked = read(IncidentChangeIn, body()).value()
    return answer(IncidentOut.of(incidents.change(hashdb(), actor(), incident_id, asked)))
