"""Budgets: they limit what a key may query and send, in all processes together and across restarts."""

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
from tests.builders import RULES, Clock, contributed, draft, hashdb, query, signal, with_new_key

SHORT_QUERY = Query((signal(1, Algorithm.PHASH),))
SMALL_BUDGETS = replace(
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
    process = hashdb(database_url, clock, SMALL_BUDGETS)
    yield process
    process.close()


def remaining(db: HashDB, actor: Actor, budget: Budget) -> int:
    (state,) = db.budgets.left(actor, [budget], db.now())
    return state.left


def test_queries_count_the_same_in_one_request_or_in_several(small: HashDB, actor: Actor, other: Actor) -> None:
    matches.match(small, actor, [query(1)] * 9)
    with pytest.raises(LimitReached) as refused:
        matches.match(small, actor, [query(1), query(2)])
    assert refused.value.limit.startswith("10 queries a day by one key (budget `queries`, renews at 2026-11-21T00:00")
    assert refused.value.retry_after == 12 * 3600
    # A refused request is not counted, and other keys are not affected.
    matches.match(small, actor, [query(1)])
    matches.match(small, other, [query(1)])
    assert (remaining(small, actor, Budget.QUERIES), remaining(small, other, Budget.QUERIES)) == (0, 9)


def test_signals_and_short_signals_are_counted(small: HashDB, actor: Actor) -> None:
    matches.match(small, actor, [SHORT_QUERY] * 3)
    with pytest.raises(LimitReached, match="64-bit signals"):
        matches.match(small, actor, [SHORT_QUERY])
    # A query that also has a signal of 256 bits does not count as short.
    matches.match(small, actor, [query(1, signal(1, Algorithm.PHASH))])
    with pytest.raises(LimitReached, match="signals of queries"):
        matches.match(small, actor, [query(*range(40))])
    assert remaining(small, actor, Budget.QUERIES) == 10 - 4


def test_a_budget_renews(small: HashDB, actor: Actor, clock: Clock) -> None:
    matches.match(small, actor, [query(1)] * 10)
    counts.flush(small)
    clock.advance(hours=12)
    matches.match(small, actor, [query(1)] * 10)
    counts.flush(small)
    assert remaining(small, actor, Budget.QUERIES) == 0


def test_all_processes_share_one_budget_after_they_flush(
    database_url: str, small: HashDB, actor: Actor, clock: Clock
) -> None:
    second = hashdb(database_url, clock, SMALL_BUDGETS)
    matches.match(small, actor, [query(1)] * 4)
    matches.match(second, actor, [query(1)] * 5)
    for process in (small, second, small):
        counts.flush(process)
    assert remaining(small, actor, Budget.QUERIES) == remaining(second, actor, Budget.QUERIES) == 1
    matches.match(second, actor, [query(1)])
    for process in (small, second):
        counts.flush(process)
        counts.flush(process)
        assert remaining(second, actor, Budget.QUERIES) == 0
    # A process without new counts of its own only reads the counts of the others.
    counts.flush(small)
    with pytest.raises(LimitReached):
        matches.match(small, actor, [query(1)])
    second.close()


def test_a_restart_keeps_the_flushed_counts(database_url: str, small: HashDB, actor: Actor, clock: Clock) -> None:
    matches.match(small, actor, [query(1)] * 8)
    counts.flush(small)
    restarted = hashdb(database_url, clock, SMALL_BUDGETS)
    counts.flush(restarted)
    assert remaining(restarted, actor, Budget.QUERIES) == 2
    restarted.close()


def test_counts_that_could_not_be_written_are_written_with_the_next_flush(
    small: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreBusy(2)

    matches.match(small, actor, [query(1)] * 3)
    with monkeypatch.context() as patched:
        patched.setattr(small.store, "begin", fail)
        with pytest.raises(StoreBusy):
            counts.flush(small)
    matches.match(small, actor, [query(1)])
    counts.flush(small)
    with small.store.read() as tx:
        used = {use.budget: use.amount for use in tx.budgets.used(small.now()) if use.actor == str(actor)}
    assert used == {Budget.QUERIES: 4, Budget.SIGNALS: 4}
    assert remaining(small, actor, Budget.QUERIES) == 6


def test_the_budget_factor_of_a_member_multiplies_its_budgets(small: HashDB, actor: Actor) -> None:
    assert actor.member is not None
    members.change(small, COMMAND_LINE, actor.member.id, MemberChange(budget_factor=3))
    updated = with_new_key(small, actor)
    assert updated.member is not None and updated.member.limits.budget_factor == 3
    matches.match(small, updated, [query(1)] * 30)
    with pytest.raises(LimitReached, match="30 queries a day"):
        matches.match(small, updated, [query(1)])


def test_known_contributions_count_like_new_ones(small: HashDB, actor: Actor) -> None:
    contributed(small, actor, draft(1), draft(2))
    contributed(small, actor, draft(1), draft(2))
    with pytest.raises(LimitReached, match="4 contributions sent a day"):
        contributions.contribute(small, actor, [draft(3)])


def test_disputes_and_changes_of_opinion_are_counted(small: HashDB, actor: Actor, other: Actor) -> None:
    added = contributed(small, other, draft(1), draft(2), draft(3))
    disputes = OpinionDraft(Stance.DISPUTES, "edsa_context")
    confirms = OpinionDraft(Stance.CONFIRMS)
    for contribution in added[:2]:
        opinions.give(small, actor, contribution.id, disputes)
    with pytest.raises(LimitReached, match="2 disputes an hour"):
        opinions.give(small, actor, added[2].id, disputes)
    for contribution in added:
        opinions.give(small, actor, contribution.id, confirms)
    with pytest.raises(LimitReached, match="5 opinions an hour"):
        opinions.give(small, actor, added[0].id, confirms)
    match_key = with_new_key(small, other, Scope.MATCH)
    assert remaining(small, match_key, Budget.OPINIONS) == 5


def test_excess_use_by_several_processes_counts_after_the_renewal(
    database_url: str, db: HashDB, actor: Actor, clock: Clock
) -> None:
    rules = replace(RULES, budgets={Budget.CHANGES: 10})
    processes = [hashdb(database_url, clock, rules) for _ in range(2)]
    for process in processes:
        process.budgets.spend(actor, ((Budget.CHANGES, 10),), process.now())
    for process in (*processes, *processes):
        counts.flush(process)
    seconds = Budget.CHANGES.seconds
    clock.advance(seconds=seconds)
    for process in (*processes, *processes):
        counts.flush(process)
        assert remaining(process, actor, Budget.CHANGES) == 0
        with pytest.raises(LimitReached):
            process.budgets.spend(actor, ((Budget.CHANGES, 1),), process.now())
    clock.advance(seconds=seconds)
    assert [remaining(process, actor, Budget.CHANGES) for process in processes] == [10, 10]
    for process in processes:
        process.close()


def test_a_budget_renews_when_the_clock_is_set_back(small: HashDB, actor: Actor, clock: Clock) -> None:
    clock.advance(days=400)
    matches.match(small, actor, [query(1)] * 10)
    counts.flush(small)
    clock.advance(days=-400)
    counts.flush(small)
    assert remaining(small, actor, Budget.QUERIES) == 10
