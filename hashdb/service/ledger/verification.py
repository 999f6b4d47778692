"""Verification: the rows of the log against the tree and every signed checkpoint, then the tables against the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.jobs import JobOutcome, Verification
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import LogKey, read_checkpoint
from hashdb.domain.ledger.events import Action, Details, Entry, canonical, leaf_of_text, tag
from hashdb.domain.ledger.merkle import Inner, Subtree
from hashdb.domain.ledger.records import UNSAID, ExpectedRecords
from hashdb.domain.times import from_microseconds
from hashdb.errors import BadNote, HashDBError
from hashdb.service import HashDB, jobs
from hashdb.service.background import Task
from hashdb.service.jobs import Progress, TooLongError
from hashdb.service.ledger.records import unlike_log
from hashdb.service.stats.counts import unlike_sealed
from hashdb.store import Transaction

_BLOCK = 8_192
_FINDINGS_KEPT = 20
log = logging.getLogger("hashdb.audit")


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not hold, and of which events it is (the first and the last; None: of none in particular)."""

    first: int | None
    last: int | None
    reason: str

    def __str__(self) -> str:
        """One sentence."""
        if self.first is None:
            return self.reason
        which = f"event {self.first}" if self.first == self.last else f"events {self.first} to {self.last}"
        return f"{which}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Outside:
    """A checkpoint that was kept outside: how many events it covers, and when the last of them was written."""

    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was verified, up to the first thing that does not hold; of findings, the first bad event comes first."""

    size: int
    root: bytes
    checkpoints: int
    findings: tuple[Finding, ...]
    outside: Outside | None = None
    """The checkpoint that was kept outside, if one was given and the log agrees with it."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A checkpoint that one of the log's keys signed, and where it stands."""

    root: bytes
    place: str


def verify(
    db: HashDB,
    actor: Actor,
    advance: Callable[[int], object] = lambda count: None,
    outside: str | None = None,
) -> Verdict:
    """Compute every leaf and the whole tree anew from the rows, and hold them against all that was written of them.

    Where that holds, hold the tables against what the events add up to, all as of one moment.
    `outside` is a signed checkpoint that was kept elsewhere: it is held against the log like those of the service.
    `advance` is told how many events more have been read. Raises StoreBusy, BadSetting.
    """
    actor.require(Scope.AUDIT)
    # The file first: what is in it is over events that the transaction will see.
    written = () if db.signing is None else db.signing.written()
    with db.store.read() as tx:
        if [head.id for head in tx.audit.heads()] != [1]:
            return Verdict(0, merkle.EMPTY, 0, (Finding(None, None, "the log has no head, or more than one"),))
        keys = tx.checkpoints.keys()
        signed: dict[int, list[_Signed]] = {}
        kept = _kept(outside, keys)
        findings = [*_read(tx, written, keys, signed, outside)]
        walk = _Walk(tx, signed)
        while walk.found is None and (count := walk.step()):
            advance(count)
        if walk.found is None:
            walk.end()
        if walk.found is None:
            findings += walk.unlike_head()
            findings += _unannounced(db, keys, walk.records.signers)
            findings += [Finding(seq, seq, reason) for seq, reason in unlike_sealed(tx)]
            findings += [Finding(None, None, reason) for reason in unlike_log(tx, walk.records, db.now(), advance)]
        found = [walk.found] if walk.found else []
        agreed = sum(len(ones) for size, ones in signed.items() if size <= walk.agreed)
        every = (*found, *findings)
        held = None if kept is None or every else Outside(kept, tx.audit.one(kept).at if kept else tx.audit.head().at)
        return Verdict(walk.size, merkle.fold(walk.edge), agreed, every, held)


def start(db: HashDB, actor: Actor) -> Verification:
    """Start a job that verifies the log, unless one is running; the one that runs."""
    actor.require(Scope.AUDIT)
    return jobs.start(
        db,
        Task.VERIFICATION,
        lambda tx: tx.verifications,
        lambda tx: tx.verifications.add(str(actor), tx.audit.head().seq, db.now()),
        partial(_verify, db, actor),
    )


