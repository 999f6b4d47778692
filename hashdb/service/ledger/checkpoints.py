"""Checkpoints: the log's name and signing keys, its signed checkpoints, and proofs."""

from __future__ import annotations

import secrets
from datetime import timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint, Consistency, Inclusion, Log, LogWitness
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.ledger.notes import Signer, Verifier
from hashdb.errors import BadSetting, CannotStart, Unavailable, reject_field
from hashdb.service import HashDB
from hashdb.service.background import is_due
from hashdb.service.ledger import witnesses
from hashdb.service.ledger.signing import Signing
from hashdb.store import Transaction
from hashdb.store.ledger.tree import StoredCheckpoint

KEPT_EVERY = timedelta(seconds=50)
"""With the period of the task, a checkpoint is at most a minute old."""
RETRY_AFTER = 60
"""Seconds after which a client asks again for what is not signed yet."""


def start(db: HashDB) -> Verifier:
    """Name the log and give it a key at its first start; later, check that this machine has the log's key.

    Raises WrongSigningKey, BadSetting.
    """
    signing = _signing(db)
    with db.store.read() as tx:
        signer, epoch_logged = tx.checkpoints.signer(), _has_epoch(tx)
    if signer is not None and not epoch_logged:
        # Version 0.1.0 began this log.
        with db.store.begin() as tx:
            tx.audit.lock()
            if not _has_epoch(tx):
                epoch: Details = {"epoch": tx.audit.head().epoch}
                tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.LOG_BEGUN, "log", 1, epoch)])
    if signer is None:
        with db.store.begin() as tx:
            tx.audit.lock()
            signer = tx.checkpoints.signer()
            if signer is None:
                own_key = signing.own_or_new_key(signing.origin or _random_origin())
                signer = _add_signer(db, tx, SYSTEM, own_key)
    if signing.origin not in (None, signer.name):
        raise BadSetting("HASHDB_ORIGIN", f"this log has been named {signer.name} since its first start")
    return signing.signer(signer).verifier


def rotate(db: HashDB, actor: Actor) -> Verifier:
    """Sign with a new key from now on; the old one still verifies what it signed. Raises BadSetting."""
    actor.require(Scope.ADMIN)
    signing = _signing(db)
    with db.store.begin() as tx:
        tx.audit.lock()
        before = tx.checkpoints.signer()
        name = before.name if before else signing.origin or _random_origin()
        added = _add_signer(db, tx, actor, signing.prepare(name))
    # The new key is in force from here on; `Signing.signer` finds it under either file name.
    signing.renew()
    keep(db, at_once=True)
    return added


def log(db: HashDB) -> Log:
    """The log's name, keys and witnesses. Raises Unavailable before its first start."""
    with db.store.read() as tx:
        keys, states = tx.checkpoints.keys(), witnesses.states(db, tx)
    if not keys:
        raise Unavailable(RETRY_AFTER)
    asked = tuple(LogWitness(witness.name, str(witness.key), state.size, state.at) for witness, state in states)
    return Log(keys[-1].verifier.name, keys, asked)


def find_log(db: HashDB) -> Log | None:
    """The log as `log` returns it; None before its first start."""
    try:
        return log(db)
    except Unavailable:
        return None


def latest(db: HashDB) -> str:
    """A signed checkpoint over every event that was written before. Raises Unavailable if the key is not here."""
    try:
        with db.store.read() as tx:
            _, note = _sign(db, tx)
            return note
    except CannotStart:
        raise Unavailable(RETRY_AFTER) from None


def keep(db: HashDB, *, at_once: bool = False) -> bool:
    """Sign and store a checkpoint if there are new events and the last one is old enough (or `at_once`).

    Returns whether it stored one. Any number of processes may call it; one of them signs.
    Raises WrongSigningKey, BadSetting.
    """
    with db.store.read() as tx:
        if not _is_due(db, tx, at_once):
            return False
    with db.store.begin() as tx:
        tx.audit.lock()
        if not _is_due(db, tx, at_once):
            return False
        size, note = _sign(db, tx)
        tx.checkpoints.store(StoredCheckpoint(size, db.now(), note))
    _signing(db).record_checkpoint(note)
    return True


def _is_due(db: HashDB, tx: Transaction, at_once: bool) -> bool:
    last, head = tx.checkpoints.last(), tx.audit.head()
    if head.seq <= (0 if last is None else last.size):
        return False
    if last is None or at_once or is_due(last.at, db.now(), KEPT_EVERY):
        return True
    # A root of the active set is signed at once: its readers verify it by a checkpoint.
    root = tx.audit.newest("set", 1)
    return root is not None and root.seq > last.size


def current_signer(db: HashDB, tx: Transaction) -> Signer:
    """The key that signs now. Raises Unavailable before the first start, WrongSigningKey, BadSetting."""
    verifier = tx.checkpoints.signer()
    if verifier is None:
        raise Unavailable(RETRY_AFTER)
    return _signing(db).signer(verifier)


def _sign(db: HashDB, tx: Transaction) -> tuple[int, str]:
    """Sign a checkpoint over the whole log; return its size and its note. Raises as `current_signer`."""
    size, peaks = tx.tree.size_and_peaks()
    key = current_signer(db, tx)
    return size, Checkpoint(key.name, size, merkle.fold(peaks)).signed(key)


def _add_signer(db: HashDB, tx: Transaction, actor: Actor, verifier: Verifier) -> Verifier:
    """Make this key the one that signs the log from now on, log that, and return the key."""
    now = db.now()
    id = tx.checkpoints.sign_with(verifier, now)
    details: Details = {"key": str(verifier), "epoch": tx.audit.head().epoch}
    tx.audit.append(now, actor, [LogEntry(Action.SIGNER_ADDED, "signer", id, details)])
    return verifier


def _has_epoch(tx: Transaction) -> bool:
    """Whether an event has the log's epoch: the last one on the log itself, or if there is none, on a key."""
    last = tx.audit.newest("log", 1) or tx.audit.newest("signer", 1)
    return last is not None and "epoch" in last.details


def _signing(db: HashDB) -> Signing:
    if db.signing is None:
        raise Unavailable(RETRY_AFTER)
    return db.signing


def _random_origin() -> str:
    """A unique name for a log to which the operator gave no name."""
    return f"hashdb/{secrets.token_hex(6)}"


def inclusion(db: HashDB, actor: Actor, seq: int, size: int) -> Inclusion:
    """The proof that event `seq` is in the tree of the first `size` events. Raises InvalidInput."""
    with db.read(actor, Scope.AUDIT) as tx:
        _require("size", size, 1, tx.audit.head().seq)
        _require("seq", seq, 1, size)
        return Inclusion(seq, size, tx.tree.leaf(seq), tx.tree.proof(merkle.inclusion(seq - 1, size)))


def consistency(db: HashDB, actor: Actor, first: int, second: int) -> Consistency:
    """The proof that the tree of the first `second` events begins with that of `first`. Raises InvalidInput."""
    with db.read(actor, Scope.AUDIT) as tx:
        _require("second", second, 0, tx.audit.head().seq)
        _require("first", first, 0, second)
        return Consistency(first, second, tx.tree.proof(merkle.consistency(first, second)))


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        reject_field(name, f"must be {least} to {most}" if least <= most else "the log has no events yet")
