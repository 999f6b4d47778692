"""Forms of files: read in large pieces, pictures into memory, videos into temporary files without a name."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any, cast

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from hashdb.http_server.uploads import Upload, UploadLimits

_PIECE = 1024
"""A piece that ends before a boundary has at least this many bytes."""


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
