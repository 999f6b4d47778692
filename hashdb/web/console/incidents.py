"""/console/incidents: crises with a label, and when contributions under the label expire."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import partial

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.incidents import Incident, IncidentImpact
from hashdb.service.review import incidents
from hashdb.web.console import pages
from hashdb.web.console.lists import Column, page_of_all
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query
from hashdb.wire import read
from hashdb.wire.pages import ListQuery
from hashdb.wire.review import IncidentChangeIn, IncidentIn

blueprint = pages.blueprint_of("incidents")
_FORM_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
"""An instant as a browser sends it: without seconds and zone."""


@blueprint.get("")
def browse() -> Response:
    """List the incidents, current ones first."""
    return _list_page(Form())


@blueprint.post("")
def add() -> Response:
    """Open an incident. If contributions would expire sooner, show that first."""
    actor().require(Scope.ADMIN)
    sent = Form.sent()
    fields = {"label": sent.text("label"), "start": _read_instant(sent, "start"), "end": _read_instant(sent, "end")}
    try:
        draft = pages.read_fields(IncidentIn, {**fields, "expires": bool(sent.text("expires"))}).to_domain()
        # It has no id yet.
        planned = Incident(0, draft.label, draft.start, draft.end, draft.expires)
        if effect := _unseen_effect(sent, planned, before=None):
            return _list_page(sent, effect=effect, seen=pages.digest_of(planned))
        added = incidents.add(hashdb(), actor(), draft)
    except pages.REFUSALS as error:
        return _list_page(sent.refused(error))
    return pages.redirect_with_notice(f"{added.label} was opened.", "incidents.show", incident_id=added.id)


@blueprint.get("/<id:incident_id>")
def show(incident_id: int) -> Response:
    """Show an incident with a form to change it."""
    incident = incidents.get(hashdb(), actor(), incident_id)
    return _incident_page(incident, _form_of(incident))


@blueprint.post("/<id:incident_id>")
def change(incident_id: int) -> Response:
    """Change start, end or expiry of an incident. Show the effect on contributions first."""
    actor().require(Scope.ADMIN)
    incident, sent = incidents.get(hashdb(), actor(), incident_id), Form.sent()
    try:
        # An empty end means an open end, which the model reads from null.
        fields: dict[str, object] = {"end": _read_instant(sent, "end"), "expires": bool(sent.text("expires"))}
        if start := _read_instant(sent, "start"):
            fields["start"] = start
        change = read(IncidentChangeIn, json.dumps(fields)).to_domain()
        planned = change.apply_to(incident)
        if effect := _unseen_effect(sent, planned, before=incident):
            return _incident_page(incident, sent, effect=effect, seen=pages.digest_of(planned))
        changed = incidents.change(hashdb(), actor(), incident_id, change)
    except pages.REFUSALS as error:
        return _incident_page(incident, sent.refused(error))
    return pages.redirect_with_notice(f"{changed.label} was changed.", "incidents.show", incident_id=incident_id)


def _unseen_effect(sent: Form, planned: Incident, before: Incident | None) -> IncidentImpact | None:
    """The effect of a change from `before` (None: a new incident). None if nothing changes, or the user has seen it."""
    if sent.text("seen") == pages.digest_of(planned) or (before is not None and before.expiry == planned.expiry):
        return None
    effect = incidents.impact(hashdb(), actor(), planned)
    return effect if effect.sooner or (before is not None and effect.held) else None


def _list_page(form: Form, effect: IncidentImpact | None = None, seen: str = "") -> Response:
    """The list of incidents, with the form for a new one.

    `effect` is that of the incident in the form, and `seen` is the digest of this incident.
    """
    now = hashdb().now()
    rows = pages.read_all(partial(incidents.page, hashdb(), actor()))
    # By label, how many contributions have not ended.
    held = incidents.count_by_label(hashdb(), actor(), [incident.label for incident in rows])

    def current_first(incident: Incident) -> tuple[bool, float]:
        return state(incident, now) == "ended", -incident.start.timestamp()

    columns: tuple[Column[Incident], ...] = (
        Column("Incident", "incident", lambda incident: incident.label, ascending_first=True),
        Column("State", "state", current_first, ascending_first=True),
        Column("Begins", "begins", lambda incident: (incident.start, incident.id)),
        Column("Ends", "ends", lambda incident: incident.end and (incident.end, incident.id)),
        Column("Contributions"),
        Column("Not ended", "held", lambda incident: (held[incident.label], incident.id), number=True),
    )
    shown, list = page_of_all(rows, columns, query(ListQuery), "console.incidents.browse", first="state")
    return pages.page(
        "incidents.html", form=form, incidents=shown, list=list, held=held, effect=effect, seen=seen, state=state
    )


def _incident_page(incident: Incident, form: Form, effect: IncidentImpact | None = None, seen: str = "") -> Response:
    return pages.page(
        "incident.html",
        incident=incident,
        held=incidents.count_by_label(hashdb(), actor(), [incident.label])[incident.label],
        form=form,
        effect=effect,
        seen=seen,
        state=state,
    )


def state(incident: Incident, now: datetime) -> str:
    """The state of an incident at a time: `upcoming`, `ongoing` or `ended`."""
    if incident.end is not None and incident.end <= now:
        return "ended"
    return "ongoing" if incident.start <= now else "upcoming"


def _form_of(incident: Incident) -> Form:
    values = {"start": f"{incident.start:%Y-%m-%dT%H:%M}", "expires": "yes" if incident.expires else ""}
    return Form({**values, "end": "" if incident.end is None else f"{incident.end:%Y-%m-%dT%H:%M}"})


def _read_instant(sent: Form, name: str) -> str | None:
    """The instant in a field, in the format of the API. Other text is unchanged: the model rejects it."""
    text = sent.text(name)
    return f"{text}:00Z" if _FORM_INSTANT.fullmatch(text) else text or None
