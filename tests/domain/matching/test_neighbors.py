"""Whether what is near would be answered as a match."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.matching.matches import NearContribution, neighbor_radius
from hashdb.domain.signals import SPARSE_MARGIN, Algorithm
from tests.builders import NOON, sparse
from tests.builders import near as near_to

ONE = Contribution(
    id=1,
    member=1,
    member_name="Example",
    status=Status.ACTIVE,
    standing=Standing.UNREVIEWED,
    received_at=NOON,
    signals=(),
    labels=(),
    removed_at=None,
)
PDQ, PHASH = Algorithm.PDQ, Algorithm.PHASH


def near(contribution: Contribution = ONE, **distance: int) -> NearContribution:
    return NearContribution(contribution, {Algorithm(name): bits for name, bits in distance.items()}, {}, {})


def test_a_radius_decides_by_which_algorithms_it_matches() -> None:
    found = near(pdq=31, phash=7)
    assert found.within({}) == (PDQ,)
    assert found.within({PDQ: 30, PHASH: 7}) == (PHASH,)
    assert found.matches({})
    assert not found.matches({PDQ: 30})


def test_phash_alone_is_no_match_where_it_is_overruled() -> None:
    assert near(phash=1).matches({})
    assert not replace(near(phash=1), overruled=True).matches({})
    assert not replace(near(phash=1, pdq=32), overruled=True).matches({})
    assert replace(near(phash=1, pdq=31), overruled=True).matches({})


@pytest.mark.parametrize(
    ("changed", "no_match_reason"),
    [
        ({}, None),
        ({"standing": Standing.DISPUTED}, None),
        ({"standing": Standing.QUARANTINED}, "quarantined"),
        ({"standing": Standing.RETIRED, "status": Status.WITHDRAWN}, "withdrawn"),
    ],
)
def test_what_keeps_it_from_matching_is_told(changed: dict[str, Standing], no_match_reason: str | None) -> None:
    found = near(replace(ONE, **changed), pdq=0)  # type: ignore[arg-type]
    assert found.no_match_reason == no_match_reason
    assert found.matches({}) is (no_match_reason is None)


def test_the_nearest_against_its_radius_comes_first() -> None:
    several = [near(pdq=31), near(phash=1), near(pdq=10, phash=3), near(pdq=10)]
    assert [dict(one.distance) for one in sorted(several, key=lambda one: one.rank)] == [
        {PHASH: 1}, {PDQ: 10, PHASH: 3}, {PDQ: 10}, {PDQ: 31},
    ]  # fmt: skip
    assert neighbor_radius(PDQ) == 62
    assert neighbor_radius(Algorithm.SIMHASH256) == 92


def test_a_pair_that_tells_little_is_within_less_unless_another_radius_is_chosen() -> None:
    one = sparse(1)
    found = NearContribution(ONE, {one.algorithm: 30}, {one.algorithm: (one, near_to(one, 30))}, {})
    assert found.default_radius(one.algorithm) == one.algorithm.radius - SPARSE_MARGIN
    assert found.within({}) == found.within({one.algorithm: one.algorithm.radius}) == ()
    assert found.within({one.algorithm: one.algorithm.radius - 1}) == (one.algorithm,)


def test_what_a_transform_found_is_within_the_radius_of_the_transform() -> None:
    found = near(phash256=40)
    assert found.within({}) == (Algorithm.PHASH256,)
    assert replace(found, nearest_transform={Algorithm.PHASH256: "cut-left"}).within({}) == ()
