"""Verification, and a tamperer that edits the database underneath: in every way, and found every time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint, Signer
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.verification import Finding, KeptCheckpoint, Verdict, verify
from hashdb.store.tables import metadata
from tests.builders import Clock, contributed, draft, member_with, tree_root
from tests.service.tamperer import Tamperer, tamper

EVENTS, SIGNED = 22, (1, 12, 22)


@pytest.fixture
def log(db: HashDB, clock: Clock) -> HashDB:
    """A log of 22 events, with checkpoints at 1, 12 and 22."""
    checkpoints.start(db)
    checkpoints.keep(db)
    actor = member_with(db)
    contributed(db, actor, *(draft(seed) for seed in range(9)))
    clock.go(minutes=1)
    checkpoints.keep(db)
    contributed(db, actor, *(draft(seed) for seed in range(20, 30)))
    clock.go(minutes=1)
    checkpoints.keep(db)
    assert db.store.head().seq == EVENTS
    return db


def finding(db: HashDB) -> Finding:
    """The first thing that does not hold."""
    verdict = verify(db, COMMAND_LINE)
    assert verdict.findings
    return verdict.findings[0]


def test_a_log_that_nobody_touched_verifies(log: HashDB) -> None:
    told: list[int] = []
    verdict = verify(log, COMMAND_LINE, told.append)
    with log.store.read() as tx:
        leaves = [event.leaf for event in tx.audit.since(0, 100)]
    assert verdict == Verdict(EVENTS, tree_root(leaves), len(SIGNED), ())
    assert sum(told) == EVENTS


def test_so_does_an_empty_one_and_one_that_goes_on(db: HashDB, clock: Clock) -> None:
    assert verify(db, COMMAND_LINE) == Verdict(0, merkle.EMPTY, 0, ())
    checkpoints.start(db)
    checkpoints.keep(db)
    for size in range(2, 30):
        clock.go(minutes=1)
        member_with(db)
        checkpoints.keep(db)
        verdict = verify(db, COMMAND_LINE)
        assert (verdict.findings, verdict.checkpoints) == ((), size)


def test_it_takes_an_auditor(log: HashDB) -> None:
    with pytest.raises(ScopeMissing):
        verify(log, member_with(log, Scope.FEED))
    assert not verify(log, member_with(log, Scope.AUDIT)).findings


CHANGES = {
    "details": '{"kind":"operator"}',
    "actor": "key:99",
    "at": 1,
    "action": "member.suspended",
    "subject_id": 4711,
    "subject_kind": "key",
    "leaf": bytes(32),
}
TABLES = [metadata.tables[name] for name in ("events", "nodes", "log", "checkpoints")]


def each_row(log: HashDB, url: str) -> Iterator[int]:
    """Each of these rows, to be tampered with; after each the database is as it was before."""
    engine = create_engine(url)
    with engine.connect() as connection:
        kept = [[dict(row) for row in connection.execute(table.select()).mappings()] for table in TABLES]
    for seq in (1, 2, 7, 8, 12, 13, 21, 22):
        yield seq
        with engine.begin() as connection:
            for table, rows in zip(TABLES, kept, strict=True):
                connection.execute(table.delete())
                connection.execute(table.insert(), rows)
    engine.dispose()
    assert not verify(log, COMMAND_LINE).findings


@pytest.mark.parametrize("column", CHANGES)
def test_a_row_that_was_changed_is_named(log: HashDB, database_url: str, column: str) -> None:
    for seq in each_row(log, database_url):
        tamper(database_url, partial(Tamperer.change, seq=seq, column=column, value=CHANGES[column]))
        found = finding(log)
        assert (found.first, found.last) == (seq, seq)


def test_and_named_where_its_leaf_was_computed_anew(log: HashDB, database_url: str) -> None:
    for seq in each_row(log, database_url):

        def act(hand: Tamperer, seq: int = seq) -> None:
            hand.change(seq, "actor", "key:99")
            hand.recompute_leaves()

        tamper(database_url, act)
        found = finding(log)
        assert (found.first, found.last) == (seq, seq)


def test_and_found_where_the_tree_was_computed_anew_by_halves(log: HashDB, database_url: str) -> None:
    for seq in each_row(log, database_url):

        def act(hand: Tamperer, seq: int = seq) -> None:
            hand.change(seq, "actor", "key:99")
            hand.recompute_tree(upto=1)

        tamper(database_url, act)
        found = finding(log)
        assert found.first is not None
        assert found.last is not None
        assert found.first <= seq <= found.last <= found.first + 3


def test_and_found_by_the_signed_checkpoints_where_all_of_it_was(log: HashDB, database_url: str) -> None:
    for seq in each_row(log, database_url):

        def act(hand: Tamperer, seq: int = seq) -> None:
            hand.change(seq, "actor", "key:99")
            hand.recompute_tree()

        tamper(database_url, act)
        after, upto = next((start, end) for start, end in zip((0, *SIGNED), SIGNED, strict=False) if start < seq <= end)
        found = finding(log)
        assert (found.first, found.last) == (after + 1, upto)
        # The file tells the same where those of the table are removed.
        tamper(database_url, lambda hand: hand.run("DELETE FROM checkpoints"))
        assert (finding(log).first, finding(log).last) == (after + 1, upto)


def test_a_row_that_was_removed_is_named(log: HashDB, database_url: str) -> None:
    for seq in each_row(log, database_url):

        def act(hand: Tamperer, seq: int = seq) -> None:
            hand.remove(seq)

        tamper(database_url, act)
        found = finding(log)
        assert (found.first, found.last) == (seq, seq)


def test_and_found_where_the_others_moved_up(log: HashDB, database_url: str) -> None:
    for seq in each_row(log, database_url):

        def act(hand: Tamperer, seq: int = seq) -> None:
            hand.remove(seq)
            for later in range(seq + 1, EVENTS + 1):
                hand.move(later, later - 1)

        tamper(database_url, act)
        assert finding(log).first == seq
        tamper(database_url, Tamperer.recompute_tree)
        found = finding(log)
        assert found.first is not None
        assert found.last is not None
        assert found.first <= seq <= found.last


@pytest.mark.parametrize("cut", range(1, 12))
def test_the_last_rows_are_missed_however_they_went(log: HashDB, database_url: str, cut: int) -> None:
    gone = range(EVENTS - cut + 1, EVENTS + 1)
    tamper(database_url, lambda hand: hand.remove(*gone))
    assert finding(log).first == gone[0]

    def lower_the_head(hand: Tamperer) -> None:
        hand.run("UPDATE log SET seq = :seq", seq=EVENTS - cut)

    tamper(database_url, lower_the_head)
    assert finding(log).first == gone[0]
    tamper(database_url, Tamperer.recompute_tree)
    found = finding(log)
    assert found.first is not None
    assert found.last is not None
    assert found.first <= gone[0] <= found.last


def test_without_a_checkpoint_the_tree_and_the_head_miss_the_last(log: HashDB, database_url: str) -> None:
    member_with(log)
    last = log.store.head().seq
    for statement in ("UPDATE log SET seq = :seq", "DELETE FROM nodes WHERE number > :count"):
        values = {"seq": last - 1} if "seq" in statement else {"count": merkle.inner_nodes(last - 1)}

        def act(hand: Tamperer, statement: str = statement, values: dict[str, int] = values) -> None:
            hand.remove(last)
            hand.run(statement, **values)

        tamper(database_url, act)
        assert finding(log).first == last


@pytest.mark.parametrize("seq", [-3, 0, EVENTS + 1, EVENTS + 7])
def test_a_row_that_was_added_is_named(log: HashDB, database_url: str, seq: int) -> None:
    tamper(database_url, lambda hand: hand.add(seq))
    assert finding(log).first == min(seq, EVENTS + 1)


def test_and_found_where_it_was_put_among_the_others(log: HashDB, database_url: str) -> None:
    for seq in each_row(log, database_url):

        def act(hand: Tamperer, seq: int = seq) -> None:
            for later in range(EVENTS, seq - 1, -1):
                hand.move(later, later + 1)
            hand.add(seq, like=3 if seq > 3 else 9)

        tamper(database_url, act)
        assert finding(log).first == seq
        tamper(database_url, Tamperer.recompute_tree)
        found = finding(log)
        assert found.first is not None
        assert found.last is not None
        assert found.first <= seq <= found.last


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 4), (4, 5), (2, 21), (21, 22)])
def test_rows_that_changed_places_are_found(log: HashDB, database_url: str, one: int, other: int) -> None:
    tamper(database_url, lambda hand: hand.swap(one, other))
    assert finding(log).first == one
    tamper(database_url, lambda hand: hand.recompute_leaves())
    assert finding(log).first == one
    tamper(database_url, Tamperer.recompute_tree)
    found = finding(log)
    assert found.first is not None
    assert found.last is not None
    assert found.first <= one <= found.last


def test_a_log_that_was_rebuilt_as_a_whole_is_found_by_a_checkpoint_from_outside_only(
    log: HashDB, database_url: str, tmp_path: Path
) -> None:
    assert log.signing is not None
    *_, kept = log.signing.recorded_checkpoints()
    verdict = verify(log, COMMAND_LINE, kept=kept)
    assert verdict.kept == KeptCheckpoint(EVENTS, log.now() - timedelta(minutes=1))
    member_with(log)
    assert verify(log, COMMAND_LINE, kept=kept).kept == verdict.kept

    def act(hand: Tamperer) -> None:
        hand.change(2, "actor", "key:99")
        hand.recompute_tree()
        hand.run("DELETE FROM checkpoints")

    tamper(database_url, act)
    (tmp_path / "checkpoints.txt").unlink()
    checkpoints.keep(log, at_once=True)
    # Who holds the database, the key and the file has a log that agrees with itself.
    assert verify(log, COMMAND_LINE).findings == ()
    verdict = verify(log, COMMAND_LINE, kept=kept)
    assert list(map(str, verdict.findings)) == [
        f"events 1 to {EVENTS}: differ from the events for which the checkpoint from outside was signed"
    ]
    assert verdict.kept is None


def test_a_checkpoint_of_another_log_is_told(log: HashDB) -> None:
    signer = Signer.new("log.example/2")
    other = Checkpoint("log.example/2", EVENTS, bytes(32)).signed(signer)
    verdict = verify(log, COMMAND_LINE, kept=other)
    assert str(verdict.findings[0]).startswith("the checkpoint from outside: ")
    assert verdict.kept is None


@pytest.mark.parametrize("number", [1, 5, merkle.inner_nodes(EVENTS)])
def test_the_tree_itself_is_held_against_the_rows(log: HashDB, database_url: str, number: int) -> None:
    place = list(merkle.inner_subtrees(0, EVENTS))[number - 1]
    tamper(database_url, lambda hand: hand.run("DELETE FROM nodes WHERE number = :number", number=number))
    found = finding(log)
    assert found.first is not None
    assert place.begin < found.first <= place.end == found.last


def test_so_are_nodes_of_nothing_and_the_head(log: HashDB, database_url: str, tmp_path: Path) -> None:
    tamper(database_url, lambda hand: hand.run("UPDATE log SET peaks = :peaks", peaks=bytes(96)))
    assert str(finding(log)) == "the head of the log does not fit its events"
    tamper(database_url, lambda hand: hand.run("DELETE FROM checkpoints"))
    (tmp_path / "checkpoints.txt").unlink()
    assert (finding(log).first, finding(log).last) == (1, 16)
    tamper(database_url, Tamperer.recompute_tree)
    assert not verify(log, COMMAND_LINE).findings
    tamper(database_url, lambda hand: hand.run("INSERT INTO nodes (number, hash) VALUES (99, :hash)", hash=bytes(32)))
    assert finding(log).first == EVENTS + 1


def test_a_checkpoint_that_was_forged_is_not_signed(log: HashDB, database_url: str, tmp_path: Path) -> None:
    def act(hand: Tamperer) -> None:
        hand.change(2, "actor", "key:99")
        hand.recompute_tree()
        ((note,),) = hand.run("SELECT note FROM checkpoints WHERE size = 12")
        hand.run("DELETE FROM checkpoints")
        hand.run(
            "INSERT INTO checkpoints (size, at, note) VALUES (12, 0, :note)", note=note.replace("\n12\n", "\n13\n")
        )

    (tmp_path / "checkpoints.txt").unlink()
    tamper(database_url, act)
    assert str(finding(log)) == "the checkpoint of 12: the signature does not fit the text"
    tamper(database_url, lambda hand: hand.run("UPDATE checkpoints SET note = 'x'"))
    assert str(finding(log)) == "the checkpoint of 12: this is not a signed note"


def test_a_checkpoint_under_another_size_is_told(log: HashDB, database_url: str) -> None:
    tamper(database_url, lambda hand: hand.run("UPDATE checkpoints SET size = 13 WHERE size = 12"))
    assert str(finding(log)) == "the checkpoint of 13: it is of 12"


def test_the_file_alone_is_held_against_the_rows(log: HashDB, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    file.write_text(file.read_text().replace("\n12\n", "\n11\n"))
    assert str(finding(log)) == "checkpoint 2 of the file: the signature does not fit the text"


def test_a_key_that_somebody_put_in_is_in_no_event(log: HashDB, database_url: str, tmp_path: Path) -> None:
    public = Signer.new("log.example/1").verifier.public

    def put_in(hand: Tamperer) -> None:
        hand.run("INSERT INTO signers (id, name, public, since) VALUES (7, 'log.example/1', :public, 0)", public=public)

    tamper(database_url, put_in)
    assert finding(log).reason.endswith("is in no event")
    # In the place of the log's own, nothing that was signed before is signed by it.
    tamper(database_url, lambda hand: hand.run("DELETE FROM signers WHERE id = 1"))
    reasons = [one.reason for one in verify(log, COMMAND_LINE).findings]
    assert "checkpoint 1 of the file: the note is not signed by a key of this log" not in reasons
    assert "the checkpoint of 12: the note is not signed by a key of this log" in reasons
    assert any(reason.startswith("the key of this machine, ") for reason in reasons)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_value_that_is_none_at_all_is_found(log: HashDB, database_url: str) -> None:
    odd = [("at", "x"), ("at", 2**60), ("actor", b"x"), ("details", b"x"), ("leaf", "x"), ("subject_id", 1.5)]
    for seq, (column, value) in reversed(list(enumerate(odd, 5))):
        tamper(database_url, partial(Tamperer.change, seq=seq, column=column, value=value))
        assert finding(log).first == seq
    tamper(database_url, lambda hand: hand.run("UPDATE nodes SET hash = 'x' WHERE number = 1"))
    assert finding(log).first == 1 + 1


def test_a_finding_is_a_sentence() -> None:
    assert str(Finding(7, 7, "missing")) == "event 7: missing"
    assert str(Finding(7, 9, "missing")) == "events 7 to 9: missing"
