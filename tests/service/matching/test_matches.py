"""Matches: exact, nearest first, bounded, and level with the log."""

from __future__ import annotations

import random
import sys
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
    again,
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
)

PDQ, PHASH256, PHASH = Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH


def match(db: HashDB, actor: Actor, *queries: Query) -> tuple[Result, ...]:
    return matches.match(db, actor, queries).results


def ids(result: Result) -> list[int]:
    return [one.contribution for one in result.matches]


def plainly(active: Sequence[Contribution], asked: Query) -> Result:
    """What the contract says, one contribution after the other."""
    found = []
    for one in active:
        distances = [
            (theirs.algorithm, ours.distance(theirs))
            for ours in asked.signals
            for theirs in one.signals
            if ours.algorithm is theirs.algorithm
        ]
        within = {a: min(d for b, d in distances if a is b) for a in Algorithm if a in dict(distances)}
        within = {a: d for a, d in within.items() if d <= asked.radius_of(a)}
        shared = {ours.algorithm for ours in asked.signals} & {theirs.algorithm for theirs in one.signals}
        if within and not (set(within) == {PHASH} and shared & {PDQ, PHASH256}):
            found.append((one, within))
    found.sort(key=lambda pair: (min(d / a.radius for a, d in pair[1].items()), -len(pair[1]), pair[0].id))
    return Result(
        asked.id,
        tuple(
            Match(
                one.id,
                within,
                one.labels,
                one.severity,
                one.standing,
                one.context,
                one.removed_at,
                one.received_at,
                score=distance_score(tuple(within.items())),
            )
            for one, within in found
        ),
        len({one.member for one, _ in found}),
        severity=max((one.severity for one, _ in found if one.severity is not None), default=None),
    )


def test_what_is_answered_is_what_plain_python_finds(db: HashDB, clock: Clock) -> None:
    rng = random.Random(1)
    actors = [member_with(db) for _ in range(4)]
    centres = [signal(seed, algorithm) for seed in range(3) for algorithm in (PDQ, PHASH256, PHASH)]

    def some(count: int) -> list[Signal]:
        chosen = rng.sample(centres, count)
        return [near(one, rng.randrange(0, one.algorithm.radius + 4), rng.randrange(99)) for one in chosen]

    for actor in actors:
        for _ in range(12):
            ends = NOON + timedelta(hours=1) if rng.random() < 0.2 else None
            (one,) = contributed(db, actor, draft(*some(rng.randint(1, 4)), severity=rng.randrange(5), expires_at=ends))
            if rng.random() < 0.15:
                contributions.withdraw(db, actor, one.id, "other")
    members.change(db, COMMAND_LINE, _member(actors[3]), MemberChange(status=MemberStatus.SUSPENDED))
    clock.go(hours=1)

    with db.store.read() as tx:
        active = [one for one in tx.contributions.get(range(1, 100), clock()).values() if one.status is Status.ACTIVE]
    assert 20 < len(active) < 40
    queries = [
        Query(tuple(some(rng.randint(1, 3))), str(number), {PDQ: rng.randrange(32)} if number % 3 else {})
        for number in range(40)
    ]
    expected = tuple(plainly(active, one) for one in queries)
    assert sum(len(result.matches) for result in expected) > 40
    assert match(db, actors[0], *queries) == expected


def test_queries_are_answered_one_each_in_order(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    asked = [replace(query(seed), id=name) for seed, name in ((2, "b"), (1, None), (1, "a"), (2, "b"))]
    answer = matches.match(db, actor, asked)
    assert [result.id for result in answer.results] == ["b", None, "a", "b"]
    assert [ids(result) for result in answer.results] == [[], [one.id], [one.id], []]
    assert [(result.members, result.action) for result in answer.results[:2]] == [(0, "none"), (1, "review")]
    with db.store.read() as tx:
        assert answer.checkpoint == tx.audit.head().seq
    assert matches.match(db, actor, []).results == ()


def test_nearest_first_then_more_agreeing_then_the_lower_id(db: HashDB, actor: Actor, other: Actor) -> None:
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
    one = [contribution.id for contribution in contributed(db, actor, *drafts)]
    (result,) = match(db, other, query(pdq, phash))
    assert ids(result) == [one[5], one[4], one[2], one[1], one[3], one[0]]
    assert [dict(found.distance) for found in result.matches] == [
        {PDQ: 0, PHASH: 6},
        {PDQ: 6},
        {PDQ: 31, PHASH: 3},
        {PHASH: 3},
        {PHASH: 3},
        {PDQ: 31},
    ]
    assert result.matches[2].agree == (PDQ, PHASH)


def test_the_distance_is_the_nearest_of_all_variants(db: HashDB, actor: Actor) -> None:
    origin = signal(1)
    contributed(db, actor, draft(near(origin, 20), near(origin, 12), near(origin, 16)))
    (result,) = match(db, actor, query(near(origin, 30, 5), origin, origin))
    assert [dict(found.distance) for found in result.matches] == [{PDQ: 12}]


def test_members_are_counted_once_each(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1), draft(near(signal(1), 4)), draft(2))
    contributed(db, other, draft(1))
    assert [result.members for result in match(db, actor, query(1), query(2), query(3))] == [2, 1, 0]


