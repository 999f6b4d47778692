"""Parses the most frequent requests to match without pydantic: those whose queries have only signals and an id."""

from __future__ import annotations

import re

from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import QUERIES_A_REQUEST, SIGNALS_A_REQUEST, Rules
from hashdb.domain.signals import SIGNALS_AN_ITEM, Signal

_SIGNAL = r'"[a-z0-9]{1,16}:[0-9a-f]{1,64}"'
"""A string of JSON that has the form of a signal; `Signal.parse` verifies it."""
# A query in JSON. Its groups are the id, in ASCII without escapes, and the text of all signals.
_QUERY = (
    r'{\s*(?:"id"\s*:\s*(?:null|"([ !#-\[\]-~]{0,200})")\s*,\s*)?'
    rf'"signals"\s*:\s*\[\s*({_SIGNAL}(?:\s*,\s*{_SIGNAL}){{0,{SIGNALS_AN_ITEM - 1}}})\s*\]\s*'
    r'(?:,\s*"radius"\s*:\s*{\s*}\s*)?}'
)
_WHITESPACE = " \t\n\r"


def _compile(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern in which `\s*` is whitespace of JSON, matched possessively: without backtracking."""
    return re.compile(pattern.replace(r"\s*", f"[{_WHITESPACE}]*+"))


_PLAIN_QUERY = _compile(_QUERY)
_REQUEST_START = _compile(r'\s*{\s*"queries"\s*:\s*\[\s*' + _QUERY)
_REQUEST_END = _compile(r"\s*\]\s*}\s*")


def parse_plain_queries(octets: bytes, rules: Rules) -> tuple[Query, ...]:
    """The queries of a request body, if all are valid and have only signals and perhaps an id; else an empty tuple.

    The caller then parses the request with pydantic, which takes more than twice as long and reports faults.
    """
    try:
        text = octets.decode("ascii")
    except ValueError:
        return ()
    if _REQUEST_START.match(text) is None:
        return ()
    # The parts: whitespace; for each query its id, its signals, and the comma after it (after the last, the end).
    parts = _PLAIN_QUERY.split(text[text.index("[") + 1 :])
    if _REQUEST_END.fullmatch(parts[-1]) is None:
        return ()
    for comma in set(parts[3:-1:3]):
        if comma.strip(_WHITESPACE) != ",":
            return ()
    queries, all_signals = list[Query](), list[Signal]()
    try:
        for id, texts in zip(parts[1::3], parts[2::3], strict=True):
            signals = tuple(map(Signal.parse, texts.split('"')[1::2]))
            all_signals += signals
            # Without duplicates.
            queries.append(Query(signals if len(signals) == 1 else tuple(dict.fromkeys(signals)), id))
    except ValueError:
        return ()
    if len(queries) > QUERIES_A_REQUEST or len(all_signals) > SIGNALS_A_REQUEST:
        return ()
    return tuple(queries) if {signal.algorithm for signal in all_signals}.issubset(rules.algorithms) else ()
