"""/console/events: the audit log: list, follow, prove, verify and download events."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Actor
from hashdb.domain.ledger.checkpoints import Checkpoint, Inclusion, read_checkpoint
from hashdb.domain.ledger.events import Action, Event
from hashdb.errors import Fault, InvalidInput, Unavailable
from hashdb.service import HashDB
from hashdb.service.ledger import checkpoints, publications, searches
from hashdb.service.ledger import events as audit
from hashdb.service.ledger import verification as jobs
from hashdb.web.console import lists, pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire.pages import EventsPageQuery

blueprint = pages.blueprint_of("events")
_Names = TypeVar("_Names")
_NO_FILTER = EventsPageQuery()
_NAMED = ("actor", "subject")
"""The fields of the form whose text is a name, or a part of one."""
_PLACE_FIELDS = ("before", "newer", "after", "follow")
"""The fields of an address that say which page of the list it is, or that the page follows the log."""


@blueprint.get("")
def browse() -> Response:
    """List the events that match a filter, newest first."""
    params, form = pages.read_query(EventsPageQuery)
    search = None if params is None else _search(params, form)
    if params is None or search is None:
        return _refused_page(form)
    log_search, seqs = search
    # `newer` asks for the page before one: of the events above this seq, it has the oldest.
    is_newer_page = params.newer is not None
    listing = searches.latest(hashdb(), actor(), log_search, seqs, params.limit, oldest=is_newer_page)
    # A search that has not read the whole log may still find events.
    may_find = is_newer_page or listing.events or listing.before
    # The parts of the filter without which there would be events.
    excluding = () if may_find else searches.excluding_parts(hashdb(), actor(), log_search, seqs)
    older, newer = _adjacent_pages(listing, params)
    return pages.page(
        "events.html",
        form=form,
        actions=Action,
        params=params,
        listing=listing,
        address=_address_with,
        names=_names(listing.events),
        excluding=excluding,
        published=publications.published(hashdb(), actor()),
        older=older,
        newer=newer,
        sizes=[(size, _address_with("browse", limit=size)) for size in lists.SIZES],
    )


@blueprint.get("/new")
def follow() -> Response:
    """The events after a seq, as rows for the table that follows the log."""
    params, form = pages.read_query(EventsPageQuery)
    params = params or _NO_FILTER
    log_search, seqs = _search(params, form) or (searches.LogSearch(), _range(_NO_FILTER))
    listing = searches.latest(hashdb(), actor(), log_search, seqs, params.limit)
    return pages.page("events_new.html", listing=listing, address=_address_with, names=_names(listing.events))


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
    params, form = pages.read_query(EventsPageQuery)
    if params is None:
        return _refused_page(form)
    period = audit.seqs_of_period(hashdb(), actor(), *params.period)
    note = _note()[0]
    before = hashdb().store.head().seq + 1 if period.before is None else period.before
    lines = audit.texts(hashdb(), actor(), audit.SeqRange(period.after, before))
    name = f"events-{period.after + 1}-{before - 1}" if before - 1 > period.after else "events-none"
    response = Response(archive(name, lines, note), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return response


def _refused_page(form: Form) -> Response:
    """The page of a filter that is not valid."""
    # By each such field that is at fault, the names of members and users that its text may stand for.
    choices = {name: searches.fitting(hashdb(), actor(), form.text(name)) for name in form.faults if name in _NAMED}
    return pages.page(
        "events.html", form=form, actions=Action, params=_NO_FILTER, choices=choices, address=_address_with
    )


def _names(events: Iterable[Event]) -> Mapping[str, str]:
    """The names of the actors and subjects of events, by `kind:id`."""
    return audit.names(hashdb(), actor(), {name for event in events for name in (event.actor, event.subject)})


def _search(params: EventsPageQuery, form: Form) -> tuple[searches.LogSearch, audit.SeqRange] | None:
    """What the form searches, and in which seqs; None, with the faults in the form, if a field is invalid."""
    faults: list[Fault] = []
    actors = _read_names(searches.read_actors, params.actor, faults)
    subjects = _read_names(searches.read_subjects, params.subject, faults)
    if params.since and params.until and params.until < params.since:
        faults.append(Fault("until", "must not be before the first day"))
    if faults:
        form.refused(InvalidInput(tuple(faults)))
        return None
    return searches.LogSearch(actors, params.action, subjects), _range(params)


def _read_names(read: Callable[[HashDB, Actor, str], _Names], text: str | None, faults: list[Fault]) -> _Names | None:
    """What `read` makes of a text of the form; None without a text, or if it names nothing: `faults` then says why."""
    try:
        return None if text is None else read(hashdb(), actor(), text)
    except InvalidInput as error:
        faults += error.faults
    return None


def _range(params: EventsPageQuery) -> audit.SeqRange:
    """The seqs of the days of the form, below the seq `before`, and above the seqs `after` and `newer`."""
    period = audit.seqs_of_period(hashdb(), actor(), *params.period)
    ends = [end for end in (params.before, period.before) if end is not None]
    return audit.SeqRange(max(params.after or 0, params.newer or 0, period.after), min(ends, default=None))


def _adjacent_pages(listing: searches.LogPage, params: EventsPageQuery) -> tuple[int | None, int | None]:
    """The seqs below which the older page is, and above which the newer one is; None if there is no such page."""
    if params.newer is not None:
        return (listing.events[-1].seq if listing.events else params.newer + 1), listing.after
    if params.before is None:
        return listing.before, None
    return listing.before, (listing.events[0].seq if listing.events else max(0, params.before - 1))


def _address_with(endpoint: str, **changed: Any) -> str:
    """The URL of a page with the filter of this page and these changes."""
    fields = {name: value for name, value in request.args.items() if value and name not in _PLACE_FIELDS}
    return url_for(f"console.events.{endpoint}", **{**fields, **changed})


def _checkpoint(event: Event) -> tuple[Checkpoint | None, str, str]:
    """The signed checkpoint that covers the event, its note, and the reason if there is none, else an empty text."""
    note, reason = _note()
    if not note:
        return None, "", reason
    checkpoint, _ = read_checkpoint(note, checkpoints.log(hashdb()).verifiers)
    return (
        (checkpoint, note, "") if checkpoint.size >= event.seq else (None, "", "the service signs it within a minute")
    )


def _note() -> tuple[str, str]:
    """The signed note of the last checkpoint, and the reason if there is none, else an empty text."""
    try:
        return checkpoints.latest(hashdb()), ""
    except Unavailable:
        return "", "this machine does not have the key that signs the log, so it cannot show a checkpoint"


def _is_leaf(event: Event, proof: Inclusion) -> bool:
    return event.leaf == proof.leaf == event.computed_leaf


_BLOCK_BYTES = 256 * 1024


class _Sink(io.RawIOBase):
    """The file that the archive is written to. `take` removes and returns its content, if it has `at_least` bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._buffer += data
        return len(data)

    def take(self, at_least: int = 1) -> Iterator[bytes]:
        if len(self._buffer) >= at_least:
            content, self._buffer = bytes(self._buffer), bytearray()
            yield content


def archive(name: str, lines: Iterable[str], note: str) -> Iterator[bytes]:
    """A ZIP archive in pieces: `name`.jsonl with the lines, checkpoint.txt with the note if any, and SHA256SUMS."""
    sink, digest = _Sink(), hashlib.sha256()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive_file:
        with archive_file.open(f"{name}.jsonl", "w", force_zip64=True) as file:
            for line in lines:
                octets = f"{line}\n".encode()
                digest.update(octets)
                file.write(octets)
                yield from sink.take(_BLOCK_BYTES)
        sums = f"{digest.hexdigest()}  {name}.jsonl\n"
        if note:
            archive_file.writestr("checkpoint.txt", note)
            sums += f"{hashlib.sha256(note.encode()).hexdigest()}  checkpoint.txt\n"
        archive_file.writestr("SHA256SUMS", sums)
    yield from sink.take()
