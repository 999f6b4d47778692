"""The Merkle tree of RFC 9162, section 2.1 (the same as in RFC 6962): roots, proofs and their verification.

The hash of a complete subtree over 2^level leaves never changes: it is computed once and stored. Every root and every
proof is built from the hashes of about 2·log₂(size) subtrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""
MOST_HASHES = 63
"""The most hashes of a proof."""


class Subtree(NamedTuple):
    """The complete subtree over the leaves nth·2^level to (nth+1)·2^level - 1, counted from 0."""

    level: int
    nth: int

    @property
    def begin(self) -> int:
        """The first leaf of the subtree."""
        return self.nth << self.level

    @property
    def end(self) -> int:
        """The leaf after the last one: the tree of this size completed the subtree."""
        return (self.nth + 1) << self.level

    @property
    def number(self) -> int:
        """The number of its root among all inner nodes, from 1, in the order in which added leaves complete them."""
        return count_inner_nodes(self.end - 1) + self.level


class InnerNode(NamedTuple):
    """An inner node: its hash and, directly above two leaves, the hash of the left leaf."""

    hash: bytes
    left: bytes | None


Span = tuple[int, int]
"""The leaves under one hash of a proof: from a number (counted from 0) up to, but not including, another."""


def interior(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def count_inner_nodes(size: int) -> int:
    """How many complete inner nodes a tree of this size has."""
    return size - size.bit_count()


def inner_subtrees(begin: int, end: int) -> Iterator[Subtree]:
    """The inner nodes that a tree completes while it grows from one size to another, in order."""
    for size in range(begin + 1, end + 1):
        for level in range(1, (size & -size).bit_length()):
            yield Subtree(level, (size >> level) - 1)


def peaks(size: int) -> tuple[Subtree, ...]:
    """The complete subtrees of a tree of this size, from the left. Its root is computed from their hashes.

    >>> peaks(6)
    (Subtree(level=2, nth=0), Subtree(level=1, nth=2))
    """
    levels = range(size.bit_length() - 1, -1, -1)
    return tuple(Subtree(level, (size >> level) - 1) for level in levels if size >> level & 1)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over adjacent complete subtrees, from the largest on the left to the smallest."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = interior(left, root)
    return root


def grow(size: int, edge: Sequence[bytes], leaves: Iterable[bytes]) -> tuple[list[InnerNode], list[bytes]]:
    """Add leaves to a tree of this size. `edge` has the hashes of its peaks, from the left.

    Returns the inner nodes that become complete, in the order of their numbers, and the hashes of the new peaks.
    """
    edge, inner = list(edge), []
    for node in leaves:
        size += 1
        left: bytes | None = None
        for level in range((size & -size).bit_length() - 1):
            left = edge.pop()
            node = interior(left, node)
            inner.append(InnerNode(node, None if level else left))
        edge.append(node)
    return inner, edge


def inclusion(index: int, size: int) -> tuple[Span, ...]:
    """The spans of the proof that leaf `index` (from 0) is in a tree of `size`, from the leaf up."""
    spans: list[Span] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _half(end - begin)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    return tuple(reversed(spans))


def consistency(first: int, second: int) -> tuple[Span, ...]:
    """The spans of the proof that the tree of size `second` begins with the tree of size `first`."""
    if first in (0, second):
        return ()
    spans: list[Span] = []
    begin, end = 0, second
    while end != first:
        middle = begin + _half(end - begin)
        if first <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    if begin:
        spans.append((begin, end))
    return tuple(reversed(spans))


def subtrees_of_span(span: Span) -> tuple[Subtree, ...]:
    """The complete subtrees of a span of a proof."""
    begin, end = span
    return tuple(Subtree(level, (begin >> level) + nth) for level, nth in peaks(end - begin))


def proof(spans: Iterable[Span], hashes: Mapping[Subtree, bytes]) -> tuple[bytes, ...]:
    """The hashes of a proof, from the hashes of the subtrees of its spans (`subtrees_of_span`)."""
    return tuple(fold([hashes[subtree] for subtree in subtrees_of_span(span)]) for span in spans)


def includes(index: int, size: int, leaf: bytes, hashes: Sequence[bytes], root: bytes) -> bool:
    """Whether an inclusion proof shows that the tree of that size and root has this leaf (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last = leaf, size - 1
    for sibling in hashes:
        if not last:
            return False
        if index & 1 or index == last:
            node = interior(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = interior(node, sibling)
        index, last = index >> 1, last >> 1
    return not last and node == root


def extends(first: int, second: int, first_root: bytes, second_root: bytes, hashes: Sequence[bytes]) -> bool:
    """Whether a consistency proof shows that the second tree begins with the first (RFC 9162, 2.1.4.2)."""
    if not 0 < first < second:
        # Every tree begins with the empty one: there is nothing to prove.
        roots = first_root == EMPTY_ROOT if first == 0 else first_root == second_root
        return 0 <= first <= second and not hashes and roots
    path = list(hashes)
    if first.bit_count() == 1:
        path.insert(0, first_root)
    if not path:
        return False
    index, last = first - 1, second - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if index & 1 or index == last:
            old, new = interior(sibling, old), interior(sibling, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = interior(new, sibling)
        index, last = index >> 1, last >> 1
    return not last and (old, new) == (first_root, second_root)


def _half(size: int) -> int:
    """The largest power of two below a size of at least 2."""
    return 1 << (size - 1).bit_length() - 1
