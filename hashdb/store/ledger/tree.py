"""The Merkle tree over the events in SQL, with its signed checkpoints and the keys that sign them.

Leaves are stored with the events, inner nodes in their own table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, insert, select, type_coerce, update
from sqlalchemy.types import NullType

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import LogKey
from hashdb.domain.ledger.merkle import InnerNode, Span, Subtree
from hashdb.domain.ledger.notes import Verifier
from hashdb.store.repositories import Repository, insert_values
from hashdb.store.tables import checkpoints, events, log, nodes, signers

_HASH = 32
"""The bytes of a hash."""


class Tree(Repository):
    """The tree within one transaction. Inner nodes have numbers in the order in which they were completed, from 1."""

    def size_and_peaks(self) -> tuple[int, tuple[bytes, ...]]:
        """The size of the tree, and the hashes of its peaks: one read, whatever the size."""
        row = self._connection.execute(select(log.c.seq, _raw(log.c.peaks))).one()
        return row.seq, split_peaks(row.peaks)

    def leaf(self, seq: int) -> bytes:
        """The leaf of the event with that seq, which must exist."""
        leaf: bytes = self._connection.execute(select(events.c.leaf).where(events.c.seq == seq)).scalar_one()
        return leaf

    def proof(self, spans: Sequence[Span]) -> tuple[bytes, ...]:
        """The hashes of a proof, whose leaves must all exist: about 2·log₂(size) reads by key."""
        return merkle.proof(spans, self._hashes([place for span in spans for place in merkle.subtrees_of_span(span)]))

    def inner_nodes(self, after: int, upto: int) -> Iterator[tuple[int, InnerNode]]:
        """The inner nodes with `after` < number ≤ `upto`, in order, with their numbers."""
        query = select(nodes.c.number, _raw(nodes.c.hash), _raw(nodes.c.left))
        query = query.where(nodes.c.number > after, nodes.c.number <= upto).order_by(nodes.c.number)
        return ((row.number, InnerNode(row.hash, row.left)) for row in self._connection.execute(query))

    def has_beyond(self, number: int) -> bool:
        """Whether there are inner nodes with numbers above this one, or below 1."""
        query = select(nodes.c.number).where((nodes.c.number > number) | (nodes.c.number < 1)).limit(1)
        return self._connection.execute(query).one_or_none() is not None

    def _hashes(self, places: Iterable[Subtree]) -> Mapping[Subtree, bytes]:
        leaves = {place.begin + 1: place for place in places if not place.level}
        inner = {place.number: place for place in places if place.level}
        hashes: dict[Subtree, bytes] = {}
        if leaves:
            rows = self._connection.execute(select(events.c.seq, events.c.leaf).where(events.c.seq.in_(leaves)))
            hashes |= {leaves[row.seq]: row.leaf for row in rows}
        if inner:
            rows = self._connection.execute(select(nodes.c.number, nodes.c.hash).where(nodes.c.number.in_(inner)))
            hashes |= {inner[row.number]: row.hash for row in rows}
        return hashes


def grow(connection: Connection, size: int, peaks: bytes, leaves: Sequence[bytes]) -> bytes:
    """Store the inner nodes that new leaves complete in a tree of that size; return its new peaks."""
    inner, edge = merkle.grow(size, split_peaks(peaks), leaves)
    first = merkle.count_inner_nodes(size) + 1
    insert_values(
        connection, nodes.name, ("number", "hash", "left"), [(i, *node) for i, node in enumerate(inner, first)]
    )
    return b"".join(edge)


def _raw(column: Column[bytes]) -> ColumnElement[Any]:
    """A column without type conversion: SQLite may hold text in it if somebody edited the file."""
    return type_coerce(column, NullType()).label(column.name)


def split_peaks(peaks: bytes) -> tuple[bytes, ...]:
    """The hashes of the peaks, which the log stores in one value."""
    return tuple(peaks[start : start + _HASH] for start in range(0, len(peaks), _HASH))


class StoredCheckpoint(NamedTuple):
    """A signed checkpoint: the number of events, when it was signed, the note."""

    size: int
    at: datetime
    note: str


class Checkpoints(Repository):
    """Checkpoints and keys within one transaction."""

    def keys(self) -> tuple[LogKey, ...]:
        """Every key that signs or has signed, the newest last."""
        rows = self._connection.execute(select(signers).order_by(signers.c.id))
        return tuple(LogKey(Verifier(row.name, row.public), row.since, row.until) for row in rows)

    def signer(self) -> Verifier | None:
        """The key that signs now; None before the first start."""
        query = select(signers.c.name, signers.c.public).where(signers.c.until.is_(None))
        # More than one has no end only if somebody edited the database.
        return self._find(query.order_by(signers.c.id.desc()).limit(1), lambda row: Verifier(*row))

    def sign_with(self, verifier: Verifier, now: datetime) -> int:
        """Make another key the signing key; return its id."""
        self._connection.execute(update(signers).where(signers.c.until.is_(None)).values(until=now))
        row = {"name": verifier.name, "public": verifier.public, "since": now}
        return int(self._insert(signers, row).id)

    def last(self) -> StoredCheckpoint | None:
        """The newest stored checkpoint."""
        return self._find(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1), StoredCheckpoint._make)

    def store(self, checkpoint: StoredCheckpoint) -> None:
        """Store a checkpoint; there must be none of this size yet."""
        self._connection.execute(insert(checkpoints), checkpoint._asdict())

    def get(self, size: int) -> StoredCheckpoint | None:
        """The stored checkpoint of this size."""
        return self._find(select(checkpoints).where(checkpoints.c.size == size), StoredCheckpoint._make)

    def signed_after(self, size: int) -> datetime | None:
        """When the first stored checkpoint of more than `size` events was signed; None if there is none."""
        query = select(checkpoints.c.at).where(checkpoints.c.size > size).order_by(checkpoints.c.size).limit(1)
        signed_at: datetime | None = self._connection.scalar(query)
        return signed_at

    def all_notes(self) -> Iterator[tuple[int, str]]:
        """The size and the note of every stored checkpoint, in order."""
        query = select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size)
        return ((row.size, row.note) for row in self._connection.execute(query))
