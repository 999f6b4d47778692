"""Forms of files: read in large pieces, pictures into memory, videos into temporary files without a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, cast

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from hashdb.errors import (
    Fault,
    MalformedRequest,
    MediaRefused,
    TextRefused,
    TooLarge,
    VideoTooLarge,
    WrongContentType,
    reject,
)
from hashdb.http_server.bodies import reading_body
from hashdb.http_server.uploads import Upload, UploadLimits
from hashdb.settings import Settings
from hashdb.wire.faults import path
from hashdb.wire.files import FILES_A_REQUEST

_PIECE = 1024
"""A piece that ends before a boundary has at least this many bytes."""
_METADATA_CHARACTERS = 1024 * 1024
"""The most characters that the metadata of a form may have."""
_MAX_PARTS = 64
"""The most parts of a form: its files and its other fields."""
MALFORMED_FORM = "the body is not multipart/form-data, or is cut short"


class _CutAtBoundaries:
    """A stream that is read in pieces of 1 kB or more, which end before a boundary wherever they can.

    Werkzeug searches a piece that contains a boundary by a regular expression. If the piece begins with a picture, this
    takes half as long as decoding the picture.
    """

    def __init__(self, stream: IO[bytes], boundary: str) -> None:
        self._stream, self._boundary = stream, b"--" + boundary.encode("ascii", "ignore")
        self._octets, self._start = b"", 0

    def read(self, size: int) -> bytes:
        if self._start == len(self._octets):
            self._octets, self._start = self._stream.read(size), 0
        cut = self._octets.find(self._boundary, self._start + _PIECE)
        start, self._start = self._start, cut if cut >= 0 else len(self._octets)
        return self._octets[start : self._start]


class _FormParser(FormDataParser):
    """Werkzeug's parser of forms, which reads multipart/form-data through `_CutAtBoundaries`."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        pieces = cast(IO[bytes], _CutAtBoundaries(stream, (options or {}).get("boundary", "")))
        is_multipart = mimetype == "multipart/form-data"
        _, form, files = super().parse(pieces if is_multipart else stream, mimetype, content_length, options)
        return stream, form, files


class InMemoryRequest(Request):
    """A request whose pictures are never written to a disk. Videos are, if the view accepts any: see `Upload`."""

    form_data_parser_class = _FormParser

    def __init__(self, *args: Any, **more: Any) -> None:
        """The arguments are those of Werkzeug's `Request`."""
        super().__init__(*args, **more)
        self.upload_limits: UploadLimits | None = None
        """Set by a view that accepts videos, too; None: all files stay in memory."""
        self._uploads: list[Upload] = []

    def make_form_data_parser(self) -> FormDataParser:
        """A parser whose files are in memory or `Upload`s, and which rejects a malformed form."""
        parser = super().make_form_data_parser()
        parser.stream_factory = lambda *_, **__: self._new_stream()
        parser.silent = False
        return parser

    def _new_stream(self) -> IO[bytes]:
        if self.upload_limits is None:
            return BytesIO()
        self._uploads.append(Upload(self.upload_limits))
        return cast(IO[bytes], self._uploads[-1])

    def close(self) -> None:
        """Delete the uploads, also those of a form that was not read to its end."""
        super().close()
        for upload in self._uploads:
            upload.close()


@dataclass(frozen=True, slots=True)
class MediaForm:
    """The parts of a multipart form: the files, and the metadata as JSON text."""

    files: tuple[Upload, ...]
    metadata: str


