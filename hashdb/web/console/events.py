"""/console/events: the audit log: list, follow, prove, verify and download events."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Response, request, url_for

from hashdb.domain.ledger.checkpoints import Checkpoint, Inclusion, read_checkpoint
from hashdb.domain.ledger.events import Action, Event
from hashdb.errors import Unavailable
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger import events as audit
from hashdb.service.ledger import verification as jobs
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire.pages import EventsPageQuery

blueprint = pages.blueprint_of("events", __name__)
_SHOWN = 50
_NOTHING = EventsPageQuery()


@blueprint.get("")
def browse() -> Response:
    """List the events that match a filter, newest first."""
    form = Form()
    params = pages.read_query(EventsPageQuery, form=form)
    if params is None:
        return pages.page("events.html", status=422, form=form, actions=Action, params=_NOTHING, listing=None)
    listing = audit.latest(hashdb(), actor(), _filter(params), _range(params), _SHOWN)
    names = _names(listing.events)
    return pages.page(
        "events.html", form=form, actions=Action, params=params, listing=listing, address=_address_with, names=names
    )


@blueprint.get("/new")
def follow() -> Response:
    """The events after a seq, as rows for the table that follows the log."""
    params = pages.read_query(EventsPageQuery, form=Form()) or _NOTHING
    listing = audit.latest(hashdb(), actor(), _filter(params), _range(params), _SHOWN)
    return pages.page(
        "events_new.html", params=params, listing=listing, address=_address_with, names=_names(listing.events)
    )


@blueprint.get("/<id:seq>")
def show(seq: int) -> Response:
    """Show an event: its canonical form, its leaf, and the proof that it is in the log."""
    event = audit.get(hashdb(), actor(), seq)
    checkpoint, note, reason = _checkpoint(event)
    proof = None if checkpoint is None else checkpoints.inclusion(hashdb(), actor(), seq, checkpoint.size)
    holds = proof is not None and checkpoint is not None and proof.proves(checkpoint) and _is_leaf(event, proof)
    return pages.page(
        "event.html",
        event=event,
        proof=proof,
        checkpoint=checkpoint,
        note=note,
        reason=reason,
        holds=holds,
        head=hashdb().store.head().seq,
        names=_names([event]),
    )


@blueprint.get("/verification")
def verification() -> Response:
    """Show the progress of a verification of the log, and the results of the last ones."""
    template = "verification_state.html" if request.headers.get("HX-Request") else "verification.html"
    runs = jobs.latest(hashdb(), actor())
    return pages.page(template, runs=runs, names=audit.names(hashdb(), actor(), {run.actor for run in runs}))


@blueprint.post("/verification")
def verify() -> Response:
    """Verify the whole log, in the background."""
    jobs.start(hashdb(), actor())
    return pages.redirect(url_for("console.events.verification"))


@blueprint.get("/download")
def download() -> Response:
    """Download the events of a period, with their digest and the signed checkpoint that covers them."""
    form = Form()
    params = pages.read_query(EventsPageQuery, form=form)
    if params is None:
        return pages.page("events.html", status=422, form=form, actions=Action, params=_NOTHING, listing=None)
    period = audit.period(hashdb(), actor(), *params.period)
    note = _note()[0]
    before = hashdb().store.head().seq + 1 if period.before is None else period.before
    lines = audit.texts(hashdb(), actor(), audit.SeqRange(period.after, before))
    name = f"events-{period.after + 1}-{before - 1}" if before - 1 > period.after else "events-none"
    response = Response(archive(name, lines, note), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return response


def _names(events: Iterable[Event]) -> Mapping[str, str]:
    return audit.names(hashdb(), actor(), {who for event in events for who in (event.actor, event.subject)})


def _filter(params: EventsPageQuery) -> audit.EventFilter:
    return audit.EventFilter(params.actor, params.action, params.subject)


def _range(params: EventsPageQuery) -> audit.SeqRange:
    period = audit.period(hashdb(), actor(), *params.period)
    ends = [end for end in (params.before, period.before) if end is not None]
    return audit.SeqRange(max(params.after or 0, period.after), min(ends, default=None))


def _address_with(endpoint: str, **more: Any) -> str:
    """The URL of a page with the filter of this page."""
    kept = {name: value for name, value in request.args.items() if value and name not in ("before", "after", "follow")}
    return url_for(f"console.events.{endpoint}", **{**kept, **more})


def _checkpoint(event: Event) -> tuple[Checkpoint | None, str, str]:
    """The signed checkpoint that covers the event, its note, and an empty reason; or why there is none."""
    note, reason = _note()
    if not note:
        return None, "", reason
    checkpoint, _ = read_checkpoint(note, checkpoints.log(hashdb()).verifiers)
    return (
        (checkpoint, note, "") if checkpoint.size >= event.seq else (None, "", "the service signs it within a minute")
    )


def _note() -> tuple[str, str]:
    try:
        return checkpoints.latest(hashdb()), ""
    except Unavailable:
        return "", "this machine does not have the key that signs the log, so it cannot show a checkpoint"


def _is_leaf(event: Event, proof: Inclusion) -> bool:
    return event.leaf == proof.leaf == event.computed_leaf


_BLOCK = 256 * 1024


class _Sink(io.RawIOBase):
    """The file that the archive is written to; its content is taken out in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._buffer += data
        return len(data)

    def take(self, at_least: int = 1) -> Iterator[bytes]:
        if len(self._buffer) >= at_least:
            taken, self._buffer = bytes(self._buffer), bytearray()
            yield taken


def archive(name: str, lines: Iterable[str], note: str) -> Iterator[bytes]:
    """A ZIP archive in pieces: `name`.jsonl with the lines, checkpoint.txt with the note if any, and SHA256SUMS."""
    sink, digest = _Sink(), hashlib.sha256()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive_file:
        with archive_file.open(f"{name}.jsonl", "w", force_zip64=True) as file:
            for line in lines:
                octets = f"{line}\n".encode()
                digest.update(octets)
                file.write(octets)
                yield from sink.take(_BLOCK)
        sums = f"{digest.hexdigest()}  {name}.jsonl\n"
        if note:
            archive_file.writestr("checkpoint.txt", note)
            sums += f"{hashlib.sha256(note.encode()).hexdigest()}  checkpoint.txt\n"
        archive_file.writestr("SHA256SUMS", sums)
    yield from sink.take()
