"""Seeds of secret views: made at the first start, rotated and retired by the operator, given to members."""

from __future__ import annotations

import secrets

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, LogEntry, secret_tag
from hashdb.domain.seeds import MAX_SEEDS, SEED_BYTES, Seed, SeedState
from hashdb.errors import reject_field
from hashdb.service import HashDB
from hashdb.store import Transaction

_SCOPES = frozenset({Scope.CONTRIBUTE, Scope.MATCH})
"""The scopes of keys that get the seeds: they hash what they send."""


def make_first(db: HashDB) -> None:
    """Make the first seed, unless there ever was one."""
    with db.store.read() as tx:
        if tx.seeds.all_states():
            return
    with db.store.begin() as tx:
        # Several services may start at once, and one makes the seed.
        tx.audit.lock()
        if not tx.seeds.all_states():
            _add(db, tx, SYSTEM)


def known_to(db: HashDB, actor: Actor) -> tuple[Seed, ...]:
    """The seeds that the actor may know, newest first; none without the scope `contribute` or `match`."""
    return db.seeds_in_use() if _SCOPES & actor.scopes else ()


def list_all(db: HashDB, actor: Actor) -> tuple[SeedState, ...]:
    """Since when and until when each seed is or was in use, newest first."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.seeds.all_states()


def rotate(db: HashDB, actor: Actor) -> SeedState:
    """Make a new seed, with which contributions are hashed from now on; if too many are in use, retire the oldest.

    Contributions of earlier seeds are still found by them: a query asks for the views of all seeds in use.
    """
    with db.begin(actor, Scope.ADMIN) as tx:
        tx.audit.lock()
        for seed in tx.seeds.in_use()[MAX_SEEDS - 1 :]:
            _retire(db, tx, actor, seed.id)
        added = _add(db, tx, actor)
    db.store.scrub()  # The deleted secret leaves SQLite's journal, too.
    return added


def retire(db: HashDB, actor: Actor, id: int) -> SeedState:
    """End the use of a seed, and delete its secret: nothing is found by its views any more.

    Raises NotFound unless it is in use, and InvalidInput for the newest.
    """
    with db.begin(actor, Scope.ADMIN) as tx:
        tx.audit.lock()
        in_use = tx.seeds.in_use()
        if in_use and in_use[0].id == id:
            reject_field("seed", "is the newest seed and in use: rotate first, then retire it")
        retired = _retire(db, tx, actor, id)
    db.store.scrub()
    return retired


def _add(db: HashDB, tx: Transaction, actor: Actor) -> SeedState:
    octets, now = secrets.token_bytes(SEED_BYTES), db.now()
    added = tx.seeds.add(octets, now)
    tx.audit.append(now, actor, [LogEntry(Action.SEED_ADDED, "seed", added.id, {"secret_tag": secret_tag(octets)})])
    return added


def _retire(db: HashDB, tx: Transaction, actor: Actor, id: int) -> SeedState:
    now = db.now()
    retired = tx.seeds.retire(id, now)
    tx.audit.append(now, actor, [LogEntry(Action.SEED_RETIRED, "seed", id, {})])
    return retired
