"""Errors: one tree of classes. Each error is one sentence, and can be pickled without loss."""

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
"""Base classes that are never raised."""


def every_error(root: type[HashDBError] = HashDBError) -> Iterator[type[HashDBError]]:
    yield root
    for branch in root.__subclasses__():
        yield from every_error(branch)


def example_of(kind: type[HashDBError]) -> HashDBError:
    hints = typing.get_type_hints(kind)
    return kind(*[VALUES[hints[field.name]] for field in dataclasses.fields(kind)])


ERRORS = list(every_error())
by_name = pytest.mark.parametrize("kind", ERRORS, ids=[kind.__name__ for kind in ERRORS])


def test_the_docstring_shows_the_tree_of_errors() -> None:
    def tree(root: type[HashDBError], depth: int = 0) -> Iterator[tuple[int, str]]:
        yield depth, root.__name__
        for branch in root.__subclasses__():
            yield from tree(branch, depth + 1)

    matches = (re.match(r"    ([│├└─ ]*)(\w+)(  |$)", line) for line in (errors.__doc__ or "").splitlines())
    assert [(len(match[1]) // 4, match[2]) for match in matches if match] == list(tree(HashDBError))


def test_all_errors_are_in_one_module() -> None:
    assert {kind.__module__ for kind in ERRORS} == {"hashdb.errors"}


def test_slugs_and_titles_are_unique() -> None:
    assert len({kind.slug for kind in ERRORS}) == len({kind.title for kind in ERRORS}) == len(ERRORS)


@by_name
def test_a_slug_is_the_name_of_the_class_in_lower_case_with_hyphens(kind: type[HashDBError]) -> None:
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
    assert kind.slug == ("error" if kind is HashDBError else name)


@by_name
def test_a_message_starts_in_lower_case_and_has_no_full_stop(kind: type[HashDBError]) -> None:
    sentence = str(example_of(kind))
    if kind.__name__ in WITHOUT_A_SENTENCE:
        return
    assert sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    assert not sentence[0].isupper()


@by_name
def test_an_error_can_be_pickled_without_loss(kind: type[HashDBError]) -> None:
    error = example_of(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    fields = [field.name for field in dataclasses.fields(kind)]
    assert [getattr(copy, name) for name in fields] == [getattr(error, name) for name in fields]


def test_a_base_class_catches_its_subclasses() -> None:
    with pytest.raises(errors.NotAllowed):
        raise ScopeMissing("match")


def test_a_message_shows_the_first_fault_and_the_number_of_faults() -> None:
    with_place, without_place = (
        Fault("contributions[3].signals[0]", "pdq needs 64 hex digits, got 63"),
        Fault("", "is empty"),
    )
    assert str(InvalidInput((with_place,))) == "contributions[3].signals[0]: pdq needs 64 hex digits, got 63"
    assert str(InvalidInput((without_place, with_place))) == "2 faults, the first: is empty"
    assert str(InvalidInput((with_place,), omitted=1_999)).startswith("2000 faults, the first: contributions[3]")


@pytest.mark.parametrize(
    ("schema", "found", "remedy"),
    [
        ("none", "no schema", "run `hashdb upgrade`"),
        ("0016", "schema 0016", "run `hashdb upgrade`"),
        ("0014", "schema 0014", "upgrade it with version 0.1.0 first"),
        ("0021", "schema 0021", "a newer hashdb made it: upgrade this one"),
    ],
)
def test_a_wrong_schema_is_reported_with_the_remedy(schema: str, found: str, remedy: str) -> None:
    assert str(errors.SchemaOutdated(schema, "0020", "0015")) == (
        f"the database has {found}, this version needs 0020: {remedy}"
    )


def test_an_error_lists_at_most_1000_faults_and_counts_the_others() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        errors.reject(errors.Fault(str(number), "is wrong") for number in range(1003))
    assert (len(caught.value.faults), caught.value.omitted) == (1000, 3)


def test_input_without_a_fault_is_not_rejected() -> None:
    errors.reject(())
    errors.reject_field("note", None)
    with pytest.raises(errors.InvalidInput, match="note: is too long"):
        errors.reject_field("note", "is too long")
