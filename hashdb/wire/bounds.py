"""Bounds on what a JSON text holds, kept before it is parsed: parsed, it is many times as large as it is written."""

from __future__ import annotations

import re

from hashdb.errors import TooLarge

VALUES = 500_000
"""Values of a request, at most. The largest that is taken, a thousand items of 64 signals, has a fifth of it."""
KEYS = 20_000
"""Names of fields, at most: each unknown one is a fault to be told. A thousand items with all fields have 14,001."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"\s*+'
_TO_NEXT_KEY = re.compile(rb'(?:[^"]++|' + _STRING + rb"(?!:))*+" + _STRING + rb":", re.DOTALL)


def require_few(text: str | bytes, values: int = VALUES, keys: int = KEYS) -> None:
    """Raise TooLarge for a JSON text of more values or names of fields than any request that is taken."""
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    # Counting a byte costs next to nothing; within strings, too, so that these are bounds and not numbers.
    if octets.count(b",") + octets.count(b"[") + octets.count(b"{") > values:
        raise TooLarge("a request here, in values,", values)
    if octets.count(b":") <= keys:
        return
    found, position = 0, 0
    while match := _TO_NEXT_KEY.match(octets, position):
        found, position = found + 1, match.end()
        if found > keys:
            raise TooLarge("a request here, in names of fields,", keys)
