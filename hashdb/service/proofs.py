"""Proofs: that an event is in the log, and that the log of today begins with that of an earlier checkpoint."""

from __future__ import annotations

from hashdb.domain import merkle
from hashdb.domain.checkpoints import Consistency, Inclusion
from hashdb.domain.members import Actor, Scope
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB


def inclusion(db: HashDB, actor: Actor, seq: int, size: int) -> Inclusion:
    """The proof that event `seq` is in the tree of the first `size` events. Raises InvalidInput."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        _require("size", size, 1, tx.audit.head().seq)
        _require("seq", seq, 1, size)
        return Inclusion(seq, size, tx.tree.leaf(seq), tx.tree.proof(merkle.inclusion(seq - 1, size)))


def consistency(db: HashDB, actor: Actor, first: int, second: int) -> Consistency:
    """The proof that the tree of the first `second` events begins with that of `first`. Raises InvalidInput."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        _require("second", second, 0, tx.audit.head().seq)
        _require("first", first, 0, second)
        return Consistency(first, second, tx.tree.proof(merkle.consistency(first, second)))


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput((Fault(name, f"is {least} to {most:,} here" if least <= most else "has no event yet"),))
