"""/v1/events"""

from __future__ import annotations

from flask import Response

from hashdb.domain.members import Scope
from hashdb.service import audit
from hashdb.web.context import actor, answer, cut, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.audit import EventOut, EventsOut
from hashdb.wire.pages import EventsQuery

blueprint = ApiBlueprint("events", __name__, url_prefix="/v1/events", tag="Audit")


@blueprint.get("")
@operation({200: EventsOut}, scopes=[Scope.AUDIT], takes=EventsQuery)
def browse() -> Response:
    """List the events of the audit log."""
    asked = query(EventsQuery)
    chosen = audit.EventFilter(asked.actor, asked.action, asked.subject)
    page, more = cut(audit.events(hashdb(), actor(), chosen, asked.after, asked.limit + 1), asked.limit)
    listed = [EventOut.of(event) for event in page]
    return answer(EventsOut.model_construct(events=listed, next=page[-1].seq if more else None))
