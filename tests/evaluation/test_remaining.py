"""The pairs that would still match after the verification."""

from __future__ import annotations

import pytest

from hashdb.domain.matching.matches import Query, StoredItem
from hashdb.domain.signals import Algorithm, Profile
from hashdb.domain.signatures import WHOLE
from hashdb.evaluation.catalogue import query_of, stored_item
from hashdb.evaluation.remaining import ALL_REMAIN, Remaining, nearest_view, remains
from hashdb.hashing import hash_transforms, hash_variants
from tests.builders import near, signal
from tests.evaluation.photos import PHOTOS

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)


def test_the_upper_limit_is_above_the_share_and_nearer_with_more_pairs() -> None:
    assert Remaining(0, 60).upper == pytest.approx(0.0602, abs=1e-4)
    assert 0.5 < Remaining(500, 1_000).upper < Remaining(5, 10).upper < 0.8
    assert ALL_REMAIN.upper == 1 == pytest.approx(Remaining(60, 60).upper)


def test_the_nearest_view_is_the_one_nearest_relative_to_its_radius() -> None:
    stored = StoredItem((signal(1, Algorithm.PHASH256), signal(1)))
    own = near(signal(1, Algorithm.PHASH256), 60)
    query = Query((own,), transforms={"mirror": (signal(2, Algorithm.PHASH256),)})
    assert nearest_view(query, stored, Algorithm.PHASH256) == WHOLE
    assert nearest_view(query, stored, Algorithm.PDQ) is None
    panel = Query((own,), transforms={"panel": (near(signal(1, Algorithm.PHASH256), 50),)})
    assert panel.radius_of(Algorithm.PHASH256, "panel") < Algorithm.PHASH256.radius - 10
    assert nearest_view(panel, stored, Algorithm.PHASH256) == WHOLE, "60 of 46 is nearer than 50 of 31"


def test_a_copy_remains_a_match_and_another_picture_does_not() -> None:
    query = query_of(hash_transforms(PHOTOS[0].read_bytes(), ALGORITHMS), {})
    own, other = (stored_item(hash_variants(photo.read_bytes(), ALGORITHMS, Profile.BALANCED)) for photo in PHOTOS[:2])
    for algorithm in ALGORITHMS:
        assert remains(query, own, algorithm)
        assert not remains(query, other, algorithm)
    assert not remains(query, StoredItem(), Algorithm.PDQ)