def latest(db: HashDB, actor: Actor, limit: int = 5) -> tuple[Verification, ...]:
    """The last jobs, the last first."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.verifications.latest(limit)


def _verify(db: HashDB, actor: Actor, begun: Verification, progress: Progress) -> None:
    outcome, checkpoints, findings = JobOutcome.STOPPED, 0, ["it took too long, or the service was stopped"]
    try:
        verdict = verify(db, actor, progress.advance)
        outcome = JobOutcome.BROKEN if verdict.findings else JobOutcome.HOLDS
        checkpoints, findings = verdict.checkpoints, [str(found) for found in verdict.findings]
    except TooLongError:
        pass
    except HashDBError as error:
        findings = [str(error)]
    except Exception as error:
        db.background.failed(Task.VERIFICATION, error)
        findings = ["a fault of the service, which it has noted"]
    if outcome is JobOutcome.BROKEN:
        log.error("the log does not hold: %s", findings[0])
    kept = findings[:_FINDINGS_KEPT]
    with db.store.begin() as tx:
        now = db.now()
        tx.verifications.end(begun.id, outcome, progress.done, checkpoints, kept, now)
        details: Details = {
            "size": begun.size,
            "done": progress.done,
            "outcome": str(outcome),
            "checkpoints": checkpoints,
            "findings": tag(canonical({"reasons": kept}).encode()),
        }
        tx.audit.append(now, actor, [Entry(Action.VERIFICATION_ENDED, "verification", begun.id, details)])


class _Walk:
    """Goes over the rows once, from the first to the last."""

    def __init__(self, tx: Transaction, signed: Mapping[int, Sequence[_Signed]]) -> None:
        self._tx = tx
        self._last = tx.audit.head().seq
        self._signed = signed
        self._sizes = sorted(signed)
        self.size, self.edge, self.agreed = 0, list[bytes](), 0
        self._at = 0
        self.records = ExpectedRecords()
        self.found: Finding | None = None

    def step(self) -> int:
        """Take in a block of rows; 0 at the end, or where one was found that is bad."""
        # Not by number at first: a row may stand before the first.
        rows = self._tx.audit.rows(self.size or None, _BLOCK)
        leaves: list[bytes] = []
        row_found = None
        for seq, row in enumerate(rows, self.size + 1):
            if row_found := self._fault(seq, row):
                break
            leaves.append(row.leaf)
        self._grow(leaves)
        self.found = self.found or row_found or self._replayed(rows)
        self._at = rows[-1].at if rows else self._at
        return 0 if self.found else len(leaves)

    def end(self) -> None:
        """After the last row: whether there should be more, and whether the head of the log is that of these rows."""
        size = self.size
        later = [signed for signed in self._sizes if signed > size]
        if size < self._last:
            self.found = Finding(size + 1, self._last, "missing, the log ends later")
        elif self._tx.tree.has_beyond(merkle.inner_nodes(size)):
            self.found = Finding(size + 1, size + 1, "missing, the tree has nodes over it")
        elif later:
            place = self._signed[later[0]][0].place
            self.found = Finding(self.agreed + 1, later[0], f"not those of which {place} was signed")
        else:
            self.found = self._head()

    def unlike_head(self) -> Iterator[Finding]:
        """What the head of the log tells beside its tree that its events do not."""
        (head,) = self._tx.audit.heads()
        if head.at != self._at:
            yield Finding(None, None, "the head of the log tells another time than its last event")
        if self.records.epoch not in (head.epoch, UNSAID):
            yield Finding(None, None, "the epoch of the log is not the one that its events tell")

    def _head(self) -> Finding | None:
        """Whether the head of the log is over the rows that were read, all that there are."""
        _, edge = self._tx.tree.edge()
        if len(edge) != len(self.edge):
            return Finding(self.size + 1, self.size + 1, "missing, the head of the log is over it")
        for place, ours, theirs in zip(merkle.peaks(self.size), self.edge, edge, strict=True):
            if ours != theirs:
                return self._over(place)
        return None

    def _fault(self, seq: int, row: Any) -> Finding | None:
        if row.seq > seq:
            return Finding(seq, row.seq - 1, "missing")
        if row.seq < seq or seq > self._last:
            return Finding(row.seq, row.seq, "added, the log does not count it")
        if _leaf(row) != row.leaf:
            return Finding(seq, seq, "not what was written, its leaf is of something else")
        return None

    def _replayed(self, rows: Sequence[Any]) -> Finding | None:
        for row in rows:
            try:
                self.records.take(row.at, row.actor, row.action, row.subject_kind, row.subject_id, row.details)
            except (TypeError, ValueError, RecursionError):
                return Finding(row.seq, row.seq, "its details are none that the service writes")
        return None

    def _grow(self, leaves: Sequence[bytes]) -> None:
        """Add leaves to the tree, stopping at each size of which a checkpoint was signed."""
        begin, end = self.size, self.size + len(leaves)
        stored = dict(self._tx.tree.inner(merkle.inner_nodes(begin), merkle.inner_nodes(end)))
        stops = [size for size in self._sizes if begin < size <= end]
        for stop in [*stops, end]:
            start = self.size
            inner, edge = merkle.grow(start, self.edge, leaves[start - begin : stop - begin])
            for place, node in zip(merkle.inner_places(start, stop), inner, strict=True):
                if stored.get(place.number) != node:
                    self.found = self._between(place, node, stored.get(place.number))
                    return
            self.size, self.edge = stop, edge
            for signed in self._signed.get(stop, ()) if stop in stops else ():
                if signed.root != merkle.fold(edge):
                    found = Finding(self.agreed + 1, stop, f"not those of which {signed.place} was signed")
                    # The head may tell it more exactly.
                    self.found = (self._head() if stop == self._last else None) or found
                    return
            self.agreed = stop if stop in stops else self.agreed

    def _between(self, place: Subtree, ours: Inner, theirs: Inner | None) -> Finding:
        if theirs is None or place.level > 1:
            return self._over(place)
        right = theirs.left == ours.left
        return self._over(Subtree(0, place.begin + right))

    def _over(self, place: Subtree) -> Finding:
        if self.agreed >= place.end:
            return Finding(None, None, "the head of the log is of something else than its events")
        first = max(place.begin, self.agreed) + 1
        return Finding(first, place.end, "not what was written, the tree over the log is of something else")


def _leaf(row: Any) -> bytes | None:
    try:
        at = from_microseconds(row.at)
        subject = f"{row.subject_kind}:{row.subject_id}"
        return leaf_of_text(row.seq, at, row.actor, row.action, subject, row.details)
    except (TypeError, ValueError, OverflowError):
        # SQLite keeps whatever somebody writes into a column.
        return None


def _read(
    tx: Transaction,
    written: Iterable[str],
    keys: Sequence[LogKey],
    signed: dict[int, list[_Signed]],
    outside: str | None,
) -> Iterator[Finding]:
    """Gather the checkpoints of the table, of the file and from outside by their size; tell of those not signed."""
    verifiers = [key.verifier for key in keys]
    kept = ((f"the checkpoint of {size}", size, note) for size, note in tx.checkpoints.all())
    noted = ((f"checkpoint {number} of the file", None, note) for number, note in enumerate(written, 1))
    given = () if outside is None else (("the checkpoint from outside", None, outside),)
    seen: set[str] = set()
    for place, size, note in (*given, *kept, *noted):
        if note in seen:
            continue
        seen.add(note)
        try:
            checkpoint, _ = read_checkpoint(note, verifiers)
        except BadNote as error:
            yield Finding(None, None, f"{place}: {error}")
            continue
        if size not in (None, checkpoint.size):
            yield Finding(None, None, f"{place}: it is of {checkpoint.size}")
        signed.setdefault(checkpoint.size, []).append(_Signed(checkpoint.root, place))


def _kept(outside: str | None, keys: Sequence[LogKey]) -> int | None:
    """How many events a checkpoint from outside covers; None where there is none, or it is not of this log."""
    try:
        return None if outside is None else read_checkpoint(outside, [key.verifier for key in keys])[0].size
    except BadNote:
        return None


def _unannounced(db: HashDB, keys: Sequence[LogKey], announced: set[str]) -> list[Finding]:
    """Tell of keys that are not the log's own."""
    vkeys = [str(key.verifier) for key in keys]
    found = [f"the log's key {vkey} is in no event" for vkey in vkeys if vkey not in announced]
    if db.signing is not None and keys:
        here = db.signing.here(keys[-1].verifier.name)
        if here is not None and str(here) not in vkeys:
            found.append(f"the key of this machine, {here}, is not one of the log's")
    return [Finding(None, None, reason) for reason in found]
