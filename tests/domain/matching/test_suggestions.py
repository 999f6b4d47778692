"""From what an index holds to matches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent, Frame
from hashdb.domain.matching import suggestions
from hashdb.domain.matching.frames import ContributionMatched, FramesMatched, expand
from hashdb.domain.matching.matches import (
    MATCHES_A_QUERY,
    FrameDetails,
    Holder,
    MatchDetails,
    Neighbor,
    Query,
    Result,
)
from hashdb.domain.matching.suggestions import Distances, build_results, decide, suggest, suggest_expanded
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import SPARSE_MARGIN, Algorithm, Signal
from tests.builders import NOON, near, signal, sparse

NEAR = Algorithm.PHASH256.radius - SPARSE_MARGIN


def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
    """Every value holds one other, a bit away."""
    return [[Neighbor(1, value ^ 1)] for value in values]


def holder(held: Signal, contribution: int, member: int = 1, severity: int | None = None) -> Holder:
    about = MatchDetails(("glorification",), (), None, NOON)
    return Holder(held, contribution, member, severity, Standing.UNREVIEWED, about)


def answered(
    query: Query,
    found: Distances,
    held: Sequence[Holder],
    algorithms: Mapping[int, frozenset[Algorithm]] | None = None,
) -> tuple[Result, ...]:
    """What is answered of one query, where contributions have signals of these algorithms, too."""

    def overruling_algorithms(ids: Collection[int]) -> Mapping[int, frozenset[Algorithm]]:
        return {id: of for id, of in (algorithms or {}).items() if id in ids}

    by_signal = {signal: [one for one in held if one.signal == signal] for signal in found}
    return build_results([query], decide([query], [found], [{}], by_signal, overruling_algorithms))


def test_what_is_found_is_told_with_the_distance_to_the_nearest_of_a_query() -> None:
    one = signal(1)
    (found,), (through,) = suggest([Query((one, Signal(one.algorithm, one.value ^ 1)))], search)
    assert found == {Signal(one.algorithm, one.value ^ 1): 1, one: 1}
    assert through == {}


def _frames(count: int) -> Query:
    """A video of so many frames, each a second after the one before."""
    made = tuple(Frame(float(at), (signal(at),), 90) for at in range(count))
    return Query((), frames=made, duration=float(count))


def test_all_frames_are_searched_for_and_what_is_found_is_told_at_their_places() -> None:
    expanded = expand([Query((signal(900),)), _frames(400), Query((signal(901),))])
    suggested, _, thinned = suggest_expanded(expanded, search)
    assert not thinned
    plain, _ = suggest(expanded.queries, search)
    assert suggested == plain


def test_where_very_much_is_near_fewer_frames_are_searched_for_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    def search_cluster(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [[Neighbor(1, value ^ 1 << bit) for bit in range(10)] for value in values]

    monkeypatch.setattr(suggestions, "MOST_NEAR", 2_000)
    expanded = expand([Query((signal(900),)), _frames(1_000)])
    suggested, _, thinned = suggest_expanded(expanded, search_cluster)
    assert thinned == {1}
    assert suggested[0]
    found = [place for place, distances in enumerate(suggested[1:]) if distances]
    assert 200 <= len(found) <= 350
    assert max(after - before for before, after in pairwise(found)) <= 5


def test_a_clip_is_searched_for_whole_beside_a_film_that_very_much_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Query((), frames=tuple(Frame(float(at), (signal(5_000 + at),), 90) for at in range(10)), duration=10.0)
    few = {signal.value for frame in clip.frames for signal in frame.signals}

    def search_cluster(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [[Neighbor(1, value ^ 1 << bit) for bit in range(1 if value in few else 10)] for value in values]

    monkeypatch.setattr(suggestions, "MOST_NEAR", 2_000)
    expanded = expand([_frames(1_000), clip])
    suggested, _, thinned = suggest_expanded(expanded, search_cluster)
    assert thinned == {0}
    assert all(suggested[place] for place in expanded.frames[1])
    assert sum(map(len, suggested)) < 3_500


def test_a_video_of_which_nothing_was_aligned_is_truncated() -> None:
    matched = FramesMatched()
    matched.truncated = True
    query = _frames(2)
    (told,) = build_results([query], decide([query], [{}], [{}], {}, lambda ids: {}, {0: matched}))
    assert (told.matches, told.truncated, told.action) == ((), True, "review")


def test_the_transform_of_a_video_as_a_whole_is_told() -> None:
    one, two = signal(1), signal(2)
    held = {one: [holder(one, 1)], two: [holder(two, 2)]}
    matched = FramesMatched({2: ContributionMatched(FrameDetails(), [(held[two][0], 3, None)])})
    query, through = _frames(2), {one: "mirror", two: "mirror"}
    decided = decide([query], [{one: 5, two: 5}], [through], held, lambda ids: {}, {0: matched})
    (told,) = build_results([query], decided)
    assert {match.contribution: match.transform for match in told.matches} == {1: "mirror", 2: None}


def test_what_only_a_transform_found_is_told_with_its_name() -> None:
    one, two = signal(1), signal(2)
    (found,), (through,) = suggest([Query((one,), transforms={"mirror": (two,)})], search)
    assert len(found) == 2
    assert through == {Signal(two.algorithm, two.value ^ 1): "mirror"}


@pytest.mark.parametrize(
    ("name", "named", "radius"),
    [("cut-left", None, 31), ("secret-2-1", None, 40), ("mirror", None, 46), ("", None, 46), ("cut-left", 40, 40)],
)
def test_what_asks_for_a_precise_part_searches_narrowly_unless_a_radius_is_named(
    name: str, named: int | None, radius: int
) -> None:
    searched = []

    def note(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        searched.append((values, radius))
        return [[] for _ in values]

    own, part = signal(1, Algorithm.PDQ), signal(2, Algorithm.PHASH256)
    transforms, radii = {name: (part,)} if name else {}, {Algorithm.PHASH256: named} if named else {}
    suggest([Query((own,) if name else (own, part), radius=radii, transforms=transforms)], note)
    assert searched == [([own.value], 31), ([part.value], radius)]


def test_the_test_item_is_found_whatever_the_index_holds() -> None:
    asked = near(TEST_SIGNALS[0], 4)
    (found,), _ = suggest([Query((asked, TEST_SIGNALS[2]))], lambda algorithm, values, radius: [[] for _ in values])
    assert found == {TEST_SIGNALS[0]: 4, TEST_SIGNALS[2]: 0}
    (match,) = answered(Query((asked,)), found, [])[0].matches
    assert (match.contribution, match.labels) == (0, ("test",))
    assert match.distance == {Algorithm.PDQ: 4, Algorithm.PHASH: 0}


def test_phash_alone_is_no_match_where_another_algorithm_could_have_agreed() -> None:
    pdq, phash, wide = signal(1), signal(1, Algorithm.PHASH), signal(1, Algorithm.PHASH256)
    asked, narrow, wider = Query((pdq, phash)), Query((phash,)), Query((phash, wide))
    held = [holder(phash, 1), holder(phash, 2)]
    of_one = {1: frozenset({Algorithm.PDQ})}
    for query, expected in ((asked, [2]), (narrow, [1, 2]), (wider, [1, 2])):
        (one,) = answered(query, {phash: 0}, held, of_one)
        assert [match.contribution for match in one.matches] == expected
    (both,) = answered(asked, {phash: 0, pdq: 3}, [*held, holder(pdq, 1)], of_one)
    assert [match.agree for match in both.matches] == [(Algorithm.PDQ, Algorithm.PHASH), (Algorithm.PHASH,)]


def test_phash_alone_does_not_find_the_test_item_beside_pdq() -> None:
    asked = Query((signal(1), TEST_SIGNALS[2]))
    assert answered(asked, {TEST_SIGNALS[2]: 0}, [])[0].matches == ()


def test_members_share_a_full_answer_and_nobody_is_pushed_out() -> None:
    close, far = near(signal(1), 2), near(signal(1), 30)
    held = [holder(close, id, member=1) for id in range(1, 1_006)]
    held += [holder(far, id, member=2, severity=4) for id in range(2_000, 2_003)]
    (one,) = answered(Query((signal(1),)), {close: 2, far: 30}, held)
    ids = [match.contribution for match in one.matches]
    assert ids == [*range(1, 998), 2_000, 2_001, 2_002]
    assert (one.members, one.severity, one.truncated) == (2, 4, True)


def test_a_member_that_is_alone_has_the_whole_answer() -> None:
    value = signal(1)
    (one,) = answered(Query((value,)), {value: 0}, [holder(value, id) for id in range(1, MATCHES_A_QUERY + 2)])
    assert [match.contribution for match in one.matches] == list(range(1, MATCHES_A_QUERY + 1))
    assert (one.members, one.truncated) == (1, True)


def test_each_member_has_its_nearest() -> None:
    values = [near(signal(1), bits) for bits in (4, 8, 12)]
    found = dict(zip(values, (4, 8, 12), strict=True))
    held = [holder(values[id % 3], id, member=id % 2 + 1) for id in range(1, 3_001)]
    (one,) = answered(Query((signal(1),)), found, held)
    assert sorted(match.contribution for match in one.matches) == sorted(id for id in range(1, 3_001) if id % 3 == 0)
    held += [holder(values[2], 9_000, member=3)]
    (one,) = answered(Query((signal(1),)), found, held)
    assert one.matches[-1].contribution == 9_000
    assert len(one.matches) == 1_000


def test_queries_with_the_same_values_in_the_same_order_choose_once() -> None:
    one, two = signal(1), signal(2)
    held = {one: [holder(one, id) for id in range(1, 1_001)], two: [holder(two, id) for id in range(1_001, 2_001)]}
    found = [{one: 1, two: 2}, {one: 3, two: 9}, {one: 4, two: 2}]
    first, second, third = decide([Query((one, two))] * 3, found, [{}] * 3, held, lambda ids: {})
    assert first.chosen is second.chosen
    assert [group[0].contribution for group in first.chosen] == list(range(1, 1_001))
    assert [group[0].contribution for group in third.chosen] == list(range(1_001, 2_001))
    told = build_results([Query((one, two))] * 3, [first, second, third])
    assert [result.matches[0].distance for result in told] == [
        {one.algorithm: 1},
        {one.algorithm: 3},
        {one.algorithm: 2},
    ]


def test_after_a_full_answer_queries_are_told_what_they_would_have_matched() -> None:
    value = signal(1)
    held = [holder(value, id, severity=id % 4) for id in range(1, 1_001)]
    found: list[Distances] = [{value: bits % 9} for bits in range(30)]
    decided = decide([Query((value,))] * 30, found, [{}] * 30, {value: held}, lambda ids: {})
    assert [len(one.chosen) for one in decided] == [1_000] * 20 + [0] * 10
    assert all((one.truncated, one.severity, one.members) == (True, 3, frozenset({1})) for one in decided[20:])
    assert len({id(one) for one in decided}) == 10, "what was decided once is not decided again"


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


def test_by_phash256_a_page_is_near_within_28_bits_and_a_frame_of_a_video_within_46() -> None:
    asked, page, frame = (signal(seed, Algorithm.PHASH256) for seed in (1, 2, 3))
    held = [
        holder(page, 1)._replace(extent=Extent(None, 3, 500)),
        holder(frame, 2)._replace(extent=Extent(60.0)),
        holder(page, 3),
    ]

    def ids(distance: int) -> list[int]:
        (result,) = answered(Query((asked,)), {page: distance, frame: distance}, held)
        return sorted(match.contribution for match in result.matches)

    assert ids(28) == [1, 2, 3]
    assert ids(29) == [2, 3]


def test_a_strip_of_a_picture_tells_no_page_but_a_frame_of_a_video() -> None:
    asked, page, frame = (signal(seed, Algorithm.PHASH256) for seed in (1, 2, 3))
    held = {
        page: [holder(page, 1)._replace(extent=Extent(None, 3, None))],
        frame: [holder(frame, 2)._replace(extent=Extent(60.0))],
    }
    for name, found in (("tile-top", [2]), ("mirror", [1, 2])):
        query = Query((asked,), transforms={name: (signal(4, Algorithm.PHASH256),)})
        selected = decide([query], [{page: 8, frame: 8}], [{page: name, frame: name}], held, lambda _: {})
        (result,) = build_results([query], selected)
        assert sorted(match.contribution for match in result.matches) == found


def test_queries_that_are_near_and_far_from_a_page_share_no_choice() -> None:
    asked, page = signal(1, Algorithm.PHASH256), signal(2, Algorithm.PHASH256)
    held = {page: [holder(page, 1)._replace(extent=Extent(None, 3, None))]}
    near_page, far_page = build_results(
        [Query((asked,))] * 2, decide([Query((asked,))] * 2, [{page: 10}, {page: 40}], [{}, {}], held, lambda _: {})
    )
    assert near_page.matches
    assert not far_page.matches
