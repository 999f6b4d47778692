"""Pairs of different pictures, compared with plain Python."""

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
    """The values of a query that are all searched within the same radius."""
    return Views(values, np.zeros(len(values), np.uint16))


def _values(random: Random, bits: int, least: int) -> list[list[int]]:
    """Of 70 pictures, which is more than a block: some values each, all within a few bits of one another."""
    return [
        [random.getrandbits(bits) & random.getrandbits(bits) for _ in range(random.randint(least, 4))]
        for _ in range(70)
    ]


@pytest.mark.parametrize("algorithm", [Algorithm.PHASH, Algorithm.PDQ])
def test_each_pair_counts_once_at_its_least_distance(algorithm: Algorithm) -> None:
    bits = algorithm.bits
    random = Random(bits)
    asked, stored = _values(random, bits, 1), _values(random, bits, 0)
    left_out = {(3, 4), (4, 3), (69, 0)}
    alone, transformed = compare(
        [as_views(pack(values, bits)) for values in asked],
        [pack(values, bits) for values in stored],
        algorithm,
        left_out,
    )
    for found, many in ((alone, 1), (transformed, 4)):
        expected = {
            (one, other): min((query ^ value).bit_count() for query in asked[one][:many] for value in stored[other])
            for one in range(70)
            for other in range(70)
            if one != other and (one, other) not in left_out and stored[other]
        }
        assert {d: n for d, n in enumerate(found.counts.tolist()) if n} == Counter(expected.values())
        assert found.total == len(expected)
        assert found.nearest == min(expected.values())
        near = {(one, other): distance for one, other, distance in found.near.tolist()}
        assert near == {pair: distance for pair, distance in expected.items() if distance <= found.limit}
        assert found.within(found.nearest) == Counter(expected.values())[found.nearest]
        assert found.within(-1) == 0


def test_a_pair_is_named_once_whichever_asks() -> None:
    words = [pack([value], 64) for value in (0b0, 0b1, 0xFFFF_FFFF_0000_0000)]
    pairs, _ = compare([*map(as_views, words)], words, Algorithm.PHASH)
    assert pairs.nearest_pairs(5) == [(0, 1, 1)]


def test_pictures_without_any_value_make_no_pair() -> None:
    nothing = [np.empty((0, 4), np.uint64)] * 3
    asked = [pack([value], 256) for value in (1, 2, 3)]
    pairs, _ = compare([*map(as_views, asked)], nothing, Algorithm.PDQ)
    assert (pairs.total, pairs.nearest, pairs.nearest_pairs(3)) == (0, None, [])


def test_a_pair_of_which_either_is_sparse_is_further_apart() -> None:
    one = sparse(1)
    words = [pack([value.value], 256) for value in (one, near(one, 20), signal(1, Algorithm.PHASH256))]
    pairs, _ = compare([*map(as_views, words)], words, Algorithm.PHASH256)
    assert pairs.nearest_pairs(1) == [(0, 1, 20 + SPARSE_MARGIN)]


def test_a_pair_of_which_the_query_is_asked_within_less_is_further_apart() -> None:
    one, other = signal(1), signal(2)
    queries = [Views(pack([near(other, 20).value, near(other, 9).value], 256), np.array([0, 15], np.uint16))]
    alone, transformed = compare(
        [*queries, as_views(pack([other.value], 256))],
        [pack([one.value], 256), pack([other.value], 256)],
        Algorithm.PDQ,
    )
    assert alone.nearest_pairs(1) == [(0, 1, 20)]
    assert transformed.nearest_pairs(1) == [(0, 1, 20)]
