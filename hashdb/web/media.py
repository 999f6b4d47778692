"""Uploaded pictures: the service holds them in memory, hashes them in separate processes, and never stores them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

from flask import g, request

from hashdb.domain.accounts.members import Actor
from hashdb.errors import Fault, MalformedRequest, MediaRefused, TooLarge, UnreadablePicture, WrongContentType, reject
from hashdb.hashing import Hashed, Mode
from hashdb.settings import Settings
from hashdb.web.context import app_state, reading_body
from hashdb.wire import path
from hashdb.wire.contributions import FILES_A_REQUEST

METADATA_BYTES = 1024 * 1024
_PARTS = 64
_MALFORMED = "the body is not multipart/form-data, or is cut short"


@dataclass(frozen=True, slots=True)
class MediaForm:
    """The parts of a multipart form: the pictures' bytes, and the metadata as JSON text."""

    files: tuple[bytes, ...]
    metadata: str


def read_form(*, metadata: bool = True) -> MediaForm:
    """The pictures of this request, with their metadata unless `metadata` is False.

    Raises MediaRefused, WrongContentType, TooLarge, MalformedRequest, InvalidInput.
    """
    settings = _require_media_form()
    with reading_body(_MALFORMED):
        files = request.files.getlist("file")
    if not request.files and not request.form:
        # RFC 2046 requires at least one part; Werkzeug reads any other text as the preamble.
        raise MalformedRequest(_MALFORMED)
    if len(files) > FILES_A_REQUEST:
        raise TooLarge("the files of a request", FILES_A_REQUEST)
    reject(_faults(metadata))
    pictures = tuple(file.stream.read() for file in files)
    if any(len(picture) > settings.media_max_bytes for picture in pictures):
        raise TooLarge("the bytes of a picture", settings.media_max_bytes)
    return MediaForm(pictures, _metadata())


def read_picture(*fields: str) -> bytes:
    """The bytes of the one picture of this request, from a form field with one of these names.

    Raises MediaRefused, WrongContentType, TooLarge, MalformedRequest.
    """
    settings = _require_media_form()
    with reading_body(_MALFORMED):
        files = list(request.files.items(multi=True))
    if len(files) != 1:
        raise MalformedRequest("the request must be a form with one file")
    ((name, file),) = files
    if name not in fields:
        raise MalformedRequest(f"the form field of the file must be named {' or '.join(fields)}")
    picture = file.stream.read()
    if len(picture) > settings.media_max_bytes:
        raise TooLarge("the bytes of a picture", settings.media_max_bytes)
    return picture


def _require_media_form() -> Settings:
    """The settings. Sets the limits of this request for a form with pictures. Raises MediaRefused, WrongContentType."""
    settings = app_state().settings
    if not settings.accept_media:
        raise MediaRefused()
    if request.mimetype != "multipart/form-data":
        raise WrongContentType("multipart/form-data")
    request.max_content_length = settings.media_max_request
    request.max_form_memory_size = settings.media_max_request
    request.max_form_parts = _PARTS
    return settings


def hash_pictures(files: Sequence[bytes], modes: Iterable[Mode] = repeat(Mode.PLAIN)) -> list[Hashed]:
    """The hashes of each picture, in its mode. Raises TooManyAtOnce, UnreadablePicture with a fault for each file."""
    caller: Actor = g.actor
    with app_state().db.places.place(caller):
        outcomes = app_state().pool.hash(files, app_state().db.rules.algorithms, modes, caller.name)
    faults = tuple(
        Fault(f"file[{position}]", str(outcome))
        for position, outcome in enumerate(outcomes)
        if isinstance(outcome, UnreadablePicture)
    )
    if faults:
        reason = str(faults[0]) if len(faults) == 1 else f"{len(faults)} files cannot be hashed, the first: {faults[0]}"
        raise UnreadablePicture(reason, faults)
    return [outcome for outcome in outcomes if isinstance(outcome, Hashed)]


def _faults(metadata: bool) -> list[Fault]:
    faults = []
    fields, files = request.form, request.files
    if "file" in fields:
        faults.append(Fault("file", "must be files, each with a file name"))
    elif not files.getlist("file"):
        faults.append(Fault("file", "is required: send one or more pictures"))
    count = len(fields.getlist("metadata")) + len(files.getlist("metadata"))
    if metadata and count == 0:
        faults.append(Fault("metadata", "is required: a JSON object, or a list of them"))
    if metadata and count > 1:
        faults.append(Fault("metadata", "is given twice"))
    known = {"file", "metadata"} if metadata else {"file"}
    # The name of a part is None if it has none.
    unknown = {name or "" for name in (*fields, *files)} - known
    faults += [Fault(path([name]), "is not a field of this request") for name in sorted(unknown)]
    return faults


def _metadata() -> str:
    """The metadata of the files. curl sends it as a file part if it is read from a file."""
    part = request.files.get("metadata")
    text = request.form.get("metadata", "") if part is None else part.stream.read().decode("utf-8", "replace")
    if len(text) > METADATA_BYTES:
        raise TooLarge("the characters of the metadata", METADATA_BYTES)
    if "\ufffd" in text:
        raise MalformedRequest("the metadata is not JSON in UTF-8")
    return text
