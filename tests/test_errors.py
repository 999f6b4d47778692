"""Errors: one tree, each a sentence, whole after a journey to another process."""

from __future__ import annotations

import dataclasses
import pickle
import re
import typing
from collections.abc import Iterator

import pytest

from hashdb import errors
from hashdb.errors import Fault, HashDBError, InvalidInput, ScopeMissing

VALUES: dict[object, object] = {str: "something", int: 7, tuple[Fault, ...]: (Fault("a[0]", "this is wrong"),)}
WITHOUT_A_SENTENCE = ("HashDBError", "NotAllowed", "Conflict", "UnsupportedContent", "CannotStart")
"""Branches: never raised themselves."""


def every_error(root: type[HashDBError] = HashDBError) -> Iterator[type[HashDBError]]:
    yield root
    for branch in root.__subclasses__():
        yield from every_error(branch)


def made(kind: type[HashDBError]) -> HashDBError:
    hints = typing.get_type_hints(kind)
    return kind(*[VALUES[hints[field.name]] for field in dataclasses.fields(kind)])


ERRORS = list(every_error())
by_name = pytest.mark.parametrize("kind", ERRORS, ids=[kind.__name__ for kind in ERRORS])


def test_the_tree_is_drawn_as_it_is() -> None:
    def drawn(root: type[HashDBError], depth: int = 0) -> Iterator[tuple[int, str]]:
        yield depth, root.__name__
        for branch in root.__subclasses__():
            yield from drawn(branch, depth + 1)

    lines = (re.match(r"    ([│├└─ ]*)(\w+)(  |$)", line) for line in (errors.__doc__ or "").splitlines())
    assert [(len(found[1]) // 4, found[2]) for found in lines if found] == list(drawn(HashDBError))


def test_all_errors_are_in_one_module() -> None:
    assert {kind.__module__ for kind in ERRORS} == {"hashdb.errors"}


def test_slugs_and_titles_are_their_own() -> None:
    assert len({kind.slug for kind in ERRORS}) == len({kind.title for kind in ERRORS}) == len(ERRORS)


@by_name
def test_a_slug_is_its_name_and_can_be_part_of_an_address(kind: type[HashDBError]) -> None:
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
    assert kind.slug == ("error" if kind is HashDBError else name)


@by_name
def test_an_error_is_a_sentence_in_lower_case_without_a_full_stop(kind: type[HashDBError]) -> None:
    sentence = str(made(kind))
    if kind.__name__ in WITHOUT_A_SENTENCE:
        return
    assert sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    assert not sentence[0].isupper()


@by_name
def test_an_error_crosses_from_one_process_to_another_whole(kind: type[HashDBError]) -> None:
    error = made(kind)
    crossed = pickle.loads(pickle.dumps(error))
    assert type(crossed) is kind
    assert str(crossed) == str(error)
    fields = [field.name for field in dataclasses.fields(kind)]
    assert [getattr(crossed, name) for name in fields] == [getattr(error, name) for name in fields]


def test_a_branch_catches_its_leaves() -> None:
    with pytest.raises(errors.NotAllowed):
        raise ScopeMissing("match")


def test_one_fault_is_told_and_of_many_the_first() -> None:
    one, two = Fault("contributions[3].signals[0]", "pdq needs 64 hex digits, got 63"), Fault("", "is empty")
    assert str(InvalidInput((one,))) == "contributions[3].signals[0]: pdq needs 64 hex digits, got 63"
    assert str(InvalidInput((two, one))) == "2 faults, the first: is empty"
    assert str(InvalidInput((one,), omitted=1_999)).startswith("2000 faults, the first: contributions[3]")


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        ("none", "run `hashdb upgrade`"),
        ("0016", "run `hashdb upgrade`"),
        ("0014", "upgrade it with version 0.1.0 first"),
        ("0021", "a newer hashdb made it: upgrade this one"),
    ],
)
def test_another_schema_is_told_with_its_remedy(found: str, remedy: str) -> None:
    assert str(errors.SchemaOutdated(found, "0020", "0015")) == (
        f"the database has schema {found}, this version needs 0020: {remedy}"
    )


def test_a_thousand_faults_are_listed_and_the_others_counted() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        errors.reject(errors.Fault(str(number), "is wrong") for number in range(1003))
    assert (len(caught.value.faults), caught.value.omitted) == (1000, 3)


def test_what_has_no_fault_is_not_rejected() -> None:
    errors.reject(())
    errors.reject_field("note", None)
    with pytest.raises(errors.InvalidInput, match="note: is too long"):
        errors.reject_field("note", "is too long")
