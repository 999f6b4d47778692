"""The faults that pydantic finds, as errors of hashdb with our texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from hashdb.errors import MAX_FAULTS, Fault, InvalidInput, MalformedRequest

_LONGEST_NAME = 64  # characters
_HASH = re.compile(r"[0-9A-Fa-f]{16,}")


def error_from_validation(
    error: ValidationError,
    text: str | bytes | None = None,
    *,
    more: Iterable[Fault] = (),
    within: Sequence[int | str] = (),
) -> MalformedRequest | InvalidInput:
    """The error for a pydantic error, with our texts, and for the faults in `more`.

    `text` is the JSON text that was parsed, if it was one; `within` is the path of the part that was parsed.
    """
    errors = error.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid" or (text is not None and not _is_json(text)):
        return MalformedRequest(f"the {within[0] if within else 'body'} is not JSON in UTF-8")
    listed = errors[:MAX_FAULTS]
    faults = [Fault(path((*within, *item["loc"])), _without_hashes(_reason(item))) for item in listed]
    faults += more
    omitted = len(errors) - len(listed) + max(0, len(faults) - MAX_FAULTS)
    return InvalidInput(tuple(faults[:MAX_FAULTS]), omitted)


def locations_of(error: ValidationError) -> list[tuple[int | str, ...]]:
    """Where each fault is that pydantic found, as the parts of a path."""
    return [item["loc"] for item in error.errors(include_url=False, include_context=False, include_input=False)]


def value_error(place: tuple[int | str, ...], reason: str) -> InitErrorDetails:
    """A fault of a value at a place within it, for `ValidationError.from_exception_data`."""
    return {"type": "value_error", "loc": place, "input": None, "ctx": {"error": ValueError(reason)}}


def path(parts: Iterable[int | str]) -> str:
    """The text form of a path: ("contributions", 3, "signals", 0) is `contributions[3].signals[0]`.

    Names come from the client: long names are cut, and hashes in them left out. So is pydantic's mark `[key]`.
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_shorten(part)}" for part in parts if part != "[key]")
    return text.removeprefix(".")


def _shorten(name: str) -> str:
    name = _without_hashes(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _without_hashes(text: str) -> str:
    """The text without hashes that a client put in a wrong place: error texts may be logged."""
    return _HASH.sub("…", text)


def _is_json(text: str | bytes) -> bool:
    """Whether a text that pydantic parsed is JSON by RFC 8259, which has no NaN and no Infinity."""
    try:
        json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError):
        return False
    return True


def reject_constant(constant: str) -> None:
    """Raise ValueError: JSON has no NaN and no Infinity. For `json.loads`."""
    raise ValueError(constant)


_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


def _reason(error: Any) -> str:  # One of `ValidationError.errors()`.
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind in ("too_long", "too_short", "string_too_long", "string_too_short"):
        limit = context.get("max_length", context.get("min_length"))
        one, several = ("character", "characters") if kind.startswith("string") else ("entry", "entries")
        return f"must have at {'most' if kind.endswith('long') else 'least'} {limit} {one if limit == 1 else several}"
    if kind in ("less_than_equal", "greater_than_equal"):
        return f"must be at most {context['le']}" if "le" in context else f"must be at least {context['ge']}"
    if kind == "enum":
        return f"must be one of {context['expected']}"
    fallback: str = error["msg"]
    return _REASONS.get(kind, fallback[:1].lower() + fallback[1:])