@pytest.mark.parametrize(("asked", "expected"), [({}, True), ({"pdq": 20}, True), ({"pdq": 19}, False)])
def test_a_radius_narrows(db: HashDB, actor: Actor, asked: dict[str, int], expected: bool) -> None:
    contributed(db, actor, draft(near(signal(1), 20)))
    (result,) = match(db, actor, query(1, **asked))
    assert bool(result.matches) is expected


def test_a_wider_radius_is_the_operators_to_allow(db: HashDB, actor: Actor, clock: Clock, database_url: str) -> None:
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


def test_an_algorithm_that_is_not_enabled_is_refused(db: HashDB, actor: Actor) -> None:
    with pytest.raises(InvalidInput, match=r"^queries\[0\]\.signals\[1\]: ahash is not enabled on this service: "):
        match(db, actor, query(1, signal(1, Algorithm.AHASH)))


def test_an_algorithm_that_was_disabled_since_does_no_harm(
    db: HashDB, actor: Actor, clock: Clock, database_url: str
) -> None:
    contributed(db, actor, draft(1, signal(1, PHASH)))
    narrow = hashdb(database_url, clock, replace(RULES, algorithms=(PDQ,)))
    (result,) = match(narrow, actor, query(1))
    assert [found.agree for found in result.matches] == [(PDQ,)]
    narrow.close()


