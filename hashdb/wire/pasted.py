"""What a person pastes into the match debugger: signals, a line each; or a video, as JSON or as vPDQ writes it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from hashdb.domain.matching.matches import Query
from hashdb.errors import Fault, InvalidInput
from hashdb.wire import ValidationContext, check_size, read
from hashdb.wire.matching import QueriesIn
from hashdb.wire.sharing.vpdq import read_vpdq

AT: Final = "signals"
"""The field of the form that has the text."""
_ONE = "queries[0]."
_VPDQ_LINE = re.compile(r"\s*\d+,\s*\d+,\s*[0-9a-fA-F]{64},", re.ASCII)
_OF_HASH_COMMAND = ("path", "quality", "incomplete")
"""What `hashdb hash --json` prints of an item that is no part of a query."""


def parse_video(text: str, context: ValidationContext) -> Query | None:
    """The video that a text describes; None if it is neither JSON nor vPDQ's text.

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
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidInput((Fault(AT, "are no JSON: the text is damaged or cut short"),)) from None
    if isinstance(value, dict) and "queries" in value:
        value = value["queries"]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        (value,) = value
    if isinstance(value, dict) and ("frames" in value or "signals" in value):
        return {name: field for name, field in value.items() if name not in _OF_HASH_COMMAND}
    return _vpdq(value)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _vpdq(value: object) -> dict[str, Any]:
    try:
        return read_vpdq(value)
    except ValueError as error:
        raise InvalidInput((Fault(AT, f"have no `frames`, and what was pasted {error}"),)) from None
