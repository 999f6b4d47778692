"""/console/incidents: crises under whose label members contribute, and when that expires."""

from __future__ import annotations

import re
from datetime import datetime

from flask import Response, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.incidents import Incident, IncidentEffect
from hashdb.service.review import incidents
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, page_of, query
from hashdb.wire import read
from hashdb.wire.pages import PageQuery
from hashdb.wire.review import IncidentChangeIn, IncidentIn

blueprint = pages.blueprint_of("incidents", __name__)
_MINUTES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)


@blueprint.get("")
def browse() -> Response:
    """List the incidents, those that go on first."""
    return _listed(Form())


@blueprint.post("")
def add() -> Response:
    """Open an incident; where that ends contributions sooner, say so first."""
    actor().require(Scope.ADMIN)
    sent = Form.sent()
    asked = {"label": sent.text("label"), "start": _spelled(sent, "start"), "end": _spelled(sent, "end")}
    try:
        draft = read(IncidentIn, pages.query_text({**asked, "expires": bool(sent.text("expires"))})).to_domain()
        wanted = Incident(0, draft.label, draft.start, draft.end, draft.expires)
        if effect := _to_be_seen(sent, wanted, None):
            return _listed(sent, effect=effect, seen=pages.mark(wanted))
        added = incidents.add(hashdb(), actor(), draft)
    except pages.REFUSALS as error:
        return _listed(sent.refused(error), status=422)
    return pages.done(_address(added.id), f"{added.label} is open.")


@blueprint.get("/<id:incident_id>")
def show(incident_id: int) -> Response:
    """Show an incident, and what may be changed."""
    incident = incidents.get(hashdb(), actor(), incident_id)
    return _shown(incident, _filled(incident))


@blueprint.post("/<id:incident_id>")
def change(incident_id: int) -> Response:
    """Change when it starts or ends, and whether contributions end with it; say first what becomes of them."""
    actor().require(Scope.ADMIN)
    incident, sent = incidents.get(hashdb(), actor(), incident_id), Form.sent()
    try:
        # An empty end lets it go on, so it is sent as null.
        asked = {"start": _spelled(sent, "start"), "expires": bool(sent.text("expires"))}
        end = _spelled(sent, "end")
        text = pages.query_text({**asked, "end": end}) if end else pages.query_text(asked)[:-1] + ', "end": null}'
        change = read(IncidentChangeIn, text).to_domain()
        wanted = change.of(incident)
        if effect := _to_be_seen(sent, wanted, incident):
            return _shown(incident, sent, effect=effect, seen=pages.mark(wanted))
        changed = incidents.change(hashdb(), actor(), incident_id, change)
    except pages.REFUSALS as error:
        return _shown(incident, sent.refused(error), status=422)
    return pages.done(_address(incident_id), f"{changed.label} was changed.")


def _to_be_seen(sent: Form, wanted: Incident, before: Incident | None) -> IncidentEffect | None:
    """What becomes of contributions, where anything does and it was not shown yet."""
    if sent.text("seen") == pages.mark(wanted) or (before is not None and before.expiry == wanted.expiry):
        return None
    effect = incidents.effect(hashdb(), actor(), wanted)
    return effect if effect.sooner or (before is not None and effect.held) else None


def _listed(form: Form, effect: IncidentEffect | None = None, seen: str = "", status: int = 200) -> Response:
    asked = query(PageQuery)
    found, more = page_of(incidents.page(hashdb(), actor(), asked.after, asked.limit + 1), asked.limit)
    now = hashdb().now()
    return pages.page(
        "incidents.html",
        status=status,
        form=form,
        incidents=sorted(found, key=lambda one: (one.end is not None and one.end <= now, -one.start.timestamp())),
        held=incidents.named(hashdb(), actor(), [one.label for one in found]),
        next=found[-1].id if more else None,
        effect=effect,
        seen=seen,
        state=state,
    )


def _shown(
    incident: Incident, form: Form, effect: IncidentEffect | None = None, seen: str = "", status: int = 200
) -> Response:
    return pages.page(
        "incident.html",
        status=status,
        incident=incident,
        held=incidents.named(hashdb(), actor(), [incident.label])[incident.label],
        form=form,
        effect=effect,
        seen=seen,
        state=state,
    )


def state(incident: Incident, now: datetime) -> str:
    """Whether it is to come, goes on, or is over."""
    if incident.end is not None and incident.end <= now:
        return "ended"
    return "goes on" if incident.start <= now else "to come"


def _filled(incident: Incident) -> Form:
    values = {"start": f"{incident.start:%Y-%m-%dT%H:%M}", "expires": "yes" if incident.expires else ""}
    return Form({**values, "end": "" if incident.end is None else f"{incident.end:%Y-%m-%dT%H:%M}"})


def _spelled(sent: Form, name: str) -> str | None:
    """An instant as it is on the wire; what is none stays as it is, for the model to refuse."""
    text = sent.text(name)
    return f"{text}:00Z" if _MINUTES.fullmatch(text) else text or None


def _address(id: int) -> str:
    return url_for("console.incidents.show", incident_id=id)
