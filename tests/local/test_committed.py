"""The rows of a copy, checked against their commitments, and the tree over its contributions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.ledger.active_set import (
    BLOCK_NODES,
    EMPTY_BLOCK,
    EMPTY_HASH,
    CommittedSet,
    differences,
    leaf,
    update,
)
from hashdb.domain.ledger.commitments import seal
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.local.committed import CopyTree, altered_ids, count_committed, describe_difference, leaf_at
from hashdb.local.syncing import ignore
from hashdb.local.tables import CopyTables
from tests.builders import NOON, copied, signal, signature
from tests.local.conftest import Service

FRAMES = (
    Frame(0.0, (signal(1),), 90),
    Frame(1.0, (signal(1),), 90),
    Frame(4.25, (signal(3), signal(4, Algorithm.PHASH)), 90),
    Frame(3, (signal(5),), 90, unit=Unit.PAGES),
    Frame(50, (Signal(Algorithm.SIMHASH256, 6),), unit=Unit.WORDS, length=150),
)


@pytest.fixture
def tables(service: Service, tmp_path: Path) -> CopyTables:
    tables = CopyTables(tmp_path / "copy.sqlite")
    tables.create("epoch", service.client.me(), NOON)
    return tables


def store_copies(tables: CopyTables, *copies: CopiedContribution) -> None:
    seq = tables.head().seq
    tables.store([FeedStep(seq + number, copy) for number, copy in enumerate(copies, 1)], seq + len(copies), NOON)


def leaf_of(copy: CopiedContribution) -> bytes:
    return leaf(copy.id, copy.standing, copy.commitment)


def test_rows_fit_their_commitments_until_one_is_changed(tables: CopyTables) -> None:
    complete = copied(3, [signal(2), signal(8)])
    partial = complete._replace(signals=complete.signals[:1], undisclosed=(seal(complete.salt or b"", str(signal(8))),))
    store_copies(
        tables,
        copied(1, [signal(1), signal(7, Algorithm.MD5)], FRAMES, [signature(1)]),
        copied(2, [signal(2)])._replace(salt=None, commitment=None),
        partial,
        # The signal of a frame is also a signal of the item.
        copied(4, [signal(1)], FRAMES),
    )
    read: list[int] = []
    assert list(altered_ids(tables, read.append)) == [] and read == [4]
    assert count_committed(tables) == (4, 3)
    for change, ids in (
        ("UPDATE shots SET end = end + 0.25 WHERE contribution = 1", [1]),
        ("DELETE FROM signatures", [1]),
        ("INSERT INTO signals VALUES ('md5', x'00112233445566778899aabbccddeeff', 4, 0)", [4]),
        # The signal would match as a frame, but no shot has it.
        ("INSERT INTO signals VALUES ('md5', x'00112233445566778899aabbccddeeff', 4, 64)", [4]),
        ("UPDATE contributions SET undisclosed = NULL", [3]),
        ("UPDATE contributions SET salt = NULL", [1, 3, 4]),
        ("UPDATE contributions SET commitment = NULL", []),
    ):
        tables._connection.execute("BEGIN")
        tables._connection.execute(change)
        assert list(altered_ids(tables, ignore)) == ids, change
        tables._connection.execute("ROLLBACK")
    tables.close()


def test_the_tree_of_a_copy_equals_that_of_its_contributions(tables: CopyTables) -> None:
    assert CopyTree(tables).root == EMPTY_HASH
    copies = [
        copied(id, [signal(id)]) for id in (1, 2, BLOCK_NODES - 1, BLOCK_NODES, 3 * BLOCK_NODES, BLOCK_NODES**3 + 5)
    ]
    store_copies(tables, *copies)
    tree = CopyTree(tables)
    blocks, root = update(lambda level, number: EMPTY_BLOCK, {copy.id: leaf_of(copy) for copy in copies})
    assert tree.root == root
    assert all(tree.block(*place) == block for place, block in blocks.items())
    assert list(differences(tree.block, lambda *place: blocks.get(place, EMPTY_BLOCK))) == []
    tables.close()


def test_a_change_is_in_the_tree_once_its_block_is_marked(tables: CopyTables) -> None:
    first, second, third = (copied(id, [signal(id)]) for id in (1, 2, 900))
    store_copies(tables, first, second, third)
    tree = CopyTree(tables)
    before = tree.root
    confirmed = second._replace(standing=Standing.CONFIRMED)
    steps = [
        FeedStep(4, Gone(1, "withdrawn", "other")),
        FeedStep(5, confirmed),
        # A suppressed contribution matches nothing, but stays in the active set.
        FeedStep(6, Gone(900, "masked", None, Standing.UNREVIEWED, third.commitment)),
    ]
    tables.store(steps, 6, NOON)
    assert tree.root == before
    tree.mark_changed({0, 900 // BLOCK_NODES})
    leaves = {2: leaf_of(confirmed), 900: leaf_of(third)}
    assert tree.root == CopyTree(tables).root == update(lambda level, number: EMPTY_BLOCK, leaves)[1]
    assert leaf_at(tree.block, 900) == leaf_of(third) and leaf_at(tree.block, 1) == EMPTY_HASH
    tables.close()


def test_a_difference_is_described() -> None:
    unreviewed, confirmed = leaf(1, "unreviewed", None), leaf(1, "confirmed", None)

    def describe(own: bytes, other: bytes) -> str:
        committed = CommittedSet(7, 6, bytes(32), 1, "")
        return describe_difference(lambda level, number: own, lambda level, number: other, 0, committed)

    assert describe(unreviewed, EMPTY_HASH) == "the copy has it, but the active set of the log does not (event 7)"
    assert describe(EMPTY_HASH, unreviewed) == "the active set of the log has it, but the copy does not (event 7)"
    assert "its standing or its commitment differs" in describe(unreviewed, confirmed)
