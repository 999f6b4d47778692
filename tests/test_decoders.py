"""What strangers wrote is read or refused, whatever the bytes; `scripts/fuzz` goes on for longer."""

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
"""Where, how many bytes are taken away, and what is put in their place."""


def edited(octets: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """The bytes with these edits."""
    for place, gone, put in edits:
        at = int(place * len(octets))
        octets = octets[:at] + put + octets[at + gone :]
    return octets


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_right_is_read(name: str) -> None:
    assert all(map(DECODERS[name], DECODERS[name].examples))


_Case = tuple[int, list[tuple[float, int, bytes]], bytes | None]
"""A number that says which of the examples; its edits; what is read in place of it."""


@pytest.fixture(scope="module")
def cases() -> list[_Case]:
    """Drawn once for all decoders: that takes far longer than to read them."""
    drawn: list[_Case] = []

    @seed(8)
    @settings(max_examples=300, deadline=None, database=None)
    @given(st.integers(0, 10**6), EDITS, st.none() | st.binary(max_size=40))
    def draw(which: int, edits: list[tuple[float, int, bytes]], other: bytes | None) -> None:
        drawn.append((which, edits, other))

    draw()
    return drawn


@pytest.mark.parametrize("name", DECODERS)
def test_anything_else_is_read_or_refused(name: str, cases: list[_Case]) -> None:
    decoder = DECODERS[name]
    for which, edits, other in cases:
        octets = edited(decoder.examples[which % len(decoder.examples)], edits) if other is None else other
        try:
            decoder(octets)
        except Exception as error:
            error.add_note(f"It read {octets!r}.")
            raise


_BASES = ("RequestModel", "QueryString", "ItemIn", "Foreign", "RootModel[", "_")
"""Of models that are nothing by themselves, how the names begin: what others are made of, and parts of them."""


def _models() -> Iterator[type[BaseModel]]:
    """Every model of hashdb/wire that is filled with what was sent; what is answered is filled by the service."""
    for module in pkgutil.walk_packages(wire.__path__, f"{wire.__name__}."):
        for name, found in vars(importlib.import_module(module.name)).items():
            model = isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module.name
            # Of a form the model is only in the OpenAPI document: tests/web/test_hostile.py has what reads it.
            if model and not issubclass(found, wire.ResponseModel | MediaIn) and not name.startswith(_BASES):
                yield found


def _with_parts(models: Iterable[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Models, and those that their fields are made of."""
    for model in models:
        yield model
        yield from _with_parts(one for field in model.model_fields.values() for one in _within(field.annotation))


def _within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _within(inner)


def test_nothing_that_reads_what_was_sent_is_forgotten() -> None:
    models = set(_models())
    assert len(models) > 50
    read = set(_with_parts(model for decoder in DECODERS.values() for model in decoder.models))
    assert models - read == set()
