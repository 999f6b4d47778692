"""The database of a witness: what was stored stays, also beside other processes, and a full disk stores nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.errors import StoreBusy
from hashdb.witness import state as module
from hashdb.witness.state import Cosigned, Refused, WitnessState

CHECKPOINT = Checkpoint("log.example/1", 7, bytes(32))


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "witness.sqlite"
    state = WitnessState(file)
    with state.writing():
        assert state.cosigned("log.example/1") is None
        state.store("aa", Cosigned(CHECKPOINT, "note", 5))
        assert state.refuse(Refused(CHECKPOINT, "why", "other", "note", 6))
        assert not state.refuse(Refused(CHECKPOINT, "why again", "other", "note", 7))
    state.close()
    state = WitnessState(file)
    assert state.last_note("aa") == "note" and state.last_note("bb") is None
    assert state.list_all() == ((Cosigned(CHECKPOINT, "note", 5),), (Refused(CHECKPOINT, "why", "other", "note", 6),))
    state.close()


def test_an_error_takes_back_what_was_stored(tmp_path: Path) -> None:
    state = WitnessState(tmp_path / "witness.sqlite")
    with pytest.raises(RuntimeError), state.writing():
        state.store("aa", Cosigned(CHECKPOINT, "note", 5))
        raise RuntimeError
    assert state.last_note("aa") is None
    with state.writing():
        state.store("aa", Cosigned(CHECKPOINT, "note", 5))
    assert state.last_note("aa") == "note"
    state.close()


def test_who_cannot_store_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.05)
    file = tmp_path / "witness.sqlite"
    state = WitnessState(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy), state.writing():
        pass
    other.execute("ROLLBACK")
    with state.writing():
        pass
    other.close()
    state.close()
    with pytest.raises(StoreBusy):
        WitnessState(tmp_path)


def test_refused_checkpoints_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REFUSED", 3)
    state = WitnessState(tmp_path / "witness.sqlite")
    with state.writing():
        kept = [
            state.refuse(Refused(Checkpoint(origin, size, bytes(32)), "why", "other", "note", 6))
            for origin in ("a", "b")
            for size in range(5)
        ]
        # Wrong proofs of anybody do not use up the place of the log's own fault.
        other = state.refuse(Refused(Checkpoint("a", 5, bytes(32)), "another why", "other", "note", 6))
    assert kept == [True, True, True, False, False] * 2
    assert other
    state.close()
