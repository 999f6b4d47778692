"""A wire model derives its conversions from the names and types of its fields."""

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
    """A value that is a field of another value."""

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
        """A computed value, which is not a field."""
        return 2 * self.called


class PartOut(ResponseModel, Mirror[Part]):
    """The model of Part."""

    id: str


class WholeOut(ResponseModel, Mirror[Whole]):
    """The model of Whole."""

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


def test_a_value_of_many_field_types_round_trips_through_json() -> None:
    model = WholeOut.from_domain(WHOLE)
    assert model.json_text() == (
        '{"kept":"a","named":3,"part":{"id":"1"},"parts":[{"id":"2"},{"id":"3"}],"scopes":["audit","match"],'
        '"by":{"5":{"id":"5"}},"days":{"2026-11-20":1},"maybe":null,"twice":6,"part_id":1}'
    )
    assert model.to_domain() == WholeOut.model_validate_json(model.json_text()).to_domain() == WHOLE


def test_a_sparse_field_is_omitted_only_at_its_default() -> None:
    model = WholeOut.from_domain(Whole("a", 3, Part(1), (), frozenset(), {}, {}, (1, 2), 8))
    assert (model.number, model.maybe, "number" in model.model_fields_set) == (8, [1, 2], True)
    assert "number" not in WholeOut.from_domain(WHOLE).model_fields_set


@dataclass(frozen=True, slots=True)
class Change:
    """A change of two fields. Either can stay unchanged."""

    tags: tuple[str, ...] | Unset = UNSET
    end: int | None | Unset = UNSET


class ChangeIn(RequestModel, ChangeMirror[Change]):
    """The model of Change."""

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
def test_the_json_of_a_change_has_only_the_changed_fields(change: Change, text: str) -> None:
    assert ChangeIn.from_domain(change).model_dump_json(exclude_unset=True) == text
    assert ChangeIn.model_validate_json(text).to_domain() == change


def test_a_model_that_does_not_fit_its_value_fails_at_class_creation() -> None:
    with pytest.raises(TypeError, match="Lacking and Part differ in id"):

        class Lacking(ResponseModel, Mirror[Part]):
            """A model without a field that the value needs."""

    with pytest.raises(TypeError, match="More and Part differ in name"):

        class More(ResponseModel, FromDomain[Part]):
            """A model with a field that the value does not have."""

            id: int
            name: str


def test_a_model_can_define_conversions_that_cannot_be_derived() -> None:
    class Converted(ResponseModel, Mirror[Part]):
        """A model whose field differs from that of the value."""

        text: str

        @classmethod
        def fields_from(cls, value: Part) -> dict[str, Any]:
            return {"text": f"#{value.id}"}

        def arguments(self) -> dict[str, Any]:
            return {"id": int(self.text.removeprefix("#"))}

    assert Converted.from_domain(Part(4)).text == "#4"
    assert Converted(text="#4").to_domain() == Part(4)
