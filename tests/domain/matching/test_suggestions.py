"""From the values that an index finds to suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from hashdb.domain.frames import Frame
from hashdb.domain.matching import suggestions
from hashdb.domain.matching.frames import expand
from hashdb.domain.matching.matches import Neighbor, Query
from hashdb.domain.matching.suggestions import suggest, suggest_expanded
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import SPARSE_MARGIN, Algorithm, Signal
from tests.builders import near, signal, sparse

NEAR = Algorithm.PHASH256.radius - SPARSE_MARGIN


def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
    """Every value has one neighbor, one bit away."""
    return [[Neighbor(1, value ^ 1)] for value in values]


def test_a_suggestion_has_the_distance_to_the_nearest_signal_of_the_query() -> None:
    hash = signal(1)
    (distances,), (through,) = suggest([Query((hash, Signal(hash.algorithm, hash.value ^ 1)))], search)
    assert distances == {Signal(hash.algorithm, hash.value ^ 1): 1, hash: 1}
    assert through == {}


def _video(count: int) -> Query:
    """The query of a video with `count` frames, one a second."""
    frames = tuple(Frame(float(at), (signal(at),), 90) for at in range(count))
    return Query((), frames=frames, duration=float(count))


def test_all_frames_are_searched_and_suggestions_are_listed_by_frame() -> None:
    expanded = expand([Query((signal(900),)), _video(400), Query((signal(901),))])
    suggested, _, thinned = suggest_expanded(expanded, search)
    assert not thinned
    plain, _ = suggest(expanded.queries, search)
    assert suggested == plain


def test_with_very_many_neighbors_evenly_spread_frames_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    def search_cluster(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [[Neighbor(1, value ^ 1 << bit) for bit in range(10)] for value in values]

    monkeypatch.setattr(suggestions, "MOST_NEAR", 2_000)
    expanded = expand([Query((signal(900),)), _video(1_000)])
    suggested, _, thinned = suggest_expanded(expanded, search_cluster)
    assert thinned == {1}
    assert suggested[0]
    searched = [place for place, distances in enumerate(suggested[1:]) if distances]
    assert 200 <= len(searched) <= 350
    assert max(after - before for before, after in pairwise(searched)) <= 5


def test_a_clip_is_searched_in_full_even_if_a_film_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Query((), frames=tuple(Frame(float(at), (signal(5_000 + at),), 90) for at in range(10)), duration=10.0)
    few = {signal.value for frame in clip.frames for signal in frame.signals}

    def search_cluster(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [[Neighbor(1, value ^ 1 << bit) for bit in range(1 if value in few else 10)] for value in values]

    monkeypatch.setattr(suggestions, "MOST_NEAR", 2_000)
    expanded = expand([_video(1_000), clip])
    suggested, _, thinned = suggest_expanded(expanded, search_cluster)
    assert thinned == {0}
    assert all(suggested[place] for place in expanded.frames[1])
    assert sum(map(len, suggested)) < 3_500


def test_a_suggestion_by_a_transform_only_has_the_name_of_the_transform() -> None:
    own, mirrored = signal(1), signal(2)
    (distances,), (through,) = suggest([Query((own,), transforms={"mirror": (mirrored,)})], search)
    assert len(distances) == 2
    assert through == {Signal(mirrored.algorithm, mirrored.value ^ 1): "mirror"}


@pytest.mark.parametrize(
    ("name", "query_radius", "radius"),
    [("cut-left", None, 31), ("secret-2-1", None, 40), ("mirror", None, 46), ("", None, 46), ("cut-left", 40, 40)],
)
def test_a_view_of_a_part_has_a_smaller_radius_unless_the_query_sets_one(
    name: str, query_radius: int | None, radius: int
) -> None:
    searched = []

    def record(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        searched.append((values, radius))
        return [[] for _ in values]

    own, part = signal(1, Algorithm.PDQ), signal(2, Algorithm.PHASH256)
    transforms, radii = {name: (part,)} if name else {}, {Algorithm.PHASH256: query_radius} if query_radius else {}
    suggest([Query((own,) if name else (own, part), radius=radii, transforms=transforms)], record)
    assert searched == [([own.value], 31), ([part.value], radius)]


def test_the_test_item_is_found_with_an_empty_index() -> None:
    queried = near(TEST_SIGNALS[0], 4)
    (distances,), _ = suggest(
        [Query((queried, TEST_SIGNALS[2]))], lambda algorithm, values, radius: [[] for _ in values]
    )
    assert distances == {TEST_SIGNALS[0]: 4, TEST_SIGNALS[2]: 0}


def test_sparse_hashes_have_a_smaller_radius_unless_the_query_sets_one() -> None:
    queried = sparse(1)
    stored = [near(queried, NEAR), near(queried, NEAR + 1)]
    distances = {hash: queried.distance(hash) for hash in stored}

    def search_all(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [[Neighbor(bits, hash.value) for hash, bits in distances.items()] for _ in values]

    full_radius = {Algorithm.PHASH256: Algorithm.PHASH256.radius}
    (default, wide), _ = suggest([Query((queried,)), Query((queried,), radius=full_radius)], search_all)
    assert default == {stored[0]: NEAR}
    assert wide == distances
    (through,), (names,) = suggest([Query((signal(1),), transforms={"mirror": (queried,)})], search_all)
    assert stored[0] in through and stored[0] in names and stored[1] not in through
