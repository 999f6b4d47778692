"""Neighbors: whether a near contribution would be returned as a match."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.matching.neighbors import NearContribution, neighbor_radius
from hashdb.domain.signals import SPARSE_MARGIN, Algorithm
from tests.builders import NOON, sparse
from tests.builders import near as near_to

CONTRIBUTION = Contribution(
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


def near(contribution: Contribution = CONTRIBUTION, **distance: int) -> NearContribution:
    return NearContribution(contribution, {Algorithm(name): bits for name, bits in distance.items()}, {}, {})


def test_the_radius_decides_which_algorithms_match() -> None:
    neighbor = near(pdq=31, phash=7)
    assert neighbor.within({}) == (PDQ,)
    assert neighbor.within({PDQ: 30, PHASH: 7}) == (PHASH,)
    assert neighbor.matches({})
    assert not neighbor.matches({PDQ: 30})


def test_an_overruled_phash_alone_is_no_match() -> None:
    assert near(phash=1).matches({})
    assert not replace(near(phash=1), phash_is_overruled=True).matches({})
    assert not replace(near(phash=1, pdq=32), phash_is_overruled=True).matches({})
    assert replace(near(phash=1, pdq=31), phash_is_overruled=True).matches({})


@pytest.mark.parametrize(
    ("changed", "no_match_reason"),
    [
        ({}, None),
        ({"standing": Standing.DISPUTED}, None),
        ({"standing": Standing.QUARANTINED}, "quarantined"),
        ({"standing": Standing.RETIRED, "status": Status.WITHDRAWN}, "withdrawn"),
    ],
)
def test_a_contribution_that_cannot_match_has_the_reason(
    changed: dict[str, Standing], no_match_reason: str | None
) -> None:
    neighbor = near(replace(CONTRIBUTION, **changed), pdq=0)  # type: ignore[arg-type]
    assert neighbor.no_match_reason == no_match_reason
    assert neighbor.matches({}) is (no_match_reason is None)


def test_neighbors_are_ordered_by_distance_relative_to_the_radius() -> None:
    several = [near(pdq=31), near(phash=1), near(pdq=10, phash=3), near(pdq=10)]
    assert [dict(neighbor.distance) for neighbor in sorted(several, key=lambda neighbor: neighbor.rank)] == [
        {PHASH: 1}, {PDQ: 10, PHASH: 3}, {PDQ: 10}, {PDQ: 31},
    ]  # fmt: skip
    assert neighbor_radius(PDQ) == 62
    assert neighbor_radius(Algorithm.SIMHASH256) == 92


def test_a_sparse_pair_has_a_smaller_default_radius() -> None:
    hash = sparse(1)
    neighbor = NearContribution(CONTRIBUTION, {hash.algorithm: 30}, {hash.algorithm: (hash, near_to(hash, 30))}, {})
    assert neighbor.default_radius(hash.algorithm) == hash.algorithm.radius - SPARSE_MARGIN
    assert neighbor.within({}) == neighbor.within({hash.algorithm: hash.algorithm.radius}) == ()
    assert neighbor.within({hash.algorithm: hash.algorithm.radius - 1}) == (hash.algorithm,)


def test_a_neighbor_of_a_transform_has_the_radius_of_the_transform() -> None:
    neighbor = near(phash256=40)
    assert neighbor.within({}) == (Algorithm.PHASH256,)
    assert replace(neighbor, nearest_transform={Algorithm.PHASH256: "cut-left"}).within({}) == ()
