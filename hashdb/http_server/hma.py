"""What the service and the sidecar share of HMA's API: the bank in a path, look-ups, and hashes of files.

Under the path /hma/as/{bank}/, all contributions are in the one bank of this name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from typing import cast

from hashdb.domain.matching.matches import Query
from hashdb.domain.sharing.exchanges import BankHit
from hashdb.domain.signals import Algorithm
from hashdb.errors import MalformedRequest
from hashdb.http_server.bodies import reading_body
from hashdb.http_server.forms import MALFORMED_FORM, InMemoryRequest, limit_form, require_accepted
from hashdb.http_server.media import HashedFile
from hashdb.http_server.texts import hash_value
from hashdb.http_server.uploads import Upload
from hashdb.settings import Settings
from hashdb.wire import ValidationContext, read
from hashdb.wire.matching import QueryIn
from hashdb.wire.sharing import hma as wire

ONE_BANK = "hashdb.only_bank"
"""The key of the WSGI environment for the bank in a path /hma/as/{bank}/…, in which all contributions are."""
_ONE_BANK_PATH = re.compile(r"/hma/as/([A-Z0-9_]{1,100})(/.*)", re.DOTALL)
Find = Callable[[Query], Sequence[BankHit]]
"""Returns what matches a query, nearest first, each with its bank."""


def split_bank(path: str) -> tuple[str, str | None]:
    """The path of a request without `/as/{bank}`, and the name of the bank; None if the path has none."""
    match = _ONE_BANK_PATH.fullmatch(path)
    return (path, None) if match is None else (f"/hma{match[2]}", match[1])


def query_of_signal(
    params: wire.LookupQuery,
    enabled: Collection[Algorithm],
    context: ValidationContext,
    *,
    accept_text: bool,
    alternative: str,
) -> tuple[str, Query]:
    """The signal type in the parameters, and the query for the signal.

    `enabled` are the algorithms of the service. `alternative` says in an error what a client may send in place of a
    signal.

    Raises MalformedRequest, InvalidInput, TextRefused.
    """
    missing = [name for name in ("signal", "signal_type") if getattr(params, name) is None]
    if params.signal is None or params.signal_type is None:
        raise MalformedRequest(f"{' and '.join(missing)} must be given, or {alternative}")
    name, value = hash_value(params.signal_type, params.signal, for_query=True, accept_text=accept_text)
    fields = json.dumps(wire.signal_fields(name, value, enabled))
    return wire.resolve_type(name, enabled), read(QueryIn, fields, context).to_domain()


def look_up_file(
    file: HashedFile, types: Collection[str], signal_type: str | None, banks: Collection[str], find: Find
) -> object:
    """The matches of a file: for each signal type, those in each bank. With a `signal_type`, only its matches by bank.

    `types` are the signal types of the answer, all if it is empty. `banks` are its banks, all if it is empty. A picture
    is searched by its hashes of these types only, and only by hashes that are not empty.
    """
    hashes, query = hashes_of(file, types), file.to_query()
    if not file.has_parts:
        query = Query(tuple([signal for signal in query.signals if hashes.get(signal.algorithm)]))
    hits = find(query) if query.signals else ()
    by_type = {name: wire.hits_out(hits, name, query, banks) if text else {} for name, text in hashes.items()}
    return by_type if signal_type is None else by_type.get(signal_type, {})


def read_upload(request: InMemoryRequest, settings: Settings) -> tuple[str, Upload]:
    """The name of the form field of the one file of a request, and the file. The field says which kind of file it is.

    Raises MediaRefused, TextRefused, WrongContentType, TooLarge, VideoTooLarge, NoRoom, MalformedRequest.
    """
    limit_form(request, settings)
    with reading_body(MALFORMED_FORM):
        files = list(request.files.items(multi=True))
    if len(files) != 1:
        raise MalformedRequest("the request must be a form with one file")
    ((field, file),) = files
    if field not in wire.UPLOAD_FIELDS:
        raise MalformedRequest(f"the form field of the file must be named {' or '.join(wire.UPLOAD_FIELDS)}")
    upload = cast(Upload, file.stream)
    require_accepted([upload], settings)
    if field == "photo" and upload.is_video:
        raise MalformedRequest("the form field of a video must be named video")
    if field == "video" and not upload.is_video_or_animation:
        raise MalformedRequest("the form field of a picture must be named photo")
    if field in ("text", "pdf") and not upload.is_document:
        raise MalformedRequest(f"the file in the form field {field} must be a document or a text")
    return field, upload


def hashes_of(file: HashedFile, types: Collection[str]) -> dict[str, str]:
    """The hashes of a picture, a video, a document or a text, by type; of all types if `types` is empty."""
    if file.words is not None:
        return wire.text_hashes_out(file.hashed.signals, file.frames, types)
    if file.duration is None:
        return wire.hashes_out(file.hashed.signals, file.hashed.quality, types)
    return wire.video_hashes_out(file.hashed.signals, file.frames, types)
