"""Signed checkpoints and the keys that sign them, in SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from hashdb.domain.ledger.checkpoints import LogKey
from hashdb.domain.ledger.notes import Verifier
from hashdb.store import Store
from hashdb.store.ledger.tree import StoredCheckpoint
from tests.builders import NOON

OLD, NEW = Verifier("log.example", bytes(32)), Verifier("log.example", bytes([1]) * 32)
LATER = NOON + timedelta(days=1)


def test_only_the_newest_key_signs_and_old_keys_are_kept(store: Store) -> None:
    with store.begin() as tx:
        assert (tx.checkpoints.keys(), tx.checkpoints.signer()) == ((), None)
        assert tx.checkpoints.sign_with(OLD, NOON) == 1
        assert tx.checkpoints.signer() == OLD
        assert tx.checkpoints.sign_with(NEW, LATER) == 2
    with store.read() as tx:
        assert tx.checkpoints.signer() == NEW
        assert tx.checkpoints.keys() == (LogKey(OLD, NOON, LATER), LogKey(NEW, LATER, None))


def test_checkpoints_are_returned_in_order_and_a_size_is_stored_once(store: Store) -> None:
    stored = [StoredCheckpoint(size, NOON, f"note {size}\n") for size in (9, 12)]
    with store.begin() as tx:
        tx.audit.lock()
        assert tx.checkpoints.last() is None
        for checkpoint in reversed(stored):
            tx.checkpoints.store(checkpoint)
    with store.read() as tx:
        assert tx.checkpoints.last() == stored[1]
        assert list(tx.checkpoints.all_notes()) == [(9, "note 9\n"), (12, "note 12\n")]
    with pytest.raises(IntegrityError), store.begin() as tx:
        tx.checkpoints.store(stored[0])
