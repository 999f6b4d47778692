"""Opens the list of a member in any encoding, and rejects files that are no lists."""

from __future__ import annotations

import codecs
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TextIO

import click

from hashdb.errors import os_reason

BEGINNING = 64 * 1024
"""The bytes of a file that tell its encoding and its format."""
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_NOT_LISTS = {
    b"PK\x03\x04": "is a spreadsheet or an archive: save it as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "is a spreadsheet in an old format: save it as CSV in UTF-8",
    b"\x1f\x8b": "is compressed: unpack it first",
    b"PAR1": "is a Parquet file: save it as CSV or JSON Lines",
    b"SQLite format 3": "is a database: export the table as CSV or JSON Lines",
}
_ERROR_HANDLER = "hashdb.import"
UNDECODABLE = "\udcff"
"""The character in the place of bytes that are no text: a lone surrogate."""


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Read invalid bytes as `UNDECODABLE`: the row that has it is faulty, and the others are read."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNDECODABLE, error.end


codecs.register_error(_ERROR_HANDLER, _escape)


class Encoding(click.ParamType[str]):
    """A text encoding by its name."""

    name = "encoding"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; a usage error if Python has no such text encoding."""
        try:
            "".encode(value)
            b"\xff".decode(value, _ERROR_HANDLER)
            return codecs.lookup(value).name
        except (LookupError, ValueError):
            self.fail(f"{value!r} is not a text encoding, like utf-8 or windows-1252", param, ctx)


@contextmanager
def open_list(file: Path, encoding: str | None = None, hint: str = "") -> Iterator[TextIO]:
    """The lines of a file, or of a copy of standard input: a list is read twice.

    The encoding is that of the file's byte order mark, else `encoding`, else UTF-8. Raises UsageError for what cannot
    be read, and for what is not text; there, `hint` says what to do.
    """
    try:
        octets = copy_of_input() if str(file) == "-" else file.open("rb")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {os_reason(error)}") from None
    with octets, _decoded(file, octets, encoding, hint) as lines:
        yield lines


def copy_of_input() -> IO[bytes]:
    """A temporary file with what is on standard input, to be read from its start."""
    copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.seek(0)
    return copy


def _decoded(file: Path, octets: IO[bytes], encoding: str | None, hint: str) -> TextIOWrapper:
    beginning = octets.read(BEGINNING)
    octets.seek(0)
    for mark, reason in _NOT_LISTS.items():
        if beginning.startswith(mark):
            raise click.UsageError(f"{file} {reason}")
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if beginning.startswith(mark)), None)
    if marked is None and encoding is None and b"\0" in beginning:
        raise click.UsageError(f"{file} is not text in UTF-8{hint}")
    name = marked or encoding or "utf-8"
    try:
        codecs.getincrementaldecoder(name)(_ERROR_HANDLER).decode(beginning)
    except UnicodeError:
        # Python reads neither UTF-16 nor UTF-32 without the mark.
        raise click.UsageError(
            f"{file} has no byte order mark: name the order of its bytes, like --encoding utf-16-le"
        ) from None
    return TextIOWrapper(octets, name, _ERROR_HANDLER, newline="")
