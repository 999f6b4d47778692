"""/console/events: the audit log."""

from __future__ import annotations

from flask import Response

from hashdb.domain.audit import Action
from hashdb.service import audit
from hashdb.web.console import pages
from hashdb.web.context import actor, cut, hashdb

blueprint = pages.blueprint_of("events", __name__)


@blueprint.get("")
def browse() -> Response:
    """List the events, the last first."""
    found, more = cut(audit.latest(hashdb(), actor(), audit.EventFilter(), None, 51), 50)
    return pages.page("events.html", events=found, actions=Action, next=found[-1].seq if more else None)
