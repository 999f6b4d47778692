"""Sparse hashes: which ones are sparse, and their smaller radius."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from hashdb.domain.signals import SPARSE_MARGIN, Algorithm, Signal, is_sparse, match_radius
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pictures import Picture
from tests.builders import near, signal, sparse

PHASH256 = Algorithm.PHASH256


def test_a_product_of_rows_and_columns_is_sparse_and_random_bits_are_not() -> None:
    for seed in range(20):
        assert is_sparse(sparse(seed).value)
        assert is_sparse(sparse(seed).value ^ (1 << 256) - 1)
        assert is_sparse(near(sparse(seed), 40).value)
        assert not is_sparse(near(sparse(seed), 100).value)
        assert not is_sparse(signal(seed, PHASH256).value)
    assert is_sparse(0)


@pytest.mark.parametrize(("left", "top"), [(40, 60), (200, 90), (120, 150), (260, 200)])
def test_the_hash_of_a_small_object_on_a_plain_background_is_sparse(left: int, top: int) -> None:
    picture = Image.new("RGB", (320, 240), (200, 210, 220))
    ImageDraw.Draw(picture).ellipse((left, top, left + 12, top + 12), (30, 20, 20))
    assert is_sparse(imagehash_signal(Picture(picture), PHASH256).value)


def test_phash256_has_a_smaller_radius_if_either_value_is_sparse() -> None:
    dense, thin = signal(1, PHASH256).value, sparse(1).value
    assert match_radius(PHASH256, dense, signal(2, PHASH256).value) == PHASH256.radius
    assert match_radius(PHASH256, dense, thin) == match_radius(PHASH256, thin, dense) == PHASH256.radius - SPARSE_MARGIN
    assert match_radius(Algorithm.PDQ, thin, thin) == Algorithm.PDQ.radius


def test_a_sparse_signal_is_accepted() -> None:
    assert Signal(PHASH256, sparse(1).value).fault() is None
