"""Shadows: which signals of a retired contribution hold others where the reviewer names none."""

from __future__ import annotations

from hashdb.domain.review.cases import default_shadow
from hashdb.domain.signals import Algorithm
from tests.builders import near, signal, sparse

PHASH, PHASH256 = Algorithm.PHASH, Algorithm.PHASH256


def test_the_first_signal_of_each_algorithm_casts_a_shadow_and_planted_values_do_not() -> None:
    planted = {place: signal(place) for place in range(3, 64)}
    assert default_shadow({0: signal(0), 1: signal(0, PHASH256), 2: signal(0, PHASH), **planted}) == (0, 1, 2)


def test_what_is_within_the_default_radius_of_the_first_signal_casts_a_shadow_too() -> None:
    first = signal(0, PHASH256)
    crops = {1: near(first, 46), 2: near(first, 48), 3: near(near(first, 46), 40, seed=1)}
    assert default_shadow({0: first, **crops}) == (0, 1)


def test_a_sparse_value_must_be_nearer() -> None:
    first = sparse(1)
    assert default_shadow({0: first, 1: near(first, 28), 2: near(first, 30)}) == (0, 1)


def test_the_places_need_not_begin_at_0_and_a_contribution_without_signals_casts_no_shadow() -> None:
    assert default_shadow({7: signal(2), 5: signal(1)}) == (5,)
    assert default_shadow({}) == ()
