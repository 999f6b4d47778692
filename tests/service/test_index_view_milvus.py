"""The index in Milvus: level with the log, without what was withdrawn, and begun anew with another log."""

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
    """One for all; what one test leaves there is of another log."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as milvus:
        yield milvus


@pytest.fixture
def hosts(milvus: Milvus, db: HashDB, database_url: str, tmp_path: Path) -> Iterator[tuple[HashDB, HashDB]]:
    """Two that share it, each with a home of its own."""
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(
                closing(open_hashdb(database_url, RULES, clock=Clock(), index=home, engine=partial(MilvusEngine, its)))
            )
            for home in (tmp_path / "one", tmp_path / "other")
            for its in [stack.enter_context(closing(Milvus(milvus.uri)))]
        )
        yield one, other


def index_of(db: HashDB, algorithm: Algorithm = Algorithm.PDQ) -> MilvusIndex:
    found = db.index.index(algorithm)
    assert isinstance(found, MilvusIndex)
    return found


def restore(database_url: str) -> str:
    """What of a restore an index sees: another epoch, which is returned."""
    epoch = secrets.token_hex(8)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE log SET epoch = :epoch"), {"epoch": epoch})
    engine.dispose()
    return epoch


def look_again(db: HashDB) -> None:
    """As a second later."""
    assert isinstance(db.index.engine, MilvusEngine)
    db.index.engine._checked_at = 0.0
    db.index.maintain()


def test_what_one_has_written_another_goes_on_with_and_nothing_is_missed(
    hosts: tuple[HashDB, HashDB], actor: Actor
) -> None:
    one, other = hosts
    contributed(one, actor, *map(draft, range(20)))
    one.index.maintain(at_once=True)
    assert (index_of(one).in_memory, index_of(one).stored) == (0, 20)
    contributed(other, actor, draft(20))
    for db in hosts:
        assert unmatched(db, actor, range(21)) == []
    look_again(other)
    assert (index_of(other).in_memory, index_of(other).stored) == (1, 20)
    assert unmatched(other, actor, range(21)) == []


def test_what_was_withdrawn_leaves_and_what_came_again_stays(hosts: tuple[HashDB, HashDB], actor: Actor) -> None:
    one, _ = hosts
    made = contributed(one, actor, *map(draft, range(10)))
    one.index.maintain(at_once=True)
    for contribution in made[:4]:
        contributions.withdraw(one, actor, contribution.id, "other")
    contributed(one, actor, draft(0))
    for _ in range(len(Algorithm)):
        one.index.maintain(at_once=True)
    collection = index_of(one).collection
    assert collection is not None
    left = {int.from_bytes(value) for value in collection.with_prefix("")}
    assert left == {signal(seed).value for seed in (0, *range(4, 10))}
    assert unmatched(one, actor, range(10)) == [1, 2, 3]


def test_a_large_index_is_filled_by_one_and_not_ready_for_others(
    hosts: tuple[HashDB, HashDB], db: HashDB, actor: Actor
) -> None:
    one, other = hosts
    made = fill_store(db, actor)
    with pytest.raises(IndexNotReady):
        other.index.catch_up()
    one.index.fill(lambda count: None)
    for host in hosts:
        host.index.catch_up()
        found = index_of(host, made[0].algorithm).search([value.value for value in made[:50]], 0)
        assert [[near.value for near in some] for some in found] == [[value.value] for value in made[:50]]
        assert index_of(host, made[0].algorithm).in_memory == 0


def test_after_a_restore_it_begins_anew(hosts: tuple[HashDB, HashDB], actor: Actor, database_url: str) -> None:
    one, other = hosts
    contributed(one, actor, *map(draft, range(5)))
    one.index.maintain(at_once=True)
    restore(database_url)
    for host in hosts:
        assert unmatched(host, actor, range(5)) == []
        assert index_of(host).stored == 0
    other.index.maintain(at_once=True)
    look_again(one)
    for host in hosts:
        assert (index_of(host).stored, unmatched(host, actor, range(5))) == (5, [])


def test_what_is_gone_from_milvus_is_built_anew_and_nobody_is_answered_from_a_part(
    hosts: tuple[HashDB, HashDB], actor: Actor, milvus: Milvus
) -> None:
    one, _ = hosts
    contributed(one, actor, *map(draft, range(5)))
    one.index.maintain(at_once=True)
    for host in hosts:
        look_again(host)
    collection = index_of(one).collection
    assert collection is not None
    with milvus.request() as client:
        client.drop_collection(collection.name)
    for host in hosts:
        with pytest.raises(IndexNotReady):
            unmatched(host, actor, range(5))
        with pytest.raises(IndexNotReady):
            health.require_ready(host)
    for host in hosts:
        look_again(host)
        assert health.require_ready(host) == host.store.head().seq
        assert unmatched(host, actor, range(5)) == []
    one.index.maintain(at_once=True)
    assert index_of(one).stored == 5


def test_what_cannot_be_written_stays_in_memory_until_it_can(
    hosts: tuple[HashDB, HashDB], actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = hosts
    contributed(one, actor, *map(draft, range(5)))
    with monkeypatch.context() as patch:
        # Milvus refuses such a name.
        patch.setattr(secrets, "token_hex", lambda _: "not-a-name")
        with pytest.raises(IndexNotReady):
            one.index.maintain(at_once=True)
    look_again(one)
    assert (index_of(one).in_memory, unmatched(one, actor, range(5))) == (5, [])
    one.index.maintain(at_once=True)
    assert (index_of(one).in_memory, index_of(one).stored, unmatched(one, actor, range(5))) == (0, 5, [])


def test_what_was_written_of_a_log_that_was_restored_meanwhile_is_not_taken(
    hosts: tuple[HashDB, HashDB], actor: Actor, database_url: str
) -> None:
    one, _ = hosts
    contributed(one, actor, *map(draft, range(5)))
    engine, seq = one.index.engine, one.index.catch_up().seq
    snapshot = engine.snapshot()
    epoch = restore(database_url)
    assert one.index.catch_up().epoch == epoch
    engine.flush(seq, one.index.follower.leaf, snapshot)
    assert (engine.last_seq, index_of(one).in_memory, unmatched(one, actor, range(5))) == (0, 5, [])
    one.index.maintain(at_once=True)
    assert (engine.last_seq, index_of(one).stored, unmatched(one, actor, range(5))) == (seq, 5, [])
