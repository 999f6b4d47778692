"""/console/batches: decide many rows of a list with one act: preview, confirm, follow, stop and undo it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from flask import Response, request, url_for
from pydantic import ValidationError

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.bulk import Batch, BatchAction, BatchChoices, BatchItem, BatchState, RowKind, fields_of
from hashdb.errors import InvalidInput, NotFound, reject_field
from hashdb.service.contributions import listings
from hashdb.service.ledger import events
from hashdb.service.review import bulk
from hashdb.web.console import lists, pages
from hashdb.web.console.lists import Column, Selection
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query, validation_context
from hashdb.wire.faults import error_from_validation
from hashdb.wire.pages import BatchItemsQuery, CasesPageQuery, ListingQuery, ListQuery
from hashdb.wire.review import BatchIn

blueprint = pages.blueprint_of("batches")
ACTS = {
    BatchAction.UPHOLD: "uphold",
    BatchAction.QUARANTINE: "quarantine",
    BatchAction.RETIRE: "retire",
    BatchAction.HOLD: "quarantine until a decision",
    BatchAction.WITHDRAW: "withdraw on the contributor’s request",
    BatchAction.BENIGN: "add to the benign list",
    BatchAction.EXPIRY: "change the expiry",
    BatchAction.CONFIRM: "confirm",
    BatchAction.DROP: "drop",
    BatchAction.UNDO: "undo",
}
"""What each action does, as an infinitive."""
WHY = {
    "gone": "no longer there",
    "decided": "already decided",
    "erased": "erased",
    "inactive": "withdrawn, expired or suspended",
    "same": "already so",
    "bound": "its incident or the retention sets the expiry, or it has none to extend",
    "past": "the expiry would be in the past",
    "unsigned": "it has no hash of its own that the benign list accepts",
    "listed": "already near an entry of the benign list",
    "waits": "you proposed it: it waits for a second person",
    "taken": "another reviewer has taken the case",
    "own": "you proposed it: another person must confirm it",
    "not_allowed": "your role does not allow it",
    "changed": "somebody decided it meanwhile",
    "final": "it cannot be undone",
    "error": "the service failed, and logged the error",
}
"""Why an item does not change, by the code in `BatchItem.why`."""
INSTEAD = {
    BatchAction.UPHOLD: "An uphold cannot be undone. To stop a contribution from matching, quarantine or retire it.",
    BatchAction.WITHDRAW: "A withdrawal cannot be undone. The contributor can contribute the content again.",
    BatchAction.DROP: "A dropped proposal cannot be restored. The first person can propose the same again.",
    BatchAction.UNDO: "To take back an undo, select the rows and decide them again.",
}
"""What to do about an act that cannot be undone."""


@blueprint.get("")
def browse() -> Response:
    """List the batches, the newest first."""
    return _list_page(Form())


@blueprint.post("")
def select() -> Response:
    """Freeze the selected rows of a list for an act, and show its preview."""
    actor().require(Scope.REVIEW)
    sent = Form.sent()
    try:
        action = _read_action(sent)
        selection = lists.read_selection()
        row_kind = _read_row_kind(selection.row_kind)
        ids = selection.ids if selection.filter is None else _filtered_ids(row_kind, selection)
        batch = bulk.select(hashdb(), actor(), action, row_kind, ids)
    except pages.REFUSALS as error:
        return _list_page(sent.refused(error))
    return pages.redirect(_address(batch.id))


@blueprint.get("/<id:batch_id>")
def show(batch_id: int) -> Response:
    """Show the preview of a batch, or its progress and what became of each item."""
    batch = bulk.get(hashdb(), actor(), batch_id)
    if batch.state is BatchState.DRAFT:
        return _draft_page(batch, Form())
    return _batch_page(batch, Form())


@blueprint.post("/<id:batch_id>")
def confirm(batch_id: int) -> Response:
    """Start to carry out a batch. A change of expiries is carried out only as it was previewed.

    The field `seen` has the digest of the choices that the last preview displayed. With the field `again`, or if the
    choices have changed, they are previewed again.
    """
    actor().require(Scope.REVIEW)
    batch, sent = bulk.get(hashdb(), actor(), batch_id), Form.sent()
    try:
        choices = _read_choices(sent)
        bulk.check(hashdb(), batch, choices)
        if "expiry" in _needed_fields(batch) and (sent.text("again") or sent.text("seen") != pages.digest_of(choices)):
            return _draft_page(batch, sent, choices)
        bulk.start(hashdb(), actor(), batch_id, choices)
    except pages.REFUSALS as error:
        sent.refused(error)
        return _draft_page(batch, sent) if batch.state is BatchState.DRAFT else _batch_page(batch, sent)
    return pages.redirect(_address(batch_id))


@blueprint.post("/<id:batch_id>/stop")
def stop(batch_id: int) -> Response:
    """Stop a batch between two items."""
    actor().require(Scope.REVIEW)
    sent = Form.sent()
    try:
        bulk.stop(hashdb(), actor(), batch_id)
    except pages.REFUSALS as error:
        return _batch_page(bulk.get(hashdb(), actor(), batch_id), sent.refused(error))
    return pages.redirect_with_notice(f"Batch {batch_id} was stopped.", "batches.show", batch_id=batch_id)


@blueprint.post("/<id:batch_id>/undo")
def undo(batch_id: int) -> Response:
    """Make a batch that takes back this one, and show its preview."""
    actor().require(Scope.REVIEW)
    return _follow_up(batch_id, lambda: bulk.select_undo(hashdb(), actor(), batch_id))


@blueprint.post("/<id:batch_id>/confirmation")
def confirm_proposals(batch_id: int) -> Response:
    """Make a batch that confirms what this one proposed, and show its preview."""
    actor().require(Scope.REVIEW)
    return _follow_up(batch_id, lambda: bulk.select_confirmation(hashdb(), actor(), batch_id))


def _follow_up(id: int, select: Callable[[], Batch]) -> Response:
    """Redirect to the batch that `select` makes; if it is refused, the page of the batch with this id."""
    try:
        return pages.redirect(_address(select().id))
    except pages.REFUSALS as error:
        return _batch_page(bulk.get(hashdb(), actor(), id), Form().refused(error))


def _read_action(sent: Form) -> BatchAction:
    """The action that was chosen. Raises InvalidInput."""
    try:
        return BatchAction(sent.text("action"))
    except ValueError:
        raise InvalidInput.at_field("action", "is required: choose what to do with the selected rows") from None


def _read_row_kind(text: str) -> RowKind:
    """The kind of the selected rows. Raises InvalidInput."""
    if text not in (RowKind.CONTRIBUTION, RowKind.CASE, RowKind.PROPOSAL):
        reject_field("picks", "must be a list whose rows can be selected")
    return RowKind(text)


def _filtered_ids(row_kind: RowKind, selection: Selection) -> Sequence[int]:
    """The ids up to `selection.upto` of all rows that pass the filter of a list. Raises InvalidInput."""
    if row_kind is RowKind.PROPOSAL:
        return bulk.proposals_of(hashdb(), actor(), selection.upto)
    model = ListingQuery if row_kind is RowKind.CONTRIBUTION else CasesPageQuery
    try:
        params = model.model_validate(selection.filter, context=validation_context())
    except ValidationError as error:
        raise error_from_validation(error) from None
    if isinstance(params, CasesPageQuery):
        return bulk.cases_of(hashdb(), actor(), params.to_domain(), selection.upto)
    filter = params.to_domain().filter
    listings.check(filter)
    return bulk.contributions_of(hashdb(), actor(), filter, selection.upto)


def _read_choices(sent: Form) -> BatchChoices:
    """The choices in a form, where `how` is `extend`, `set` or `remove` for expiries. Raises InvalidInput."""
    how = sent.text("how")
    if how == "set" and not sent.text("expires_at"):
        reject_field("expires_at", "is required: choose the day")
    if how == "extend" and not sent.text("days"):
        reject_field("days", "is required: say how many")
    fields = {
        "note": sent.text("note") or None,
        "reason": sent.text("reason") or None,
        "days": sent.number("days") if how == "extend" else None,
        "expires_at": f"{sent.text('expires_at')}T00:00:00Z" if how == "set" else None,
    }
    return pages.read_fields(BatchIn, fields).to_domain()


def _needed_fields(batch: Batch) -> frozenset[str]:
    """The names of the choices that the form of a batch asks for."""
    return fields_of(batch.action, batch.row_kind, bulk.undone_action(hashdb(), batch))


def _list_page(form: Form) -> Response:
    columns: tuple[Column[Batch], ...] = (
        Column("Batch", "batch", lambda batch: batch.id, number=True),
        Column("Act", "act", lambda batch: (batch.action, batch.id), ascending_first=True),
        Column("Rows", "rows", lambda batch: (batch.size, batch.id), number=True),
        Column("State", "state", lambda batch: (batch.state, batch.id), ascending_first=True),
        Column("By", "actor", lambda batch: (batch.actor, batch.id), ascending_first=True),
        Column("Begun", "begun", lambda batch: (batch.begun_at, batch.id)),
    )
    rows = pages.read_all(partial(bulk.page, hashdb(), actor()))
    batches, list = lists.page_of_all(rows, columns, query(ListQuery), "console.batches.browse", first="batch")
    names = events.names(hashdb(), actor(), {batch.actor for batch in batches})
    return pages.page("batches.html", form=form, batches=batches, list=list, acts=ACTS, names=names)


def _draft_page(batch: Batch, form: Form, choices: BatchChoices | None = None) -> Response:
    """The preview of a batch. A change of expiries is previewed once its choices are known."""
    needed, batch = _needed_fields(batch), replace(batch, choices=choices or BatchChoices())
    previewed = "expiry" not in needed or choices is not None
    return pages.page(
        "batch_draft.html",
        form=form,
        batch=batch,
        undone=bulk.undone_action(hashdb(), batch),
        needed=needed,
        preview=bulk.preview(hashdb(), actor(), batch) if previewed else None,
        seen=pages.digest_of(choices),
        reasons=hashdb().rules.vocabulary.reason,
        acts=ACTS,
        why=WHY,
    )


def _batch_page(batch: Batch, form: Form) -> Response:
    params = query(BatchItemsQuery)
    progress = bulk.progress(hashdb(), actor(), batch.id)
    # Positions begin at 0, and `items` excludes the position `after`. One row more shows whether a page follows.
    rows = bulk.items(hashdb(), actor(), batch.id, after=params.after - 1, limit=params.limit + 1)
    waiting = bulk.waiting_proposals(hashdb(), actor(), batch.id) if progress.proposed else ()
    return pages.page(
        "batch_state.html" if request.headers.get("HX-Request") else "batch.html",
        form=form,
        batch=batch,
        undone=bulk.undone_action(hashdb(), batch),
        progress=progress,
        items=rows[: params.limit],
        next=rows[params.limit].position if len(rows) > params.limit else None,
        waiting=waiting,
        names=events.names(hashdb(), actor(), [batch.actor]),
        rows=_rows_of(batch, rows[: params.limit]),
        acts=ACTS,
        why=WHY,
        instead=INSTEAD.get(batch.action),
    )


def _rows_of(batch: Batch, items: Sequence[BatchItem]) -> dict[int, str]:
    """By the position of each item, the row that it is about, as `kind:id`.

    The items of an undo are about the rows of the batch that it takes back. If that batch was deleted, there are none.
    """
    if batch.undoes is None or not items:
        return {item.position: f"{batch.row_kind}:{item.subject}" for item in items}
    try:
        undone = bulk.get(hashdb(), actor(), batch.undoes)
    except NotFound:
        return {}
    # The subject of an item of an undo is the position of the item that it takes back; both ascend.
    first, last = items[0].subject, items[-1].subject
    taken_back = bulk.items(hashdb(), actor(), undone.id, after=first - 1, limit=last - first + 1)
    row_by_position = {item.position: f"{undone.row_kind}:{item.subject}" for item in taken_back}
    return {item.position: row_by_position[item.subject] for item in items}


def _address(id: int) -> str:
    return url_for("console.batches.show", batch_id=id)
