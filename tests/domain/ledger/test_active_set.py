"""The tree over the active set: its root equals that of the definition, and two trees can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.ledger.active_set import (
    BLOCK_NODES,
    EMPTY_BLOCK,
    EMPTY_HASH,
    LEVELS,
    BlockPlace,
    ReadBlock,
    ServedTree,
    differences,
    fold,
    leaf,
    update,
)
from hashdb.errors import BadNote

IDS = st.integers(1, 2**40 - 1) | st.integers(1, 700)
LEAVES = st.dictionaries(IDS, st.binary(min_size=32, max_size=32).filter(lambda hash: hash != EMPTY_HASH), max_size=12)


def reader(blocks: Mapping[BlockPlace, bytes]) -> ReadBlock:
    return lambda level, number: blocks.get((level, number), EMPTY_BLOCK)


def root_by_definition(leaves: Mapping[int, bytes], level: int = 8 * LEVELS, place: int = 0) -> bytes:
    """The hash of a node, from the leaves under it."""
    if not leaves:
        return EMPTY_HASH
    if level == 0:
        return leaves[place]
    middle = (2 * place + 1) << (level - 1)
    left = {id: hash for id, hash in leaves.items() if id < middle}
    right = {id: hash for id, hash in leaves.items() if id >= middle}
    first, second = (root_by_definition(half, level - 1, 2 * place + i) for i, half in enumerate((left, right)))
    return hashlib.sha256(b"\1" + first + second).digest()


def test_a_leaf_is_computed_as_documented() -> None:
    text = b"\x0017 active disputed " + b"ab" * 32
    assert leaf(17, "disputed", b"\xab" * 32) == hashlib.sha256(text).digest()
    assert leaf(17, "disputed", None) == hashlib.sha256(b"\x0017 active disputed -").digest()


@given(LEAVES)
def test_the_root_equals_that_of_the_recursive_definition(leaves: dict[int, bytes]) -> None:
    blocks, root = update(reader({}), leaves)
    assert root == root_by_definition(leaves)
    assert all(len(block) == len(EMPTY_BLOCK) for block in blocks.values())


@given(LEAVES, LEAVES, st.sets(IDS, max_size=4))
def test_the_root_depends_on_the_current_leaves_not_on_their_history(
    first: dict[int, bytes], added: dict[int, bytes], removed: set[int]
) -> None:
    blocks, _ = update(reader({}), first)
    changed, root = update(reader(blocks), added | dict.fromkeys(removed, EMPTY_HASH))
    remaining = {id: hash for id, hash in (first | added).items() if id not in removed}
    assert root == update(reader({}), remaining)[1]
    assert update(reader(blocks | changed), {}) == ({}, root)


@given(LEAVES, LEAVES)
def test_differences_lists_every_leaf_that_differs(first: dict[int, bytes], second: dict[int, bytes]) -> None:
    tree, other = (reader(update(reader({}), leaves)[0]) for leaves in (first, second))
    differ = sorted(id for id in first.keys() | second.keys() if first.get(id) != second.get(id))
    assert list(differences(tree, other)) == differ


def test_only_blocks_that_differ_are_read() -> None:
    leaves = {id: leaf(id, "unreviewed", None) for id in range(1, 2_000)}
    blocks, _ = update(reader({}), leaves)
    changed, _ = update(reader(blocks), {700: EMPTY_HASH})
    read: list[BlockPlace] = []

    def read_other(level: int, number: int) -> bytes:
        read.append((level, number))
        return reader(blocks | changed)(level, number)

    assert list(differences(reader(blocks), read_other)) == [700]
    assert read == [(4, 0), (3, 0), (2, 0), (1, 0), (0, 700 // BLOCK_NODES)]


def test_an_empty_set_has_the_empty_root() -> None:
    assert update(reader({}), {}) == ({}, EMPTY_HASH)
    assert fold(EMPTY_BLOCK) == EMPTY_HASH


@given(LEAVES, LEAVES)
def test_a_served_tree_gives_the_same_differences_as_a_local_one(
    first: dict[int, bytes], second: dict[int, bytes]
) -> None:
    (blocks, _), (other_blocks, root) = (update(reader({}), leaves) for leaves in (first, second))
    served = ServedTree(root, reader(other_blocks))
    assert list(differences(reader(blocks), served)) == list(differences(reader(blocks), reader(other_blocks)))


def test_a_served_block_that_is_not_part_of_the_tree_is_rejected() -> None:
    leaves = {id: leaf(id, "unreviewed", None) for id in range(1, 600)}
    blocks, root = update(reader({}), leaves)
    for place in ((4, 0), (1, 0), (0, 2)):
        for octets in (b"", blocks[place][:-32], bytes(32) + blocks[place][32:], EMPTY_BLOCK):
            if octets != blocks[place]:
                served = ServedTree(root, reader(blocks | {place: octets}))
                with pytest.raises(BadNote, match=f"^block {place[1]} of level {place[0]} is not part of the tree"):
                    list(differences(reader({}), served))
