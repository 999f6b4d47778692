"""The rows of a copy against commitments, and the tree over what it has."""

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
    made = CopyTables(tmp_path / "copy.sqlite")
    made.create("epoch", service.client.me(), NOON)
    return made


def filled(tables: CopyTables, *copies: CopiedContribution) -> None:
    seq = tables.head().seq
    tables.store([FeedStep(seq + number, each) for number, each in enumerate(copies, 1)], seq + len(copies), NOON)


def leaf_of(each: CopiedContribution) -> bytes:
    return leaf(each.id, each.standing, each.commitment)


def test_rows_are_what_was_committed_to_until_one_is_changed(tables: CopyTables) -> None:
    whole = copied(3, [signal(2), signal(8)])
    told = whole._replace(signals=whole.signals[:1], undisclosed=(seal(whole.salt or b"", str(signal(8))),))
    filled(
        tables,
        copied(1, [signal(1), signal(7, Algorithm.MD5)], FRAMES, [signature(1)]),
        copied(2, [signal(2)])._replace(salt=None, commitment=None),
        told,
        # The signal of a frame is one of the item, too.
        copied(4, [signal(1)], FRAMES),
    )
    read: list[int] = []
    assert list(altered_ids(tables, read.append)) == [] and read == [4]
    assert count_committed(tables) == (4, 3)
    for change, ids in (
        ("UPDATE shots SET end = end + 0.25 WHERE contribution = 1", [1]),
        ("DELETE FROM signatures", [1]),
        ("INSERT INTO signals VALUES ('md5', x'00112233445566778899aabbccddeeff', 4, 0)", [4]),
        # It would match as a frame, and no shot has it.
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


def test_the_tree_is_that_over_what_the_copy_has(tables: CopyTables) -> None:
    assert CopyTree(tables).root == EMPTY_HASH
    copies = [
        copied(id, [signal(id)]) for id in (1, 2, BLOCK_NODES - 1, BLOCK_NODES, 3 * BLOCK_NODES, BLOCK_NODES**3 + 5)
    ]
    filled(tables, *copies)
    tree = CopyTree(tables)
    blocks, root = update(lambda level, number: EMPTY_BLOCK, {each.id: leaf_of(each) for each in copies})
    assert tree.root == root
    assert all(tree.block(*place) == block for place, block in blocks.items())
    assert list(differences(tree.block, lambda *place: blocks.get(place, EMPTY_BLOCK))) == []
    tables.close()


def test_a_change_is_in_the_tree_once_it_is_told(tables: CopyTables) -> None:
    first, second, third = (copied(id, [signal(id)]) for id in (1, 2, 900))
    filled(tables, first, second, third)
    tree = CopyTree(tables)
    before = tree.root
    confirmed = second._replace(standing=Standing.CONFIRMED)
    gone = [
        FeedStep(4, Gone(1, "withdrawn", "other")),
        FeedStep(5, confirmed),
        # It matches nothing any more, and is in the set.
        FeedStep(6, Gone(900, "masked", None, Standing.UNREVIEWED, third.commitment)),
    ]
    tables.store(gone, 6, NOON)
    assert tree.root == before
    tree.mark_changed({0, 900 // BLOCK_NODES})
    leaves = {2: leaf_of(confirmed), 900: leaf_of(third)}
    assert tree.root == CopyTree(tables).root == update(lambda level, number: EMPTY_BLOCK, leaves)[1]
    assert leaf_at(tree.block, 900) == leaf_of(third) and leaf_at(tree.block, 1) == EMPTY_HASH
    tables.close()


def test_a_difference_is_described() -> None:
    one, other = leaf(1, "unreviewed", None), leaf(1, "confirmed", None)

    def describe(mine: bytes, theirs: bytes) -> str:
        committed = CommittedSet(7, 6, bytes(32), 1, "")
        return describe_difference(lambda level, number: mine, lambda level, number: theirs, 0, committed)

    assert describe(one, EMPTY_HASH) == "the copy has it, and the active set of the log has it not (event 7)"
    assert describe(EMPTY_HASH, one) == "the active set of the log has it, and the copy has it not (event 7)"
    assert "its standing or its commitment is another one" in describe(one, other)
