"""Seeds of secret views are created once, rotated, retired, and known to every worker. No event contains a seed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.seeds import MAX_SEEDS, SEED_BYTES
from hashdb.errors import InvalidInput, NotAllowed, NotFound
from hashdb.service import HashDB
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import seeds
from hashdb.store import tables
from tests.builders import Clock, hashdb, member_with


def _events(db: HashDB) -> list[tuple[str, str, int]]:
    with db.store.read() as tx:
        rows = tx.audit.rows(None, 1_000)
        return [(row.actor, row.action, row.subject_id) for row in rows if row.subject_kind == "seed"]


def test_only_the_first_start_creates_a_seed(db: HashDB, database_url: str) -> None:
    assert seeds.list_all(db, COMMAND_LINE) == ()
    seeds.make_first(db)
    second_worker = hashdb(database_url, Clock())
    seeds.make_first(second_worker)
    second_worker.close()
    assert _events(db) == [("system:hashdb", "seed.added", 1)]


def test_all_workers_see_a_rotation_and_excess_seeds_are_retired(db: HashDB, actor: Actor, database_url: str) -> None:
    seeds.make_first(db)
    second_worker = hashdb(database_url, Clock())
    (first,) = seeds.known_to(second_worker, actor)
    for number in range(2, MAX_SEEDS + 2):
        seq_before = db.store.head().seq
        assert seeds.rotate(db, COMMAND_LINE).id == number
        assert db.store.head().seq - seq_before == (1 if number <= MAX_SEEDS else 2)
        for worker in (db, second_worker):
            worker.follower.catch_up()
            known = seeds.known_to(worker, actor)
            assert [seed.id for seed in known] == [*range(number, max(0, number - MAX_SEEDS), -1)]
            assert len({seed.octets for seed in known}) == len(known)
    assert _events(db)[-2:] == [("system:cli", "seed.retired", 1), ("system:cli", "seed.added", MAX_SEEDS + 1)]
    assert first not in seeds.known_to(second_worker, actor)
    assert [state.retired_at is None for state in seeds.list_all(db, COMMAND_LINE)] == [True, True, True, False]
    second_worker.close()


def test_retire_rejects_the_newest_a_retired_and_an_unknown_seed(db: HashDB, actor: Actor) -> None:
    seeds.make_first(db)
    with pytest.raises(InvalidInput, match="rotate first"):
        seeds.retire(db, COMMAND_LINE, 1)
    seeds.rotate(db, COMMAND_LINE)
    assert seeds.retire(db, COMMAND_LINE, 1).retired_at == db.now()
    db.follower.catch_up()
    assert [seed.id for seed in seeds.known_to(db, actor)] == [2]
    for retired_or_unknown in (1, 3):
        with pytest.raises(NotFound):
            seeds.retire(db, COMMAND_LINE, retired_or_unknown)
    assert verify(db, COMMAND_LINE).findings == ()


def test_a_retired_seed_is_deleted_from_the_database_files(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    actor = member_with(db)

    def in_files(octets: bytes) -> bool:
        return octets in b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))

    seeds.make_first(db)
    for retire in (partial(seeds.retire, db, COMMAND_LINE, 1), partial(seeds.rotate, db, COMMAND_LINE)):
        oldest = seeds.known_to(db, actor)[-1].octets
        while len(seeds.list_all(db, COMMAND_LINE)) < 2 or len(seeds.known_to(db, actor)) < MAX_SEEDS:
            seeds.rotate(db, COMMAND_LINE)
            db.follower.catch_up()
        assert in_files(oldest)
        retire()
        db.follower.catch_up()
        assert not in_files(oldest)
    db.close()


def test_only_contribute_and_match_keys_read_seeds_and_members_change_none(db: HashDB) -> None:
    seeds.make_first(db)
    for scope in Scope:
        known = seeds.known_to(db, member_with(db, scope))
        assert len(known) == (1 if scope in (Scope.CONTRIBUTE, Scope.MATCH) else 0)
    for verb in (lambda: seeds.rotate(db, member_with(db)), lambda: seeds.list_all(db, member_with(db))):
        with pytest.raises(NotAllowed):
            verb()


def test_verify_reports_a_seed_that_was_replaced_in_the_database(db: HashDB) -> None:
    seeds.make_first(db)
    with db.store.begin() as tx:
        tx.connection.execute(update(tables.seeds).values(octets=bytes(SEED_BYTES)))
    (finding,) = verify(db, COMMAND_LINE).findings
    assert "seed 1" in str(finding) and "secret" in str(finding)


def test_no_event_contains_a_seed(db: HashDB) -> None:
    seeds.make_first(db)
    seeds.rotate(db, COMMAND_LINE)
    with db.store.read() as tx:
        logged = json.dumps([[str(value) for value in row] for row in tx.audit.rows(None, 1_000)])
        for seed in tx.seeds.in_use():
            assert seed.octets.hex() not in logged and repr(seed.octets) not in logged
