"""What the evaluation counts as sparse is what a match does."""

from __future__ import annotations

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.domain.sparseness import FURTHER, is_sparse
from hashdb.evaluation.sparse import further
from hashdb.index.words import pack
from tests.builders import near, signal, sparse


def test_it_is_the_same_as_at_a_match() -> None:
    values = [near(sparse(seed), bits).value for seed in range(20) for bits in range(0, 128, 8)]
    values += [signal(seed, Algorithm.PHASH256).value for seed in range(50)]
    expected = [FURTHER * is_sparse(value) for value in values]
    assert 0 < sum(map(bool, expected)) < len(values)
    assert further(Algorithm.PHASH256, pack(values, 256)).tolist() == expected


def test_of_other_algorithms_and_of_nothing_there_is_none() -> None:
    assert not further(Algorithm.PDQ, pack([sparse(1).value], 256)).any()
    assert further(Algorithm.PHASH256, np.empty((0, 4), np.uint64)).shape == (0,)
