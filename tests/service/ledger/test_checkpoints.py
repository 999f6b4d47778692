"""Checkpoints: one key and one name for the log, and one process that writes them down."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind, Scope
from hashdb.domain.ledger.checkpoints import Signer, read_checkpoint
from hashdb.errors import BadSetting, ScopeMissing, Unavailable, WrongSigningKey
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.store import Store
from tests.builders import RULES, Clock, member_with, tree_root
from tests.processes import processes


def grown(db: HashDB, name: str) -> None:
    """One event more."""
    members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))


def another(database_url: str, clock: Clock, folder: Path, origin: str | None = None) -> HashDB:
    """The same log, on a machine with files of its own."""
    folder.mkdir(exist_ok=True)
    return HashDB(Store(database_url), RULES, clock, signing=Signing(folder / "signing.key", folder / "record", origin))


def test_the_first_start_names_the_log_and_makes_its_key(db: HashDB, clock: Clock) -> None:
    verifier = checkpoints.start(db)
    assert checkpoints.start(db) == verifier
    with db.store.read() as tx:
        (event,) = tx.audit.since(0, 10)
    details = {"key": str(verifier), "epoch": db.store.head().epoch}
    assert (event.action, event.subject, event.details) == ("signer.added", "signer:1", details)
    log = checkpoints.log(db)
    assert (log.origin, log.verifiers) == ("log.example/1", (verifier,))
    assert (log.keys[0].since, log.keys[0].until) == (clock.at, None)


def test_a_log_without_a_name_gets_one_of_its_own(database_url: str, db: HashDB, clock: Clock, tmp_path: Path) -> None:
    one = another(database_url, clock, tmp_path / "one")
    name = checkpoints.start(one).name
    assert name.startswith("hashdb/")
    assert len(name) == 19
    one.close()


def test_before_the_first_start_nothing_is_signed(db: HashDB) -> None:
    grown(db, "Alpha")
    for ask in (checkpoints.log, checkpoints.latest, checkpoints.keep):
        with pytest.raises(Unavailable):
            ask(db)
    db.signing = None
    with pytest.raises(Unavailable):
        checkpoints.start(db)


def test_a_machine_without_the_logs_key_is_refused(database_url: str, db: HashDB, clock: Clock, tmp_path: Path) -> None:
    verifier = checkpoints.start(db)
    other = another(database_url, clock, tmp_path / "other")
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
    renamed = another(database_url, clock, tmp_path / "other", "log.example/2")
    with pytest.raises(BadSetting, match=r"^HASHDB_ORIGIN: this log is named log\.example/1 since its first start$"):
        checkpoints.start(renamed)
    renamed.close()


def test_a_checkpoint_covers_all_that_was_answered(db: HashDB) -> None:
    verifier = checkpoints.start(db)
    for number in range(5):
        grown(db, f"Member {number}")
        checkpoint, key = read_checkpoint(checkpoints.latest(db), [verifier])
        with db.store.read() as tx:
            leaves = [event.leaf for event in tx.audit.since(0, 100)]
        assert (checkpoint.origin, checkpoint.size, key) == ("log.example/1", number + 2, verifier)
        assert checkpoint.root == tree_root(leaves)


def test_one_is_kept_a_minute_in_which_something_happened(db: HashDB, signing: Signing, clock: Clock) -> None:
    checkpoints.start(db)
    assert checkpoints.keep(db)
    clock.go(minutes=5)
    assert not checkpoints.keep(db)
    grown(db, "Alpha")
    assert checkpoints.keep(db)
    grown(db, "Beta")
    clock.go(seconds=49)
    assert not checkpoints.keep(db)
    clock.go(seconds=1)
    assert checkpoints.keep(db)
    grown(db, "Gamma")
    assert checkpoints.keep(db, at_once=True)
    assert not checkpoints.keep(db, at_once=True)
    grown(db, "Delta")
    clock.go(days=-1)
    assert checkpoints.keep(db)
    verifiers = checkpoints.log(db).verifiers
    with db.store.read() as tx:
        kept = list(tx.checkpoints.all_notes())
    assert [size for size, _ in kept] == [1, 2, 3, 4, 5]
    assert signing.recorded_checkpoints() == tuple(note for _, note in kept)
    assert [read_checkpoint(note, verifiers)[0].size for _, note in kept] == [1, 2, 3, 4, 5]


def test_a_new_key_signs_and_the_old_one_verifies(
    database_url: str, db: HashDB, signing: Signing, clock: Clock, tmp_path: Path
) -> None:
    old = checkpoints.start(db)
    before = checkpoints.latest(db)
    running = HashDB(Store(database_url), RULES, clock, signing=Signing(tmp_path / "signing.key", tmp_path / "record"))
    assert checkpoints.latest(running) == before
    clock.go(hours=1)
    new = checkpoints.rotate(db, COMMAND_LINE)
    log = checkpoints.log(db)
    assert [(key.verifier, key.until) for key in log.keys] == [(old, clock.at), (new, None)]
    assert read_checkpoint(before, log.verifiers)[1] == old
    # A service that was running all the time reads the new key from the file.
    for one in (db, running):
        assert read_checkpoint(checkpoints.latest(one), log.verifiers)[1] == new
    assert checkpoints.start(running) == new
    assert len(signing.recorded_checkpoints()) == 1
    running.close()


def test_to_rotate_takes_an_administrator(db: HashDB) -> None:
    with pytest.raises(ScopeMissing):
        checkpoints.rotate(db, member_with(db, Scope.AUDIT))


def test_a_log_that_was_never_started_may_be_given_a_key(db: HashDB) -> None:
    new = checkpoints.rotate(db, COMMAND_LINE)
    assert (new.name, checkpoints.start(db)) == ("log.example/1", new)


def kept_by(url: str, folder: Path) -> bool:
    db = HashDB(Store(url), RULES, Clock(), signing=Signing(folder / "signing.key", folder / "checkpoints.txt"))
    try:
        return checkpoints.keep(db)
    finally:
        db.close()


def test_of_many_processes_one_keeps_it(db: HashDB, signing: Signing, database_url: str, tmp_path: Path) -> None:
    checkpoints.start(db)
    with processes(4) as pool:
        kept = list(pool.map(kept_by, [database_url] * 8, [tmp_path] * 8))
    assert sorted(kept) == [False] * 7 + [True]
    assert len(signing.recorded_checkpoints()) == 1


def test_the_first_start_may_be_everywhere_at_once(db: HashDB, database_url: str, tmp_path: Path) -> None:
    with processes(4) as pool:
        started = list(pool.map(started_by, [database_url] * 4, [tmp_path] * 4))
    assert len(set(started)) == 1
    assert checkpoints.start(db).public == started[0]


def started_by(url: str, folder: Path) -> bytes:
    signing = Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example/1")
    db = HashDB(Store(url), RULES, Clock(), signing=signing)
    try:
        return checkpoints.start(db).public
    finally:
        db.close()
