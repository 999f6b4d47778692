"""/console/benign: the benign list, and the pages on which an admin adds and deletes entries.

Nothing close to a benign entry is accepted or matched.
"""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.benign import BenignDraft, BenignEntry, BenignImpact, BenignSort, default_radius
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.signals import PERCEPTUAL
from hashdb.errors import InvalidInput
from hashdb.hashing import Mode
from hashdb.service.matching import benign
from hashdb.web.console import filters, lists, pages
from hashdb.web.console.lists import Column
from hashdb.web.console.pages import Form
from hashdb.web.console.signals import merge_signal_faults, read_signals
from hashdb.web.context import actor, hashdb, validation_context
from hashdb.wire.matching import BenignIn
from hashdb.wire.pages import BenignPageQuery
from hashdb.wire.pasted import format_hash_lines

blueprint = pages.blueprint_of("benign")
_COLUMNS: tuple[Column[BenignEntry], ...] = (
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
    """Show a page of the entries that pass the filter in the query string, or the faults of the filter (422)."""
    params, form = pages.read_query(BenignPageQuery)
    if params is None:
        return pages.page("benign.html", form=form, entries=(), list=None, algorithms=PERCEPTUAL)
    descending = params.order == "down"
    paged = benign.listed(
        hashdb(), actor(), params.to_domain(), params.sort, params.place, params.limit, descending=descending
    )
    list_page = lists.page_at_place(paged, _COLUMNS, params, "console.benign.browse", sort=params.sort)
    return pages.page("benign.html", form=form, entries=paged.rows, list=list_page, algorithms=PERCEPTUAL)


@blueprint.get("/new")
def show_form() -> Response:
    """Show the empty form for a new entry."""
    return _form_page(Form())


@blueprint.post("/new")
def add() -> Response:
    """Show what an entry would suppress. Add it when the user confirms this; if two persons are needed, propose it.

    The form comes back with the digest of the draft whose effect the user saw, as `seen`. If the draft has changed, or
    the user pressed "Show the effect again" (`again`), the effect is shown once more. A faulty form is shown with its
    faults (422).
    """
    # The service checks this again. Here it comes before the file of the form is hashed.
    actor().require(Scope.ADMIN)
    form = Form.sent()
    try:
        draft = _read_draft(form)
        digest = pages.digest_of(draft)
        if form.text("again") or form.text("seen") != digest:
            return _form_page(form, benign.impact(hashdb(), actor(), draft), digest)
        added = benign.add(hashdb(), actor(), draft)
    except InvalidInput as error:
        return _form_page(form.refused(merge_signal_faults(error)))
    if isinstance(added, Proposal):
        return pages.redirect_with_notice(pages.PROPOSED, "proposals.show", proposal_id=added.id)
    notice = f"Entry {added.id} was added. It suppresses {filters.counted(added.masked, 'signal')} of contributions."
    return pages.redirect_with_notice(notice, "benign.show", benign_id=added.id)


@blueprint.get("/<id:benign_id>")
def show(benign_id: int) -> Response:
    """Show an entry, and how many signals it suppresses."""
    return _entry_page("benign_entry.html", benign_id)


@blueprint.get("/<id:benign_id>/deletion")
def ask_deletion(benign_id: int) -> Response:
    """Show what would match again without an entry, and ask whether to delete it."""
    return _entry_page("benign_deletion.html", benign_id)


@blueprint.post("/<id:benign_id>/deletion")
def delete(benign_id: int) -> Response:
    """Delete an entry, and show the list."""
    benign.delete(hashdb(), actor(), benign_id)
    return pages.redirect_with_notice(f"Entry {benign_id} was deleted.", "benign.browse")


def _read_draft(form: Form) -> BenignDraft:
    """The entry that a form describes. Raises InvalidInput.

    Writes the signals that were read, also those of a file or a text, into the field `signals` of the form. So the form
    that the user confirms needs no file.
    """
    # The variants of the profile `balanced` are stored as well, so that altered copies are benign, too. They are among
    # the signals of the picture itself; only pasted lines can have signals of transforms.
    signals_by_transform = read_signals(form, Mode.BALANCED)
    signals = tuple(dict.fromkeys(signal for signals in signals_by_transform.values() for signal in signals))
    form.values["signals"] = format_hash_lines(Query(signals))
    # The form has a field for the radius of each of `searched_algorithms` only. `number` returns None for the field of
    # another algorithm, and for an empty field.
    radii = {str(algorithm): form.number(f"radius.{algorithm}") for algorithm in PERCEPTUAL}
    radius = {name: bits for name, bits in radii.items() if bits is not None}
    fields = {"signals": [str(signal) for signal in signals], "radius": radius, "note": form.text("note")}
    return pages.read_fields(BenignIn, fields, validation_context()).to_domain()


def _form_page(form: Form, effect: BenignImpact | None = None, draft_digest: str = "") -> Response:
    """The form. With a draft, also its `effect` (what the entry would suppress), and the digest of the draft."""
    return pages.page(
        "benign_new.html",
        form=form,
        effect=effect,
        seen=draft_digest,
        radii={algorithm: default_radius(algorithm) for algorithm in hashdb().rules.searched_algorithms},
    )


def _entry_page(template: str, id: int) -> Response:
    """A page of an entry, with what it suppresses now. Raises NotFound."""
    entry, effect = benign.get(hashdb(), actor(), id), benign.suppressed_by(hashdb(), actor(), id)
    return pages.page(template, entry=entry, effect=effect)
