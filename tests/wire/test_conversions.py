"""Conversions that a model derives from the names and the types of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import UNSET, Unset
from hashdb.wire import UNSENT, RequestModel, ResponseModel
from hashdb.wire.conversions import OMIT_DEFAULT, ChangeMirror, FromDomain, MappedTo, Mirror


@dataclass(frozen=True, slots=True)
class Part:
    """A value within another."""

    id: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A value with a field of each kind."""

    kept: str
    called: int
    part: Part
    parts: tuple[Part, ...]
    scopes: frozenset[Scope]
    by: Mapping[int, Part]
    days: Mapping[date, int]
    maybe: tuple[int, ...] | None = None
    number: int = 7

    @property
    def twice(self) -> int:
        """What is worked out, and is no field."""
        return 2 * self.called


class PartOut(ResponseModel, Mirror[Part]):
    """Its model."""

    id: str


class WholeOut(ResponseModel, Mirror[Whole]):
    """Its model."""

    kept: str
    named: Annotated[int, MappedTo("called")]
    part: PartOut
    parts: list[PartOut]
    scopes: list[Scope]
    by: dict[str, PartOut]
    days: dict[str, int]
    maybe: list[int] | None
    number: Annotated[int, OMIT_DEFAULT] = 7
    twice: int
    part_id: Annotated[int, MappedTo("part.id")]
    note: str = ""


WHOLE = Whole(
    "a",
    3,
    Part(1),
    (Part(2), Part(3)),
    frozenset({Scope.MATCH, Scope.AUDIT}),
    {5: Part(5)},
    {date(2026, 11, 20): 1},
)


def test_a_value_becomes_json_by_the_types_of_its_fields_and_comes_back() -> None:
    told = WholeOut.from_domain(WHOLE)
    assert told.json_text() == (
        '{"kept":"a","named":3,"part":{"id":"1"},"parts":[{"id":"2"},{"id":"3"}],"scopes":["audit","match"],'
        '"by":{"5":{"id":"5"}},"days":{"2026-11-20":1},"maybe":null,"twice":6,"part_id":1}'
    )
    assert told.to_domain() == WholeOut.model_validate_json(told.json_text()).to_domain() == WHOLE


def test_a_sparse_field_is_left_out_at_its_default_only() -> None:
    told = WholeOut.from_domain(Whole("a", 3, Part(1), (), frozenset(), {}, {}, (1, 2), 8))
    assert (told.number, told.maybe, "number" in told.model_fields_set) == (8, [1, 2], True)
    assert "number" not in WholeOut.from_domain(WHOLE).model_fields_set


@dataclass(frozen=True, slots=True)
class Change:
    """A change of two fields, each of which may stay."""

    tags: tuple[str, ...] | Unset = UNSET
    end: int | None | Unset = UNSET


class ChangeIn(RequestModel, ChangeMirror[Change]):
    """Its model."""

    tags: list[str] = UNSENT
    last: Annotated[int | None, MappedTo("end")] = None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change(), "{}"),
        (Change(end=None), '{"last":null}'),
        (Change(("a",)), '{"tags":["a"]}'),
        (Change((), 3), '{"tags":[],"last":3}'),
    ],
)
def test_a_change_tells_what_changes_only(change: Change, text: str) -> None:
    assert ChangeIn.from_domain(change).model_dump_json(exclude_unset=True) == text
    assert ChangeIn.model_validate_json(text).to_domain() == change


def test_a_model_that_differs_from_its_value_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="Lacking and Part differ in id"):

        class Lacking(ResponseModel, Mirror[Part]):
            """Without what the value needs."""

    with pytest.raises(TypeError, match="More and Part differ in name"):

        class More(ResponseModel, FromDomain[Part]):
            """With what no value tells."""

            id: int
            name: str


def test_what_is_not_derived_is_written_out() -> None:
    class Spelled(ResponseModel, Mirror[Part]):
        """Of another form than the value."""

        text: str

        @classmethod
        def fields_from(cls, value: Part) -> dict[str, Any]:
            return {"text": f"#{value.id}"}

        def arguments(self) -> dict[str, Any]:
            return {"id": int(self.text.removeprefix("#"))}

    assert Spelled.from_domain(Part(4)).text == "#4"
    assert Spelled(text="#4").to_domain() == Part(4)
