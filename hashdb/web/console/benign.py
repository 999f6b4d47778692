"""/console/benign: what everybody may show: never accepted, never matched."""

from __future__ import annotations

from flask import Response, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.benign import BenignDraft, BenignEffect, usual_radius
from hashdb.domain.review.incidents import Proposal
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput
from hashdb.hashing import Mode
from hashdb.service.matching import benign
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import grid, sides, together
from hashdb.web.context import actor, app_state, hashdb, page_of, validation_context
from hashdb.wire import read
from hashdb.wire.matching import BenignIn, spell_lines
from hashdb.wire.pages import BenignPageQuery

blueprint = pages.blueprint_of("benign", __name__)


@blueprint.get("")
def browse() -> Response:
    """List the entries that a filter lets through."""
    form = Form()
    asked = pages.asked(BenignPageQuery, form=form)
    if asked is None:
        return pages.page("benign.html", status=422, form=form, entries=(), next=None, algorithms=Algorithm)
    found = benign.page(hashdb(), actor(), asked.after, asked.limit + 1, asked.to_domain())
    listed, more = page_of(found, asked.limit)
    after = listed[-1].id if more else None
    return pages.page("benign.html", form=form, entries=listed, next=after, algorithms=Algorithm)


@blueprint.get("/new")
def ask() -> Response:
    """Ask for what is benign."""
    return _asked(Form())


@blueprint.post("/new")
def add() -> Response:
    """Say what an entry would keep from matching; add it once that was seen."""
    actor().require(Scope.ADMIN)
    sent = Form.sent()
    try:
        draft = _draft(sent)
        if sent.text("again") or sent.text("seen") != pages.mark(draft):
            return _asked(sent, benign.effect(hashdb(), actor(), draft), pages.mark(draft))
        added = benign.add(hashdb(), actor(), draft)
    except InvalidInput as error:
        return _asked(sent.refused(together(error)), status=422)
    if isinstance(added, Proposal):
        return pages.done(url_for("console.proposals.show", proposal_id=added.id), pages.PROPOSED)
    told = f"Entry {added.id} was added: it keeps {added.masked} signals of contributions from matching."
    return pages.done(_address(added.id), told)


@blueprint.get("/<id:benign_id>")
def show(benign_id: int) -> Response:
    """Show an entry, and what it keeps from matching."""
    return _shown("benign_entry.html", benign_id)


@blueprint.get("/<id:benign_id>/deletion")
def ask_deletion(benign_id: int) -> Response:
    """Say what matches again without an entry, before it is deleted."""
    return _shown("benign_deletion.html", benign_id)


@blueprint.post("/<id:benign_id>/deletion")
def delete(benign_id: int) -> Response:
    """Delete an entry."""
    benign.delete(hashdb(), actor(), benign_id)
    return pages.done(url_for("console.benign.browse"), f"Entry {benign_id} is deleted.")


def _draft(sent: Form) -> BenignDraft:
    """The entry that a form asks for, whose signals are then in the form. Raises InvalidInput."""
    found = sides(sent, Mode.BALANCED)
    signals = tuple(dict.fromkeys(one for some in found.values() for one in some))
    sent.values["signals"] = spell_lines({"": signals})
    named = {str(one): sent.number(f"radius.{one}") for one in Algorithm}
    radius = {name: bits for name, bits in named.items() if bits is not None}
    asked = {"signals": [str(one) for one in signals], "radius": radius, "note": sent.text("note")}
    return read(BenignIn, pages.query_text(asked), validation_context()).to_domain()


def _asked(form: Form, effect: BenignEffect | None = None, seen: str = "", status: int = 200) -> Response:
    return pages.page(
        "benign_new.html",
        status=status,
        form=form,
        effect=effect,
        seen=seen,
        radii={one: usual_radius(one) for one in hashdb().rules.algorithms},
        accept_media=app_state().settings.accept_media,
        two_persons=hashdb().rules.two_persons,
    )


def _shown(template: str, id: int) -> Response:
    entry, effect = benign.get(hashdb(), actor(), id), benign.held_back(hashdb(), actor(), id)
    return pages.page(template, entry=entry, effect=effect, grid=grid)


def _address(id: int) -> str:
    return url_for("console.benign.show", benign_id=id)
