"""From what an index holds to matches."""

from __future__ import annotations

from collections.abc import Sequence

from hashdb.domain.matches import Neighbor, Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.sparseness import FURTHER
from hashdb.domain.suggestions import by_contribution, rings, spelled, suggest
from hashdb.domain.testing import TEST_SIGNALS, holders_of_test
from tests.builders import near, signal, sparse

NEAR = Algorithm.PHASH256.radius - FURTHER


def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
    """Every value holds one other, a bit away."""
    return [[Neighbor(1, value ^ 1)] for value in values]


def test_what_is_found_is_told_with_the_distance_to_the_nearest_of_a_query() -> None:
    one = signal(1)
    (found,), (through,) = suggest([Query((one, Signal(one.algorithm, one.value ^ 1)))], search)
    assert found == {Signal(one.algorithm, one.value ^ 1): 1, one: 1}
    assert through == {}


def test_what_only_a_transform_found_is_told_with_its_name() -> None:
    one, two = signal(1), signal(2)
    (found,), (through,) = suggest([Query((one,), transforms={"mirror": (two,)})], search)
    assert len(found) == 2
    assert through == {Signal(two.algorithm, two.value ^ 1): "mirror"}


def test_the_test_item_is_found_whatever_the_index_holds() -> None:
    asked = near(TEST_SIGNALS[0], 4)
    (found,), _ = suggest([Query((asked, TEST_SIGNALS[2]))], lambda algorithm, values, radius: [[] for _ in values])
    assert found == {TEST_SIGNALS[0]: 4, TEST_SIGNALS[2]: 0}
    (held,) = by_contribution(holders_of_test(found), ())
    match = spelled(held, found, {})
    assert (match.contribution, match.labels) == (0, ("test",))
    assert match.distance == {Algorithm.PDQ: 4, Algorithm.PHASH: 0}


def test_what_only_supporting_algorithms_found_is_no_match() -> None:
    holders = holders_of_test([TEST_SIGNALS[2]])
    assert by_contribution(holders, {Algorithm.PHASH}) == []
    assert len(by_contribution(holders, {Algorithm.PHASH256})) == 1


def test_rings_go_from_near_to_far_against_the_default_radius() -> None:
    pdq, phash = signal(1), signal(1, Algorithm.PHASH)
    assert list(rings({pdq: 31, phash: 2, signal(2): 0})) == [[signal(2)], [phash], [pdq]]


def test_of_sparse_hashes_only_those_that_are_nearer_are_found_unless_a_radius_is_named() -> None:
    asked = sparse(1)
    stored = [near(asked, NEAR), near(asked, NEAR + 1)]
    found = {one: asked.distance(one) for one in stored}

    def all_of_them(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [[Neighbor(bits, one.value) for one, bits in found.items()] for _ in values]

    named = {Algorithm.PHASH256: Algorithm.PHASH256.radius}
    (usual, wide), _ = suggest([Query((asked,)), Query((asked,), radius=named)], all_of_them)
    assert usual == {stored[0]: NEAR}
    assert wide == found
    (through,), (names,) = suggest([Query((signal(1),), transforms={"mirror": (asked,)})], all_of_them)
    assert stored[0] in through and stored[0] in names and stored[1] not in through
