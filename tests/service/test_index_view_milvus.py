"""The index in Milvus: it catches up with the log, drops withdrawn values, and is rebuilt for another log."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import Actor
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady
from hashdb.index.milvus import Milvus, MilvusEngine, MilvusIndex
from hashdb.service import HashDB, health, open_hashdb
from hashdb.service.contributions import contributions
from tests.builders import RULES, Clock, contributed, draft, signal
from tests.index.milvus import milvus_lite
from tests.service.folders import fill_store, unmatched


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """One server for all tests. Each test has its own log, so values of other tests do not count."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as milvus:
        yield milvus


@pytest.fixture
def hosts(milvus: Milvus, db: HashDB, database_url: str, tmp_path: Path) -> Iterator[tuple[HashDB, HashDB]]:
    """Two services that share one Milvus, each with its own home."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                closing(
                    open_hashdb(database_url, RULES, clock=Clock(), index=home, engine=partial(MilvusEngine, client))
                )
            )
            for home in (tmp_path / "one", tmp_path / "other")
            for client in [stack.enter_context(closing(Milvus(milvus.uri)))]
        )
        yield first, second


def index_of(db: HashDB, algorithm: Algorithm = Algorithm.PDQ) -> MilvusIndex:
    index = db.index.index(algorithm)
    assert isinstance(index, MilvusIndex)
    return index


def restore(database_url: str) -> str:
    """Give the log a new epoch, which is all that an index sees of a restore, and return it."""
    epoch = secrets.token_hex(8)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE log SET epoch = :epoch"), {"epoch": epoch})
    engine.dispose()
    return epoch


def maintain_a_second_later(db: HashDB) -> None:
    """Run maintenance as if a second had passed since the last check."""
    assert isinstance(db.index.engine, MilvusEngine)
    db.index.engine._checked_at = 0.0
    db.index.maintain()


def test_a_host_uses_the_values_that_another_host_stored(hosts: tuple[HashDB, HashDB], actor: Actor) -> None:
    first, second = hosts
    contributed(first, actor, *map(draft, range(20)))
    first.index.maintain(at_once=True)
    assert (index_of(first).in_memory, index_of(first).stored) == (0, 20)
    contributed(second, actor, draft(20))
    for db in hosts:
        assert unmatched(db, actor, range(21)) == []
    maintain_a_second_later(second)
    assert (index_of(second).in_memory, index_of(second).stored) == (1, 20)
    assert unmatched(second, actor, range(21)) == []


def test_withdrawn_values_leave_milvus_unless_contributed_again(hosts: tuple[HashDB, HashDB], actor: Actor) -> None:
    first, _ = hosts
    added = contributed(first, actor, *map(draft, range(10)))
    first.index.maintain(at_once=True)
    for contribution in added[:4]:
        contributions.withdraw(first, actor, contribution.id, "other")
    contributed(first, actor, draft(0))
    for _ in range(len(Algorithm)):
        first.index.maintain(at_once=True)
    collection = index_of(first).collection
    assert collection is not None
    remaining = {int.from_bytes(value) for value in collection.with_prefix("")}
    assert remaining == {signal(seed).value for seed in (0, *range(4, 10))}
    assert unmatched(first, actor, range(10)) == [1, 2, 3]


def test_a_large_index_is_not_ready_until_one_host_has_filled_it(
    hosts: tuple[HashDB, HashDB], db: HashDB, actor: Actor
) -> None:
    first, second = hosts
    stored = fill_store(db, actor)
    with pytest.raises(IndexNotReady):
        second.index.catch_up()
    first.index.fill(lambda count: None)
    for host in hosts:
        host.index.catch_up()
        results = index_of(host, stored[0].algorithm).search([value.value for value in stored[:50]], 0)
        assert [[near.value for near in neighbors] for neighbors in results] == [[value.value] for value in stored[:50]]
        assert index_of(host, stored[0].algorithm).in_memory == 0


def test_the_index_is_rebuilt_after_a_restore(hosts: tuple[HashDB, HashDB], actor: Actor, database_url: str) -> None:
    first, second = hosts
    contributed(first, actor, *map(draft, range(5)))
    first.index.maintain(at_once=True)
    restore(database_url)
    for host in hosts:
        assert unmatched(host, actor, range(5)) == []
        assert index_of(host).stored == 0
    second.index.maintain(at_once=True)
    maintain_a_second_later(first)
    for host in hosts:
        assert (index_of(host).stored, unmatched(host, actor, range(5))) == (5, [])


def test_a_deleted_collection_is_rebuilt_and_no_host_answers_before(
    hosts: tuple[HashDB, HashDB], actor: Actor, milvus: Milvus
) -> None:
    first, _ = hosts
    contributed(first, actor, *map(draft, range(5)))
    first.index.maintain(at_once=True)
    for host in hosts:
        maintain_a_second_later(host)
    collection = index_of(first).collection
    assert collection is not None
    with milvus.request() as client:
        client.drop_collection(collection.name)
    for host in hosts:
        with pytest.raises(IndexNotReady):
            unmatched(host, actor, range(5))
        with pytest.raises(IndexNotReady):
            health.require_ready(host)
    for host in hosts:
        maintain_a_second_later(host)
        assert health.require_ready(host) == host.store.head().seq
        assert unmatched(host, actor, range(5)) == []
    first.index.maintain(at_once=True)
    assert index_of(first).stored == 5


def test_values_stay_in_memory_until_milvus_accepts_them(
    hosts: tuple[HashDB, HashDB], actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = hosts
    contributed(first, actor, *map(draft, range(5)))
    with monkeypatch.context() as patch:
        # Milvus rejects a collection of this name.
        patch.setattr(secrets, "token_hex", lambda _: "not-a-name")
        with pytest.raises(IndexNotReady):
            first.index.maintain(at_once=True)
    maintain_a_second_later(first)
    assert (index_of(first).in_memory, unmatched(first, actor, range(5))) == (5, [])
    first.index.maintain(at_once=True)
    assert (index_of(first).in_memory, index_of(first).stored, unmatched(first, actor, range(5))) == (0, 5, [])


def test_a_flush_of_values_from_before_a_restore_is_discarded(
    hosts: tuple[HashDB, HashDB], actor: Actor, database_url: str
) -> None:
    first, _ = hosts
    contributed(first, actor, *map(draft, range(5)))
    engine, seq = first.index.engine, first.index.catch_up().seq
    snapshot = engine.snapshot()
    epoch = restore(database_url)
    assert first.index.catch_up().epoch == epoch
    engine.flush(seq, first.index.follower.leaf, snapshot)
    assert (engine.last_seq, index_of(first).in_memory, unmatched(first, actor, range(5))) == (0, 5, [])
    first.index.maintain(at_once=True)
    assert (engine.last_seq, index_of(first).stored, unmatched(first, actor, range(5))) == (seq, 5, [])
