"""The benign list in SQL."""

from __future__ import annotations

import pytest

from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm
from hashdb.errors import NotFound
from hashdb.store import Store
from hashdb.store.matching.benign import BenignSignal, UnappliedEntry
from tests.builders import NOON, signal

DRAFT = BenignDraft((signal(1), signal(1, Algorithm.PHASH)), {Algorithm.PDQ: 9}, "a card", "one")


def test_an_entry_is_returned_as_it_was_added(store: Store) -> None:
    with store.begin() as tx:
        added = tx.benign.add(DRAFT, NOON)
    with store.read() as tx:
        assert tx.benign.one(added.id) == added
        assert tx.benign.page(0, 10) == (added,)
        near = (BenignSignal(added.id, DRAFT.signals[0], 9), BenignSignal(added.id, DRAFT.signals[1], 3))
        assert tx.benign.all_signals() == tx.benign.signals(added.id) == near
        assert tx.benign.built_in() == {"one": (added.id, False)}
    assert (added.signals, added.radius) == (DRAFT.signals, {Algorithm.PDQ: 9, Algorithm.PHASH: 3})
    assert (added.note, added.built_in, added.created_at, added.masked) == ("a card", "one", NOON, 0)


def test_a_deleted_entry_is_kept_until_its_deletion_is_settled(store: Store) -> None:
    with store.begin() as tx:
        id = tx.benign.add(DRAFT, NOON).id
        assert tx.benign.unsettled() == (UnappliedEntry(id, False),)
        tx.benign.settle(UnappliedEntry(id, False))
        assert tx.benign.unsettled() == ()
        tx.benign.delete(id, NOON)
    with store.begin() as tx:
        assert (tx.benign.all_signals(), tx.benign.page(0, 10)) == ((), ())
        assert len(tx.benign.signals(id)) == 2
        # A process that still settles the addition does not settle the deletion.
        tx.benign.settle(UnappliedEntry(id, False))
        assert tx.benign.unsettled() == (UnappliedEntry(id, True),)
        tx.benign.settle(UnappliedEntry(id, True))
        assert (tx.benign.unsettled(), tx.benign.signals(id)) == ((), ())
        assert tx.benign.built_in() == {"one": (id, True)}
        with pytest.raises(NotFound):
            tx.benign.delete(id, NOON)
        with pytest.raises(NotFound):
            tx.benign.one(id)
