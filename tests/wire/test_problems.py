"""Errors as problem documents, and the answers about health."""

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
from hashdb.errors import CannotStart, Fault, HashDBError, InvalidInput, NotActive, ServiceError, ServiceTooOld
from hashdb.wire.accounts import MeOut
from hashdb.wire.problems import (
    HealthOut,
    ReadyOut,
    checking_version,
    error_from_problem,
    faults_by_item,
    problem,
)
from tests.builders import clip, excerpt, words


def _error_classes(error_class: type[HashDBError] = HashDBError) -> Iterator[type[HashDBError]]:
    yield error_class
    for subclass in error_class.__subclasses__():
        yield from _error_classes(subclass)


_CLASSES = list(_error_classes())
_OF_SERVICE = [error_class for error_class in _CLASSES if not issubclass(error_class, CannotStart)]
_VALUES: dict[object, st.SearchStrategy[object]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    int: st.integers(0, 2**53 - 1),
    tuple[Fault, ...]: st.lists(st.builds(Fault, st.text(max_size=9), st.text(max_size=9)), min_size=1).map(tuple),
}


@st.composite
def _errors(draw: st.DrawFn) -> HashDBError:
    error_class = draw(st.sampled_from(_OF_SERVICE))
    types = typing.get_type_hints(error_class)
    return error_class(*(draw(_VALUES[types[field.name]]) for field in dataclasses.fields(error_class)))


@given(_errors())
def test_an_error_round_trips_through_its_problem_document(error: HashDBError) -> None:
    status = getattr(error, "status", 422)
    document = problem(error, status)
    assert (document["status"], document["title"], document["type"]) == (status, error.title, f"/problems/{error.slug}")
    assert isinstance(document["detail"], str)
    assert error_from_problem(status, json.dumps(document).encode()).__reduce__() == error.__reduce__()


def test_every_error_class_has_its_own_slug() -> None:
    assert len({error_class.slug for error_class in _CLASSES}) == len(_CLASSES)


def test_a_field_of_an_error_does_not_replace_a_standard_field() -> None:
    document = problem(NotActive(17, "withdrawn"), 409)
    assert document["status"] == 409
    assert document["detail"] == "contribution 17 is withdrawn: it cannot be changed, confirmed or disputed"


def test_omitted_faults_are_counted_in_the_problem_document() -> None:
    document = problem(InvalidInput((Fault("a", "b"),), 41), 422)
    assert document["errors"] == [{"at": "a", "reason": "b"}]
    assert document["omitted"] == 41
    assert document["detail"] == "42 faults, the first: a: b"


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
        b'{"type": "/problems/invalid-input", "title": "x", "status": 422, "detail": "without its faults"}',
        b'{"type": "/problems/bad-setting", "title": "x", "status": 400, "detail": "", "setting": "", "reason": ""}',
    ],
)
def test_an_unknown_or_invalid_problem_document_becomes_a_service_error(text: bytes) -> None:
    error = error_from_problem(502, text)
    assert isinstance(error, ServiceError)
    assert error.status == 502
    assert str(error)


def test_the_health_answers_have_a_status_and_a_checkpoint() -> None:
    assert HealthOut(status="alive").json_text() == '{"status":"alive"}'
    assert ReadyOut(status="ready", checkpoint=7).json_text() == '{"status":"ready","checkpoint":7}'


OLD = MeOut.build(version="0.1.0")
NEW = MeOut.build(version="0.2.0", texts={"simhash256": None}, digests=["sha256", "md5", "url"])
TEXT, ADDRESS = excerpt(words(1, 300)), Query((Signal(Algorithm.URL, 5 << 128),))
TEXTS_UNSUPPORTED = ServiceTooOld("0.1.0", "does not accept pages and words of documents and texts")
INVALID = InvalidInput((Fault("queries[0].frames", "is not a field of this request"),))


@pytest.mark.parametrize(
    ("query", "me", "expected"),
    [
        (TEXT, OLD, TEXTS_UNSUPPORTED),
        (Query(TEXT.frames[0].signals), OLD, TEXTS_UNSUPPORTED),
        (ADDRESS, OLD, ServiceTooOld("0.1.0", "does not accept addresses")),
        (TEXT, NEW, INVALID),
        (ADDRESS, NEW, INVALID),
        (clip(1), OLD, INVALID),
    ],
)
def test_a_service_too_old_for_texts_or_addresses_is_reported_as_such(
    query: Query, me: MeOut, expected: HashDBError
) -> None:
    with pytest.raises(HashDBError) as raised, checking_version(lambda: me, [query]):
        raise INVALID
    assert (type(raised.value), str(raised.value)) == (type(expected), str(expected))


def test_faults_are_grouped_by_the_item_that_has_them() -> None:
    faults = (
        Fault("contributions[1].labels", "is unknown"),
        Fault("contributions[0].media", "is unknown"),
        Fault("contributions[1].media", "is unknown"),
    )
    assert faults_by_item(InvalidInput(faults), ["a", "b"]) == {
        "a": [Fault("media", "is unknown")],
        "b": [Fault("labels", "is unknown"), Fault("media", "is unknown")],
    }


@pytest.mark.parametrize(
    "faults",
    [
        (),
        (Fault("contributions[0].media", "is unknown"), Fault("mode", "is unknown")),
        (Fault("contributions[1].media", "is unknown"),),
    ],
)
def test_an_error_without_a_faulty_item_is_raised_again(faults: tuple[Fault, ...]) -> None:
    """Otherwise a client would send the same request without end."""
    error = InvalidInput(faults)
    with pytest.raises(InvalidInput) as raised:
        faults_by_item(error, ["a"])
    assert raised.value is error
