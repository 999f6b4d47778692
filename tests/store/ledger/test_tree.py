"""The tree in SQL is the tree over all events, in whatever groups they were appended."""

from __future__ import annotations

import random

import pytest

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.store import Store
from tests.builders import NOON, tree_root


def append(store: Store, count: int) -> None:
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [LogEntry(Action.KEY_ISSUED, "key", id, {}) for id in range(count)])


@pytest.fixture
def leaves(store: Store) -> list[bytes]:
    """The leaves of a log of 300 events, appended one by one and in groups."""
    rng, remaining = random.Random(1), 300
    while remaining:
        count = min(remaining, rng.choice([1, 1, 1, 2, 3, 17, 64]))
        append(store, count)
        remaining -= count
    with store.read() as tx:
        return [event.leaf for event in tx.audit.since(0, 1_000)]


def test_an_empty_tree_has_no_peaks(store: Store) -> None:
    with store.read() as tx:
        assert tx.tree.size_and_peaks() == (0, ())
        assert not tx.tree.has_beyond(0)


def test_the_stored_nodes_are_those_of_the_tree(store: Store, leaves: list[bytes]) -> None:
    inner, edge = merkle.grow(0, (), leaves)
    with store.read() as tx:
        assert tx.tree.size_and_peaks() == (300, tuple(edge))
        assert list(tx.tree.inner_nodes(0, 10_000)) == list(enumerate(inner, 1))
        assert list(tx.tree.inner_nodes(3, 5)) == [(4, inner[3]), (5, inner[4])]
        assert tx.tree.leaf(7) == leaves[6]
        assert tx.tree.has_beyond(len(inner) - 1)
        assert not tx.tree.has_beyond(len(inner))


def test_inclusion_and_consistency_proofs_verify(store: Store, leaves: list[bytes]) -> None:
    rng = random.Random(2)
    with store.read() as tx:
        for _ in range(60):
            size = rng.randint(1, 300)
            index, root = rng.randrange(size), tree_root(leaves[:size])
            included = tx.tree.proof(merkle.inclusion(index, size))
            assert merkle.includes(index, size, leaves[index], included, root)
            consistent = tx.tree.proof(merkle.consistency(index + 1, size))
            assert merkle.extends(index + 1, size, tree_root(leaves[: index + 1]), root, consistent)
