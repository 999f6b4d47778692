"""Requests to match that are read without pydantic: exactly what pydantic reads to the same queries."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import HashDBError, InvalidInput
from hashdb.wire import ValidationContext, read
from hashdb.wire.matching import QueriesIn, QueryIn, read_queries
from hashdb.wire.plain_queries import parse_plain_queries
from tests.builders import signal
from tests.wire.strategies import CONTEXT

_PDQ = str(signal(1))
_ID_AND_RADIUS = {"queries": [{"id": "an-id", "signals": [_PDQ, str(signal(2))], "radius": {}}]}
_PLAIN = [
    f'{{"queries":[{{"signals":["{_PDQ}"]}}]}}',
    '{"queries":[{"signals":["phash:d1c4b2a09f8e7d6c"]}]}',
    QueriesIn.from_domain([Query((Signal.parse(_PDQ),))]).model_dump_json(exclude_unset=True),
    json.dumps(_ID_AND_RADIUS),
    json.dumps(_ID_AND_RADIUS, indent=1),
    json.dumps(
        {"queries": [{"signals": [_PDQ]}, {"id": "b", "signals": [_PDQ, _PDQ]}, {"id": None, "signals": [_PDQ]}]}
    ),
    f'{{"queries":[{{"signals":["{_PDQ}"]}},{{"signals":["{_PDQ}"]}} ]}}',
]


def _by_pydantic(text: bytes) -> tuple[Query, ...]:
    return tuple(map(QueryIn.to_domain, read(QueriesIn, text, CONTEXT).queries))


def _outcome(reads: Callable[[bytes], object], text: bytes) -> object:
    try:
        return reads(text)
    except HashDBError as error:
        return type(error), str(error)


def test_a_query_with_more_signals_than_it_may_have_is_left_to_pydantic_unread() -> None:
    texts = [f'"{signal(seed)}"' for seed in range(65)]
    plain = [f'{{"queries":[{{"signals":[{",".join(texts[:count])}]}}]}}'.encode() for count in (64, 65)]
    assert parse_plain_queries(plain[0], CONTEXT.rules)
    assert not parse_plain_queries(plain[1], CONTEXT.rules)
    assert _outcome(lambda text: read_queries(text, CONTEXT), plain[1]) == _outcome(_by_pydantic, plain[1])


@pytest.mark.parametrize("text", _PLAIN)
def test_a_plain_query_is_read_as_pydantic_reads_it_whatever_byte_is_wrong(text: str) -> None:
    right = text.encode()
    assert parse_plain_queries(right, CONTEXT.rules) == _by_pydantic(right)
    # In the digits of a hash, one place is as good as another.
    places = [place for place in range(len(right) + 1) if not right[max(0, place - 4) : place + 4].isalnum()]
    for number, place in enumerate(places):
        byte = b'",]0 \x0b\\'[number % 7 :][:1]
        for wrong in (right[:place] + right[place + 1 :], right[:place] + byte + right[place + number % 2 :]):
            assert _outcome(lambda text: read_queries(text, CONTEXT), wrong) == _outcome(_by_pydantic, wrong)


def test_a_plain_query_has_no_more_signals_than_another() -> None:
    for count in (64, 65):
        plain = json.dumps({"queries": [{"signals": [_PDQ] * count}]}).encode()
        assert _outcome(lambda text: read_queries(text, CONTEXT), plain) == _outcome(_by_pydantic, plain)


def test_plain_queries_are_no_more_than_a_request_may_have() -> None:
    for count, size in ((1_000, 4), (1_001, 1), (63, 64)):
        plain = json.dumps({"queries": [{"signals": [_PDQ] * size}] * count}).encode()
        assert bool(parse_plain_queries(plain, CONTEXT.rules)) == (count == 1_000)
        assert _outcome(lambda text: read_queries(text, CONTEXT), plain) == _outcome(_by_pydantic, plain)


def test_a_plain_query_of_an_algorithm_that_is_not_enabled_is_refused() -> None:
    terms = ValidationContext(replace(CONTEXT.rules, algorithms=(Algorithm.PHASH,)), CONTEXT.now)
    plain = json.dumps({"queries": [{"signals": [_PDQ]}]}).encode()
    with pytest.raises(InvalidInput, match="not enabled"):
        read_queries(plain, terms)
