"""Budgets: what a key may ask and send, in all processes together, also after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, Scope
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.signals import Algorithm
from hashdb.errors import LimitReached, StoreBusy
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import opinions
from hashdb.service.stats import counts
from tests.builders import RULES, Clock, again, contributed, draft, hashdb, query, signal

SHORT = Query((signal(1, Algorithm.PHASH),))
SMALL = replace(
    RULES,
    budgets={
        Budget.QUERIES: 10,
        Budget.SIGNALS: 40,
        Budget.SHORT_SIGNALS: 3,
        Budget.CONTRIBUTIONS: 4,
        Budget.OPINIONS: 5,
        Budget.DISPUTES: 2,
    },
)


@pytest.fixture
def small(database_url: str, db: HashDB, clock: Clock) -> Iterator[HashDB]:
    """A process of a service with small budgets."""
    process = hashdb(database_url, clock, SMALL)
    yield process
    process.close()


def left(db: HashDB, actor: Actor, budget: Budget) -> int:
    (found,) = db.budgets.left(actor, [budget], db.now())
    return found.left


def test_queries_are_counted_however_they_are_spread_over_requests(small: HashDB, actor: Actor, other: Actor) -> None:
    matches.match(small, actor, [query(1)] * 9)
    with pytest.raises(LimitReached) as refused:
        matches.match(small, actor, [query(1), query(2)])
    assert refused.value.limit.startswith("10 queries a day by one key (budget `queries`, renews at 2026-11-21T00:00")
    assert refused.value.retry_after == 12 * 3600
    # What is refused is not counted, and others are not concerned.
    matches.match(small, actor, [query(1)])
    matches.match(small, other, [query(1)])
    assert (left(small, actor, Budget.QUERIES), left(small, other, Budget.QUERIES)) == (0, 9)


def test_signals_and_short_signals_are_counted(small: HashDB, actor: Actor) -> None:
    matches.match(small, actor, [SHORT] * 3)
    with pytest.raises(LimitReached, match="64-bit signals"):
        matches.match(small, actor, [SHORT])
    # Beside a signal of 256 bits it is no guess.
    matches.match(small, actor, [query(1, signal(1, Algorithm.PHASH))])
    with pytest.raises(LimitReached, match="signals of queries"):
        matches.match(small, actor, [query(*range(40))])
    assert left(small, actor, Budget.QUERIES) == 10 - 4


def test_a_budget_renews(small: HashDB, actor: Actor, clock: Clock) -> None:
    matches.match(small, actor, [query(1)] * 10)
    counts.flush(small)
    clock.go(hours=12)
    matches.match(small, actor, [query(1)] * 10)
    counts.flush(small)
    assert left(small, actor, Budget.QUERIES) == 0


def test_all_processes_count_together_within_a_second(
    database_url: str, small: HashDB, actor: Actor, clock: Clock
) -> None:
    second = hashdb(database_url, clock, SMALL)
    matches.match(small, actor, [query(1)] * 4)
    matches.match(second, actor, [query(1)] * 5)
    for one in (small, second, small):
        counts.flush(one)
    assert left(small, actor, Budget.QUERIES) == left(second, actor, Budget.QUERIES) == 1
    matches.match(second, actor, [query(1)])
    for one in (small, second):
        counts.flush(one)
        counts.flush(one)
        assert left(second, actor, Budget.QUERIES) == 0
    # A process that only learns has nothing of its own to write.
    counts.flush(small)
    with pytest.raises(LimitReached):
        matches.match(small, actor, [query(1)])
    second.close()


def test_a_restart_forgets_nothing_that_was_flushed(
    database_url: str, small: HashDB, actor: Actor, clock: Clock
) -> None:
    matches.match(small, actor, [query(1)] * 8)
    counts.flush(small)
    restarted = hashdb(database_url, clock, SMALL)
    counts.flush(restarted)
    assert left(restarted, actor, Budget.QUERIES) == 2
    restarted.close()


def test_what_cannot_be_written_is_written_with_the_next(
    small: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreBusy(2)

    matches.match(small, actor, [query(1)] * 3)
    with monkeypatch.context() as patched:
        patched.setattr(small.store, "begin", away)
        with pytest.raises(StoreBusy):
            counts.flush(small)
    matches.match(small, actor, [query(1)])
    counts.flush(small)
    with small.store.read() as tx:
        used = {one.budget: one.amount for one in tx.budgets.used(small.now()) if one.actor == str(actor)}
    assert used == {Budget.QUERIES: 4, Budget.SIGNALS: 4}
    assert left(small, actor, Budget.QUERIES) == 6


def test_a_members_budgets_are_wider_by_its_factor(small: HashDB, actor: Actor) -> None:
    assert actor.member is not None
    members.change(small, COMMAND_LINE, actor.member.id, MemberChange(budget_factor=3))
    now = again(small, actor)
    assert now.member is not None and now.member.limits.budget_factor == 3
    matches.match(small, now, [query(1)] * 30)
    with pytest.raises(LimitReached, match="30 queries a day"):
        matches.match(small, now, [query(1)])


def test_contributions_are_counted_each_whether_they_are_known_or_not(small: HashDB, actor: Actor) -> None:
    contributed(small, actor, draft(1), draft(2))
    contributed(small, actor, draft(1), draft(2))
    with pytest.raises(LimitReached, match="4 contributions sent a day"):
        contributions.contribute(small, actor, [draft(3)])


def test_opinions_back_and_forth_and_disputes_are_counted(small: HashDB, actor: Actor, other: Actor) -> None:
    made = contributed(small, other, draft(1), draft(2), draft(3))
    disputes = OpinionDraft(Stance.DISPUTES, "edsa_context")
    confirms = OpinionDraft(Stance.CONFIRMS)
    for one in made[:2]:
        opinions.give(small, actor, one.id, disputes)
    with pytest.raises(LimitReached, match="2 disputes an hour"):
        opinions.give(small, actor, made[2].id, disputes)
    for one in made:
        opinions.give(small, actor, one.id, confirms)
    with pytest.raises(LimitReached, match="5 opinions an hour"):
        opinions.give(small, actor, made[0].id, confirms)
    judge = again(small, other, Scope.MATCH)
    assert left(small, judge, Budget.OPINIONS) == 5


def test_what_processes_used_too_much_counts_after_the_renewal(
    database_url: str, db: HashDB, actor: Actor, clock: Clock
) -> None:
    rules = replace(RULES, budgets={Budget.CHANGES: 10})
    both = [hashdb(database_url, clock, rules) for _ in range(2)]
    for one in both:
        one.budgets.spend(actor, ((Budget.CHANGES, 10),), one.now())
    for one in (*both, *both):
        counts.flush(one)
    seconds = Budget.CHANGES.seconds
    clock.go(seconds=seconds)
    for one in (*both, *both):
        counts.flush(one)
        assert left(one, actor, Budget.CHANGES) == 0
        with pytest.raises(LimitReached):
            one.budgets.spend(actor, ((Budget.CHANGES, 1),), one.now())
    clock.go(seconds=seconds)
    assert [left(one, actor, Budget.CHANGES) for one in both] == [10, 10]
    for one in both:
        one.close()


def test_a_clock_that_was_set_back_keeps_no_budget_used_up(small: HashDB, actor: Actor, clock: Clock) -> None:
    clock.go(days=400)
    matches.match(small, actor, [query(1)] * 10)
    counts.flush(small)
    clock.go(days=-400)
    counts.flush(small)
    assert left(small, actor, Budget.QUERIES) == 10
