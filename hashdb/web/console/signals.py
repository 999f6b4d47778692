"""Signals on a page: draws them as grids of bits, and reads them from a form: pasted, or hashed from its file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from flask import request
from markupsafe import Markup

from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Signal
from hashdb.errors import (
    Fault,
    InvalidInput,
    MediaRefused,
    TextRefused,
    TooLarge,
    UnreadablePicture,
    VideoTooLarge,
    reject_field,
)
from hashdb.hashing import Mode
from hashdb.hashing.addresses import url_signals
from hashdb.hashing.documents import DOCUMENT_HEAD, begins_as_document
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL, VIDEO_HEAD, begins_as_video
from hashdb.http_server.media import HashedFile
from hashdb.http_server.uploads import Upload, UploadLimits
from hashdb.service.later import Advance
from hashdb.service.matching.neighbors import UNALTERED, SignalsByTransform
from hashdb.web import media
from hashdb.web.console.pages import Form, takes_text
from hashdb.web.context import actor, app_state, hashdb, validation_context
from hashdb.wire.matching import QueriesIn
from hashdb.wire.pasted import format_hash_lines, parse_hash_lines, parse_item


def grid(signal: Signal, other: Signal | None = None) -> Markup:
    """An SVG of 16 × 16 or 8 × 8 cells, highest bit first. With `other`, differing bits are highlighted.

    They are of two classes: `bits-new` are set in `signal` only, `bits-gone` in `other` only. Empty for a digest, whose
    bits say nothing of the item.
    """
    if signal.algorithm.is_digest:
        return Markup()
    side = 16 if signal.algorithm.bits == 256 else 8
    differing = 0 if other is None else signal.value ^ other.value
    summary = f"{signal.value.bit_count()} of {signal.algorithm.bits} bits set"
    if other is not None:
        summary = f"{differing.bit_count()} bits differ"
    return Markup(
        '<svg class="bits" viewBox="0 0 {side} {side}" role="img" aria-label="{name}: {summary}">'
        '<path class="bits-on" d="{on}"/><path class="bits-gone" d="{gone}"/><path class="bits-new" d="{new}"/></svg>'
    ).format(
        side=side,
        name=str(signal.algorithm),
        summary=summary,
        on=_path(signal.value & ~differing, side),
        gone=_path(~signal.value & differing, side),
        new=_path(signal.value & differing, side),
    )


def _path(value: int, side: int) -> str:
    """An SVG path over the set bits in `side` rows: a rectangle for each run of them in a row."""
    bits = f"{value:0{side * side}b}"
    rows = (bits[start : start + side] for start in range(0, side * side, side))
    runs = ((run, y) for y, row in enumerate(rows) for run in re.finditer("1+", row))
    return "".join(f"M{run.start()} {y}h{len(run[0])}v1h-{len(run[0])}z" for run, y in runs)


_SHOWN_FAULTS = 3
WAIT_SECONDS: Final = 30.0
"""How long a page waits until its files are hashed."""


def read_signals(sent: Form, mode: Mode) -> SignalsByTransform:
    """The signals for a new benign entry: of the uploaded picture, of the parts of a document or a text, or pasted.

    Removes a text from the form. Raises InvalidInput at a field, TooManyAtOnce, Unavailable.
    """
    text, content = sent.take("text").strip(), _file_content()
    if document := _document_of(content, text):
        (hashed,) = hash_uploads([ToHash(*document, mode, INTERVAL)])
        return {UNALTERED: tuple(dict.fromkeys(signal for frame in hashed.frames for signal in frame.signals))}
    query = _read_picture(sent, content, mode)
    return {UNALTERED: query.signals, **query.transforms}


def _file_content() -> bytes:
    """The file of the form; empty if there is none."""
    file = request.files.get("file")
    if file is None:
        return b""
    file.stream.seek(0)
    return file.stream.read()


def _document_of(content: bytes, text: str) -> tuple[str, Upload] | None:
    """The field `file` and the document or text in its bytes, else the field `text` and its text; None without either.

    Raises InvalidInput at the field if the service accepts no documents and texts.
    """
    document = None
    if begins_as_document(content[:DOCUMENT_HEAD]):
        document = "file", _upload_of(content)
    elif text and not content:
        document = "text", _text_upload(text)
    if document is not None:
        _require_text(*document)
    return document


def _upload_of(octets: bytes) -> Upload:
    """A document as a file of a form."""
    upload = Upload(UploadLimits(memory_bytes=len(octets), video_bytes=0))
    upload.write(octets)
    return upload


def _text_upload(text: str) -> Upload:
    """A pasted text as a file. A byte order mark marks it as a text, whatever its first characters are."""
    return _upload_of(text.encode("utf-8-sig", "replace"))


def _require_text(field: str, upload: Upload) -> None:
    """Raise InvalidInput at a field if its file is a document or a text, and the service accepts none."""
    if upload.is_document and not takes_text():
        reject_field(field, str(TextRefused()))


def _read_picture(sent: Form, content: bytes, mode: Mode) -> Query:
    """The query with the picture in these bytes, else with the hashes that were pasted. Raises InvalidInput."""
    if begins_as_video(content[:VIDEO_HEAD]):
        reject_field("file", "is a video: this form accepts only pictures")
    try:
        return _hash_picture(content, mode) if content else parse_hash_lines(sent.text("signals"))
    except (UnreadablePicture, MediaRefused, TooLarge) as error:
        raise InvalidInput.at_field("file", _without_position(error)) from None
    except InvalidInput as error:
        raise merge_signal_faults(error) from None


class Item(NamedTuple):
    """What the match debugger searches for; `incomplete` is a sentence if not all of a file could be read."""

    query: Query
    incomplete: str | None = None


def read_item(sent: Form, mode: Mode) -> Item:
    """The item that the match debugger searches for: the uploaded file, the text, the address, or what was pasted.

    The field `signals` of the form then has the hashes of it. Removes an address and a text from the form.
    Raises InvalidInput at a field, MalformedRequest, TooLarge, ExtraMissing.
    """
    address, text = sent.take("address").strip(), sent.take("text").strip()
    file = request.files.get("file")
    # Only if the service accepts pictures, a file of this form is read as an `Upload`.
    stream: object = None if file is None else file.stream
    upload, field = stream if isinstance(stream, Upload) and stream.size else None, "file"
    if text and upload is None:
        upload, field = _text_upload(text), "text"
    if upload is not None and upload.has_parts:
        _require_text(field, upload)
        (hashed,) = hash_uploads([ToHash(field, upload, mode)])
        sent.values["signals"] = QueriesIn.from_domain([hashed.to_query()]).model_dump_json(exclude_unset=True)
        return Item(hashed.to_query(), hashed.incomplete)
    if upload is not None:
        query = _read_picture(sent, _file_content(), mode)
    elif address:
        return Item(_read_address(sent, address))
    else:
        pasted = parse_item(sent.text("signals"), validation_context())
        if pasted is not None and pasted.frames:
            return Item(pasted)
        query = _read_picture(sent, _file_content(), mode) if pasted is None else pasted
    sent.values["signals"] = format_hash_lines(query)
    return Item(query)


def _read_address(sent: Form, address: str) -> Query:
    """The query for an address, whose hash replaces it in the form. Raises InvalidInput."""
    try:
        query = Query(url_signals(address, for_query=True))
    except ValueError as error:
        reject_field("address", str(error))
    sent.values["signals"] = format_hash_lines(query)
    return query


class ToHash(NamedTuple):
    """A file of a form that is hashed: the name of its field, and how."""

    field: str
    upload: Upload
    mode: Mode
    interval: float = QUERY_INTERVAL
    """Seconds of a video between two frames."""


def hash_uploads(files: Sequence[ToHash]) -> list[HashedFile]:
    """The hashes of each file, if all are made within `WAIT_SECONDS`.

    Raises InvalidInput at the field of a file, TooManyAtOnce, Unavailable.
    """
    state, caller = app_state(), actor()
    uploads = [file.upload for file in files]
    # The field of the file that is being hashed.
    field = files[0].field

    def work(advance: Advance) -> list[HashedFile]:
        nonlocal field
        hashed = []
        try:
            for file in files:
                field = file.field
                hashed.append(media.hash_later(state, caller.name, file.upload, file.mode, advance, file.interval))
        finally:
            media.release(uploads)
        return hashed

    with hashdb().request_slots.hold(caller):
        try:
            with media.given_to_thread(uploads):
                return state.later.within(caller, work, WAIT_SECONDS)
        except TimeoutError:
            # The text of this error also says how to hash the file, whatever it is, on another machine.
            reason = str(VideoTooLarge(f"the file is not hashed after {WAIT_SECONDS:.0f} seconds"))
        except (UnreadablePicture, TooLarge) as error:
            reason = _without_position(error)
    raise InvalidInput.at_field(field, reason)


def _without_position(error: Exception) -> str:
    """The text of an error of a file that was hashed alone, without its position among others."""
    return str(error).removeprefix("file[0]: ")


def merge_signal_faults(error: InvalidInput) -> InvalidInput:
    """The error with all faults of signals merged into one, at the field `signals` of the form."""
    of_signals = [fault.reason for fault in error.faults if fault.at.startswith("signals")]
    others = tuple(fault for fault in error.faults if not fault.at.startswith("signals"))
    more = f" (and {len(of_signals) - _SHOWN_FAULTS} more)" if len(of_signals) > _SHOWN_FAULTS else ""
    pasted = (Fault("signals", "; ".join(of_signals[:_SHOWN_FAULTS]) + more),) if of_signals else ()
    return InvalidInput((*pasted, *others))


def _hash_picture(picture: bytes, mode: Mode) -> Query:
    """The query with a picture. Raises MediaRefused, TooLarge, UnreadablePicture."""
    settings = app_state().settings
    if not settings.accept_media:
        raise MediaRefused()
    if len(picture) > settings.media_max_bytes:
        raise TooLarge("the bytes of a picture", settings.media_max_bytes)
    # A benign entry has no secret views: those would be useless once their seed is retired, and until then cover
    # nothing that the other views of the entry do not.
    seeds = app_state().db.seeds_in_use() if mode is Mode.TRANSFORMS else ()
    return HashedFile(media.hash_picture(picture, mode, seeds)).to_query()
