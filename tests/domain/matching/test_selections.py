"""From suggestions to matches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent, Frame
from hashdb.domain.matching.frames import ContributionMatched, FramesMatched
from hashdb.domain.matching.matches import MATCHES_A_QUERY, FrameDetails, Holder, MatchDetails, Query, Result
from hashdb.domain.matching.selections import build_results, decide
from hashdb.domain.matching.suggestions import Distances
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import NOON, near, signal


def holder(held: Signal, contribution: int, member: int = 1, severity: int | None = None) -> Holder:
    about = MatchDetails(("glorification",), (), None, NOON)
    return Holder(held, contribution, member, severity, Standing.UNREVIEWED, about)


def results_of(
    query: Query,
    distances: Distances,
    held: Sequence[Holder],
    algorithms: Mapping[int, frozenset[Algorithm]] | None = None,
) -> tuple[Result, ...]:
    """The results of one query. Contributions also have signals of `algorithms`."""

    def overruling_algorithms(ids: Collection[int]) -> Mapping[int, frozenset[Algorithm]]:
        return {id: names for id, names in (algorithms or {}).items() if id in ids}

    by_signal = {signal: [stored for stored in held if stored.signal == signal] for signal in distances}
    return build_results([query], decide([query], [distances], [{}], by_signal, overruling_algorithms))


def _video(count: int) -> Query:
    """The query of a video with `count` frames, one a second."""
    frames = tuple(Frame(float(at), (signal(at),), 90) for at in range(count))
    return Query((), frames=frames, duration=float(count))


def test_the_result_of_a_video_that_was_not_aligned_is_truncated() -> None:
    matched = FramesMatched()
    matched.truncated = True
    query = _video(2)
    (result,) = build_results([query], decide([query], [{}], [{}], {}, lambda ids: {}, {0: matched}))
    assert (result.matches, result.truncated, result.action) == ((), True, "review")


def test_a_match_by_the_signals_of_a_whole_video_has_its_transform() -> None:
    value_a, value_b = signal(1), signal(2)
    held = {value_a: [holder(value_a, 1)], value_b: [holder(value_b, 2)]}
    matched = FramesMatched({2: ContributionMatched(FrameDetails(), [(held[value_b][0], 3, None)])})
    query, through = _video(2), {value_a: "mirror", value_b: "mirror"}
    decided = decide([query], [{value_a: 5, value_b: 5}], [through], held, lambda ids: {}, {0: matched})
    (result,) = build_results([query], decided)
    assert {match.contribution: match.transform for match in result.matches} == {1: "mirror", 2: None}


def test_the_test_item_matches_without_holders() -> None:
    distances = {TEST_SIGNALS[0]: 4, TEST_SIGNALS[2]: 0}
    (match,) = results_of(Query((near(TEST_SIGNALS[0], 4),)), distances, [])[0].matches
    assert (match.contribution, match.labels) == (0, ("test",))
    assert match.distance == {Algorithm.PDQ: 4, Algorithm.PHASH: 0}


def test_phash_alone_is_no_match_if_both_sides_have_pdq() -> None:
    pdq, phash, wide = signal(1), signal(1, Algorithm.PHASH), signal(1, Algorithm.PHASH256)
    with_pdq, phash_only, with_phash256 = Query((pdq, phash)), Query((phash,)), Query((phash, wide))
    held = [holder(phash, 1), holder(phash, 2)]
    algorithms = {1: frozenset({Algorithm.PDQ})}
    for query, expected in ((with_pdq, [2]), (phash_only, [1, 2]), (with_phash256, [1, 2])):
        (result,) = results_of(query, {phash: 0}, held, algorithms)
        assert [match.contribution for match in result.matches] == expected
    (both,) = results_of(with_pdq, {phash: 0, pdq: 3}, [*held, holder(pdq, 1)], algorithms)
    assert [match.agree for match in both.matches] == [(Algorithm.PDQ, Algorithm.PHASH), (Algorithm.PHASH,)]


def test_phash_alone_does_not_match_the_test_item_if_the_query_has_pdq() -> None:
    query = Query((signal(1), TEST_SIGNALS[2]))
    assert results_of(query, {TEST_SIGNALS[2]: 0}, [])[0].matches == ()


def test_a_full_result_has_matches_of_every_member() -> None:
    close, far = near(signal(1), 2), near(signal(1), 30)
    held = [holder(close, id, member=1) for id in range(1, 1_006)]
    held += [holder(far, id, member=2, severity=4) for id in range(2_000, 2_003)]
    (result,) = results_of(Query((signal(1),)), {close: 2, far: 30}, held)
    ids = [match.contribution for match in result.matches]
    assert ids == [*range(1, 998), 2_000, 2_001, 2_002]
    assert (result.members, result.severity, result.truncated) == (2, 4, True)


def test_one_member_alone_can_fill_the_result() -> None:
    value = signal(1)
    (result,) = results_of(Query((value,)), {value: 0}, [holder(value, id) for id in range(1, MATCHES_A_QUERY + 2)])
    assert [match.contribution for match in result.matches] == list(range(1, MATCHES_A_QUERY + 1))
    assert (result.members, result.truncated) == (1, True)


def test_a_full_result_has_the_nearest_matches_of_each_member() -> None:
    values = [near(signal(1), bits) for bits in (4, 8, 12)]
    distances = dict(zip(values, (4, 8, 12), strict=True))
    held = [holder(values[id % 3], id, member=id % 2 + 1) for id in range(1, 3_001)]
    (result,) = results_of(Query((signal(1),)), distances, held)
    assert sorted(match.contribution for match in result.matches) == sorted(id for id in range(1, 3_001) if id % 3 == 0)
    held += [holder(values[2], 9_000, member=3)]
    (result,) = results_of(Query((signal(1),)), distances, held)
    assert result.matches[-1].contribution == 9_000
    assert len(result.matches) == 1_000


def test_queries_with_the_same_values_in_the_same_order_share_one_choice() -> None:
    value_a, value_b = signal(1), signal(2)
    held = {
        value_a: [holder(value_a, id) for id in range(1, 1_001)],
        value_b: [holder(value_b, id) for id in range(1_001, 2_001)],
    }
    distances = [{value_a: 1, value_b: 2}, {value_a: 3, value_b: 9}, {value_a: 4, value_b: 2}]
    first, second, third = decide([Query((value_a, value_b))] * 3, distances, [{}] * 3, held, lambda ids: {})
    assert first.chosen is second.chosen
    assert [group[0].contribution for group in first.chosen] == list(range(1, 1_001))
    assert [group[0].contribution for group in third.chosen] == list(range(1_001, 2_001))
    results = build_results([Query((value_a, value_b))] * 3, [first, second, third])
    assert [result.matches[0].distance for result in results] == [
        {value_a.algorithm: 1},
        {value_a.algorithm: 3},
        {value_a.algorithm: 2},
    ]


def test_beyond_the_limit_of_a_request_queries_return_only_their_summary() -> None:
    value = signal(1)
    held = [holder(value, id, severity=id % 4) for id in range(1, 1_001)]
    distances: list[Distances] = [{value: bits % 9} for bits in range(30)]
    decided = decide([Query((value,))] * 30, distances, [{}] * 30, {value: held}, lambda ids: {})
    assert [len(decision.chosen) for decision in decided] == [1_000] * 20 + [0] * 10
    summaries = [(decision.truncated, decision.severity, decision.members) for decision in decided[20:]]
    assert summaries == [(True, 3, frozenset({1}))] * 10
    assert len({id(decision) for decision in decided}) == 10, "equal queries share one decision"


def test_phash256_matches_a_page_within_28_bits_and_a_frame_within_46() -> None:
    queried, page, frame = (signal(seed, Algorithm.PHASH256) for seed in (1, 2, 3))
    held = [
        holder(page, 1)._replace(extent=Extent(None, 3, 500)),
        holder(frame, 2)._replace(extent=Extent(60.0)),
        holder(page, 3),
    ]

    def ids(distance: int) -> list[int]:
        (result,) = results_of(Query((queried,)), {page: distance, frame: distance}, held)
        return sorted(match.contribution for match in result.matches)

    assert ids(28) == [1, 2, 3]
    assert ids(29) == [2, 3]


def test_a_strip_of_a_picture_matches_a_frame_of_a_video_but_no_page() -> None:
    queried, page, frame = (signal(seed, Algorithm.PHASH256) for seed in (1, 2, 3))
    held = {
        page: [holder(page, 1)._replace(extent=Extent(None, 3, None))],
        frame: [holder(frame, 2)._replace(extent=Extent(60.0))],
    }
    for name, expected in (("tile-top", [2]), ("mirror", [1, 2])):
        query = Query((queried,), transforms={name: (signal(4, Algorithm.PHASH256),)})
        selected = decide([query], [{page: 8, frame: 8}], [{page: name, frame: name}], held, lambda _: {})
        (result,) = build_results([query], selected)
        assert sorted(match.contribution for match in result.matches) == expected


def test_queries_near_to_and_far_from_a_page_share_no_choice() -> None:
    queried, page = signal(1, Algorithm.PHASH256), signal(2, Algorithm.PHASH256)
    held = {page: [holder(page, 1)._replace(extent=Extent(None, 3, None))]}
    near_page, far_page = build_results(
        [Query((queried,))] * 2, decide([Query((queried,))] * 2, [{page: 10}, {page: 40}], [{}, {}], held, lambda _: {})
    )
    assert near_page.matches
    assert not far_page.matches