def read_form(request: InMemoryRequest, settings: Settings, *, metadata: bool = True) -> MediaForm:
    """The files of a request, with their metadata unless `metadata` is False.

    Raises MediaRefused, TextRefused, WrongContentType, TooLarge, VideoTooLarge, NoRoom, MalformedRequest, InvalidInput.
    """
    limit_form(request, settings)
    with reading_body(MALFORMED_FORM):
        files = request.files.getlist("file")
    if not request.files and not request.form:
        # RFC 2046 requires at least one part; Werkzeug reads any other text as the preamble.
        raise MalformedRequest(MALFORMED_FORM)
    if len(files) > FILES_A_REQUEST:
        raise TooLarge("the files of a request", FILES_A_REQUEST)
    reject(_faults(request, metadata))
    uploads = tuple(cast(Upload, file.stream) for file in files)
    for upload in uploads:
        if not upload.is_video:
            check_size(upload, settings.media_max_bytes)
    require_accepted(uploads, settings)
    return MediaForm(uploads, _metadata(request))


def require_accepted(uploads: Iterable[Upload], settings: Settings) -> None:
    """Raise TextRefused if a file is a document or a text, unless these are accepted."""
    if settings.accept_text:
        return
    places = [place for place, upload in enumerate(uploads) if upload.is_document]
    if places:
        raise TextRefused(tuple([Fault(f"file[{place}]", "is a document or a text") for place in places]))


def limit_form(request: InMemoryRequest, settings: Settings) -> None:
    """Set the limits of a form with pictures and videos. Raises MediaRefused, WrongContentType, VideoTooLarge."""
    if not settings.accept_media:
        raise MediaRefused()
    if request.mimetype != "multipart/form-data":
        raise WrongContentType("multipart/form-data")
    request.max_form_memory_size = settings.media_max_request
    request.max_form_parts = _MAX_PARTS
    allow_videos(request, settings)


def allow_videos(request: InMemoryRequest, settings: Settings) -> None:
    """Set the limits of a request that may have videos beside its pictures. Raises VideoTooLarge."""
    max_bytes = settings.media_max_request + settings.video_max_bytes
    if (request.content_length or 0) > max_bytes:
        raise VideoTooLarge(f"the request has more than {max_bytes} bytes")
    request.max_content_length = max_bytes
    request.upload_limits = UploadLimits(memory_bytes=settings.media_max_request, video_bytes=settings.video_max_bytes)


def check_size(upload: Upload, max_bytes: int) -> None:
    """Raise TooLarge, or VideoTooLarge for an animation or a document, if a picture has more bytes than `max_bytes`."""
    if upload.size <= max_bytes:
        return
    if upload.is_document:
        raise VideoTooLarge(f"the document has more than {max_bytes} bytes")
    if upload.is_video_or_animation:
        raise VideoTooLarge(f"the animation has more than {max_bytes} bytes")
    raise TooLarge("the bytes of a picture", max_bytes)


def _faults(request: InMemoryRequest, metadata: bool) -> list[Fault]:
    faults = []
    fields, files = request.form, request.files
    if "file" in fields:
        faults.append(Fault("file", "must be files, each with a file name"))
    elif not files.getlist("file"):
        faults.append(Fault("file", "is required: send one or more pictures, videos or documents"))
    count = len(fields.getlist("metadata")) + len(files.getlist("metadata"))
    if metadata and count == 0:
        faults.append(Fault("metadata", "is required: a JSON object, or a list of them"))
    if metadata and count > 1:
        faults.append(Fault("metadata", "appears more than once"))
    known_fields = {"file", "metadata"} if metadata else {"file"}
    # The name of a part is None if it has none.
    unknown = {name or "" for name in (*fields, *files)} - known_fields
    faults += [Fault(path([name]), "is not a field of this request") for name in sorted(unknown)]
    return faults


def _metadata(request: InMemoryRequest) -> str:
    """The metadata of the files. curl sends it as a file part if it is read from a file."""
    part = request.files.get("metadata")
    text = request.form.get("metadata", "") if part is None else part.stream.read().decode("utf-8", "replace")
    if len(text) > _METADATA_CHARACTERS:
        raise TooLarge("the characters of the metadata", _METADATA_CHARACTERS)
    if "\ufffd" in text:
        raise MalformedRequest("the metadata is not JSON in UTF-8")
    return text
