"""The fast parser of simple queries reads the same queries and raises the same errors as pydantic."""

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


def _parse_with_pydantic(text: bytes) -> tuple[Query, ...]:
    return tuple(map(QueryIn.to_domain, read(QueriesIn, text, CONTEXT).queries))


def _queries_or_error(parse: Callable[[bytes], object], text: bytes) -> object:
    try:
        return parse(text)
    except HashDBError as error:
        return type(error), str(error)


def test_a_query_with_too_many_signals_is_left_to_pydantic() -> None:
    texts = [f'"{signal(seed)}"' for seed in range(65)]
    plain = [f'{{"queries":[{{"signals":[{",".join(texts[:count])}]}}]}}'.encode() for count in (64, 65)]
    assert parse_plain_queries(plain[0], CONTEXT.rules)
    assert not parse_plain_queries(plain[1], CONTEXT.rules)
    assert _queries_or_error(lambda text: read_queries(text, CONTEXT), plain[1]) == _queries_or_error(
        _parse_with_pydantic, plain[1]
    )


@pytest.mark.parametrize("text", _PLAIN)
def test_valid_and_damaged_queries_are_read_as_pydantic_reads_them(text: str) -> None:
    valid = text.encode()
    assert parse_plain_queries(valid, CONTEXT.rules) == _parse_with_pydantic(valid)
    # Places inside the digits of a hash are skipped: they all behave the same.
    places = [place for place in range(len(valid) + 1) if not valid[max(0, place - 4) : place + 4].isalnum()]
    for number, place in enumerate(places):
        byte = b'",]0 \x0b\\'[number % 7 :][:1]
        for damaged in (valid[:place] + valid[place + 1 :], valid[:place] + byte + valid[place + number % 2 :]):
            assert _queries_or_error(lambda text: read_queries(text, CONTEXT), damaged) == _queries_or_error(
                _parse_with_pydantic, damaged
            )


def test_a_plain_query_has_the_same_limit_of_signals_as_pydantic() -> None:
    for count in (64, 65):
        plain = json.dumps({"queries": [{"signals": [_PDQ] * count}]}).encode()
        assert _queries_or_error(lambda text: read_queries(text, CONTEXT), plain) == _queries_or_error(
            _parse_with_pydantic, plain
        )


def test_plain_queries_have_the_same_limits_a_request_as_pydantic() -> None:
    for count, size in ((1_000, 4), (1_001, 1), (63, 64)):
        plain = json.dumps({"queries": [{"signals": [_PDQ] * size}] * count}).encode()
        assert bool(parse_plain_queries(plain, CONTEXT.rules)) == (count == 1_000)
        assert _queries_or_error(lambda text: read_queries(text, CONTEXT), plain) == _queries_or_error(
            _parse_with_pydantic, plain
        )


def test_a_plain_query_with_a_disabled_algorithm_is_rejected() -> None:
    context = ValidationContext(replace(CONTEXT.rules, algorithms=(Algorithm.PHASH,)), CONTEXT.now)
    plain = json.dumps({"queries": [{"signals": [_PDQ]}]}).encode()
    with pytest.raises(InvalidInput, match="not enabled"):
        read_queries(plain, context)
