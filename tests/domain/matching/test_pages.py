"""Pages: which hashes identify a listed page."""

from __future__ import annotations

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent
from hashdb.domain.matching.matches import Holder
from hashdb.domain.matching.pages import RADII, SPARSE_PAGE, SPARSE_RADIUS, identifies_page, too_far_for_pages
from hashdb.domain.signals import PERCEPTUAL, Algorithm, Signal, is_sparse
from tests.builders import signal, sparse

DOCUMENT, VIDEO = Extent(None, 3, 500), Extent(60.0)
DENSE = signal(2, Algorithm.PHASH256)
"""A hash that is not sparse."""


@pytest.mark.parametrize("algorithm", PERCEPTUAL)
def test_only_pdq_and_phash256_identify_a_page_within_smaller_radii(algorithm: Algorithm) -> None:
    radius = RADII.get(algorithm, -1)
    assert radius < algorithm.radius
    assert [bits for bits in range(algorithm.radius + 1) if identifies_page(signal(2, algorithm), bits)] == [
        *range(radius + 1)
    ]


def test_a_sparse_hash_identifies_a_page_only_within_its_own_radius() -> None:
    assert identifies_page(sparse(1), SPARSE_RADIUS)
    assert not identifies_page(sparse(1), SPARSE_RADIUS + 1)
    assert RADII[Algorithm.PHASH256] > SPARSE_RADIUS


def test_the_hash_of_a_page_counts_as_sparse_earlier_than_that_of_a_picture() -> None:
    between = next(
        value for seed in range(200) if is_sparse(value := _blend(seed), SPARSE_PAGE) and not is_sparse(value)
    )
    assert not identifies_page(Signal(Algorithm.PHASH256, between), SPARSE_RADIUS + 1)


@pytest.mark.parametrize(
    ("hash", "distance", "transform", "is_far"),
    [
        (DENSE, 28, None, False),
        (DENSE, 29, None, True),
        (DENSE, 28, "border", False),
        (DENSE, 2, "tile-left", True),
        (DENSE, 2, "tilt-right", True),
        (sparse(1), 14, None, False),
        (sparse(1), 15, None, True),
        (signal(2), 16, None, False),
        (signal(2), 17, None, True),
        (signal(2, Algorithm.SHA256), 0, None, False),
        (signal(2, Algorithm.PHASH), 6, None, False),
    ],
)
def test_a_signal_that_identifies_no_page_is_too_far_only_for_documents(
    hash: Signal, distance: int, transform: str | None, is_far: bool
) -> None:
    through = {} if transform is None else {hash: transform}
    for extent in (DOCUMENT, VIDEO, None):
        picture = Holder(hash, 1, 1, None, Standing.UNREVIEWED, None)
        held = {hash: [picture, picture._replace(contribution=2, extent=extent)]}
        known: dict[Signal, bool] = {}
        expected = {hash} if is_far and extent is DOCUMENT else set()
        assert too_far_for_pages({hash: distance}, through, held, known) == expected
        assert too_far_for_pages({hash: distance}, through, held, known) == expected


def _blend(seed: int) -> int:
    """A value between a sparse one and a random one."""
    kept = signal(seed, Algorithm.PHASH256).value & signal(seed + 1_000, Algorithm.PHASH256).value
    return sparse(seed).value ^ kept
