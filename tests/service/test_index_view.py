"""Read your writes: after a process has answered a contribution, the next match of any process finds it."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, KeyDraft
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.signals import Algorithm
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from tests.builders import NOON, RULES, USUAL, Clock, contributed, draft, hashdb, query, signal
from tests.processes import processes
from tests.service.concurrently import run_concurrently
from tests.service.folders import roll_back_log

PROCESSES, DRIVERS, TIMES = 3, 4, 50

_services: dict[str, HashDB] = {}


def _service_of_this_process(url: str) -> HashDB:
    if url not in _services:
        _services[url] = hashdb(url, Clock())
    return _services[url]


def contribute_in_a_process(url: str, secret: str, seed: int) -> tuple[int, int]:
    """Run in another process: contribute, and return the id of the contribution and the checkpoint."""
    db = _service_of_this_process(url)
    receipt = contributions.contribute(db, members.authenticate(db, secret), [draft(seed)])
    return receipt.recorded[0].contribution.id, receipt.checkpoint


def match_in_a_process(url: str, secret: str, seed: int) -> tuple[list[int], int]:
    """Run in another process: match, and return the ids of the matches and the checkpoint."""
    db = _service_of_this_process(url)
    answer = matches.match(db, members.authenticate(db, secret), [query(seed)])
    return [match.contribution for match in answer.results[0].matches], answer.checkpoint


def count_misses(pools: list[ProcessPoolExecutor], url: str, secret: str, driver: int) -> int:
    """Contribute to one process, match in another, and return how many contributions did not match at once."""
    rng, misses = random.Random(driver), 0
    for time in range(TIMES):
        seed = driver * 1_000 + time
        first, second = rng.sample(pools, 2)
        id, contributed_at = first.submit(contribute_in_a_process, url, secret, seed).result(30)
        matched, read_at = second.submit(match_in_a_process, url, secret, seed).result(30)
        misses += matched != [id] or read_at < contributed_at
    return misses


def test_another_process_matches_each_of_200_contributions_at_once(db: HashDB, actor: Actor, database_url: str) -> None:
    assert actor.member is not None
    secret = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset(USUAL))).secret
    with ExitStack() as stack:
        pools = [stack.enter_context(processes(1)) for _ in range(PROCESSES)]
        misses = run_concurrently(
            [partial(count_misses, pools, database_url, secret, driver) for driver in range(DRIVERS)]
        )
    assert misses == [0] * DRIVERS
    assert db.index.catch_up().seq >= DRIVERS * TIMES
    assert len(db.index.index(Algorithm.PDQ)) == DRIVERS * TIMES


def test_each_thread_matches_its_own_contributions_at_once(db: HashDB, actor: Actor) -> None:
    def work(thread: int) -> int:
        misses = 0
        for time in range(15):
            (added,) = contributed(db, actor, draft(thread * 100 + time))
            (result,) = matches.match(db, actor, [query(thread * 100 + time)]).results
            misses += [match.contribution for match in result.matches] != [added.id]
        return misses

    assert run_concurrently([partial(work, thread) for thread in range(4)]) == [0] * 4


def test_the_index_ignores_contributions_that_are_not_committed(db: HashDB, actor: Actor, database_url: str) -> None:
    other_process = hashdb(database_url, Clock())
    head = db.index.catch_up()
    assert actor.member is not None
    with db.store.begin() as tx:
        (added,) = tx.contributions.add(actor.member, [draft(1)], NOON)
        entry = LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {})
        assert tx.audit.append(NOON, SYSTEM, [entry]) == head.seq + 1
        for service in (db, other_process):
            assert service.index.catch_up() == head
            assert len(service.index.index(Algorithm.PDQ)) == 0
    for service in (db, other_process):
        assert service.index.catch_up().seq == head.seq + 1
        assert len(service.index.index(Algorithm.PDQ)) == 1
    other_process.close()


def test_a_repeated_value_is_indexed_once(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1), draft(1, 2), draft(2, 1, signal(3, Algorithm.PHASH)))
    contributed(db, other, draft(1))
    db.index.catch_up()
    assert len(db.index.index(Algorithm.PDQ)) == 2
    assert len(db.index.index(Algorithm.PHASH)) == 1
    assert len(db.index.index(Algorithm.PHASH256)) == 0


def test_an_algorithm_that_is_not_enabled_has_no_index(db: HashDB, actor: Actor, database_url: str) -> None:
    contributed(db, actor, draft(1, signal(1, Algorithm.PHASH)))
    pdq_only = hashdb(database_url, Clock(), replace(RULES, algorithms=(Algorithm.PDQ,)))
    pdq_only.index.catch_up()
    assert len(pdq_only.index.index(Algorithm.PDQ)) == 1
    with pytest.raises(KeyError):
        pdq_only.index.index(Algorithm.PHASH)
    pdq_only.close()


def test_the_index_has_no_head_before_it_first_catches_up(db: HashDB) -> None:
    assert db.index.head is None
    head = db.index.catch_up()
    assert db.index.head == head
    assert head.seq == 0


def test_after_a_restore_contributions_match_under_reused_event_numbers(
    db: HashDB, actor: Actor, database_url: str
) -> None:
    contributed(db, actor, draft(1))
    kept_seq = db.index.catch_up().seq
    lost = contributed(db, actor, draft(2), draft(3))
    db.index.catch_up()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM signals WHERE contribution_id >= :id"), {"id": lost[0].id})
        connection.execute(text("DELETE FROM contributions WHERE id >= :id"), {"id": lost[0].id})
        roll_back_log(connection, kept_seq)
        connection.execute(text("UPDATE log SET epoch = 'restored'"))
    engine.dispose()

    contributed(db, actor, draft(4), draft(5))
    results = matches.match(db, actor, [query(seed) for seed in range(1, 6)]).results
    assert [len(result.matches) for result in results] == [1, 0, 0, 1, 1]
    assert db.index.catch_up()[::2] == (kept_seq + 2, "restored")
    assert len(db.index.index(Algorithm.PDQ)) == 3
