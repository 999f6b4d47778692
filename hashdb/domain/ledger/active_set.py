"""The active set: a sparse Merkle tree over all contributions that match, whose root the log records.

The leaf of a contribution is at the place of its id, in a binary tree of 40 levels. A place without a contribution
that matches, and a subtree of such places, is 32 zero octets. So the same contributions have the same root, in
whatever order they came, and a change of one contribution changes 40 nodes.

The service stores every eighth level of the tree, in blocks of 256 nodes. Levels of blocks count from 0. The nodes of a
block of level 0 are leaves. The nodes of a block of level 1 are the hashes over 256 blocks of level 0.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from hashdb.domain.ledger.commitments import logged_commitment
from hashdb.domain.ledger.events import ContributionState
from hashdb.errors import BadNote

BLOCK_NODES: Final = 256
"""Nodes in a block."""
LEVELS: Final = 5
"""Levels of blocks: ids are below 256⁵."""
HASH_OCTETS: Final = 32
"""Octets of a hash."""
EMPTY_HASH: Final = bytes(HASH_OCTETS)
"""The hash of a place, or of a subtree, without a contribution that matches."""
EMPTY_BLOCK: Final = bytes(BLOCK_NODES * HASH_OCTETS)
BlockPlace = tuple[int, int]
"""The level of a block, from 0, and its number: the block holds the nodes number·256 to number·256 + 255."""
TOP_BLOCK: Final = (LEVELS - 1, 0)
"""The place of the block over which the root is."""
ReadBlock = Callable[[int, int], bytes]
"""Returns the hashes of a block, joined; `EMPTY_BLOCK` where there is none."""


@dataclass(frozen=True, slots=True)
class CommittedSet:
    """A root of the active set: the event `seq` records it, and it is of the set after the event `covers`.

    `count` is how many contributions are in the set. `note` is the root as a signed note: the log signed it, and
    organisations may have (`cosignatures.SetRoot`).
    """

    seq: int
    covers: int
    root: bytes
    count: int
    note: str


@dataclass(frozen=True, slots=True)
class SetBlock:
    """A block of the tree whose root is in the event `seq`: the hashes of its nodes, joined."""

    seq: int
    level: int
    number: int
    hashes: bytes


def leaf(id: int, standing: str, commitment: bytes | None) -> bytes:
    """The leaf of a contribution: SHA-256(0x00 ‖ "id active standing commitment").

    The commitment is in hex, or `-` where there is none yet.
    """
    text = f"{id} active {standing} {'-' if commitment is None else commitment.hex()}"
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def leaf_after(id: int, events: Iterable[tuple[str, Mapping[str, object]]]) -> bytes:
    """The leaf of a contribution after all events on it so far, in order: of each its action and its details.

    `EMPTY_HASH` if it does not match.
    """
    state, commitment = ContributionState(), None
    for action, details in events:
        state, commitment = state.after(action), logged_commitment(details) or commitment
    return leaf(id, state.standing, commitment) if state.matches else EMPTY_HASH


def interior(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right), or `EMPTY_HASH` over two empty ones."""
    return EMPTY_HASH if left == right == EMPTY_HASH else hashlib.sha256(b"\x01" + left + right).digest()


def fold(block: bytes) -> bytes:
    """The hash over a block: eight levels of inner nodes."""
    nodes = [block[i : i + HASH_OCTETS] for i in range(0, len(block), HASH_OCTETS)]
    while len(nodes) > 1:
        nodes = [interior(nodes[i], nodes[i + 1]) for i in range(0, len(nodes), 2)]
    return nodes[0]


def update(read: ReadBlock, leaves: Mapping[int, bytes]) -> tuple[dict[BlockPlace, bytes], bytes]:
    """Set leaves by the id of the contribution (`EMPTY_HASH` removes one); return the changed blocks and the root."""
    changed: dict[BlockPlace, bytes] = {}
    nodes: Mapping[int, bytes] = leaves
    root = EMPTY_HASH
    for level in range(LEVELS):
        by_block: dict[int, dict[int, bytes]] = defaultdict(dict)
        for place, hash in nodes.items():
            by_block[place // BLOCK_NODES][place % BLOCK_NODES] = hash
        if not by_block and level == LEVELS - 1:
            # Without any leaves to set, only the top block is read, for the root.
            by_block[0] = {}
        above: dict[int, bytes] = {}
        for number, hashes in by_block.items():
            block = bytearray(read(level, number))
            for offset, hash in hashes.items():
                block[offset * HASH_OCTETS : (offset + 1) * HASH_OCTETS] = hash
            above[number] = fold(bytes(block))
            if hashes:
                changed[level, number] = bytes(block)
        nodes = above
        root = above.get(0, EMPTY_HASH)
    return changed, root


class ServedTree:
    """Reads the blocks of another service's tree, and checks that each is part of the tree with a root."""

    def __init__(self, root: bytes, read: ReadBlock) -> None:
        """`read` reads a block that is not verified yet. Reads nothing yet."""
        self._read, self._hashes = read, {TOP_BLOCK: root}

    def __call__(self, level: int, number: int) -> bytes:
        """The hashes of a block. Raises BadNote if it is not part of the tree."""
        if level < LEVELS - 1 and (level, number) not in self._hashes:
            above = self(level + 1, number // BLOCK_NODES)
            first = number - number % BLOCK_NODES
            self._hashes |= {
                (level, first + offset): above[offset * HASH_OCTETS : (offset + 1) * HASH_OCTETS]
                for offset in range(BLOCK_NODES)
            }
        hash = self._hashes[level, number]
        block = EMPTY_BLOCK if hash == EMPTY_HASH else self._read(level, number)
        if len(block) != len(EMPTY_BLOCK) or fold(block) != hash:
            raise BadNote(f"block {number} of level {level} is not part of the tree with this root of the active set")
        return block


def build(leaves: Iterable[tuple[int, bytes]]) -> Iterator[tuple[BlockPlace, bytes]]:
    """All blocks of the tree with these leaves, which come in ascending order of their ids. The last is `TOP_BLOCK`.

    Blocks come in ascending order of their places, and only those with a leaf that is not `EMPTY_HASH`. A block of
    leaves comes as soon as its leaves are known. An empty tree has no blocks.
    """
    nodes: Iterable[tuple[int, bytes]] = leaves
    for level in range(LEVELS):
        above: list[tuple[int, bytes]] = []
        occupied = ((place, hash) for place, hash in nodes if hash != EMPTY_HASH)
        for number, nodes_of_block in groupby(occupied, key=lambda node: node[0] // BLOCK_NODES):
            block = bytearray(EMPTY_BLOCK)
            for place, hash in nodes_of_block:
                offset = place % BLOCK_NODES * HASH_OCTETS
                block[offset : offset + HASH_OCTETS] = hash
            yield (level, number), bytes(block)
            above.append((number, fold(bytes(block))))
        nodes = above


def differences(mine: ReadBlock, theirs: ReadBlock, level: int = LEVELS - 1, number: int = 0) -> Iterator[int]:
    """The ids whose leaves differ in two trees, in ascending order, below one block of both (by default `TOP_BLOCK`).

    Only blocks that differ are read.
    """
    my_block, their_block = mine(level, number), theirs(level, number)
    for offset in range(BLOCK_NODES):
        begin, end = offset * HASH_OCTETS, (offset + 1) * HASH_OCTETS
        if my_block[begin:end] != their_block[begin:end]:
            place = number * BLOCK_NODES + offset
            if level:
                yield from differences(mine, theirs, level - 1, place)
            else:
                yield place
