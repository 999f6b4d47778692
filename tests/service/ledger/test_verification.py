"""Verification finds every way in which a tamperer edits the database directly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.notes import Signer
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
    clock.advance(minutes=1)
    checkpoints.keep(db)
    contributed(db, actor, *(draft(seed) for seed in range(20, 30)))
    clock.advance(minutes=1)
    checkpoints.keep(db)
    assert db.store.head().seq == EVENTS
    return db


def first_finding(db: HashDB) -> Finding:
    """The first finding of a verification."""
    verdict = verify(db, COMMAND_LINE)
    assert verdict.findings
    return verdict.findings[0]


def test_an_unmodified_log_verifies(log: HashDB) -> None:
    counts: list[int] = []
    verdict = verify(log, COMMAND_LINE, counts.append)
    with log.store.read() as tx:
        leaves = [event.leaf for event in tx.audit.since(0, 100)]
    assert verdict == Verdict(EVENTS, tree_root(leaves), len(SIGNED), ())
    assert sum(counts) == EVENTS


def test_an_empty_log_and_a_growing_log_verify(db: HashDB, clock: Clock) -> None:
    assert verify(db, COMMAND_LINE) == Verdict(0, merkle.EMPTY_ROOT, 0, ())
    checkpoints.start(db)
    checkpoints.keep(db)
    for size in range(2, 30):
        clock.advance(minutes=1)
        member_with(db)
        checkpoints.keep(db)
        verdict = verify(db, COMMAND_LINE)
        assert (verdict.findings, verdict.checkpoints) == ((), size)


def test_only_an_auditor_can_verify_the_log(log: HashDB) -> None:
    with pytest.raises(ScopeMissing):
        verify(log, member_with(log, Scope.FEED))
    assert not verify(log, member_with(log, Scope.AUDIT)).findings


CHANGED_VALUES = {
    "details": '{"kind":"operator"}',
    "actor": "key:99",
    "at": 1,
    "action": "member.suspended",
    "subject_id": 4711,
    "subject_kind": "key",
    "leaf": bytes(32),
}
TABLES = [metadata.tables[name] for name in ("events", "nodes", "log", "checkpoints")]


def each_event(log: HashDB, url: str) -> Iterator[int]:
    """Yield the number of an event to tamper with, then restore the database; repeat for several events."""
    engine = create_engine(url)
    with engine.connect() as connection:
        rows_before = [[dict(row) for row in connection.execute(table.select()).mappings()] for table in TABLES]
    for seq in (1, 2, 7, 8, 12, 13, 21, 22):
        yield seq
        with engine.begin() as connection:
            for table, rows in zip(TABLES, rows_before, strict=True):
                connection.execute(table.delete())
                connection.execute(table.insert(), rows)
    engine.dispose()
    assert not verify(log, COMMAND_LINE).findings


@pytest.mark.parametrize("column", CHANGED_VALUES)
def test_a_changed_event_is_reported(log: HashDB, database_url: str, column: str) -> None:
    for seq in each_event(log, database_url):
        tamper(database_url, partial(Tamperer.change, seq=seq, column=column, value=CHANGED_VALUES[column]))
        finding = first_finding(log)
        assert (finding.first, finding.last) == (seq, seq)


def test_a_changed_event_with_a_recomputed_leaf_is_reported(log: HashDB, database_url: str) -> None:
    for seq in each_event(log, database_url):

        def edit(tamperer: Tamperer, seq: int = seq) -> None:
            tamperer.change(seq, "actor", "key:99")
            tamperer.recompute_leaves()

        tamper(database_url, edit)
        finding = first_finding(log)
        assert (finding.first, finding.last) == (seq, seq)


def test_a_changed_event_with_a_partly_recomputed_tree_is_found(log: HashDB, database_url: str) -> None:
    for seq in each_event(log, database_url):

        def edit(tamperer: Tamperer, seq: int = seq) -> None:
            tamperer.change(seq, "actor", "key:99")
            tamperer.recompute_tree(upto=1)

        tamper(database_url, edit)
        finding = first_finding(log)
        assert finding.first is not None
        assert finding.last is not None
        assert finding.first <= seq <= finding.last <= finding.first + 3


def test_checkpoints_reveal_a_changed_event_with_a_recomputed_tree(log: HashDB, database_url: str) -> None:
    for seq in each_event(log, database_url):

        def edit(tamperer: Tamperer, seq: int = seq) -> None:
            tamperer.change(seq, "actor", "key:99")
            tamperer.recompute_tree()

        tamper(database_url, edit)
        after, upto = next((start, end) for start, end in zip((0, *SIGNED), SIGNED, strict=False) if start < seq <= end)
        finding = first_finding(log)
        assert (finding.first, finding.last) == (after + 1, upto)
        # The checkpoints in the file reveal it even if those in the table are removed.
        tamper(database_url, lambda tamperer: tamperer.run("DELETE FROM checkpoints"))
        assert (first_finding(log).first, first_finding(log).last) == (after + 1, upto)


def test_a_removed_event_is_reported(log: HashDB, database_url: str) -> None:
    for seq in each_event(log, database_url):

        def edit(tamperer: Tamperer, seq: int = seq) -> None:
            tamperer.remove(seq)

        tamper(database_url, edit)
        finding = first_finding(log)
        assert (finding.first, finding.last) == (seq, seq)


def test_a_removed_event_is_found_if_later_events_are_renumbered(log: HashDB, database_url: str) -> None:
    for seq in each_event(log, database_url):

        def edit(tamperer: Tamperer, seq: int = seq) -> None:
            tamperer.remove(seq)
            for later in range(seq + 1, EVENTS + 1):
                tamperer.move(later, later - 1)

        tamper(database_url, edit)
        assert first_finding(log).first == seq
        tamper(database_url, Tamperer.recompute_tree)
        finding = first_finding(log)
        assert finding.first is not None
        assert finding.last is not None
        assert finding.first <= seq <= finding.last


@pytest.mark.parametrize("cut", range(1, 12))
def test_removed_last_events_are_found_even_with_a_recomputed_tree(log: HashDB, database_url: str, cut: int) -> None:
    removed = range(EVENTS - cut + 1, EVENTS + 1)
    tamper(database_url, lambda tamperer: tamperer.remove(*removed))
    assert first_finding(log).first == removed[0]

    def lower_the_head(tamperer: Tamperer) -> None:
        tamperer.run("UPDATE log SET seq = :seq", seq=EVENTS - cut)

    tamper(database_url, lower_the_head)
    assert first_finding(log).first == removed[0]
    tamper(database_url, Tamperer.recompute_tree)
    finding = first_finding(log)
    assert finding.first is not None
    assert finding.last is not None
    assert finding.first <= removed[0] <= finding.last


def test_the_tree_or_the_head_reveals_a_removed_event_without_a_checkpoint(log: HashDB, database_url: str) -> None:
    member_with(log)
    last = log.store.head().seq
    for statement in ("UPDATE log SET seq = :seq", "DELETE FROM nodes WHERE number > :count"):
        values = {"seq": last - 1} if "seq" in statement else {"count": merkle.count_inner_nodes(last - 1)}

        def edit(tamperer: Tamperer, statement: str = statement, values: dict[str, int] = values) -> None:
            tamperer.remove(last)
            tamperer.run(statement, **values)

        tamper(database_url, edit)
        assert first_finding(log).first == last


@pytest.mark.parametrize("seq", [-3, 0, EVENTS + 1, EVENTS + 7])
def test_an_added_event_is_reported(log: HashDB, database_url: str, seq: int) -> None:
    tamper(database_url, lambda tamperer: tamperer.add(seq))
    assert first_finding(log).first == min(seq, EVENTS + 1)


def test_an_event_inserted_between_others_is_found(log: HashDB, database_url: str) -> None:
    for seq in each_event(log, database_url):

        def edit(tamperer: Tamperer, seq: int = seq) -> None:
            for later in range(EVENTS, seq - 1, -1):
                tamperer.move(later, later + 1)
            tamperer.add(seq, like=3 if seq > 3 else 9)

        tamper(database_url, edit)
        assert first_finding(log).first == seq
        tamper(database_url, Tamperer.recompute_tree)
        finding = first_finding(log)
        assert finding.first is not None
        assert finding.last is not None
        assert finding.first <= seq <= finding.last


@pytest.mark.parametrize(("first", "second"), [(1, 2), (3, 4), (4, 5), (2, 21), (21, 22)])
def test_swapped_events_are_found(log: HashDB, database_url: str, first: int, second: int) -> None:
    tamper(database_url, lambda tamperer: tamperer.swap(first, second))
    assert first_finding(log).first == first
    tamper(database_url, lambda tamperer: tamperer.recompute_leaves())
    assert first_finding(log).first == first
    tamper(database_url, Tamperer.recompute_tree)
    finding = first_finding(log)
    assert finding.first is not None
    assert finding.last is not None
    assert finding.first <= first <= finding.last


def test_only_an_outside_checkpoint_reveals_a_completely_rebuilt_log(
    log: HashDB, database_url: str, tmp_path: Path
) -> None:
    assert log.signing is not None
    *_, kept = log.signing.recorded_checkpoints()
    verdict = verify(log, COMMAND_LINE, kept=kept)
    assert verdict.kept == KeptCheckpoint(EVENTS, log.now() - timedelta(minutes=1))
    member_with(log)
    assert verify(log, COMMAND_LINE, kept=kept).kept == verdict.kept

    def edit(tamperer: Tamperer) -> None:
        tamperer.change(2, "actor", "key:99")
        tamperer.recompute_tree()
        tamperer.run("DELETE FROM checkpoints")

    tamper(database_url, edit)
    (tmp_path / "checkpoints.txt").unlink()
    checkpoints.keep(log, at_once=True)
    # A tamperer with the database, the key and the file can make a log that is consistent in itself.
    assert verify(log, COMMAND_LINE).findings == ()
    verdict = verify(log, COMMAND_LINE, kept=kept)
    assert list(map(str, verdict.findings)) == [f"events 1 to {EVENTS}: do not match the checkpoint from outside"]
    assert verdict.kept is None


def test_an_outside_checkpoint_of_another_log_is_reported(log: HashDB) -> None:
    signer = Signer.new("log.example/2")
    other_note = Checkpoint("log.example/2", EVENTS, bytes(32)).signed(signer)
    verdict = verify(log, COMMAND_LINE, kept=other_note)
    assert str(verdict.findings[0]).startswith("the checkpoint from outside: ")
    assert verdict.kept is None


@pytest.mark.parametrize("number", [1, 5, merkle.count_inner_nodes(EVENTS)])
def test_a_missing_node_of_the_tree_is_reported(log: HashDB, database_url: str, number: int) -> None:
    place = list(merkle.inner_subtrees(0, EVENTS))[number - 1]
    tamper(database_url, lambda tamperer: tamperer.run("DELETE FROM nodes WHERE number = :number", number=number))
    finding = first_finding(log)
    assert finding.first is not None
    assert place.begin < finding.first <= place.end == finding.last


def test_a_wrong_head_and_a_surplus_node_are_reported(log: HashDB, database_url: str, tmp_path: Path) -> None:
    tamper(database_url, lambda tamperer: tamperer.run("UPDATE log SET peaks = :peaks", peaks=bytes(96)))
    assert str(first_finding(log)) == "the head of the log does not match its events"
    tamper(database_url, lambda tamperer: tamperer.run("DELETE FROM checkpoints"))
    (tmp_path / "checkpoints.txt").unlink()
    assert (first_finding(log).first, first_finding(log).last) == (1, 16)
    tamper(database_url, Tamperer.recompute_tree)
    assert not verify(log, COMMAND_LINE).findings
    tamper(
        database_url,
        lambda tamperer: tamperer.run("INSERT INTO nodes (number, hash) VALUES (99, :hash)", hash=bytes(32)),
    )
    assert first_finding(log).first == EVENTS + 1


def test_a_forged_checkpoint_is_reported(log: HashDB, database_url: str, tmp_path: Path) -> None:
    def edit(tamperer: Tamperer) -> None:
        tamperer.change(2, "actor", "key:99")
        tamperer.recompute_tree()
        ((note,),) = tamperer.run("SELECT note FROM checkpoints WHERE size = 12")
        tamperer.run("DELETE FROM checkpoints")
        tamperer.run(
            "INSERT INTO checkpoints (size, at, note) VALUES (12, 0, :note)", note=note.replace("\n12\n", "\n13\n")
        )

    (tmp_path / "checkpoints.txt").unlink()
    tamper(database_url, edit)
    assert str(first_finding(log)) == "the checkpoint of size 12: the signature is not valid for this text"
    tamper(database_url, lambda tamperer: tamperer.run("UPDATE checkpoints SET note = 'x'"))
    assert str(first_finding(log)) == "the checkpoint of size 12: this is not a signed note"


def test_a_checkpoint_stored_under_a_wrong_size_is_reported(log: HashDB, database_url: str) -> None:
    tamper(database_url, lambda tamperer: tamperer.run("UPDATE checkpoints SET size = 13 WHERE size = 12"))
    assert str(first_finding(log)) == "the checkpoint of size 13: its note is of size 12"


def test_a_changed_checkpoint_in_the_file_is_reported(log: HashDB, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    file.write_text(file.read_text().replace("\n12\n", "\n11\n"))
    assert str(first_finding(log)) == "checkpoint 2 of the file: the signature is not valid for this text"


def test_a_signing_key_without_an_event_is_reported(log: HashDB, database_url: str, tmp_path: Path) -> None:
    public = Signer.new("log.example/1").verifier.public

    def add_key(tamperer: Tamperer) -> None:
        tamperer.run(
            "INSERT INTO signers (id, name, public, since) VALUES (7, 'log.example/1', :public, 0)", public=public
        )

    tamper(database_url, add_key)
    assert first_finding(log).reason.startswith("no event added the log's key")
    # If the new key replaces the key of the log, no key of the log has signed the earlier checkpoints.
    tamper(database_url, lambda tamperer: tamperer.run("DELETE FROM signers WHERE id = 1"))
    reasons = [finding.reason for finding in verify(log, COMMAND_LINE).findings]
    assert "checkpoint 1 of the file: the note is not signed by a key of this log" not in reasons
    assert "the checkpoint of size 12: the note is not signed by a key of this log" in reasons
    assert any(reason.startswith("the key of this machine, ") for reason in reasons)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_value_of_a_wrong_type_is_reported(log: HashDB, database_url: str) -> None:
    wrong_values = [("at", "x"), ("at", 2**60), ("actor", b"x"), ("details", b"x"), ("leaf", "x"), ("subject_id", 1.5)]
    for seq, (column, value) in reversed(list(enumerate(wrong_values, 5))):
        tamper(database_url, partial(Tamperer.change, seq=seq, column=column, value=value))
        assert first_finding(log).first == seq
    tamper(database_url, lambda tamperer: tamperer.run("UPDATE nodes SET hash = 'x' WHERE number = 1"))
    assert first_finding(log).first == 1 + 1


def test_a_finding_is_printed_as_a_sentence() -> None:
    assert str(Finding(7, 7, "missing")) == "event 7: missing"
    assert str(Finding(7, 9, "missing")) == "events 7 to 9: missing"
