"""CSV lines whose cells no spreadsheet evaluates as a formula; `unguarded` restores the original values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_BLANKS = r"[\x00-\x08\x0b\x0c\x0e-\x20\x85\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*"
"""Characters that a spreadsheet may skip before a formula, within a line."""
_FORMULA = rf"'*{_BLANKS}[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212]"
"""The beginning of a formula; its sign may be in full width, in small form or a mathematical one."""
_WHOLE = re.compile(rf"'*[\t\n\r]|{_FORMULA}")
_PART = re.compile(rf"(?<=[\t\n\r;])({_FORMULA})")
_GUARDED_PART = re.compile(rf"(?<=[\t\n\r;])'({_FORMULA})")
"""Parts of a cell: a spreadsheet may begin a new cell after a line end, and in many countries after a semicolon."""
_SEPARATED = re.compile(r"[\t\n\r;]")


def csv_line(cells: Iterable[object], end: str = "\n") -> str:
    """A line of CSV. Texts are guarded, numbers are not, and None is an empty cell."""
    text = io.StringIO()
    # The writer quotes a cell that has a character of the line terminator, so both characters are quoted.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(guarded(cell) if isinstance(cell, str) else cell for cell in cells)
    return text.getvalue().removesuffix("\r\n") + end


def guarded(text: str) -> str:
    """The text with an apostrophe before each part that a spreadsheet could evaluate as a formula.

    >>> guarded("=1+1"), guarded(" +1"), guarded("1-1")
    ("'=1+1", "' +1", '1-1')
    """
    if _SEPARATED.search(text):
        text = _PART.sub(r"'\1", text)
    return f"'{text}" if _WHOLE.match(text) else text


def unguarded(text: str) -> str:
    """The inverse of `guarded`; a text that `guarded` did not make is returned unchanged.

    >>> unguarded(guarded("'=1+1")), unguarded("'tis")
    ("'=1+1", "'tis")
    """
    if "'" not in text:
        return text
    if text.startswith("'") and _WHOLE.match(text, 1):
        text = text[1:]
    return _GUARDED_PART.sub(r"\1", text)
