"""What a person pastes into the match debugger: signals, a line each; or an item with frames, as JSON or as vPDQ."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar

from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.domain.signatures import WHOLE, Signature
from hashdb.errors import Fault, InvalidInput, reject
from hashdb.wire import ValidationContext, check_size, read
from hashdb.wire.faults import reject_constant
from hashdb.wire.matching import QueriesIn
from hashdb.wire.sharing.vpdq import read_vpdq
from hashdb.wire.signatures import SIGNATURE_KINDS

FIELD: Final = "signals"
"""The field of the form that has the text."""
LINES = 500
"""The most lines that may be pasted into the match debugger."""
_NAME_LENGTH = 40  # characters
_HEX = re.compile(r"[0-9a-f]+")
_NAMES = SIGNATURE_KINDS | frozenset(map(str, Algorithm))
_FIRST_QUERY = "queries[0]."
_JSON = re.compile(r'\{\s*"|\[\s*[{"]')
_VPDQ_LINE = re.compile(r"\s*\d+,\s*\d+,\s*[0-9a-fA-F]{64},", re.ASCII)
_OF_HASH_COMMAND = ("path", "line", "quality", "incomplete", "pages", "words")
"""What `hashdb hash --json` prints of an item that is no part of a query."""
_Value = TypeVar("_Value", Signal, Signature)


def parse_item(text: str, context: ValidationContext) -> Query | None:
    """The item that was pasted as JSON or as vPDQ's text; None if it is neither, and is for `parse_hash_lines`.

    In JSON, takes a query alone, in `queries`, or in the list that `hashdb hash --json` prints; and vPDQ's JSON. The
    item has frames if it is a video, a document or a text. Raises InvalidInput with every fault, at `signals`;
    MalformedRequest; TooLarge.
    """
    text = text.strip()
    is_lines = _VPDQ_LINE.match(text) is not None
    if not is_lines and text[:1] not in ("{", "["):
        return None
    check_size(text)
    fields = _read_vpdq(text) if is_lines else _read_json(text)
    try:
        (query,) = read(QueriesIn, json.dumps({"queries": [{"signals": [], **fields}]}), context).queries
    except InvalidInput as error:
        faults = tuple(Fault(FIELD, f"{fault.at.removeprefix(_FIRST_QUERY)} {fault.reason}") for fault in error.faults)
        raise InvalidInput(faults, error.omitted) from None
    return query.to_domain()


def _read_json(text: str) -> dict[str, Any]:
    """The fields of the query in a JSON text."""
    try:
        value = json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError):
        raise InvalidInput.at_field(FIELD, "are not valid JSON: the text is damaged or cut short") from None
    if isinstance(value, dict) and "queries" in value:
        value = value["queries"]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        (value,) = value
    if isinstance(value, dict) and ("frames" in value or "signals" in value):
        return {name: field for name, field in value.items() if name not in _OF_HASH_COMMAND}
    return _read_vpdq(value)


def _read_vpdq(value: object) -> dict[str, Any]:
    """The fields of the query in vPDQ's text, or in its parsed JSON."""
    try:
        return read_vpdq(value)
    except ValueError as error:
        raise InvalidInput.at_field(FIELD, f"have no `frames`, and what was pasted {error}") from None


def with_algorithms(text: str, algorithms: Collection[Algorithm]) -> str | None:
    """The text for the match debugger, if all of it is hashes, or an item with frames; else None.

    A hash without an algorithm becomes one for each of `algorithms` that has its length.
    """
    if _VPDQ_LINE.match(text) or _JSON.match(text):
        return text
    lines = list[str]()
    for line in filter(None, _lines(text)):
        view, _, value = line.rpartition(" ")
        name, colon, _ = value.lower().partition(":")
        digits = value.lower().removeprefix("0x")
        if colon and name in _NAMES:
            lines.append(line)
            continue
        possible = [algorithm for algorithm in algorithms if len(digits) == algorithm.bits // 4]
        if not possible or not _HEX.fullmatch(digits):
            return None
        lines += [f"{view} {algorithm}:{digits}".strip() for algorithm in possible]
    return "\n".join(lines) or None


def parse_hash_lines(text: str) -> Query:
    """The query of lines with the signals and signatures of a picture, each behind the name of its transform.

    The name of the item itself is empty, or `whole`. Raises InvalidInput with every fault of the signatures or signals.
    """
    texts, faults = _lines(text), list[Fault]()
    # First: a text may have millions of lines, and each may have a fault.
    if len(texts) > LINES:
        raise InvalidInput.at_field(FIELD, f"must be at most {LINES} lines")
    lines = list(enumerate(texts, 1))
    signatures = _by_view(filter(_has_signature, lines), Signature.parse, faults)
    if sum(map(len, signatures.values())) > SIGNALS_AN_ITEM:
        faults.append(Fault(FIELD, f"must be at most {SIGNALS_AN_ITEM} signatures"))
    reject(faults)
    signals = _by_view([line for line in lines if line[1] and not _has_signature(line)], Signal.parse, faults)
    if not signals and not faults:
        faults.append(Fault(FIELD, "are required: write one per line, like phash:d1c4b2a09f8e7d6c"))
    reject(faults)
    return Query(
        tuple(dict.fromkeys(signals.pop(WHOLE, ()))),
        transforms={view: tuple(dict.fromkeys(of_view)) for view, of_view in signals.items()},
        signatures={view: tuple(dict.fromkeys(of_view)) for view, of_view in signatures.items()},
    )


def _has_signature(line: tuple[int, str]) -> bool:
    return line[1].rpartition(" ")[2].lower().partition(":")[0] in SIGNATURE_KINDS


def _by_view(
    lines: Iterable[tuple[int, str]], parse: Callable[[str], _Value], faults: list[Fault]
) -> dict[str, list[_Value]]:
    """The values of numbered lines by the names before them, `whole` without one.

    What is wrong with a line is added to `faults`.
    """
    by_view = defaultdict[str, list[_Value]](list)
    for number, line in lines:
        view, _, value = line.rpartition(" ")
        try:
            by_view[_check_view(view.strip()) or WHOLE].append(parse(value.lower()))
        except ValueError as error:
            faults.append(Fault(FIELD, f"line {number}: {error}"))
    return by_view


def _check_view(name: str) -> str:
    """The name, if it may be that of a transform, or is empty. Raises ValueError."""
    if len(name) > _NAME_LENGTH or not name.isprintable():
        raise ValueError("the word before the signal is not the name of a transform")
    return name


def _lines(text: str) -> list[str]:
    """The lines of a text; a comma ends a line, too."""
    return [line.strip() for line in text.replace(",", "\n").splitlines()]


def format_hash_lines(query: Query) -> str:
    """The inverse of `parse_hash_lines`."""
    views = [("", query.signals), *query.transforms.items(), *query.signatures.items()]
    return "\n".join(f"{view} {value}".strip() for view, of_view in views for value in of_view)
