"""Pairs of different pictures. The expected distances are computed in plain Python."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from hashdb.domain.signals import SPARSE_MARGIN, Algorithm
from hashdb.evaluation.pairs import compare
from hashdb.evaluation.samples import Views
from hashdb.index.vectors import Words, pack
from tests.builders import near, signal, sparse


def as_views(values: Words) -> Views:
    """The values of a query, all with the same radius."""
    return Views(values, np.zeros(len(values), np.uint16))


def _values(random: Random, bits: int, least: int) -> list[list[int]]:
    """Random values of 70 pictures, `least` to 4 each. 70 pictures are more than one block."""
    return [
        [random.getrandbits(bits) & random.getrandbits(bits) for _ in range(random.randint(least, 4))]
        for _ in range(70)
    ]


@pytest.mark.parametrize("algorithm", [Algorithm.PHASH, Algorithm.PDQ])
def test_each_pair_is_counted_once_at_its_smallest_distance(algorithm: Algorithm) -> None:
    bits = algorithm.bits
    random = Random(bits)
    queried, stored = _values(random, bits, 1), _values(random, bits, 0)
    omitted = {(3, 4), (4, 3), (69, 0)}
    alone, transformed = compare(
        [as_views(pack(values, bits)) for values in queried],
        [pack(values, bits) for values in stored],
        algorithm,
        omitted,
    )
    for pairs, many in ((alone, 1), (transformed, 4)):
        expected = {
            (query, listed): min(
                (value ^ other).bit_count() for value in queried[query][:many] for other in stored[listed]
            )
            for query in range(70)
            for listed in range(70)
            if query != listed and (query, listed) not in omitted and stored[listed]
        }
        assert {d: n for d, n in enumerate(pairs.counts.tolist()) if n} == Counter(expected.values())
        assert pairs.total == len(expected)
        assert pairs.nearest == min(expected.values())
        nearest = {(query, listed): distance for query, listed, distance in pairs.near.tolist()}
        assert nearest == {pair: distance for pair, distance in expected.items() if distance <= pairs.limit}
        assert pairs.within(pairs.nearest) == Counter(expected.values())[pairs.nearest]
        assert pairs.within(-1) == 0


def test_a_pair_is_listed_once_for_both_directions() -> None:
    words = [pack([value], 64) for value in (0b0, 0b1, 0xFFFF_FFFF_0000_0000)]
    pairs, _ = compare([*map(as_views, words)], words, Algorithm.PHASH)
    assert pairs.nearest_pairs(5) == [(0, 1, 1)]


def test_pictures_without_a_value_make_no_pair() -> None:
    nothing = [np.empty((0, 4), np.uint64)] * 3
    queried = [pack([value], 256) for value in (1, 2, 3)]
    pairs, _ = compare([*map(as_views, queried)], nothing, Algorithm.PDQ)
    assert (pairs.total, pairs.nearest, pairs.nearest_pairs(3)) == (0, None, [])


def test_a_pair_with_a_sparse_value_counts_as_farther_apart() -> None:
    hash = sparse(1)
    words = [pack([value.value], 256) for value in (hash, near(hash, 20), signal(1, Algorithm.PHASH256))]
    pairs, _ = compare([*map(as_views, words)], words, Algorithm.PHASH256)
    assert pairs.nearest_pairs(1) == [(0, 1, 20 + SPARSE_MARGIN)]


def test_a_value_with_a_smaller_radius_counts_as_farther_apart() -> None:
    first, second = signal(1), signal(2)
    queries = [Views(pack([near(second, 20).value, near(second, 9).value], 256), np.array([0, 15], np.uint16))]
    alone, transformed = compare(
        [*queries, as_views(pack([second.value], 256))],
        [pack([first.value], 256), pack([second.value], 256)],
        Algorithm.PDQ,
    )
    assert alone.nearest_pairs(1) == [(0, 1, 20)]
    assert transformed.nearest_pairs(1) == [(0, 1, 20)]
