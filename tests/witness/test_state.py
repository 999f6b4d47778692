"""The database of a witness: stored checkpoints remain, errors roll back, and refused checkpoints are limited."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.errors import StoreBusy
from hashdb.witness import state as module
from hashdb.witness.state import Cosigned, Refused, WitnessState

CHECKPOINT = Checkpoint("log.example/1", 7, bytes(32))


def test_stored_checkpoints_remain_after_a_restart(tmp_path: Path) -> None:
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


def test_an_error_rolls_back_the_transaction(tmp_path: Path) -> None:
    state = WitnessState(tmp_path / "witness.sqlite")
    with pytest.raises(RuntimeError), state.writing():
        state.store("aa", Cosigned(CHECKPOINT, "note", 5))
        raise RuntimeError
    assert state.last_note("aa") is None
    with state.writing():
        state.store("aa", Cosigned(CHECKPOINT, "note", 5))
    assert state.last_note("aa") == "note"
    state.close()


def test_a_locked_or_unusable_database_raises_store_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_number_of_stored_refused_checkpoints_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REFUSED", 3)
    state = WitnessState(tmp_path / "witness.sqlite")
    with state.writing():
        stored = [
            state.refuse(Refused(Checkpoint(origin, size, bytes(32)), "why", "other", "note", 6))
            for origin in ("a", "b")
            for size in range(5)
        ]
        # Wrong proofs, which anybody can send, do not take the place of a fault of the log itself.
        other = state.refuse(Refused(Checkpoint("a", 5, bytes(32)), "another why", "other", "note", 6))
    assert stored == [True, True, True, False, False] * 2
    assert other
    state.close()
