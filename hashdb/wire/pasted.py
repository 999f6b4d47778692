"""What a person pastes into the match debugger: signals, a line each; or an item with frames, as JSON or as vPDQ."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import SIGNALS_AN_ITEM
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import WHOLE, Signature
from hashdb.errors import Fault, InvalidInput, reject
from hashdb.wire import ValidationContext, check_size, read, reject_constant
from hashdb.wire.matching import QueriesIn
from hashdb.wire.sharing.vpdq import read_vpdq
from hashdb.wire.signatures import KINDS

AT: Final = "signals"
"""The field of the form that has the text."""
_ONE = "queries[0]."
_JSON = re.compile(r'\{\s*"|\[\s*[{"]')
_VPDQ_LINE = re.compile(r"\s*\d+,\s*\d+,\s*[0-9a-fA-F]{64},", re.ASCII)
_OF_HASH_COMMAND = ("path", "line", "quality", "incomplete", "pages", "words")
"""What `hashdb hash --json` prints of an item that is no part of a query."""


def parse_framed(text: str, context: ValidationContext) -> Query | None:
    """The video, document or text that was pasted; None if it is neither JSON nor vPDQ's text.

    Takes a query with `frames` or digests, alone, in `queries`, or in the list that `hashdb hash --json` prints; and
    vPDQ's text and JSON. Raises InvalidInput with every fault, at `signals`; MalformedRequest; TooLarge.
    """
    text = text.strip()
    is_lines = _VPDQ_LINE.match(text) is not None
    if not is_lines and text[:1] not in ("{", "["):
        return None
    check_size(text)
    fields = _vpdq(text) if is_lines else _fields(text)
    try:
        (query,) = read(QueriesIn, json.dumps({"queries": [{"signals": [], **fields}]}), context).queries
    except InvalidInput as error:
        faults = tuple(Fault(AT, f"{fault.at.removeprefix(_ONE)} {fault.reason}") for fault in error.faults)
        raise InvalidInput(faults, error.omitted) from None
    return query.to_domain()


def _fields(text: str) -> dict[str, Any]:
    """The fields of the query in a JSON text."""
    try:
        value = json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError):
        raise InvalidInput((Fault(AT, "are no JSON: the text is damaged or cut short"),)) from None
    if isinstance(value, dict) and "queries" in value:
        value = value["queries"]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        (value,) = value
    if isinstance(value, dict) and ("frames" in value or "signals" in value):
        return {name: field for name, field in value.items() if name not in _OF_HASH_COMMAND}
    return _vpdq(value)


def _vpdq(value: object) -> dict[str, Any]:
    try:
        return read_vpdq(value)
    except ValueError as error:
        raise InvalidInput((Fault(AT, f"have no `frames`, and what was pasted {error}"),)) from None


def spell_hashes(text: str, algorithms: Collection[Algorithm]) -> str | None:
    """The text for the match debugger, if all of it is hashes, or an item with frames; else None.

    A hash without an algorithm becomes one for each of `algorithms` that has its length.
    """
    if _VPDQ_LINE.match(text) or _JSON.match(text):
        return text
    lines = list[str]()
    for line in filter(None, _lines(text)):
        name, _, last = line.rpartition(" ")
        algorithm, colon, _ = last.lower().partition(":")
        digits = last.lower().removeprefix("0x")
        named = [algorithm] if colon and algorithm in _NAMED else []
        bare = [str(each) for each in algorithms if len(digits) == each.bits // 4 and _HEX.fullmatch(digits)]
        if not named and not bare:
            return None
        lines += [line] if named else [f"{name} {each}:{digits}".strip() for each in bare]
    return "\n".join(lines) or None


def parse_query(text: str) -> Query:
    """The query of the lines of a picture: signals and signatures, each behind the name of its transform.

    The name of the item itself is empty, or `whole`. Raises InvalidInput with every fault of the signals, or the
    signatures.
    """
    lines, signed, faults = _lines(text), defaultdict[str, list[Signature]](list), list[Fault]()
    for place, line in enumerate(lines):
        name, _, signature = line.rpartition(" ")
        if signature.lower().partition(":")[0] not in KINDS:
            continue
        lines[place] = ""
        try:
            signed[_name(name.strip()) or WHOLE].append(Signature.parse(signature.lower()))
        except ValueError as error:
            faults.append(Fault(AT, f"line {place + 1}: {error}"))
    if sum(map(len, signed.values())) > SIGNALS_AN_ITEM:
        faults.append(Fault(AT, f"must be at most {SIGNALS_AN_ITEM} signatures"))
    reject(faults)
    sides = parse_lines("\n".join(lines))
    return Query(
        tuple(dict.fromkeys((*sides.pop("", ()), *sides.pop(WHOLE, ())))),
        transforms=sides,
        signatures={name: tuple(dict.fromkeys(of_view)) for name, of_view in signed.items()},
    )


def format_query(query: Query) -> str:
    """The inverse of `parse_query`."""
    signed = [f"{name} {signature}" for name, of_view in query.signatures.items() for signature in of_view]
    return "\n".join([format_lines({"": query.signals, **query.transforms}), *signed])


_HEX = re.compile(r"[0-9a-f]+")
_NAMED = KINDS | frozenset(map(str, Algorithm))
LINES = 500
"""The most lines that may be pasted into the match debugger."""
_NAME_LENGTH = 40


def parse_lines(text: str) -> dict[str, tuple[Signal, ...]]:
    """Signals by the name of their transform, empty for the item itself. Raises InvalidInput with every fault."""
    lines = _lines(text)
    sides: dict[str, list[Signal]] = defaultdict(list)
    faults = []
    for place, line in enumerate(lines, 1):
        name, _, signal = line.rpartition(" ")
        if not line:
            continue
        try:
            sides[_name(name.strip())].append(Signal.parse(signal.lower()))
        except ValueError as error:
            faults.append(Fault("signals", f"line {place}: {error}"))
    if not any(sides.values()) and not faults:
        faults.append(Fault("signals", "are required: write one per line, like phash:d1c4b2a09f8e7d6c"))
    if len(lines) > LINES:
        faults.append(Fault("signals", f"must be at most {LINES} lines"))
    reject(faults)
    return {name: tuple(dict.fromkeys(signals)) for name, signals in sides.items()}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace(",", "\n").splitlines()]


def format_lines(sides: Mapping[str, tuple[Signal, ...]]) -> str:
    """The inverse of `parse_lines`."""
    return "\n".join(f"{name} {signal}".strip() for name, signals in sides.items() for signal in signals)


def _name(text: str) -> str:
    if len(text) > _NAME_LENGTH or not text.isprintable():
        raise ValueError("the word before the signal is not the name of a transform")
    return text
