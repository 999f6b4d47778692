"""Signatures: their text and their distance."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.signatures import Kind, Signature


def signatures(kinds: tuple[Kind, ...] = tuple(Kind)) -> st.SearchStrategy[Signature]:
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(Signature, st.just(kind), st.binary(min_size=kind.octets, max_size=kind.octets))
    )


@given(signatures())
def test_a_signature_is_parsed_back_from_its_text(signature: Signature) -> None:
    assert Signature.parse(str(signature)) == signature
    assert re.fullmatch(rf"{signature.kind}:[0-9a-f]{{{2 * signature.kind.octets}}}", str(signature))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be kind:hex, with one of the kinds detail, colour"),
        ("detail", "must be kind:hex, with one of the kinds detail, colour"),
        ("pdq:00", "must be kind:hex, with one of the kinds detail, colour"),
        ("detail:" + "0" * 255, "detail needs 256 hex digits, got 255"),
        ("detail:" + "A" * 256, "detail needs 256 hex digits in lower case"),
        ("colour:" + "\u0661" * 64, "colour needs 64 hex digits in lower case"),
        ("colour: " + "0" * 63, "colour needs 64 hex digits in lower case"),
        ("colour:" + "0" * 66, "colour needs 64 hex digits, got 66"),
    ],
)
def test_a_malformed_signature_is_rejected_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        Signature.parse(text)


@given(st.sampled_from(Kind).flatmap(lambda kind: st.tuples(*[signatures((kind,))] * 2)))
def test_a_distance_is_symmetrical_and_0_only_for_equal_signatures(pair: tuple[Signature, Signature]) -> None:
    signature, other = pair
    assert signature.distance(other) == other.distance(signature)
    assert signature.distance(signature) == 0
    assert (signature.distance(other) == 0) == (signature == other)


def test_details_are_compared_by_the_share_of_bits_that_differ() -> None:
    plain = Signature(Kind.DETAIL, bytes(128))
    assert plain.distance(Signature(Kind.DETAIL, b"\xff" * 128)) == 1
    assert plain.distance(Signature(Kind.DETAIL, b"\x0f" + bytes(127))) == 4 / 1024


def test_colours_are_compared_by_the_mean_distance_of_their_parts() -> None:
    grey = Signature(Kind.COLOUR, b"\x80" * 32)
    assert grey.distance(Signature(Kind.COLOUR, bytes([128 + 30, 128 - 40]) + b"\x80" * 30)) == 50 / 16


def test_signatures_of_different_kinds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="detail and colour cannot be compared"):
        Signature(Kind.DETAIL, bytes(128)).distance(Signature(Kind.COLOUR, bytes(32)))
