"""Shadows: the signals of a retired contribution that quarantine later ones, if the reviewer chooses none."""

from __future__ import annotations

from hashdb.domain.review.shadows import default_shadow
from hashdb.domain.signals import Algorithm
from tests.builders import near, signal, sparse

PHASH, PHASH256 = Algorithm.PHASH, Algorithm.PHASH256


def test_the_default_shadow_is_the_first_signal_of_each_algorithm() -> None:
    others = {place: signal(place) for place in range(3, 64)}
    assert default_shadow({0: signal(0), 1: signal(0, PHASH256), 2: signal(0, PHASH), **others}) == (0, 1, 2)


def test_signals_near_the_first_are_in_the_default_shadow() -> None:
    first = signal(0, PHASH256)
    crops = {1: near(first, 46), 2: near(first, 48), 3: near(near(first, 46), 40, seed=1)}
    assert default_shadow({0: first, **crops}) == (0, 1)


def test_a_sparse_signal_must_be_nearer_to_be_in_the_default_shadow() -> None:
    first = sparse(1)
    assert default_shadow({0: first, 1: near(first, 28), 2: near(first, 30)}) == (0, 1)


def test_default_shadow_accepts_any_places_and_no_signals() -> None:
    assert default_shadow({7: signal(2), 5: signal(1)}) == (5,)
    assert default_shadow({}) == ()
