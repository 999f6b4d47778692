"""Errors and health on the wire."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault, HashDBError, InvalidInput, NotActive, ServiceError, ServiceTooOld
from hashdb.wire.accounts import MeOut
from hashdb.wire.problems import HealthOut, ReadyOut, checking_version, error_from_problem, problem
from tests.builders import clip, excerpt, words


def _kinds(kind: type[HashDBError] = HashDBError) -> Iterator[type[HashDBError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


_KINDS = list(_kinds())
_VALUES: dict[object, st.SearchStrategy[object]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    int: st.integers(0, 2**53 - 1),
    tuple[Fault, ...]: st.lists(st.builds(Fault, st.text(max_size=9), st.text(max_size=9)), min_size=1).map(tuple),
}


@st.composite
def _errors(draw: st.DrawFn) -> HashDBError:
    kind = draw(st.sampled_from(_KINDS))
    types = typing.get_type_hints(kind)
    return kind(*(draw(_VALUES[types[field.name]]) for field in dataclasses.fields(kind)))


@given(_errors())
def test_an_error_comes_back_equal(error: HashDBError) -> None:
    status = getattr(error, "status", 422)
    said = problem(error, status)
    assert (said["status"], said["title"], said["type"]) == (status, error.title, f"/problems/{error.slug}")
    assert isinstance(said["detail"], str)
    assert error_from_problem(status, json.dumps(said).encode()).__reduce__() == error.__reduce__()


def test_every_slug_is_of_one_class() -> None:
    assert len({kind.slug for kind in _KINDS}) == len(_KINDS)


def test_the_data_of_an_error_does_not_hide_the_members_of_the_problem() -> None:
    said = problem(NotActive(17, "withdrawn"), 409)
    assert said["status"] == 409
    assert said["detail"] == "contribution 17 is withdrawn: it cannot be changed, confirmed or disputed"


def test_faults_beyond_a_thousand_are_counted() -> None:
    said = problem(InvalidInput((Fault("a", "b"),), 41), 422)
    assert said["errors"] == [{"at": "a", "reason": "b"}]
    assert said["omitted"] == 41
    assert said["detail"] == "42 faults, the first: a: b"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"type": "about:blank", "title": "Bad", "status": "x", "detail": ""}',
        b"\xff",
        b'{"type": "/problems/too-large", "title": "x", "status": 413, "detail": "gone"}',
        b'{"type": "/problems/new", "title": "x", "status": 418, "detail": "of a later version"}',
    ],
)
def test_an_answer_that_is_no_problem_we_know_is_a_service_error(text: bytes) -> None:
    error = error_from_problem(502, text)
    assert isinstance(error, ServiceError)
    assert error.status == 502


def test_health_is_one_word_and_a_number() -> None:
    assert HealthOut(status="alive").json_text() == '{"status":"alive"}'
    assert ReadyOut(status="ready", checkpoint=7).json_text() == '{"status":"ready","checkpoint":7}'


OLD = MeOut.build(version="0.1.0")
NEW = MeOut.build(version="0.2.0", texts={"simhash256": None}, digests=["sha256", "md5", "url"])
TEXT, ADDRESS = excerpt(words(1, 300)), Query((Signal(Algorithm.URL, 5 << 128),))
NO_TEXTS = ServiceTooOld("0.1.0", "takes no pages and no words of documents and texts")
REFUSED = InvalidInput((Fault("queries[0].frames", "is not a field of this request"),))


@pytest.mark.parametrize(
    ("query", "me", "told"),
    [
        (TEXT, OLD, NO_TEXTS),
        (Query(TEXT.frames[0].signals), OLD, NO_TEXTS),
        (ADDRESS, OLD, ServiceTooOld("0.1.0", "takes no addresses")),
        (TEXT, NEW, REFUSED),
        (ADDRESS, NEW, REFUSED),
        (clip(1), OLD, REFUSED),
    ],
)
def test_a_service_that_takes_no_texts_and_no_addresses_is_told_from_a_fault(
    query: Query, me: MeOut, told: HashDBError
) -> None:
    with pytest.raises(HashDBError) as refusal, checking_version(lambda: me, [query]):
        raise REFUSED
    assert (type(refusal.value), str(refusal.value)) == (type(told), str(told))
