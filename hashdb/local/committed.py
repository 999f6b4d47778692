"""Compares a copy with what the log says of it: the commitments, and the tree over the active set."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hashdb.domain.frames import Unit
from hashdb.domain.ledger.active_set import (
    BLOCK_NODES,
    EMPTY_BLOCK,
    EMPTY_HASH,
    HASH_OCTETS,
    LEVELS,
    BlockPlace,
    CommittedSet,
    ReadBlock,
    fold,
    leaf,
)
from hashdb.domain.ledger.commitments import COMMITMENT_OCTETS, commit_lines, placed_line
from hashdb.domain.sharing.feed import FeedStep, Gone
from hashdb.errors import CheckTooEarly, NotFound
from hashdb.local.tables import FRAMES_PLACE, KEYS, CopyTables

if TYPE_CHECKING:
    # At run time, a match in the copy needs no client.
    from hashdb.client import Client

_AT_ONCE: Final = 100
"""Contributions whose rows are read together."""
_BLOCKS = f"""
SELECT id / {BLOCK_NODES} FROM contributions UNION SELECT contribution / {BLOCK_NODES} FROM gone WHERE reason = 'masked'
"""
_ACTIVE = """
SELECT id, standing, commitment FROM contributions WHERE id >= :first AND id < :until
UNION ALL SELECT contribution, standing, commitment FROM gone
WHERE contribution >= :first AND contribution < :until AND reason = 'masked' AND standing IS NOT NULL
"""
"""A contribution that is gone because all of its signals are suppressed (`masked`) stays in the active set."""
_CONTRIBUTIONS = """
SELECT id, salt, commitment, coalesce(undisclosed, x'') FROM contributions WHERE id > ? ORDER BY id LIMIT ?
"""
_SEQ = "SELECT seq FROM contributions WHERE id = :id UNION ALL SELECT seq FROM gone WHERE contribution = :id"
_SIGNALS = "SELECT contribution, algorithm, value, place FROM signals WHERE contribution BETWEEN ? AND ?"
_SHOTS = "SELECT contribution, unit, start, end, algorithm, value FROM shots WHERE contribution BETWEEN ? AND ?"
_SIGNATURES = "SELECT contribution, kind, value FROM signatures WHERE contribution BETWEEN ? AND ?"


class CopyTree:
    """The tree over the contributions of a copy, made from its rows; what did not change is computed once."""

    def __init__(self, tables: CopyTables) -> None:
        """Computes nothing yet."""
        self._tables = tables
        self._hashes: dict[BlockPlace, bytes | None] = {}
        with tables.reading() as connection:
            self.mark_changed(number for (number,) in connection.execute(_BLOCKS))

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return self._hash(LEVELS - 1, 0)

    def mark_changed(self, numbers: Iterable[int]) -> None:
        """Forget the hashes over the blocks of leaves with these numbers, and over the blocks above them."""
        for number in numbers:
            for level in range(LEVELS):
                self._hashes[level, number] = None
                number //= BLOCK_NODES

    def block(self, level: int, number: int) -> bytes:
        """The hashes of a block, joined."""
        if level:
            return b"".join([self._hash(level - 1, number * BLOCK_NODES + offset) for offset in range(BLOCK_NODES)])
        block = bytearray(EMPTY_BLOCK)
        for id, hash in _leaves(self._tables, number * BLOCK_NODES, (number + 1) * BLOCK_NODES):
            offset = id % BLOCK_NODES * HASH_OCTETS
            block[offset : offset + HASH_OCTETS] = hash
        return bytes(block)

    def _hash(self, level: int, number: int) -> bytes:
        """The hash over a block, computed if it was forgotten; `EMPTY_HASH` over a block without contributions."""
        hash = self._hashes.get((level, number), EMPTY_HASH)
        if hash is None:
            hash = self._hashes[level, number] = fold(self.block(level, number))
        return hash


def _leaves(tables: CopyTables, first: int, until: int) -> list[tuple[int, bytes]]:
    """The ids and leaves of the contributions of the copy with ids from `first` up to before `until`."""
    with tables.reading() as connection:
        rows = connection.execute(_ACTIVE, {"first": first, "until": until})
        return [(id, leaf(id, standing, commitment)) for id, standing, commitment in rows]


@dataclass(slots=True)
class FeedRead:
    """The changes that were read from the feed, and which of them were stored."""

    pending: Collection[int] = ()
    """The contributions of which the copy has an earlier state than the root: no later one is stored."""
    count: int = 0
    """How many changes were stored."""
    blocks: set[int] = field(default_factory=set)
    """The blocks of leaves of the active set's tree in which something changed."""
    deferred: dict[int, int] = field(default_factory=dict)
    """The contributions that changed in the set after the root, each with its seq: these changes are not stored."""

    def add_stored(self, steps: Iterable[FeedStep]) -> None:
        """Count changes that were stored."""
        ids = [step.what.contribution if isinstance(step.what, Gone) else step.what.id for step in steps]
        self.count += len(ids)
        self.blocks.update([id // BLOCK_NODES for id in ids])

    def skips(self, tables: CopyTables, step: FeedStep) -> bool:
        """Whether not to store a change that comes after the root.

        It is skipped if the copy has it already, or if it would change the leaf of the contribution. In the second case
        it is deferred: the copy stays that of the root.
        """
        seq, what = step
        if isinstance(what, Gone):
            id, standing, is_active = what.contribution, what.standing, what.reason == "masked"
        else:
            id, standing, is_active = what.id, what.standing, True
        new = EMPTY_HASH if standing is None or not is_active else leaf(id, standing, what.commitment)
        is_free = id not in self.deferred and id not in self.pending
        if is_free and new == dict(_leaves(tables, id, id + 1)).get(id, EMPTY_HASH):
            return seq_of(tables, id) == seq
        self.deferred.setdefault(id, seq)
        return True

    def complete_to(self, checkpoint: int) -> int:
        """The seq up to which everything is stored, after all was read up to `checkpoint`."""
        # Changes were deferred in the order of their seqs.
        first_deferred = next(iter(self.deferred.values()), checkpoint + 1)
        return min(checkpoint, first_deferred - 1)


def put_back(tables: CopyTables, ids: Iterable[int], seq: int, *, remove: bool) -> None:
    """Give contributions the rows that they had before the transaction, or `remove` them; set the seq of the copy."""
    # Another connection sees the rows as they were before the transaction.
    with closing(sqlite3.connect(tables.path)) as before, tables.writing() as connection:
        for table, key in KEYS.items():
            for id in ids:
                connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (id,))
                rows = () if remove else before.execute(f"SELECT * FROM {table} WHERE {key} = ?", (id,))
                for row in rows:
                    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        connection.execute("UPDATE state SET cursor = ?", (seq,))


def count_committed(tables: CopyTables) -> tuple[int, int]:
    """How many contributions there are, and how many of them have a commitment."""
    with tables.reading() as connection:
        query = "SELECT count(*), count(commitment) FROM contributions"
        contributions, committed = connection.execute(query).fetchone()
        return int(contributions), int(committed)


def altered_ids(tables: CopyTables, progress: Callable[[int], None]) -> Iterator[int]:
    """The contributions whose rows are not those that were committed to, in ascending order of their ids.

    `progress` is called with the number of contributions that were read. Those without a commitment are left out.
    """
    last = 0
    while True:
        with tables.reading() as connection:
            rows = connection.execute(_CONTRIBUTIONS, (last, _AT_ONCE)).fetchall()
        if not rows:
            return
        first, last = rows[0][0], rows[-1][0]
        lines, unplaced = _lines(tables, first, last)
        for id, salt, commitment, undisclosed in rows:
            seals = [
                undisclosed[start : start + COMMITMENT_OCTETS]
                for start in range(0, len(undisclosed), COMMITMENT_OCTETS)
            ]
            if commitment is not None and (
                id in unplaced or salt is None or commit_lines(salt, lines[id], seals) != commitment
            ):
                yield id
        progress(len(rows))


def _lines(tables: CopyTables, first: int, last: int) -> tuple[dict[int, list[str]], set[int]]:
    """The lines that are committed to, by contribution; and the contributions with a frame signal that no shot has.

    Such a signal has no line, and would match.
    """
    lines: dict[int, list[str]] = defaultdict(list)
    of_frames: dict[int, set[tuple[str, bytes]]] = defaultdict(set)
    of_shots: dict[int, set[tuple[str, bytes]]] = defaultdict(set)
    with tables.reading() as connection:
        for id, algorithm, value, place in connection.execute(_SIGNALS, (first, last)):
            if place < FRAMES_PLACE:
                lines[id].append(f"{algorithm}:{value.hex()}")
            else:
                of_frames[id].add((algorithm, value))
        for id, unit, start, end, algorithm, value in connection.execute(_SHOTS, (first, last)):
            lines[id].append(placed_line(Unit(unit), start, end, f"{algorithm}:{value.hex()}"))
            of_shots[id].add((algorithm, value))
        for id, kind, value in connection.execute(_SIGNATURES, (first, last)):
            lines[id].append(f"{kind}:{value.hex()}")
    return lines, {id for id, values in of_frames.items() if not values <= of_shots[id]}


def seq_of(tables: CopyTables, id: int) -> int | None:
    """The seq of the last change of a contribution; None if the copy does not know it."""
    with tables.reading() as connection:
        row = connection.execute(_SEQ, {"id": id}).fetchone()
        return None if row is None else int(row[0])


def newest_root(client: Client) -> CommittedSet:
    """The newest root of the active set. Raises CheckTooEarly while the log has none, and what the client raises."""
    try:
        return client.set_root()
    except NotFound:
        raise CheckTooEarly("the log has no root of the active set yet") from None


def describe_difference(of_copy: ReadBlock, of_log: ReadBlock, id: int, committed: CommittedSet) -> str:
    """How a contribution in the tree of the copy differs from that in the tree of the log with this root."""
    if leaf_at(of_log, id) == EMPTY_HASH:
        reason = "the copy has it, but the active set of the log does not"
    elif leaf_at(of_copy, id) == EMPTY_HASH:
        reason = "the active set of the log has it, but the copy does not"
    else:
        reason = "its standing or its commitment differs from the active set of the log"
    return f"{reason} (event {committed.seq})"


def leaf_at(read: ReadBlock, id: int) -> bytes:
    """The leaf of a contribution in the tree whose blocks `read` returns."""
    offset = id % BLOCK_NODES * HASH_OCTETS
    return read(0, id // BLOCK_NODES)[offset : offset + HASH_OCTETS]