def test_only_who_may_match_does(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope match$"):
        match(db, replace(actor, scopes=frozenset(Scope) - {Scope.MATCH}), query(1))
    members.change(db, COMMAND_LINE, _member(actor), MemberChange(status=MemberStatus.SUSPENDED))
    with pytest.raises(MemberSuspended):
        match(db, again(db, actor), query(1))


@pytest.mark.parametrize("standing", Standing)
def test_quarantined_and_retired_ones_are_answered_to_auditors_that_ask(
    db: HashDB, actor: Actor, database_url: str, standing: Standing
) -> None:
    (one,) = contributed(db, actor, draft(1))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contributions SET standing = :standing"), {"standing": str(standing)})
    engine.dispose()
    auditor = member_with(db, Scope.MATCH, Scope.AUDIT)
    for reader in (actor, auditor):
        (result,) = match(db, reader, query(1))
        assert ids(result) == ([one.id] if standing.matches else [])
    (result,) = matches.match(db, auditor, [query(1)], quarantined=True).results
    assert [(found.contribution, found.standing) for found in result.matches] == [(one.id, standing)]
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope audit$"):
        matches.match(db, actor, [query(1)], quarantined=True)


class TestBounds:
    """A popular value has more holders than an answer may have."""

    @pytest.fixture
    def popular(self, db: HashDB, actor: Actor) -> list[int]:
        """1,000 contributions that hold one value, each a set of its own, and its ids."""
        value = near(signal(1), 10)
        drafts = [draft(value, signal(seed, PHASH256)) for seed in range(1_000)]
        return [one.id for one in contributed(db, actor, *drafts)]

    def test_a_thousand_are_answered_and_members_share_them_the_nearest_first(
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

    def test_a_victim_is_not_pushed_out_of_an_answer_nor_its_severity_and_members(
        self, db: HashDB, actor: Actor, other: Actor, popular: list[int]
    ) -> None:
        (victim,) = contributed(db, other, draft(near(signal(1), 30), severity=4))
        confirming = member_with(db)
        opinions.give(db, confirming, victim.id, OpinionDraft(Stance.CONFIRMS))
        asked = [query(near(signal(1), 1, seed)) for seed in range(30)]
        results = match(db, actor, query(1), *asked)
        assert victim.id in ids(results[0])
        assert [len(result.matches) for result in results] == [1_000] * 20 + [0] * 11
        assert {(result.severity, result.members) for result in results} == {(4, 3)}

    def test_a_batch_on_a_popular_value_reads_its_holders_once(
        self, db: HashDB, actor: Actor, popular: list[int]
    ) -> None:
        """However many queries find it, and whether they are equal or not."""
        asked = [query(near(signal(1), bits % 8, bits)) for bits in range(500)] + [query(1)] * 500
        with counted() as statements:
            results = match(db, actor, *asked)
        assert sum(len(result.matches) for result in results) == 20_000
        assert all(result.truncated for result in results[20:])
        assert len(statements) <= 10, statements

    def test_very_many_holders_are_read_at_most_twice(
        self, db: HashDB, actor: Actor, popular: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = match(db, actor, query(1), query(1, pdq=10))
        monkeypatch.setattr("hashdb.service.matching.matches.MATCHES_A_REQUEST", 99)
        with counted() as statements:
            assert match(db, actor, query(1), query(1, pdq=10)) == expected
        assert len(statements) <= 12, statements

    def test_a_contribution_that_holds_several_near_values_counts_once(
        self, db: HashDB, actor: Actor, popular: list[int]
    ) -> None:
        for id in popular[300:311]:
            contributions.withdraw(db, actor, id, "other")
        (result,) = match(db, actor, query(1, *[signal(seed, PHASH256) for seed in range(60)]))
        assert not result.truncated
        assert len(result.matches) == 989
        assert ids(result)[:60] == popular[:60]
        assert [len(found.agree) for found in result.matches[:61]] == [2] * 60 + [1]

    def test_a_request_is_answered_with_20_000_at_most(self, db: HashDB, actor: Actor, popular: list[int]) -> None:
        for id in popular[990:]:
            contributions.withdraw(db, actor, id, "other")
        results = match(db, actor, *[query(1)] * 22, query(2))
        assert [len(result.matches) for result in results] == [990] * 20 + [200, 0, 0]
        assert [result.truncated for result in results] == [False] * 20 + [True, True, False]
        assert ids(results[20]) == popular[:200]


def _member(actor: Actor) -> int:
    assert actor.member is not None
    return actor.member.id


def test_what_is_cut_off_is_for_review_even_where_nothing_of_it_is_shown() -> None:
    assert Result(None, (), 0, truncated=True).action == "review"
    assert Result(None, (), 0).action == "none"


def test_of_a_thousand_equally_near_those_that_agree_by_more_algorithms_come_first(db: HashDB) -> None:
    actor, popular, agreeing = member_with(db), signal(1), signal(5000, PHASH)
    contributed(db, actor, *(draft(popular, signal(seed, PHASH)) for seed in range(1000)))
    contributed(db, actor, *(draft(popular, signal(seed, PHASH)) for seed in range(1000, 1050)))
    late = contributed(db, actor, *(draft(popular, agreeing, signal(9000 + seed)) for seed in range(20)))
    (result,) = match(db, actor, query(popular, agreeing))
    assert result.truncated
    assert ids(result)[:20] == [one.id for one in late]
    assert all(one.distance == {PDQ: 0, PHASH: 0} for one in result.matches[:20])
    assert ids(result)[20:] == list(range(1, 981))


def test_batches_come_one_after_the_other_and_single_matches_pass_them(db: HashDB) -> None:
    actor = member_with(db)
    many = [query(seed) for seed in range(MOST_SINGLE + 1)]
    with ThreadPoolExecutor(KEY_SLOTS) as pool:
        with db.batches.turn("key:0"):
            waiting = [pool.submit(matches.match, db, actor, many) for _ in range(KEY_SLOTS)]
            wait_until(lambda: db.batches.waiting == KEY_SLOTS)
            with pytest.raises(TooManyAtOnce):
                matches.match(db, actor, many)
            assert len(match(db, actor, *many[:MOST_SINGLE])) == MOST_SINGLE
            assert not any(one.done() for one in waiting)
        assert [len(one.result(20).results) for one in waiting] == [MOST_SINGLE + 1] * KEY_SLOTS


def test_for_a_picture_the_times_of_the_videos_that_are_returned_are_read(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def times(self: MatchReader, found: Mapping[int, Collection[Signal]], most: int) -> Any:
        read.extend(found)
        return every(self, found, most)

    every = MatchReader.times
    made = contributed(db, actor, *[video(seed, 1, 50) for seed in range(10, 22)])
    monkeypatch.setattr("hashdb.domain.matching.suggestions.MATCHES_A_QUERY", 3)
    monkeypatch.setattr(MatchReader, "times", times)
    (result,) = match(db, actor, query(1))
    assert [(found.contribution, found.at) for found in result.matches] == [(one.id, (1.0,)) for one in made[:3]]
    assert result.truncated
    assert read == [one.id for one in made[:3]]


def test_a_video_waits_for_its_turn_as_a_batch_does(db: HashDB, actor: Actor) -> None:
    with ThreadPoolExecutor(1) as pool:
        with db.batches.turn("key:0"):
            waiting = pool.submit(matches.match, db, actor, [clip(*range(MOST_SINGLE))])
            wait_until(lambda: db.batches.waiting == 1)
            assert len(match(db, actor, clip(*range(MOST_SINGLE - 1)))) == 1
        assert len(waiting.result(20).results) == 1


def test_a_batch_of_another_key_waits_for_one_batch_of_a_key_that_sends_many(db: HashDB) -> None:
    greedy, other = member_with(db), member_with(db)
    many, done = [query(seed) for seed in range(MOST_SINGLE + 1)], list[str]()

    def ask(actor: Actor) -> None:
        matches.match(db, actor, many)
        done.append(actor.name)

    with ThreadPoolExecutor(KEY_SLOTS + 1) as pool:
        with db.batches.turn(greedy.name):
            asked = [pool.submit(ask, greedy) for _ in range(KEY_SLOTS)]
            wait_until(lambda: db.batches.waiting == KEY_SLOTS)
            asked.append(pool.submit(ask, other))
            wait_until(lambda: db.batches.waiting == KEY_SLOTS + 1)
        for one in asked:
            one.result(20)
    # The threads note it after their turn, so the first two may change places.
    assert other.name in done[:2]


def test_in_the_turn_of_a_batch_other_threads_wait_less_for_it(db: HashDB, actor: Actor) -> None:
    usual = sys.getswitchinterval()
    with pytest.raises(ValueError, match="broken"), matches.batch_turn(db, actor):
        assert sys.getswitchinterval() < usual / 5
        raise ValueError("broken")
    assert sys.getswitchinterval() == usual


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are executed in the block."""
    statements: list[str] = []

    def note(*said: Any) -> None:
        statements.append(said[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_only_a_transform_finds_says_which(db: HashDB, actor: Actor) -> None:
    stored, other = signal(901), signal(902)
    (mine,) = contributed(db, actor, draft(stored))
    asked = Query((other,), transforms={"flip": (near(stored, 9),), "mirror": (near(stored, 4), signal(903))})
    (result,) = match(db, actor, asked)
    (found,) = result.matches
    assert (found.contribution, found.transform, found.distance) == (mine.id, "mirror", {stored.algorithm: 4})


def test_what_the_item_itself_finds_names_no_transform(db: HashDB, actor: Actor) -> None:
    stored = signal(904)
    contributed(db, actor, draft(stored))
    (result,) = match(db, actor, Query((near(stored, 7),), transforms={"mirror": (stored,)}))
    assert [(one.transform, one.distance) for one in result.matches] == [(None, {stored.algorithm: 0})]


def test_transforms_are_asked_within_the_querys_radius(db: HashDB, actor: Actor) -> None:
    stored = signal(905)
    contributed(db, actor, draft(stored))
    asked = Query((signal(906),), radius={stored.algorithm: 3}, transforms={"mirror": (near(stored, 4),)})
    assert match(db, actor, asked)[0].matches == ()


def test_phash_alone_is_no_match_where_another_algorithm_could_have_agreed(db: HashDB, actor: Actor) -> None:
    wide, narrow = signal(1), signal(1, PHASH)
    both, alone, lone = contributed(db, actor, draft(wide, narrow), draft(narrow, signal(2)), draft(narrow))
    [plain, with_pdq, with_another] = match(
        db, actor, query(narrow), query(wide, narrow), query(signal(3, PHASH256), narrow)
    )
    assert ids(plain) == [both.id, alone.id, lone.id]
    assert ids(with_pdq) == [both.id, lone.id]
    assert with_pdq.matches[0].distance == {PDQ: 0, PHASH: 0}
    # None of them has a phash256 that could have agreed.
    assert ids(with_another) == ids(plain)
    [none] = match(db, actor, query(signal(9), narrow, pdq=0))
    assert (ids(none), none.members) == ([lone.id], 1)


def test_the_test_item_matches_in_an_empty_database_and_is_in_no_feed(db: HashDB, actor: Actor) -> None:
    (result,) = matches.match(db, actor, [Query(TEST_SIGNALS[:3])]).results
    (found,) = result.matches
    assert (found.contribution, found.labels, found.agree) == (TEST_ID, ("test",), PERCEPTUAL[:3])
    assert result.action == "review"
    shown = contributions.get(db, actor, TEST_ID)
    assert shown.signals == tuple(one for one in TEST_SIGNALS if one.algorithm in db.rules.algorithms)
    assert feed.read(db, actor, 0, 10).changes == ()
    assert contributions.page(db, actor, Filter(), 0, 10) == ()


def test_a_small_thing_on_a_plain_ground_must_be_nearer_unless_a_radius_is_named(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(near(sparse(1), 29)), draft(near(sparse(1), 28)))
    asked = [query(sparse(1)), query(sparse(1), phash256=29), query(near(sparse(2), 1))]
    assert [ids(result) for result in match(db, actor, *asked)] == [[2], [2, 1], []]
