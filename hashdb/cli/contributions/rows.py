"""Read lists of hashes (CSV, JSON Lines, or one hash a line) as rows: the fields of a draft, and the line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from hashdb.domain.contributions import Draft, Media
from hashdb.domain.signals import DIGESTS, Algorithm
from hashdb.errors import Fault
from hashdb.wire.cells import unguarded
from hashdb.wire.sharing.vpdq import NAMES as VPDQ_NAMES
from hashdb.wire.sharing.vpdq import read_vpdq

FIELDS = tuple(field.name for field in fields(Draft))
"""The columns, in the order in which `hashdb export` writes them."""
LISTS = frozenset({"signals", "signatures", "labels", "context"})
_NUMBERS = frozenset({"quality", "severity"})
_JSON_CELLS = frozenset({"frames", "duration"})
_CELL = 64 * 1024 * 1024
"""The most characters of a cell: a long video has a million."""
_ALGORITHM_COLUMNS = ("algorithm", "signal_type", "hash_type", "type")
_VALUE_COLUMNS = ("hash", "signal_value", "hash_digest", "value", "indicator")
_ALIASES = {"hash_pdq": "pdq", "imagepdq": "pdq"} | {
    name: str(digest)
    for digest in DIGESTS
    for name in (f"{digest}", f"hash_{digest}", f"video_{digest}", f"video{digest}", f"hash_video_{digest}")
}
"""The names of algorithms at HMA, StopNCII and ThreatExchange."""
_HASH_COLUMNS = VPDQ_NAMES | {name for name, algorithm in _ALIASES.items() if algorithm != "pdq"}
"""Columns that each hold one hash of a video or of a file."""
_OWN_COLUMNS = frozenset({*FIELDS, *_HASH_COLUMNS})
_KNOWN_COLUMNS = frozenset({*_OWN_COLUMNS, *_ALGORITHM_COLUMNS, *_VALUE_COLUMNS})
_NOT_UTF8 = Fault("", "is not UTF-8")
_IS_ARRAY = Fault("", "begins an array: JSON Lines need one object per line; convert the file with `jq -c '.[]'`")
_SEPARATOR = re.compile(r"[\s,;:|]+")


class Format(StrEnum):
    """The format of a list."""

    CSV = "csv"
    JSONL = "jsonl"
    TEXT = "text"
    VPDQ = "vpdq"

    @classmethod
    def of(cls, path: Path) -> Format:
        """The format by the suffix of a file's name; TEXT if the suffix is unknown."""
        endings = {".csv": cls.CSV, ".jsonl": cls.JSONL, ".ndjson": cls.JSONL, ".json": cls.JSONL}
        return endings.get(path.suffix.lower(), cls.TEXT)


class Row(NamedTuple):
    """A row, numbered by its first line: its fields, or its fault."""

    line: int
    fields: Mapping[str, object]
    fault: Fault | None = None


def read_rows(lines: Iterable[str], form: Format, algorithm: Algorithm | None) -> Iterator[Row]:
    """The rows of a file, one at a time. `algorithm` applies to lines with a hash alone."""
    if form is Format.CSV:
        return _read_csv(lines)
    if form is Format.VPDQ:
        return iter([_row_from_fields(1, {"vpdq": "".join(_without_bom(lines))})])
    return _read_json_lines(lines) if form is Format.JSONL else _read_text(lines, algorithm)


def _read_csv(lines: Iterable[str]) -> Iterator[Row]:
    csv.field_size_limit(_CELL)
    reader = csv.reader(_without_bom(lines), strict=True)
    line, names = 1, list[str]()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, {}, Fault("", f"is not CSV: {error}"))
            line = reader.line_num + 1
            continue
        if not names:
            names = [cell.strip().lower() for cell in cells]
            if fault := _heading_fault(names):
                yield Row(line, {}, fault)
                return
        elif not all(map(_is_utf8, cells)):
            yield Row(line, {}, _NOT_UTF8)
        elif cells:
            yield _row_from_cells(line, names, cells)
        line = reader.line_num + 1


def _heading_fault(names: Sequence[str]) -> Fault | None:
    """Why these column names are invalid, or None. A list of another system may have unknown columns."""
    repeated = [name for name in names if name in _KNOWN_COLUMNS and names.count(name) > 1]
    if repeated:
        return Fault(repeated[0], "names more than one column")
    if "signals" not in names and set(names) & set(_ALGORITHM_COLUMNS) and set(names) & set(_VALUE_COLUMNS):
        return None
    if {"signals", "frames", *_HASH_COLUMNS}.isdisjoint(names):
        return Fault("", "the first line must name the columns, with `signals`, or with `algorithm` and `hash`")
    unknown = [name for name in names if name not in _OWN_COLUMNS]
    return Fault(unknown[0] or "a column", "is not a field of a contribution") if unknown else None


