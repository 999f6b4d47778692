"""Each decoder reads or rejects untrusted bytes, whatever they are; `scripts/fuzz` tests them for longer."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from hashdb import wire
from hashdb.wire.files import MediaIn
from tests.decoders import DECODERS

_TEXTS = r'" { ] , \u \ud800 1e999 NaN - = %00 null [] {} .. + | ; \u0661 \u2028'
ODD = st.sampled_from([*map(str.encode, _TEXTS.split()), b"\0", b"\xff", b"\xed\xa0\x80", b"\r\n", b"\x1b", b"9" * 400])
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), ODD | st.binary(max_size=4)), min_size=1, max_size=5)
"""For each edit: the place, the number of deleted bytes, and the inserted bytes."""


def edited(octets: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Apply these edits to the bytes."""
    for place, deleted, inserted in edits:
        at = int(place * len(octets))
        octets = octets[:at] + inserted + octets[at + deleted :]
    return octets


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_accepts_its_examples(name: str) -> None:
    assert all(map(DECODERS[name], DECODERS[name].examples))


_Case = tuple[int, list[tuple[float, int, bytes]], bytes | None]
"""A number that chooses an example; edits of the example; bytes to read instead of it."""


@pytest.fixture(scope="module")
def cases() -> list[_Case]:
    """The cases, drawn once for all decoders: to draw them takes far longer than to read them."""
    all_cases: list[_Case] = []

    @seed(8)
    @settings(max_examples=300, deadline=None, database=None)
    @given(st.integers(0, 10**6), EDITS, st.none() | st.binary(max_size=40))
    def draw(which: int, edits: list[tuple[float, int, bytes]], other: bytes | None) -> None:
        all_cases.append((which, edits, other))

    draw()
    return all_cases


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_accepts_or_rejects_any_bytes(name: str, cases: list[_Case]) -> None:
    decoder = DECODERS[name]
    for which, edits, other in cases:
        octets = edited(decoder.examples[which % len(decoder.examples)], edits) if other is None else other
        try:
            decoder(octets)
        except Exception as error:
            error.add_note(f"It read {octets!r}.")
            raise


_BASES = ("RequestModel", "QueryString", "ItemIn", "Foreign", "RootModel[", "_")
"""Prefixes of the names of models that no request has by itself: base classes, and parts of other models."""


def _models() -> Iterator[type[BaseModel]]:
    """Every model of hashdb/wire that reads a request. The service itself fills the models of answers."""
    for module in pkgutil.walk_packages(wire.__path__, f"{wire.__name__}."):
        for name, member in vars(importlib.import_module(module.name)).items():
            is_model = isinstance(member, type) and issubclass(member, BaseModel) and member.__module__ == module.name
            # The model of a form is only for the OpenAPI document; tests/web/test_hostile.py tests what reads forms.
            if is_model and not issubclass(member, wire.ResponseModel | MediaIn) and not name.startswith(_BASES):
                yield member


def _with_parts(models: Iterable[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Models, and the models in their fields."""
    for model in models:
        yield model
        yield from _with_parts(part for field in model.model_fields.values() for part in _within(field.annotation))


def _within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _within(inner)


def test_every_model_of_a_request_has_a_decoder() -> None:
    models = set(_models())
    assert len(models) > 50
    tested = set(_with_parts(model for decoder in DECODERS.values() for model in decoder.models))
    assert models - tested == set()
