"""A tamperer: somebody who edits the database of a service underneath it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, create_engine, text

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.events import leaf as leaf_of
from hashdb.domain.times import from_microseconds


class Tamperer:
    """Somebody with the database's password, and nothing else."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, statement: str, **values: Any) -> Sequence[Any]:
        """A statement, and what it answers."""
        result = self.connection.execute(text(statement), values)
        return result.all() if result.returns_rows else ()

    def change(self, seq: int, column: str, value: object) -> None:
        self.run(f"UPDATE events SET {column} = :value WHERE seq = :seq", value=value, seq=seq)

    def remove(self, *numbers: int) -> None:
        for seq in numbers:
            self.run("DELETE FROM events WHERE seq = :seq", seq=seq)

    def add(self, seq: int, like: int = 3) -> None:
        """A row like one that is there, under another number."""
        self.run(
            "INSERT INTO events (seq, at, actor, action, subject_kind, subject_id, details, leaf) SELECT :seq, at,"
            " actor, action, subject_kind, subject_id, details, leaf FROM events WHERE seq = :like",
            seq=seq,
            like=like,
        )

    def move(self, seq: int, to: int) -> None:
        self.run("UPDATE events SET seq = :to WHERE seq = :seq", seq=seq, to=to)

    def swap(self, one: int, other: int) -> None:
        self.move(one, 1_000)
        self.move(other, one)
        self.move(1_000, other)

    def leaves(self) -> list[bytes]:
        """Compute every leaf anew, so that each row is right by itself."""
        leaves = []
        for row in self.run("SELECT * FROM events ORDER BY seq"):
            at, subject = from_microseconds(row.at), f"{row.subject_kind}:{row.subject_id}"
            leaf = leaf_of(row.seq, at, row.actor, row.action, subject, row.details)
            self.run("UPDATE events SET leaf = :leaf WHERE seq = :seq", leaf=leaf, seq=row.seq)
            leaves.append(leaf)
        return leaves

    def tree(self, *, upto: int = 99) -> None:
        """Compute the whole tree anew (or its levels up to one), and the head of the log."""
        leaves = self.leaves()
        inner, edge = merkle.grow(0, (), leaves)
        self.run("DELETE FROM nodes") if upto == 99 else None
        for place, node in zip(merkle.inner_subtrees(0, len(leaves)), inner, strict=True):
            if place.level <= upto:
                self.run("DELETE FROM nodes WHERE number = :number", number=place.number)
                values = {"number": place.number, "hash": node.hash, "left": node.left}
                self.run('INSERT INTO nodes (number, hash, "left") VALUES (:number, :hash, :left)', **values)
        if upto == 99:
            self.run("UPDATE log SET seq = :seq, peaks = :peaks", seq=len(leaves), peaks=b"".join(edge))


def tampered(url: str, act: Callable[[Tamperer], object]) -> None:
    """Edit the database underneath."""
    engine = create_engine(url)
    with engine.begin() as connection:
        act(Tamperer(connection))
    engine.dispose()
