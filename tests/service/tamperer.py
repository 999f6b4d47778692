"""A tamperer: somebody who edits the database of a service directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, create_engine, text

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.events import leaf as leaf_of
from hashdb.domain.times import from_microseconds


class Tamperer:
    """Somebody who has the password of the database and nothing else."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, statement: str, **values: Any) -> Sequence[Any]:
        """Run a statement, and return its rows."""
        result = self.connection.execute(text(statement), values)
        return result.all() if result.returns_rows else ()

    def change(self, seq: int, column: str, value: object) -> None:
        """Set a column of an event."""
        self.run(f"UPDATE events SET {column} = :value WHERE seq = :seq", value=value, seq=seq)

    def remove(self, *numbers: int) -> None:
        """Delete the events of these numbers."""
        for seq in numbers:
            self.run("DELETE FROM events WHERE seq = :seq", seq=seq)

    def add(self, seq: int, like: int = 3) -> None:
        """Insert a copy of an event under another number."""
        self.run(
            "INSERT INTO events (seq, at, actor, action, subject_kind, subject_id, details, leaf) SELECT :seq, at,"
            " actor, action, subject_kind, subject_id, details, leaf FROM events WHERE seq = :like",
            seq=seq,
            like=like,
        )

    def move(self, seq: int, to: int) -> None:
        """Give an event another number."""
        self.run("UPDATE events SET seq = :to WHERE seq = :seq", seq=seq, to=to)

    def swap(self, first: int, second: int) -> None:
        """Exchange the numbers of two events."""
        self.move(first, 1_000)
        self.move(second, first)
        self.move(1_000, second)

    def recompute_leaves(self) -> list[bytes]:
        """Recompute and store every leaf, so that each row is valid by itself; return the leaves."""
        leaves = []
        for row in self.run("SELECT * FROM events ORDER BY seq"):
            at, subject = from_microseconds(row.at), f"{row.subject_kind}:{row.subject_id}"
            leaf = leaf_of(row.seq, at, row.actor, row.action, subject, row.details)
            self.run("UPDATE events SET leaf = :leaf WHERE seq = :seq", leaf=leaf, seq=row.seq)
            leaves.append(leaf)
        return leaves

    def recompute_tree(self, *, upto: int = 99) -> None:
        """Recompute and store the tree and the head of the log; with `upto`, only the tree up to that level."""
        leaves = self.recompute_leaves()
        inner, edge = merkle.grow(0, (), leaves)
        self.run("DELETE FROM nodes") if upto == 99 else None
        for place, node in zip(merkle.inner_subtrees(0, len(leaves)), inner, strict=True):
            if place.level <= upto:
                self.run("DELETE FROM nodes WHERE number = :number", number=place.number)
                values = {"number": place.number, "hash": node.hash, "left": node.left}
                self.run('INSERT INTO nodes (number, hash, "left") VALUES (:number, :hash, :left)', **values)
        if upto == 99:
            self.run("UPDATE log SET seq = :seq, peaks = :peaks", seq=len(leaves), peaks=b"".join(edge))


def tamper(url: str, act: Callable[[Tamperer], object]) -> None:
    """Let a tamperer edit the database at this URL."""
    engine = create_engine(url)
    with engine.begin() as connection:
        act(Tamperer(connection))
    engine.dispose()
