"""Matches are exact, nearest first, bounded, and up to date with the log."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Contribution, Filter, Standing, Status
from hashdb.domain.matching.matches import Match, Query, Result
from hashdb.domain.matching.testing import TEST_ID, TEST_SIGNALS
from hashdb.domain.matching.verification import distance_score
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.signals import PERCEPTUAL, Algorithm, Signal
from hashdb.errors import InvalidInput, MemberSuspended, ScopeMissing, TooManyAtOnce
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.accounts.limits import KEY_SLOTS
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.matching.matches import MOST_SINGLE
from hashdb.service.review import opinions
from hashdb.service.sharing import feed
from hashdb.store.matching.matches import MatchReader
from tests.builders import (
    NOON,
    RULES,
    Clock,
    clip,
    contributed,
    draft,
    hashdb,
    member_with,
    near,
    query,
    signal,
    sparse,
    video,
    with_new_key,
)

PDQ, PHASH256, PHASH = Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH


def match(db: HashDB, actor: Actor, *queries: Query) -> tuple[Result, ...]:
    return matches.match(db, actor, queries).results


def ids(result: Result) -> list[int]:
    return [match.contribution for match in result.matches]


def plain_match(active: Sequence[Contribution], query: Query) -> Result:
    """The result by the documented rules, computed contribution by contribution."""
    matching = []
    for contribution in active:
        distances = [
            (listed.algorithm, queried.distance(listed))
            for queried in query.signals
            for listed in contribution.signals
            if queried.algorithm is listed.algorithm
        ]
        within = {a: min(d for b, d in distances if a is b) for a in Algorithm if a in dict(distances)}
        within = {a: d for a, d in within.items() if d <= query.radius_of(a)}
        shared = {queried.algorithm for queried in query.signals} & {
            listed.algorithm for listed in contribution.signals
        }
        if within and not (set(within) == {PHASH} and shared & {PDQ, PHASH256}):
            matching.append((contribution, within))
    matching.sort(key=lambda pair: (min(d / a.radius for a, d in pair[1].items()), -len(pair[1]), pair[0].id))
    return Result(
        query.id,
        tuple(
            Match(
                contribution.id,
                within,
                contribution.labels,
                contribution.severity,
                contribution.standing,
                contribution.context,
                contribution.removed_at,
                contribution.received_at,
                score=distance_score(tuple(within.items())),
            )
            for contribution, within in matching
        ),
        len({contribution.member for contribution, _ in matching}),
        severity=max(
            (contribution.severity for contribution, _ in matching if contribution.severity is not None), default=None
        ),
    )


def test_matches_equal_those_of_a_plain_python_search(db: HashDB, clock: Clock) -> None:
    rng = random.Random(1)
    actors = [member_with(db) for _ in range(4)]
    centres = [signal(seed, algorithm) for seed in range(3) for algorithm in (PDQ, PHASH256, PHASH)]

    def random_signals(count: int) -> list[Signal]:
        chosen = rng.sample(centres, count)
        return [near(each, rng.randrange(0, each.algorithm.radius + 4), rng.randrange(99)) for each in chosen]

    for actor in actors:
        for _ in range(12):
            ends = NOON + timedelta(hours=1) if rng.random() < 0.2 else None
            (each,) = contributed(
                db, actor, draft(*random_signals(rng.randint(1, 4)), severity=rng.randrange(5), expires_at=ends)
            )
            if rng.random() < 0.15:
                contributions.withdraw(db, actor, each.id, "other")
    members.change(db, COMMAND_LINE, _member(actors[3]), MemberChange(status=MemberStatus.SUSPENDED))
    clock.advance(hours=1)

    with db.store.read() as tx:
        active = [
            each for each in tx.contributions.get(range(1, 100), clock()).values() if each.status is Status.ACTIVE
        ]
    assert 20 < len(active) < 40
    queries = [
        Query(tuple(random_signals(rng.randint(1, 3))), str(number), {PDQ: rng.randrange(32)} if number % 3 else {})
        for number in range(40)
    ]
    expected = tuple(plain_match(active, each) for each in queries)
    assert sum(len(result.matches) for result in expected) > 40
    assert match(db, actors[0], *queries) == expected


def test_each_query_gets_one_result_in_the_order_of_the_request(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    queries = [replace(query(seed), id=name) for seed, name in ((2, "b"), (1, None), (1, "a"), (2, "b"))]
    answer = matches.match(db, actor, queries)
    assert [result.id for result in answer.results] == ["b", None, "a", "b"]
    assert [ids(result) for result in answer.results] == [[], [contribution.id], [contribution.id], []]
    assert [(result.members, result.action) for result in answer.results[:2]] == [(0, "none"), (1, "review")]
    with db.store.read() as tx:
        assert answer.checkpoint == tx.audit.head().seq
    assert matches.match(db, actor, []).results == ()


def test_matches_are_sorted_by_distance_then_agreement_then_id(db: HashDB, actor: Actor, other: Actor) -> None:
    pdq, phash = signal(1, PDQ), signal(1, PHASH)
    drafts = [
        draft(near(pdq, 31)),
        draft(near(phash, 3)),  # 3/6
        draft(near(phash, 3, 1), near(pdq, 31, 1)),  # 3/6, two agree
        draft(near(phash, 3, 2)),  # 3/6
        draft(near(pdq, 6)),  # 6/31
        draft(pdq, near(phash, 6)),
        draft(near(pdq, 32), near(phash, 7)),
    ]
    listed = [contribution.id for contribution in contributed(db, actor, *drafts)]
    (result,) = match(db, other, query(pdq, phash))
    assert ids(result) == [listed[5], listed[4], listed[2], listed[1], listed[3], listed[0]]
    assert [dict(each.distance) for each in result.matches] == [
        {PDQ: 0, PHASH: 6},
        {PDQ: 6},
        {PDQ: 31, PHASH: 3},
        {PHASH: 3},
        {PHASH: 3},
        {PDQ: 31},
    ]
    assert result.matches[2].agree == (PDQ, PHASH)


def test_the_distance_is_that_of_the_nearest_variant(db: HashDB, actor: Actor) -> None:
    origin = signal(1)
    contributed(db, actor, draft(near(origin, 20), near(origin, 12), near(origin, 16)))
    (result,) = match(db, actor, query(near(origin, 30, 5), origin, origin))
    assert [dict(each.distance) for each in result.matches] == [{PDQ: 12}]


def test_each_matching_member_is_counted_once(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1), draft(near(signal(1), 4)), draft(2))
    contributed(db, other, draft(1))
    assert [result.members for result in match(db, actor, query(1), query(2), query(3))] == [2, 1, 0]


@pytest.mark.parametrize(("radius", "expected"), [({}, True), ({"pdq": 20}, True), ({"pdq": 19}, False)])
def test_a_query_may_narrow_the_radius(db: HashDB, actor: Actor, radius: dict[str, int], expected: bool) -> None:
    contributed(db, actor, draft(near(signal(1), 20)))
    (result,) = match(db, actor, query(1, **radius))
    assert bool(result.matches) is expected


def test_a_wider_radius_needs_the_permission_of_the_operator(
    db: HashDB, actor: Actor, clock: Clock, database_url: str
) -> None:
    contributed(db, actor, draft(near(signal(1), 60)))
    with pytest.raises(InvalidInput) as caught:
        match(db, actor, query(2), query(1, pdq=32))
    assert str(caught.value) == "queries[1].radius.pdq: the radius of pdq must be 0 to 31 bits on this service"
    wide = hashdb(database_url, clock, replace(RULES, max_radius={PDQ: 60}))
    assert [len(result.matches) for result in match(wide, actor, query(1, pdq=60), query(1, pdq=59), query(1))] == [
        1,
        0,
        0,
    ]
    with pytest.raises(InvalidInput):
        match(wide, actor, query(1, pdq=61))
    wide.close()


def test_a_query_with_a_disabled_algorithm_is_rejected(db: HashDB, actor: Actor) -> None:
    with pytest.raises(InvalidInput, match=r"^queries\[0\]\.signals\[1\]: ahash is not enabled on this service: "):
        match(db, actor, query(1, signal(1, Algorithm.AHASH)))


def test_stored_signals_of_a_disabled_algorithm_do_not_agree(
    db: HashDB, actor: Actor, clock: Clock, database_url: str
) -> None:
    contributed(db, actor, draft(1, signal(1, PHASH)))
    one_enabled = hashdb(database_url, clock, replace(RULES, algorithms=(PDQ,)))
    (result,) = match(one_enabled, actor, query(1))
    assert [each.agree for each in result.matches] == [(PDQ,)]
    one_enabled.close()


def test_match_needs_the_match_scope_and_an_active_member(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope match$"):
        match(db, replace(actor, scopes=frozenset(Scope) - {Scope.MATCH}), query(1))
    members.change(db, COMMAND_LINE, _member(actor), MemberChange(status=MemberStatus.SUSPENDED))
    with pytest.raises(MemberSuspended):
        match(db, with_new_key(db, actor), query(1))


@pytest.mark.parametrize("standing", Standing)
def test_auditors_that_ask_also_get_quarantined_and_retired_matches(
    db: HashDB, actor: Actor, database_url: str, standing: Standing
) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contributions SET standing = :standing"), {"standing": str(standing)})
    engine.dispose()
    auditor = member_with(db, Scope.MATCH, Scope.AUDIT)
    for reader in (actor, auditor):
        (result,) = match(db, reader, query(1))
        assert ids(result) == ([contribution.id] if standing.matches else [])
    (result,) = matches.match(db, auditor, [query(1)], quarantined=True).results
    assert [(each.contribution, each.standing) for each in result.matches] == [(contribution.id, standing)]
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope audit$"):
        matches.match(db, actor, [query(1)], quarantined=True)


class TestBounds:
    """Limits of an answer for a popular value: more contributions have it than an answer may return."""

    @pytest.fixture
    def popular(self, db: HashDB, actor: Actor) -> list[int]:
        """The ids of 1,000 contributions that have one value in common, and each another value of its own."""
        value = near(signal(1), 10)
        drafts = [draft(value, signal(seed, PHASH256)) for seed in range(1_000)]
        return [each.id for each in contributed(db, actor, *drafts)]

    def test_an_answer_has_1000_matches_shared_among_members_nearest_first(
        self, db: HashDB, actor: Actor, other: Actor, popular: list[int]
    ) -> None:
        (result,) = match(db, actor, query(1))
        assert (ids(result), result.truncated) == (popular, False)
        far, exact, close = contributed(db, other, draft(near(signal(1), 12)), draft(1), draft(near(signal(1), 9)))
        (result,) = match(db, actor, query(1))
        assert result.truncated
        assert ids(result) == [exact.id, close.id, *popular[:997], far.id]
        assert result.members == 2
        contributions.withdraw(db, other, exact.id, "other")
        assert ids(match(db, actor, query(1))[0]) == [close.id, *popular[:998], far.id]

    def test_a_popular_value_cannot_push_out_another_members_match(
        self, db: HashDB, actor: Actor, other: Actor, popular: list[int]
    ) -> None:
        (other_item,) = contributed(db, other, draft(near(signal(1), 30), severity=4))
        confirming = member_with(db)
        opinions.give(db, confirming, other_item.id, OpinionDraft(Stance.CONFIRMS))
        queries = [query(near(signal(1), 1, seed)) for seed in range(30)]
        results = match(db, actor, query(1), *queries)
        assert other_item.id in ids(results[0])
        assert [len(result.matches) for result in results] == [1_000] * 20 + [0] * 11
        assert {(result.severity, result.members) for result in results} == {(4, 3)}

    def test_many_queries_for_a_popular_value_read_its_contributions_once(
        self, db: HashDB, actor: Actor, popular: list[int]
    ) -> None:
        """The number of statements does not depend on the number of queries, equal or not."""
        queries = [query(near(signal(1), bits % 8, bits)) for bits in range(500)] + [query(1)] * 500
        with recorded_statements() as statements:
            results = match(db, actor, *queries)
        assert sum(len(result.matches) for result in results) == 20_000
        assert all(result.truncated for result in results[20:])
        assert len(statements) <= 10, statements

    def test_the_contributions_of_a_popular_value_are_read_at_most_twice(
        self, db: HashDB, actor: Actor, popular: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = match(db, actor, query(1), query(1, pdq=10))
        monkeypatch.setattr("hashdb.service.matching.matches.MATCHES_A_REQUEST", 99)
        with recorded_statements() as statements:
            assert match(db, actor, query(1), query(1, pdq=10)) == expected
        assert len(statements) <= 12, statements

    def test_a_contribution_with_several_near_values_is_counted_once(
        self, db: HashDB, actor: Actor, popular: list[int]
    ) -> None:
        for id in popular[300:311]:
            contributions.withdraw(db, actor, id, "other")
        (result,) = match(db, actor, query(1, *[signal(seed, PHASH256) for seed in range(60)]))
        assert not result.truncated
        assert len(result.matches) == 989
        assert ids(result)[:60] == popular[:60]
        assert [len(each.agree) for each in result.matches[:61]] == [2] * 60 + [1]

    def test_a_request_gets_at_most_20_000_matches(self, db: HashDB, actor: Actor, popular: list[int]) -> None:
        for id in popular[990:]:
            contributions.withdraw(db, actor, id, "other")
        results = match(db, actor, *[query(1)] * 22, query(2))
        assert [len(result.matches) for result in results] == [990] * 20 + [200, 0, 0]
        assert [result.truncated for result in results] == [False] * 20 + [True, True, False]
        assert ids(results[20]) == popular[:200]


def _member(actor: Actor) -> int:
    assert actor.member is not None
    return actor.member.id


def test_a_truncated_result_without_matches_advises_review() -> None:
    assert Result(None, (), 0, truncated=True).action == "review"
    assert Result(None, (), 0).action == "none"


def test_equally_near_matches_with_more_agreeing_algorithms_come_first(db: HashDB) -> None:
    actor, popular, agreeing = member_with(db), signal(1), signal(5000, PHASH)
    contributed(db, actor, *(draft(popular, signal(seed, PHASH)) for seed in range(1000)))
    contributed(db, actor, *(draft(popular, signal(seed, PHASH)) for seed in range(1000, 1050)))
    agreeing_items = contributed(db, actor, *(draft(popular, agreeing, signal(9000 + seed)) for seed in range(20)))
    (result,) = match(db, actor, query(popular, agreeing))
    assert result.truncated
    assert ids(result)[:20] == [each.id for each in agreeing_items]
    assert all(each.distance == {PDQ: 0, PHASH: 0} for each in result.matches[:20])
    assert ids(result)[20:] == list(range(1, 981))


def test_large_requests_take_turns_and_small_ones_do_not_wait(db: HashDB) -> None:
    actor = member_with(db)
    many = [query(seed) for seed in range(MOST_SINGLE + 1)]
    with ThreadPoolExecutor(KEY_SLOTS) as pool:
        with db.batches.turn("key:0"):
            waiting = [pool.submit(matches.match, db, actor, many) for _ in range(KEY_SLOTS)]
            wait_until(lambda: db.batches.waiting == KEY_SLOTS)
            with pytest.raises(TooManyAtOnce):
                matches.match(db, actor, many)
            assert len(match(db, actor, *many[:MOST_SINGLE])) == MOST_SINGLE
            assert not any(future.done() for future in waiting)
        assert [len(future.result(20).results) for future in waiting] == [MOST_SINGLE + 1] * KEY_SLOTS


def test_times_are_read_only_for_the_videos_that_are_returned(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def recorded_times(self: MatchReader, holders: Mapping[int, Collection[Signal]], most: int) -> Any:
        read.extend(holders)
        return original_times(self, holders, most)

    original_times = MatchReader.times
    videos = contributed(db, actor, *[video(seed, 1, 50) for seed in range(10, 22)])
    monkeypatch.setattr("hashdb.domain.matching.selections.MATCHES_A_QUERY", 3)
    monkeypatch.setattr(MatchReader, "times", recorded_times)
    (result,) = match(db, actor, query(1))
    assert [(each.contribution, each.at) for each in result.matches] == [(each.id, (1.0,)) for each in videos[:3]]
    assert result.truncated
    assert read == [each.id for each in videos[:3]]


def test_a_long_video_waits_for_its_turn_as_a_large_request_does(db: HashDB, actor: Actor) -> None:
    with ThreadPoolExecutor(1) as pool:
        with db.batches.turn("key:0"):
            waiting = pool.submit(matches.match, db, actor, [clip(*range(MOST_SINGLE))])
            wait_until(lambda: db.batches.waiting == 1)
            assert len(match(db, actor, clip(*range(MOST_SINGLE - 1)))) == 1
        assert len(waiting.result(20).results) == 1


def test_a_busy_key_delays_another_key_by_one_request_only(db: HashDB) -> None:
    busy, other = member_with(db), member_with(db)
    many, finished = [query(seed) for seed in range(MOST_SINGLE + 1)], list[str]()

    def send(actor: Actor) -> None:
        matches.match(db, actor, many)
        finished.append(actor.name)

    with ThreadPoolExecutor(KEY_SLOTS + 1) as pool:
        with db.batches.turn(busy.name):
            futures = [pool.submit(send, busy) for _ in range(KEY_SLOTS)]
            wait_until(lambda: db.batches.waiting == KEY_SLOTS)
            futures.append(pool.submit(send, other))
            wait_until(lambda: db.batches.waiting == KEY_SLOTS + 1)
        for future in futures:
            future.result(20)
    # Each thread appends its name after its turn, so the first two may be in either order.
    assert other.name in finished[:2]


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """The SQL statements that are executed in the block."""
    statements: list[str] = []

    def record(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_match_by_a_transform_alone_names_the_transform(db: HashDB, actor: Actor) -> None:
    stored, other = signal(901), signal(902)
    (contribution,) = contributed(db, actor, draft(stored))
    transformed = Query((other,), transforms={"flip": (near(stored, 9),), "mirror": (near(stored, 4), signal(903))})
    (result,) = match(db, actor, transformed)
    (matched,) = result.matches
    assert (matched.contribution, matched.transform, matched.distance) == (
        contribution.id,
        "mirror",
        {stored.algorithm: 4},
    )


def test_a_match_by_the_item_itself_names_no_transform(db: HashDB, actor: Actor) -> None:
    stored = signal(904)
    contributed(db, actor, draft(stored))
    (result,) = match(db, actor, Query((near(stored, 7),), transforms={"mirror": (stored,)}))
    assert [(each.transform, each.distance) for each in result.matches] == [(None, {stored.algorithm: 0})]


def test_the_radius_of_a_query_applies_to_its_transforms(db: HashDB, actor: Actor) -> None:
    stored = signal(905)
    contributed(db, actor, draft(stored))
    transformed = Query((signal(906),), radius={stored.algorithm: 3}, transforms={"mirror": (near(stored, 4),)})
    assert match(db, actor, transformed)[0].matches == ()


def test_phash_alone_is_no_match_if_a_256_bit_algorithm_disagrees(db: HashDB, actor: Actor) -> None:
    wide, narrow = signal(1), signal(1, PHASH)
    both, pdq_disagrees, phash_only = contributed(
        db, actor, draft(wide, narrow), draft(narrow, signal(2)), draft(narrow)
    )
    [plain, with_pdq, with_another] = match(
        db, actor, query(narrow), query(wide, narrow), query(signal(3, PHASH256), narrow)
    )
    assert ids(plain) == [both.id, pdq_disagrees.id, phash_only.id]
    assert ids(with_pdq) == [both.id, phash_only.id]
    assert with_pdq.matches[0].distance == {PDQ: 0, PHASH: 0}
    # No contribution has a phash256, so none overrules phash.
    assert ids(with_another) == ids(plain)
    [overruled] = match(db, actor, query(signal(9), narrow, pdq=0))
    assert (ids(overruled), overruled.members) == ([phash_only.id], 1)


def test_the_test_item_matches_in_an_empty_database_but_is_not_in_the_feed(db: HashDB, actor: Actor) -> None:
    (result,) = matches.match(db, actor, [Query(TEST_SIGNALS[:3])]).results
    (matched,) = result.matches
    assert (matched.contribution, matched.labels, matched.agree) == (TEST_ID, ("test",), PERCEPTUAL[:3])
    assert result.action == "review"
    shown = contributions.get(db, actor, TEST_ID)
    assert shown.signals == tuple(each for each in TEST_SIGNALS if each.algorithm in db.rules.algorithms)
    assert feed.read(db, actor, 0, 10).changes == ()
    assert contributions.page(db, actor, Filter(), 0, 10) == ()


def test_sparse_signals_must_be_nearer_unless_the_query_sets_a_radius(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(near(sparse(1), 29)), draft(near(sparse(1), 28)))
    queries = [query(sparse(1)), query(sparse(1), phash256=29), query(near(sparse(2), 1))]
    assert [ids(result) for result in match(db, actor, *queries)] == [[2], [2, 1], []]
