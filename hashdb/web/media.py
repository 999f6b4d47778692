"""Pictures that come to the service: held in memory, hashed in processes of their own, never kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import request

from hashdb.errors import Fault, InvalidInput, MediaRefused, TooLarge, UnreadablePicture, WrongContentType
from hashdb.hashing import Hashed
from hashdb.web.context import face
from hashdb.wire.signals import FILES_A_REQUEST

_METADATA_BYTES = 1024 * 1024
_PARTS = 64


@dataclass(frozen=True, slots=True)
class MediaForm:
    """What came in a multipart form."""

    files: tuple[bytes, ...]
    metadata: str


def read_form(*, metadata: bool = True) -> MediaForm:
    """The pictures of this request, and what is said of them.

    Raises MediaRefused, WrongContentType, TooLarge, MalformedRequest, InvalidInput.
    """
    settings = face().settings
    if not settings.accept_media:
        raise MediaRefused()
    if request.mimetype != "multipart/form-data":
        raise WrongContentType("multipart/form-data")
    request.max_content_length = settings.media_max_request
    request.max_form_memory_size = _METADATA_BYTES
    request.max_form_parts = _PARTS
    files = request.files.getlist("file")
    if faults := _faults(metadata):
        raise InvalidInput(tuple(faults))
    if len(files) > FILES_A_REQUEST:
        raise TooLarge("a request here, in files,", FILES_A_REQUEST)
    octets = tuple(file.stream.read() for file in files)
    if any(len(one) > settings.media_max_bytes for one in octets):
        raise TooLarge("a picture, in bytes,", settings.media_max_bytes)
    return MediaForm(octets, request.form.get("metadata", ""))


def hash_pictures(files: Sequence[bytes]) -> list[Hashed]:
    """What is computed of each picture. Raises UnreadablePicture, naming every faulty one, and HashingBusy."""
    outcomes = face().pool.hash(files, face().db.rules.algorithms)
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
    if not request.files.getlist("file"):
        faults.append(Fault("file", "is required: one picture or more"))
    if metadata and "metadata" not in request.form:
        faults.append(Fault("metadata", "is required: a JSON object, or a list of them"))
    known = {"metadata"} if metadata else set()
    faults += [Fault(name, "is not a field of this request") for name in sorted(set(request.form) - known)]
    faults += [Fault(name, "is not a file of this request") for name in sorted(set(request.files) - {"file"})]
    if len(request.form.getlist("metadata")) > 1:
        faults.append(Fault("metadata", "is given twice"))
    return faults