def _row_from_cells(line: int, names: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(names):
        return Row(line, {}, Fault("", f"has {len(cells)} cells, but the first line names {len(names)} columns"))
    fields: dict[str, object] = {}
    for name, cell in zip(names, map(unguarded, cells), strict=True):
        # The member's own id is stored exactly as it was sent.
        text = cell if name == "reference" else cell.strip()
        if text and name in LISTS:
            fields[name] = text.split()
        elif text and name in _JSON_CELLS:
            try:
                fields[name] = json.loads(text)
            except (ValueError, RecursionError):
                return Row(line, {}, Fault(name, "is not JSON"))
        elif text:
            fields[name] = int(text) if name in _NUMBERS and text.isdecimal() and len(text) < 10 else text
    return _row_from_fields(line, fields)


def _read_json_lines(lines: Iterable[str]) -> Iterator[Row]:
    started = False
    for line, text in enumerate(_without_bom(lines), 1):
        if not text.strip():
            continue
        if not started and text.lstrip().startswith("["):
            yield Row(line, {}, _IS_ARRAY)
            return
        started = True
        if not _is_utf8(text):
            yield Row(line, {}, _NOT_UTF8)
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            yield Row(line, {}, Fault("", "is not JSON in UTF-8"))
            continue
        if isinstance(fields, dict):
            yield _row_from_fields(line, {name: value for name, value in fields.items() if value is not None})
        else:
            yield Row(line, {}, Fault("", "must be an object"))


def _read_text(lines: Iterable[str], algorithm: Algorithm | None) -> Iterator[Row]:
    for line, text in enumerate(_without_bom(lines), 1):
        words = _SEPARATOR.split(text.strip())
        if not words[0] or words[0].startswith("#"):
            continue
        if not _is_utf8(text):
            yield Row(line, {}, _NOT_UTF8)
        elif len(words) == 1 and algorithm is not None:
            yield Row(line, {"signals": [_signal(algorithm, words[0])]})
        elif len(words) == 2 or (len(words) == 3 and words[2].isdecimal()):
            quality = {"quality": int(words[2][:9])} if len(words) == 3 else {}
            yield _row_from_fields(line, {"algorithm": words[0], "hash": words[1], **quality})
        else:
            yield Row(
                line, {}, Fault("", "must be an algorithm and a hash (for lines with a hash alone, give --algorithm)")
            )


def _row_from_fields(line: int, fields: Mapping[str, object]) -> Row:
    """The row with these fields. Of another system's list, with one hash a row, only known fields are kept."""
    algorithm, value = _first_present(fields, _ALGORITHM_COLUMNS), _first_present(fields, _VALUE_COLUMNS)
    if "signals" not in fields and algorithm is not None and value is not None:
        known = {name: field for name, field in fields.items() if name in FIELDS}
        own = algorithm if algorithm.lower() in _HASH_COLUMNS else "signals"
        fields = {**known, own: [_signal(algorithm, value)] if own == "signals" else value}
    hashes = {name.lower(): fields[name] for name in fields if name.lower() in _HASH_COLUMNS}
    if not hashes and "frames" not in fields:
        return Row(line, fields)
    try:
        others = {name: field for name, field in fields.items() if name.lower() not in hashes}
        return Row(line, _with_video(hashes, others))
    except ValueError as error:
        return Row(line, {}, Fault("vpdq", str(error)))


def _with_video(hashes: Mapping[str, object], others: Mapping[str, object]) -> Mapping[str, object]:
    """The other fields, with vPDQ as frames and with digests as signals. Raises ValueError."""
    vpdq = next((value for name, value in hashes.items() if name in VPDQ_NAMES), None)
    fields = {**({} if vpdq is None else read_vpdq(vpdq)), **others}
    signals = fields.get("signals", [])
    if isinstance(signals, list):
        digests = [_signal(name, str(value)) for name, value in hashes.items() if name not in VPDQ_NAMES]
        fields["signals"] = [*signals, *dict.fromkeys(digests)]
    if "frames" in fields or any("video" in name for name in hashes):
        fields.setdefault("media", str(Media.VIDEO))
    return fields


def _first_present(fields: Mapping[str, object], names: Iterable[str]) -> str | None:
    return next((str(fields[name]) for name in names if name in fields), None)


def _signal(algorithm: str, value: str) -> str:
    name = algorithm.lower()
    return f"{_ALIASES.get(name, name)}:{value.lower()}"


def _without_bom(lines: Iterable[str]) -> Iterator[str]:
    """The lines, without a byte order mark."""
    return (line if number else line.removeprefix("\ufeff") for number, line in enumerate(lines))


def _is_utf8(text: str) -> bool:
    """Whether the text was valid UTF-8. An invalid byte was read as a lone surrogate (PEP 383)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
