"""/console/benign: the benign list. Nothing close to an entry is accepted or matched."""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.benign import BenignDraft, BenignEntry, BenignImpact, BenignSort, default_radius
from hashdb.domain.review.incidents import Proposal
from hashdb.domain.signals import PERCEPTUAL
from hashdb.errors import InvalidInput
from hashdb.hashing import Mode
from hashdb.service.matching import benign
from hashdb.web.console import filters, lists, pages
from hashdb.web.console.lists import Column
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import merge_faults, read_signals
from hashdb.web.context import actor, hashdb, validation_context
from hashdb.wire.matching import BenignIn
from hashdb.wire.pages import BenignPageQuery
from hashdb.wire.pasted import format_lines

blueprint = pages.blueprint_of("benign", __name__)
_HEADS: tuple[Column[BenignEntry], ...] = (
    Column("Entry", number=True),
    Column("Description"),
    Column("Source"),
    Column("Radius, bits"),
    Column("Signals", BenignSort.SIGNALS, number=True),
    Column("Suppresses now", BenignSort.SUPPRESSES, number=True),
    Column("Added", BenignSort.ADDED),
)


@blueprint.get("")
def browse() -> Response:
    """List the entries that match a filter."""
    params, form = pages.read_query(BenignPageQuery)
    if params is None:
        return pages.page("benign.html", form=form, entries=(), list=None, algorithms=PERCEPTUAL)
    descending = params.order == "down"
    paged = benign.listed(
        hashdb(), actor(), params.to_domain(), params.sort, params.place, params.limit, descending=descending
    )
    list = lists.placed(paged, _HEADS, params, "console.benign.browse", sort=params.sort)
    return pages.page("benign.html", form=form, entries=paged.rows, list=list, algorithms=PERCEPTUAL)


@blueprint.get("/new")
def ask() -> Response:
    """Show the form for a new entry."""
    return _ask_page(Form())


@blueprint.post("/new")
def add() -> Response:
    """Show which signals an entry would suppress. Add the entry when the user confirms."""
    actor().require(Scope.ADMIN)
    sent = Form.sent()
    try:
        draft = _draft(sent)
        if sent.text("again") or sent.text("seen") != pages.digest_of(draft):
            return _ask_page(sent, benign.impact(hashdb(), actor(), draft), pages.digest_of(draft))
        added = benign.add(hashdb(), actor(), draft)
    except InvalidInput as error:
        return _ask_page(sent.refused(merge_faults(error)))
    if isinstance(added, Proposal):
        return pages.redirect_with_notice(pages.PROPOSED, "proposals.show", proposal_id=added.id)
    notice = f"Entry {added.id} was added. It suppresses {filters.counted(added.masked, 'signal')} of contributions."
    return pages.redirect_with_notice(notice, "benign.show", benign_id=added.id)


@blueprint.get("/<id:benign_id>")
def show(benign_id: int) -> Response:
    """Show an entry, and which signals it suppresses."""
    return _entry_page("benign_entry.html", benign_id)


@blueprint.get("/<id:benign_id>/deletion")
def ask_deletion(benign_id: int) -> Response:
    """Show what would match again, before an entry is deleted."""
    return _entry_page("benign_deletion.html", benign_id)


@blueprint.post("/<id:benign_id>/deletion")
def delete(benign_id: int) -> Response:
    """Delete an entry."""
    benign.delete(hashdb(), actor(), benign_id)
    return pages.redirect_with_notice(f"Entry {benign_id} was deleted.", "benign.browse")


def _draft(sent: Form) -> BenignDraft:
    """The entry in a form. Writes the signals of a picture into the form. Raises InvalidInput."""
    by_transform = read_signals(sent, Mode.BALANCED)
    signals = tuple(dict.fromkeys(signal for of_transform in by_transform.values() for signal in of_transform))
    sent.values["signals"] = format_lines({"": signals})
    radii = {str(algorithm): sent.number(f"radius.{algorithm}") for algorithm in PERCEPTUAL}
    radius = {name: bits for name, bits in radii.items() if bits is not None}
    fields = {"signals": [str(signal) for signal in signals], "radius": radius, "note": sent.text("note")}
    return pages.read_fields(BenignIn, fields, validation_context()).to_domain()


def _ask_page(form: Form, effect: BenignImpact | None = None, seen: str = "") -> Response:
    return pages.page(
        "benign_new.html",
        form=form,
        effect=effect,
        seen=seen,
        radii={algorithm: default_radius(algorithm) for algorithm in hashdb().rules.searched},
    )


def _entry_page(template: str, id: int) -> Response:
    entry, effect = benign.get(hashdb(), actor(), id), benign.suppressed_by(hashdb(), actor(), id)
    return pages.page(template, entry=entry, effect=effect)
