"""Checkpoints: the log has one key and one name, and one process stores the checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind, Scope
from hashdb.domain.ledger.checkpoints import read_checkpoint
from hashdb.domain.ledger.notes import Signer
from hashdb.errors import BadSetting, ScopeMissing, Unavailable, WrongSigningKey
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.store import Store
from tests.builders import RULES, Clock, member_with, tree_root
from tests.processes import processes


def add_event(db: HashDB, name: str) -> None:
    """Add one event to the log."""
    members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))


def service_on_another_machine(database_url: str, clock: Clock, folder: Path, origin: str | None = None) -> HashDB:
    """A service with the same log on another machine, with its own files."""
    folder.mkdir(exist_ok=True)
    return HashDB(Store(database_url), RULES, clock, signing=Signing(folder / "signing.key", folder / "record", origin))


def test_the_first_start_names_the_log_and_creates_its_key(db: HashDB, clock: Clock) -> None:
    verifier = checkpoints.start(db)
    assert checkpoints.start(db) == verifier
    with db.store.read() as tx:
        (event,) = tx.audit.since(0, 10)
    details = {"key": str(verifier), "epoch": db.store.head().epoch}
    assert (event.action, event.subject, event.details) == ("signer.added", "signer:1", details)
    log = checkpoints.log(db)
    assert (log.origin, log.verifiers) == ("log.example/1", (verifier,))
    assert (log.keys[0].since, log.keys[0].until) == (clock.at, None)


def test_a_log_without_a_configured_name_gets_a_generated_one(
    database_url: str, db: HashDB, clock: Clock, tmp_path: Path
) -> None:
    service = service_on_another_machine(database_url, clock, tmp_path / "one")
    name = checkpoints.start(service).name
    assert name.startswith("hashdb/")
    assert len(name) == 19
    service.close()


def test_nothing_is_signed_before_the_first_start(db: HashDB) -> None:
    add_event(db, "Alpha")
    for action in (checkpoints.log, checkpoints.latest, checkpoints.keep):
        with pytest.raises(Unavailable):
            action(db)
    db.signing = None
    with pytest.raises(Unavailable):
        checkpoints.start(db)


def test_a_machine_without_the_log_key_cannot_start(
    database_url: str, db: HashDB, clock: Clock, tmp_path: Path
) -> None:
    verifier = checkpoints.start(db)
    other = service_on_another_machine(database_url, clock, tmp_path / "other")
    with pytest.raises(WrongSigningKey) as caught:
        checkpoints.start(other)
    assert caught.value.needed == str(verifier)
    (tmp_path / "other" / "signing.key").write_bytes(Signer.new("log.example/1").pem())
    with pytest.raises(WrongSigningKey, match="holds another key"):
        checkpoints.start(other)
    with pytest.raises(Unavailable):
        checkpoints.latest(other)
    (tmp_path / "other" / "signing.key").write_bytes((tmp_path / "signing.key").read_bytes())
    assert checkpoints.start(other) == verifier
    other.close()
    renamed = service_on_another_machine(database_url, clock, tmp_path / "other", "log.example/2")
    with pytest.raises(
        BadSetting, match=r"^HASHDB_ORIGIN: this log has been named log\.example/1 since its first start$"
    ):
        checkpoints.start(renamed)
    renamed.close()


def test_a_checkpoint_covers_every_event_so_far(db: HashDB) -> None:
    verifier = checkpoints.start(db)
    for number in range(5):
        add_event(db, f"Member {number}")
        checkpoint, key = read_checkpoint(checkpoints.latest(db), [verifier])
        with db.store.read() as tx:
            leaves = [event.leaf for event in tx.audit.since(0, 100)]
        assert (checkpoint.origin, checkpoint.size, key) == ("log.example/1", number + 2, verifier)
        assert checkpoint.root == tree_root(leaves)


def test_a_checkpoint_is_stored_every_50_seconds_if_there_are_new_events(
    db: HashDB, signing: Signing, clock: Clock
) -> None:
    checkpoints.start(db)
    assert checkpoints.keep(db)
    clock.advance(minutes=5)
    assert not checkpoints.keep(db)
    add_event(db, "Alpha")
    assert checkpoints.keep(db)
    add_event(db, "Beta")
    clock.advance(seconds=49)
    assert not checkpoints.keep(db)
    clock.advance(seconds=1)
    assert checkpoints.keep(db)
    add_event(db, "Gamma")
    assert checkpoints.keep(db, at_once=True)
    assert not checkpoints.keep(db, at_once=True)
    add_event(db, "Delta")
    clock.advance(days=-1)
    assert checkpoints.keep(db)
    verifiers = checkpoints.log(db).verifiers
    with db.store.read() as tx:
        stored = list(tx.checkpoints.all_notes())
    assert [size for size, _ in stored] == [1, 2, 3, 4, 5]
    assert signing.recorded_checkpoints() == tuple(note for _, note in stored)
    assert [read_checkpoint(note, verifiers)[0].size for _, note in stored] == [1, 2, 3, 4, 5]


def test_after_a_rotation_the_new_key_signs_and_the_old_one_verifies(
    database_url: str, db: HashDB, signing: Signing, clock: Clock, tmp_path: Path
) -> None:
    old = checkpoints.start(db)
    before = checkpoints.latest(db)
    running = HashDB(Store(database_url), RULES, clock, signing=Signing(tmp_path / "signing.key", tmp_path / "record"))
    assert checkpoints.latest(running) == before
    clock.advance(hours=1)
    new = checkpoints.rotate(db, COMMAND_LINE)
    log = checkpoints.log(db)
    assert [(key.verifier, key.until) for key in log.keys] == [(old, clock.at), (new, None)]
    assert read_checkpoint(before, log.verifiers)[1] == old
    # A service that keeps running reads the new key from the file.
    for service in (db, running):
        assert read_checkpoint(checkpoints.latest(service), log.verifiers)[1] == new
    assert checkpoints.start(running) == new
    assert len(signing.recorded_checkpoints()) == 1
    running.close()


def test_only_an_administrator_can_rotate_the_key(db: HashDB) -> None:
    with pytest.raises(ScopeMissing):
        checkpoints.rotate(db, member_with(db, Scope.AUDIT))


def test_the_key_can_be_rotated_before_the_first_start(db: HashDB) -> None:
    new = checkpoints.rotate(db, COMMAND_LINE)
    assert (new.name, checkpoints.start(db)) == ("log.example/1", new)


def keep_in_a_process(url: str, folder: Path) -> bool:
    db = HashDB(Store(url), RULES, Clock(), signing=Signing(folder / "signing.key", folder / "checkpoints.txt"))
    try:
        return checkpoints.keep(db)
    finally:
        db.close()


def test_only_one_of_many_processes_stores_a_checkpoint(
    db: HashDB, signing: Signing, database_url: str, tmp_path: Path
) -> None:
    checkpoints.start(db)
    with processes(4) as pool:
        results = list(pool.map(keep_in_a_process, [database_url] * 8, [tmp_path] * 8))
    assert sorted(results) == [False] * 7 + [True]
    assert len(signing.recorded_checkpoints()) == 1


def test_processes_that_start_a_new_log_together_use_one_key(db: HashDB, database_url: str, tmp_path: Path) -> None:
    with processes(4) as pool:
        keys = list(pool.map(start_in_a_process, [database_url] * 4, [tmp_path] * 4))
    assert len(set(keys)) == 1
    assert checkpoints.start(db).public == keys[0]


def start_in_a_process(url: str, folder: Path) -> bytes:
    signing = Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example/1")
    db = HashDB(Store(url), RULES, Clock(), signing=signing)
    try:
        return checkpoints.start(db).public
    finally:
        db.close()
