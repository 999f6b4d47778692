"""Read lists of hashes (CSV, JSON Lines, or one hash a line) as rows: the fields of a draft, and the line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain

from hashdb.cli.contributions.columns import HASHES, Columns
from hashdb.cli.contributions.values import Row, Values
from hashdb.errors import Fault
from hashdb.wire.cells import unguarded

_LONGEST_CELL = 64 * 1024 * 1024
"""The most characters of a cell: a long video has a million."""
_NOT_TEXT = Fault("", "is not UTF-8: save the file as UTF-8, or pass --encoding")
_IS_ARRAY = Fault("", "begins an array: JSON Lines need one object per line; convert the file with `jq -c '.[]'`")
_NO_HASHES = Fault(
    "", "no column has hashes: the first line must name `signals`, `algorithm` and `hash`, or an algorithm"
)
_HASH_FIRST = Fault(
    "",
    "has a hash where columns are named: add a line that names them, or pass --format text for lines of hashes alone",
)
_NO_LABELS = Fault("labels", "no column has labels: pass --map THEIRS=labels, or --label for rows without labels")
_NO_LABEL = Fault("labels", "a list in this format has no labels: pass --label")
_NO_FRAMES = Fault("vpdq", "has no frames")
_SEPARATOR = re.compile(r"[\s,;:|]+")
_DELIMITERS = ",;\t|"
_EXCEL_LINE = re.compile(r"sep=([,;\t|])", re.ASCII | re.IGNORECASE)
_HASHED = frozenset({"signals", "hash", "frames", *HASHES})
"""A list must have a column or a key for one of these."""
_LONG_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]{16,}", re.ASCII)


class Format(StrEnum):
    """The format of a list."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    TEXT = "text"
    VPDQ = "vpdq"

    @classmethod
    def detect(cls, suffix: str, beginning: str) -> Format:
        """The format by the suffix of a file's name, like `.csv`, or else by the first lines of the file."""
        endings = {".csv": cls.CSV, ".tsv": cls.TSV, ".tab": cls.TSV}
        endings |= dict.fromkeys((".jsonl", ".ndjson", ".json"), cls.JSONL)
        if form := endings.get(suffix.lower()):
            return form
        first = next(filter(None, map(str.strip, beginning.splitlines())), "")
        if first.startswith("{"):
            return cls.JSONL
        names = next(csv.reader([first], delimiter=_delimiter(first)), [])
        return cls.CSV if _is_heading(names) else cls.TEXT


def read_rows(
    lines: Iterable[str], form: Format, values: Values, columns: Columns, *, is_labelled: bool
) -> Iterator[Row]:
    """The rows of a file, one at a time. `is_labelled`: --label gives labels to rows without them."""
    if form is Format.JSONL:
        return _read_json_lines(_without_bom(lines), values, columns)
    if form in (Format.CSV, Format.TSV):
        return _read_csv(_without_bom(lines), "\t" if form is Format.TSV else None, values, columns, is_labelled)
    if not is_labelled:
        return iter([Row(1, {}, (_NO_LABEL,), whole=True)])
    if form is Format.VPDQ:
        text = "".join(_without_bom(lines))
        return iter([values.row(1, [("vpdq", text)]) if text.strip() else Row(1, {}, (_NO_FRAMES,))])
    return _read_text(_without_bom(lines), values)


def _read_csv(
    lines: Iterator[str], delimiter: str | None, values: Values, columns: Columns, is_labelled: bool
) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    before, first, separator = _first_line(lines)
    reader = csv.reader(chain([first], lines), delimiter=delimiter or separator or _delimiter(first), strict=True)
    line, names, targets = before + 1, list[str](), tuple[str | None, ...]()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, {}, (Fault("", f"is not CSV: {error}"),), whole=not names)
            if not names:
                return
            cells = []
        if not any(cells):
            pass
        elif not all(map(_is_text, cells)):
            yield Row(line, {}, (_NOT_TEXT,), whole=not names)
            if not names:
                return
        elif names:
            yield _row_from_cells(line, names, targets, cells, values, columns)
        else:
            names = [cell.strip() for cell in cells]
            targets, is_readable, faults = _read_heading(names, columns, is_labelled)
            yield from (Row(line, {}, (fault,), whole=True) for fault in faults)
            if not is_readable:
                return
        line = before + reader.line_num + 1


def _first_line(lines: Iterator[str]) -> tuple[int, str, str | None]:
    """How many lines are before the first one of the table, that line, and the delimiter that Excel wrote before it."""
    separator, before = None, 0
    for before, text in enumerate(lines):
        if sep := _EXCEL_LINE.fullmatch(text.rstrip("\r\n")):
            separator = sep[1]
        elif text.strip():
            return before, text, separator
    return before, "", separator


