"""Read your writes: what one process was answered, the next match of any other finds."""

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

_opened: dict[str, HashDB] = {}


def _here(url: str) -> HashDB:
    if url not in _opened:
        _opened[url] = hashdb(url, Clock())
    return _opened[url]


def contribute_there(url: str, secret: str, seed: int) -> tuple[int, int]:
    """In another process: the id of what was contributed, and the checkpoint."""
    db = _here(url)
    receipt = contributions.contribute(db, members.authenticate(db, secret), [draft(seed)])
    return receipt.recorded[0].contribution.id, receipt.checkpoint


def match_there(url: str, secret: str, seed: int) -> tuple[list[int], int]:
    """In another process: the ids of what matches, and the checkpoint."""
    db = _here(url)
    answer = matches.match(db, members.authenticate(db, secret), [query(seed)])
    return [found.contribution for found in answer.results[0].matches], answer.checkpoint


def drive(pools: list[ProcessPoolExecutor], url: str, secret: str, driver: int) -> int:
    """How many of the contributions to one process another one did not find at once."""
    rng, misses = random.Random(driver), 0
    for time in range(TIMES):
        seed = driver * 1_000 + time
        one, other = rng.sample(pools, 2)
        id, written = one.submit(contribute_there, url, secret, seed).result(30)
        found, read = other.submit(match_there, url, secret, seed).result(30)
        misses += found != [id] or read < written
    return misses


def test_contributed_in_one_process_matched_in_another_200_times(db: HashDB, actor: Actor, database_url: str) -> None:
    assert actor.member is not None
    secret = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset(USUAL))).secret
    with ExitStack() as stack:
        pools = [stack.enter_context(processes(1)) for _ in range(PROCESSES)]
        misses = run_concurrently([partial(drive, pools, database_url, secret, driver) for driver in range(DRIVERS)])
    assert misses == [0] * DRIVERS
    assert db.index.catch_up().seq >= DRIVERS * TIMES
    assert len(db.index.index(Algorithm.PDQ)) == DRIVERS * TIMES


def test_threads_of_one_process_find_each_others(db: HashDB, actor: Actor) -> None:
    def work(thread: int) -> int:
        misses = 0
        for time in range(15):
            (one,) = contributed(db, actor, draft(thread * 100 + time))
            (result,) = matches.match(db, actor, [query(thread * 100 + time)]).results
            misses += [found.contribution for found in result.matches] != [one.id]
        return misses

    assert run_concurrently([partial(work, thread) for thread in range(4)]) == [0] * 4


def test_an_index_does_not_look_into_a_transaction_that_may_be_rolled_back(
    db: HashDB, actor: Actor, database_url: str
) -> None:
    elsewhere = hashdb(database_url, Clock())
    head = db.index.catch_up()
    assert actor.member is not None
    with db.store.begin() as tx:
        (added,) = tx.contributions.add(actor.member, [draft(1)], NOON)
        entry = LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {})
        assert tx.audit.append(NOON, SYSTEM, [entry]) == head.seq + 1
        for service in (db, elsewhere):
            assert service.index.catch_up() == head
            assert len(service.index.index(Algorithm.PDQ)) == 0
    for service in (db, elsewhere):
        assert service.index.catch_up().seq == head.seq + 1
        assert len(service.index.index(Algorithm.PDQ)) == 1
    elsewhere.close()


def test_a_distinct_value_is_indexed_once(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, actor, draft(1), draft(1, 2), draft(2, 1, signal(3, Algorithm.PHASH)))
    contributed(db, other, draft(1))
    db.index.catch_up()
    assert len(db.index.index(Algorithm.PDQ)) == 2
    assert len(db.index.index(Algorithm.PHASH)) == 1
    assert len(db.index.index(Algorithm.PHASH256)) == 0


def test_an_algorithm_that_is_not_enabled_has_no_index(db: HashDB, actor: Actor, database_url: str) -> None:
    contributed(db, actor, draft(1, signal(1, Algorithm.PHASH)))
    narrow = hashdb(database_url, Clock(), replace(RULES, algorithms=(Algorithm.PDQ,)))
    narrow.index.catch_up()
    assert len(narrow.index.index(Algorithm.PDQ)) == 1
    with pytest.raises(KeyError):
        narrow.index.index(Algorithm.PHASH)
    narrow.close()


def test_nothing_is_known_before_the_first_look(db: HashDB) -> None:
    assert db.index.head is None
    head = db.index.catch_up()
    assert db.index.head == head
    assert head.seq == 0


def test_after_a_restore_numbers_are_used_again_and_nothing_is_missed(
    db: HashDB, actor: Actor, database_url: str
) -> None:
    contributed(db, actor, draft(1))
    kept = db.index.catch_up().seq
    lost = contributed(db, actor, draft(2), draft(3))
    db.index.catch_up()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM signals WHERE contribution_id >= :id"), {"id": lost[0].id})
        connection.execute(text("DELETE FROM contributions WHERE id >= :id"), {"id": lost[0].id})
        roll_back_log(connection, kept)
        connection.execute(text("UPDATE log SET epoch = 'restored'"))
    engine.dispose()

    contributed(db, actor, draft(4), draft(5))
    results = matches.match(db, actor, [query(seed) for seed in range(1, 6)]).results
    assert [len(result.matches) for result in results] == [1, 0, 0, 1, 1]
    assert db.index.catch_up()[::2] == (kept + 2, "restored")
    assert len(db.index.index(Algorithm.PDQ)) == 3
