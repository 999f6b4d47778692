"""Which suggested contributions remain matches, once all views of a query are compared with all that is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from hashdb.domain.matching.frames import OverrulingAlgorithms
from hashdb.domain.matching.matches import Holder, Order, Query, StoredItem, Verdict
from hashdb.domain.matching.pages import too_far_for_pages
from hashdb.domain.matching.selections import Verified, group_by_contribution
from hashdb.domain.matching.suggestions import Distances, Through
from hashdb.domain.matching.testing import TEST_ID, TEST_SIGNALS
from hashdb.domain.matching.verification import PreparedQuery, distance_score, verify
from hashdb.domain.signals import Signal
from hashdb.domain.signatures import WHOLE

MOST_OVERLAYS = 150
"""The most details that a request lays over others, 1.5 ms each. Further candidates are matches by distance alone."""

ReadStored = Callable[[Collection[int]], Mapping[int, StoredItem]]
"""Returns what is stored of contributions, by id."""
_Group = Sequence[Holder]
_NOTHING = StoredItem()
_TEST = {TEST_ID: StoredItem(TEST_SIGNALS)}


def verify_candidates(
    queries: Sequence[Query],
    suggested: Sequence[Distances],
    through: Sequence[Through],
    holders_of: Mapping[Signal, Sequence[Holder]],
    overruling_algorithms: OverrulingAlgorithms,
    read_stored: ReadStored,
) -> dict[int, Verified]:
    """For each query that is not plain, by its position, the contributions that remain, with the verdicts on them.

    `suggested` has the distances of the stored signals that the index found, `through` the transforms that found them.
    Both have the queries first, then their frames. `read_stored` is called once, for all candidates.
    """
    places = [place for place, query in enumerate(queries) if suggested[place] and not query.is_plain]
    if not places:
        return {}
    candidates_by_key: dict[tuple[object, ...], _Suggested] = {}
    candidates: dict[int, _Suggested] = {}
    held_by_documents: dict[Signal, bool] = {}
    for place in places:
        distances, overruling = suggested[place], queries[place].overruling
        far = too_far_for_pages(distances, through[place], holders_of, held_by_documents)
        key = frozenset(distances), far, overruling
        if key not in candidates_by_key:
            groups = group_by_contribution(overruling, distances, far, holders_of, overruling_algorithms)
            signal_sets = _number([frozenset([holder.signal for holder in group]) for group in groups])
            candidates_by_key[key] = _Suggested(groups, signal_sets)
        candidates[place] = candidates_by_key[key]
    most = max(1, MOST_OVERLAYS // len(places))
    nearest = {
        place: _nearest(candidates[place].groups, suggested[place], most)
        for place in places
        if queries[place].is_verified
    }
    # Of a video or document nothing is read: it matches by signals of its frames, which are not those of the item.
    ids = {group[0].contribution for of_query in nearest.values() for group in of_query if group[0].extent is None}
    stored_by_id = _TEST | dict(read_stored(ids - {TEST_ID})) if ids else {}
    numbers = dict(zip(stored_by_id, _number(stored_by_id.values()), strict=True))
    return {
        place: _verify_query(
            queries[place], suggested[place], candidates[place], nearest.get(place, ()), stored_by_id, numbers, most
        )
        for place in places
    }


class _Suggested(NamedTuple):
    """The suggested contributions of a query, each as its holders."""

    groups: Sequence[_Group]
    signal_sets: Sequence[int]
    """A number for each group. Groups with the same signals have the same number, and so share a verdict."""


def _number(values: Iterable[Hashable]) -> list[int]:
    """A number for each value; equal values have the same."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def _verify_query(
    query: Query,
    distances: Distances,
    candidates: _Suggested,
    nearest: Iterable[_Group],
    stored: Mapping[int, StoredItem],
    numbers: Mapping[int, int],
    most: int,
) -> Verified:
    """The candidates that remain matches of one query.

    `stored` has what is stored of the `nearest`, by id. `numbers` has a number for each id: contributions of which the
    same is stored have the same number, and so share a verdict. The nearest are compared until `most` details were laid
    over others; further ones are judged by distance alone.
    """
    prepared = PreparedQuery({WHOLE: query.signals, **query.transforms}, query.signatures)
    signal_sets = {
        group[0].contribution: number for group, number in zip(candidates.groups, candidates.signal_sets, strict=True)
    }
    # A popular picture has thousands of contributions, all with the same signals.
    reused: dict[tuple[int, int | None], Verdict] = {}

    def judge(group: _Group, *, is_near: bool) -> Verdict:
        id = group[0].contribution
        key = signal_sets[id], numbers.get(id, -1) if is_near else None
        if (verdict := reused.get(key)) is None:
            item = stored.get(id, _NOTHING) if is_near and prepared.overlays < most else None
            verdict = _verdict(prepared, item, {holder.signal: distances[holder.signal] for holder in group})
            reused[key] = verdict
        return verdict

    judged = {group[0].contribution: judge(group, is_near=True) for group in nearest}
    verdicts: dict[int, Verdict] = {}
    remaining: list[_Group] = []
    for group in candidates.groups:
        id = group[0].contribution
        verdict = judged.get(id) or judge(group, is_near=False)
        if not verdict.contradicted and (query.min_score is None or verdict.score >= query.min_score):
            remaining.append(group)
            verdicts[id] = verdict
    return Verified(remaining, verdicts, query.order is Order.SCORE)


def _verdict(query: PreparedQuery, item: StoredItem | None, distances: Mapping[Signal, int]) -> Verdict:
    """The verdict on a contribution by what is stored of it, or (None) only by the distances of its signals."""
    if item is None:
        return Verdict(distance_score(tuple(sorted((signal.algorithm, bits) for signal, bits in distances.items()))))
    return verify(query, dict.fromkeys((*item.signals, *distances)), item.signatures, distances)


def _nearest(groups: Sequence[_Group], distances: Distances, limit: int) -> Sequence[_Group]:
    """The contributions that are nearest, at most `limit`, the nearest first."""

    def rank(group: _Group) -> tuple[float, int]:
        near = min([distances[holder.signal] / (holder.signal.algorithm.radius or 1) for holder in group])
        return near, group[0].contribution

    return sorted(groups, key=rank)[:limit]
