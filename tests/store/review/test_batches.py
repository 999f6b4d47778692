"""Batches in SQL: one transaction locks an item, and only while its batch is carried out."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from hashdb.domain.review.bulk import BatchAction, BatchChoices, BatchProgress, BatchState, ItemOutcome, RowKind
from hashdb.errors import NotFound, StoreBusy
from hashdb.store import Store
from tests.builders import NOON

CHOICES = BatchChoices("other", "it is news", 7, datetime(2027, 1, 1, tzinfo=UTC))


def add_batch(store: Store) -> int:
    with store.begin() as tx:
        return tx.batches.add("user:1", BatchAction.RETIRE, RowKind.CONTRIBUTION, [7, 9], NOON, None)


def test_a_batch_begins_once_ends_once_and_its_note_is_deleted(store: Store) -> None:
    id = add_batch(store)
    with store.begin() as tx:
        assert tx.batches.page(0, 9) == ()
        assert (tx.batches.end(id, NOON), tx.batches.stop(id, NOON), tx.batches.lock_item(id, 0)) == (
            False,
            False,
            None,
        )
        assert (tx.batches.begin(id, CHOICES, NOON), tx.batches.begin(id, CHOICES, NOON)) == (True, False)
        assert (tx.batches.one(id).choices, tx.batches.running()) == (CHOICES, (id,))
        for position in (0, 1):
            assert not tx.batches.end(id, NOON)
            assert tx.batches.lock_item(id, position) is not None
            tx.batches.finish(id, position, ItemOutcome.SKIPPED, NOON, why="gone")
            assert tx.batches.lock_item(id, position) is None
        assert tx.batches.end(id, NOON)
        ended = tx.batches.one(id)
        assert (ended.state, ended.choices.note, ended.ended_at) == (BatchState.DONE, "", NOON)
        assert tx.batches.progress(id) == BatchProgress(skipped=2, why={"gone": 2})


def test_an_item_locked_by_another_transaction_is_skipped(store: Store, database_url: str) -> None:
    id = add_batch(store)
    with store.begin() as tx:
        tx.batches.begin(id, CHOICES, NOON)
    with store.begin() as tx, closing(Store(database_url, busy_seconds=0.05)) as other_store:
        assert tx.batches.lock_item(id, 0) is not None
        if store.embedded:
            # SQLite has one write transaction at a time.
            with pytest.raises(StoreBusy), other_store.begin():
                pytest.fail("another transaction writes")
            return
        with other_store.begin() as other:
            assert other.batches.lock_item(id, 0) is None
            assert other.batches.lock_item(id, 1) is not None
            assert not other.batches.end(id, NOON)


def test_old_batches_are_deleted_with_their_items(store: Store) -> None:
    id = add_batch(store)
    with store.begin() as tx:
        assert tx.batches.prune(NOON, NOON) == 0
        assert tx.batches.prune(NOON + timedelta(seconds=1), NOON) == 1
        assert tx.batches.items(id, -1, 9) == ()
        with pytest.raises(NotFound, match=f"batch {id} does not exist"):
            tx.batches.one(id)


def test_an_old_draft_that_is_begun_meanwhile_is_not_deleted(postgres_url: str) -> None:
    with closing(Store(postgres_url, busy_seconds=0.5)) as store, closing(Store(postgres_url)) as other_store:
        id = add_batch(store)
        with other_store.begin() as other:
            assert other.batches.begin(id, CHOICES, NOON)
            with store.begin() as tx:
                assert tx.batches.prune(NOON + timedelta(seconds=1), NOON) == 0
        with store.read() as tx:
            assert (tx.batches.one(id).state, len(tx.batches.items(id, -1, 9))) == (BatchState.RUNNING, 2)
