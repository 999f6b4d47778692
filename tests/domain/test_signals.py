"""Signals: their text, their distance, and which of them may be contributed."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from tests.builders import near, signal

ALGORITHMS = list(Algorithm)


def signals(algorithms: list[Algorithm] = ALGORITHMS) -> st.SearchStrategy[Signal]:
    return st.sampled_from(algorithms).flatmap(
        lambda algorithm: st.builds(Signal, st.just(algorithm), st.integers(0, 2**algorithm.bits - 1))
    )


def pairs() -> st.SearchStrategy[tuple[Signal, Signal, Signal]]:
    return st.sampled_from(ALGORITHMS).flatmap(lambda algorithm: st.tuples(*[signals([algorithm])] * 3))


@given(signals())
def test_a_signal_is_parsed_back_from_its_text(signal_: Signal) -> None:
    text = str(signal_)
    assert Signal.parse(text) == signal_
    assert str(Signal.parse(text)) == text


@given(signals())
def test_the_text_of_a_signal_is_lower_case_hex_with_leading_zeros(signal_: Signal) -> None:
    assert re.fullmatch(rf"{signal_.algorithm}:[0-9a-f]{{{signal_.algorithm.bits // 4}}}", str(signal_))


@given(signals())
def test_a_signal_is_read_back_from_its_bytes(signal_: Signal) -> None:
    octets = signal_.to_bytes()
    assert len(octets) == signal_.algorithm.bits // 8
    assert Signal.from_bytes(signal_.algorithm, octets) == signal_
    assert octets.hex() == str(signal_).partition(":")[2]


@given(st.text(max_size=80))
def test_arbitrary_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\Amust be algorithm:hex"):
        Signal.parse(text)


@given(pairs())
def test_the_distance_is_a_metric(three: tuple[Signal, Signal, Signal]) -> None:
    a, b, c = three
    assert a.distance(a) == 0
    assert a.distance(b) == b.distance(a) == sum(x != y for x, y in zip(_bits(a), _bits(b), strict=True))
    assert a.distance(c) <= a.distance(b) + b.distance(c)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_complement_differs_in_every_bit(algorithm: Algorithm) -> None:
    hash = signal(1, algorithm)
    assert hash.distance(Signal(algorithm, hash.value ^ (2**algorithm.bits - 1))) == algorithm.bits


def test_signals_of_different_algorithms_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"^pdq and phash256 cannot be compared$"):
        signal(1, Algorithm.PDQ).distance(signal(1, Algorithm.PHASH256))


_UNKNOWN = (
    "must be algorithm:hex, with one of the algorithms pdq, phash256, phash, dhash, whash, ahash, "
    "simhash256, sha256, md5, url"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", _UNKNOWN),
        ("pdq", _UNKNOWN),
        ("sha1:00", _UNKNOWN),
        ("PDQ:00", _UNKNOWN),
        ("phash:", "phash needs 16 hex digits, got 0"),
        ("pdq:" + "0" * 63, "pdq needs 64 hex digits, got 63"),
        ("phash:" + "0" * 17, "phash needs 16 hex digits, got 17"),
        ("phash:D1C4B2A09F8E7D6C", "phash needs 16 hex digits in lower case"),
        ("phash:d1c4b2a09f8e7d6g", "phash needs 16 hex digits in lower case"),
        ("phash:0x1c4b2a09f8e7d6", "phash needs 16 hex digits in lower case"),
        ("phash: d1c4b2a09f8e7d6", "phash needs 16 hex digits in lower case"),
        ("phash:d1c4b2a09f8e7d6c\n", "phash needs 16 hex digits in lower case"),
        ("phash:d1c4b2a0_9f8e7d6", "phash needs 16 hex digits in lower case"),
        ("phash:" + "\N{ARABIC-INDIC DIGIT ONE}" * 16, "phash needs 16 hex digits in lower case"),
        ("phash:d1c4:b2a09f8e7d6", "phash needs 16 hex digits in lower case"),
    ],
)
def test_a_malformed_signal_is_rejected_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Signal.parse(text)


FIGURES = [
    ("pdq", 256, 31, 120, 136),
    ("phash256", 256, 46, 120, 136),
    ("phash", 64, 6, 24, 40),
    ("dhash", 64, 4, 8, 56),
    ("whash", 64, 4, 8, 56),
    ("ahash", 64, 4, 8, 56),
    ("simhash256", 256, 72, 64, 192),
    ("sha256", 256, 0, 1, 255),
    ("md5", 128, 0, 1, 127),
    ("url", 256, 0, 1, 255),
]


def test_every_algorithm_is_in_the_table_of_figures_and_in_the_docstring() -> None:
    assert [name for name, *_ in FIGURES] == list(Algorithm)
    assert Algorithm.__doc__
    assert [name for name in Algorithm if f"`{name}`" not in Algorithm.__doc__] == []
    assert max(map(len, Algorithm)) <= 16  # The width of the column.


def test_an_algorithm_without_figures_fails_at_the_import() -> None:
    source = re.sub(r'(AHASH = "ahash"),.*', r"\1", inspect.getsource(Algorithm))
    module = "from __future__ import annotations\nfrom enum import StrEnum\n\n" + source
    with pytest.raises(TypeError, match=r"^ahash needs its bits, its default radius and its range of set bits$"):
        exec(module, {"__name__": "copy"})


@pytest.mark.parametrize(("algorithm", "bits", "radius", "fewest", "most"), FIGURES)
def test_an_algorithm_has_its_length_radius_and_set_bits(
    algorithm: Algorithm, bits: int, radius: int, fewest: int, most: int
) -> None:
    algorithm = Algorithm(algorithm)
    assert (algorithm.bits, algorithm.radius) == (bits, radius)
    kind = "text" if algorithm.of_text else "picture"
    for count in range(bits + 1):
        fault = Signal(algorithm, 2**count - 1).fault()
        expected = (
            f"{algorithm} has {count} of {bits} bits set; an ordinary {kind} has {fewest} to {most}"
            if radius
            else f"all bits of this {algorithm} are equal, so it is not a digest of content"
        )
        assert fault == (None if fewest <= count <= most else expected)


def test_the_minimum_quality_is_50_as_pdq_recommends() -> None:
    assert MINIMUM_QUALITY == 50


@pytest.mark.parametrize("value", [0, 2**63, 2**64 - 1])
def test_the_phash_of_a_flat_or_gradient_picture_is_rejected(value: int) -> None:
    assert Signal(Algorithm.PHASH, value).fault()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signals_of_the_test_builders_may_be_contributed(algorithm: Algorithm) -> None:
    for seed in range(20):
        drawn = signal(seed, algorithm)
        assert drawn.value.bit_count() == algorithm.bits // 2
        assert drawn.fault() is None
        assert near(drawn, 5, seed).distance(drawn) == 5


def _bits(signal_: Signal) -> str:
    return f"{signal_.value:0{signal_.algorithm.bits}b}"
