"""Benign signals: their default radius, and which of them can be near a contribution."""

from __future__ import annotations

import pytest

from hashdb.domain.matching.benign import BenignDraft, can_be_contributed_near, default_radius
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import signal


@pytest.mark.parametrize(
    ("algorithm", "radius"),
    [("pdq", 15), ("phash256", 23), ("phash", 3), ("dhash", 2), ("whash", 2), ("ahash", 2), ("simhash256", 72)],
)
def test_the_default_radius_is_half_the_radius_of_pictures_and_that_of_texts(algorithm: str, radius: int) -> None:
    assert default_radius(Algorithm(algorithm)) == radius
    assert BenignDraft((signal(1),)).radius_of(Algorithm(algorithm)) == radius
    assert BenignDraft((signal(1),), {Algorithm(algorithm): 1}).radius_of(Algorithm(algorithm)) == 1


@pytest.mark.parametrize("algorithm", Algorithm)
def test_an_entry_is_useful_only_near_a_value_that_may_be_contributed(algorithm: Algorithm) -> None:
    radius = default_radius(algorithm)
    for count in range(algorithm.bits + 1):
        nearest = min(abs(count - allowed) for allowed in algorithm.set_bits)
        assert can_be_contributed_near(Signal(algorithm, 2**count - 1)) == (nearest <= radius)