def _read_heading(
    names: Sequence[str], columns: Columns, is_labelled: bool
) -> tuple[tuple[str | None, ...], bool, list[Fault]]:
    """The field of each column, whether the rows can be read, and every fault of the list."""
    targets, unused, conflicts = columns.plan(names)
    is_hashed = not _HASHED.isdisjoint(targets)
    if any(map(_LONG_HEX.search, names)):
        return targets, False, [_HASH_FIRST]
    faults = [*conflicts, *columns.missing()]
    if not is_hashed:
        faults.append(_NO_HASHES)
    if unused:
        faults.append(columns.unused_fault(unused, "column"))
    if "labels" not in targets and not is_labelled:
        faults.append(_NO_LABELS)
    return targets, is_hashed and not conflicts and _NO_LABELS not in faults, faults


def _row_from_cells(
    line: int,
    names: Sequence[str],
    targets: Sequence[str | None],
    cells: Sequence[str],
    values: Values,
    columns: Columns,
) -> Row:
    if len(cells) != len(names) and (len(cells) < len(names) or any(cells[len(names) :])):
        return Row(line, {}, (Fault("", f"has {len(cells)} cells, but the first line names {len(names)} columns"),))
    if "" in names and not columns.ignore_rest:
        unnamed = [place for place, name in enumerate(names, 1) if not name and cells[place - 1]]
        if unnamed:
            reason = f"column {unnamed[0]} has a value, but no name: name it, or pass --ignore-columns"
            return Row(line, {}, (Fault("", reason),))
    # Rows may have empty cells after those that are named.
    return values.row(
        line, [(target, unguarded(cell)) for target, cell in zip(targets, cells, strict=False) if target and cell]
    )


def _read_json_lines(lines: Iterable[str], values: Values, columns: Columns) -> Iterator[Row]:
    started = False
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        if not started and text.lstrip().startswith("["):
            yield Row(line, {}, (_IS_ARRAY,), whole=True)
            return
        started = True
        if not _is_text(text):
            yield Row(line, {}, (_NOT_TEXT,))
            continue
        try:
            item = json.loads(text)
        except (ValueError, RecursionError):
            yield Row(line, {}, (Fault("", "is not JSON in UTF-8"),))
            continue
        if not isinstance(item, dict):
            yield Row(line, {}, (Fault("", "must be an object"),))
            continue
        targets, unused, faults = columns.plan(list(item))
        if unused:
            yield Row(line, {}, (columns.unused_fault(unused, "key"),), whole=True)
        pairs = zip(targets, item.values(), strict=True)
        yield Row(line, {}, faults) if faults else values.row(line, [(name, value) for name, value in pairs if name])
    yield from (Row(1, {}, (fault,), whole=True) for fault in columns.missing())


def _read_text(lines: Iterable[str], values: Values) -> Iterator[Row]:
    for line, text in enumerate(lines, 1):
        words = _SEPARATOR.split(text.strip())
        if not words[0] or words[0].startswith("#"):
            continue
        if not _is_text(text):
            yield Row(line, {}, (_NOT_TEXT,))
        elif len(words) == 1 and values.algorithm is not None:
            yield values.row(line, [("hash", words[0])])
        elif not _LONG_HEX.fullmatch(words[0]) and (len(words) == 2 or (len(words) == 3 and words[2].isdecimal())):
            yield values.row(line, list(zip(("algorithm", "hash", "quality"), words, strict=False)))
        else:
            reason = "must be an algorithm and a hash (for lines with a hash alone, give --algorithm)"
            yield Row(line, {}, (Fault("", reason),))


def _is_heading(names: Sequence[str]) -> bool:
    """Whether these cells name columns: one names a column of hashes, and none is a hash."""
    targets = Columns().plan(names).targets
    return not _HASHED.isdisjoint(targets) and not any(map(_LONG_HEX.search, names))


def _delimiter(first: str) -> str:
    """The most frequent delimiter of a first line, outside of quotes."""
    bare = re.sub(r'"[^"]*"', "", first)
    return max(_DELIMITERS, key=bare.count)


def _without_bom(lines: Iterable[str]) -> Iterator[str]:
    """The lines, without a byte order mark."""
    return (line if number else line.removeprefix("\ufeff") for number, line in enumerate(lines))


def _is_text(text: str) -> bool:
    """Whether the text was valid. An invalid byte was read as a lone surrogate (PEP 383)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
