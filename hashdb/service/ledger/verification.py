"""Verification: compares the rows of the log with the tree and each signed checkpoint, and the tables with the log."""

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
from hashdb.domain.ledger.events import Action, Details, LogEntry, canonical, leaf, secret_tag
from hashdb.domain.ledger.merkle import InnerNode, Subtree
from hashdb.domain.ledger.records import NOT_LOGGED, ExpectedRecords
from hashdb.domain.times import from_microseconds
from hashdb.errors import BadNote, HashDBError
from hashdb.service import HashDB, jobs
from hashdb.service.background import Task
from hashdb.service.jobs import Progress, TooLongError
from hashdb.service.ledger import active_set, witnesses
from hashdb.service.ledger.records import unlike_committed, unlike_log
from hashdb.service.stats.counts import unlike_sealed
from hashdb.store import Transaction

_BLOCK = 8_192
_FINDINGS_KEPT = 20
log = logging.getLogger("hashdb.audit")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and the first and the last of the events concerned (None: no particular event)."""

    first: int | None
    last: int | None
    reason: str

    def __str__(self) -> str:
        """One sentence."""
        if self.first is None:
            return self.reason
        events = f"event {self.first}" if self.first == self.last else f"events {self.first} to {self.last}"
        return f"{events}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Outside:
    """A checkpoint that was kept elsewhere: how many events it covers, and the time of the last of them."""

    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was verified, up to the first wrong event, which is the first of the findings."""

    size: int
    root: bytes
    checkpoints: int
    findings: tuple[Finding, ...]
    outside: Outside | None = None
    """The checkpoint that was kept elsewhere, if one was given and the log agrees with it."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """The root of a checkpoint that one of the log's keys signed, and where the checkpoint is."""

    root: bytes
    place: str


def verify(
    db: HashDB,
    actor: Actor,
    advance: Callable[[int], object] = lambda count: None,
    outside: str | None = None,
    *,
    signals: bool = False,
) -> Verdict:
    """Recompute each leaf and the whole tree from the rows, and compare them with the stored tree and checkpoints.

    If they agree, compare the tables with the records that the events give, all as of one moment.
    `outside` is a signed checkpoint that was kept elsewhere; it is compared with the log like those of the service.
    With `signals`, also compare the signals of each contribution with its commitment.
    `advance` is called with the number of events read since the last call. Raises StoreBusy, BadSetting.
    """
    actor.require(Scope.AUDIT)
    # The file first: then the transaction sees all events that its checkpoints cover.
    written = () if db.signing is None else db.signing.written()
    with db.store.read() as tx:
        if [head.id for head in tx.audit.heads()] != [1]:
            return Verdict(0, merkle.EMPTY, 0, (Finding(None, None, "the log has no head, or more than one"),))
        keys = tx.checkpoints.keys()
        signed: dict[int, list[_Signed]] = {}
        outside_size = _size_of(outside, keys)
        findings = [*_read(tx, written, keys, signed, outside)]
        walk = _Walk(tx, signed)
        while walk.finding is None and (count := walk.step()):
            advance(count)
        if walk.finding is None:
            walk.end()
        if walk.finding is None:
            findings += walk.unlike_head()
            findings += _unlike_keys(db, keys, walk.records.signers)
            findings += [Finding(seq, seq, reason) for seq, reason in unlike_sealed(tx)]
            findings += [Finding(seq, seq, reason) for seq, reason in active_set.unlike_events(db, tx, advance)]
            unlike = [*unlike_log(tx, walk.records, db.now(), advance)]
            unlike += unlike_committed(tx, advance) if signals else ()
            unlike += witnesses.wrong_cosignatures(db, tx)
            findings += [Finding(None, None, reason) for reason in unlike]
        agreed = sum(len(checkpoints) for size, checkpoints in signed.items() if size <= walk.agreed)
        every = (*([walk.finding] if walk.finding else []), *findings)
        agrees = None
        if outside_size is not None and not every:
            last = tx.audit.one(outside_size) if outside_size else tx.audit.head()
            agrees = Outside(outside_size, last.at)
        return Verdict(walk.size, merkle.fold(walk.edge), agreed, every, agrees)


def start(db: HashDB, actor: Actor) -> Verification:
    """Start a job that verifies the log, unless one is running; return the running one."""
    actor.require(Scope.AUDIT)
    return jobs.start(
        db,
        Task.VERIFICATION,
        lambda tx: tx.verifications,
        lambda tx: tx.verifications.add(str(actor), tx.audit.head().seq, db.now()),
        partial(_verify, db, actor),
    )


def latest(db: HashDB, actor: Actor, limit: int = 5) -> tuple[Verification, ...]:
    """The newest jobs, newest first."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.verifications.latest(limit)


def _verify(db: HashDB, actor: Actor, begun: Verification, progress: Progress) -> None:
    outcome, checkpoints, findings = JobOutcome.STOPPED, 0, ["it took too long, or the service was stopped"]
    try:
        verdict = verify(db, actor, progress.advance)
        outcome = JobOutcome.BROKEN if verdict.findings else JobOutcome.HOLDS
        checkpoints, findings = verdict.checkpoints, [str(finding) for finding in verdict.findings]
    except TooLongError:
        pass
    except HashDBError as error:
        findings = [str(error)]
    except Exception as error:
        db.background.failed(Task.VERIFICATION, error)
        findings = ["the service failed and logged the error"]
    if outcome is JobOutcome.BROKEN:
        log.error("the audit log does not verify: %s", findings[0])
    reported = findings[:_FINDINGS_KEPT]
    with db.store.begin() as tx:
        now = db.now()
        tx.verifications.end(begun.id, outcome, progress.done, checkpoints, reported, now)
        details: Details = {
            "size": begun.size,
            "done": progress.done,
            "outcome": str(outcome),
            "checkpoints": checkpoints,
            "findings": secret_tag(canonical({"reasons": reported}).encode()),
        }
        tx.audit.append(now, actor, [LogEntry(Action.VERIFICATION_ENDED, "verification", begun.id, details)])


class _Walk:
    """Reads the rows once, from the first to the last; `finding` is the first thing that is wrong."""

    def __init__(self, tx: Transaction, signed: Mapping[int, Sequence[_Signed]]) -> None:
        self._tx = tx
        self._last = tx.audit.head().seq
        self._signed = signed
        self._sizes = sorted(signed)
        self.size, self.edge, self.agreed = 0, list[bytes](), 0
        self._at = 0
        self.records = ExpectedRecords()
        self.finding: Finding | None = None

    def step(self) -> int:
        """Read a block of rows and return how many are right; 0 at the end, or after a wrong one."""
        # The first block has no lower bound: a row may have been added before event 1.
        rows = self._tx.audit.rows(self.size or None, _BLOCK)
        leaves: list[bytes] = []
        row_finding = None
        for seq, row in enumerate(rows, self.size + 1):
            if row_finding := self._fault(seq, row):
                break
            leaves.append(row.leaf)
        self._grow(leaves)
        self.finding = self.finding or row_finding or self._replayed(rows)
        self._at = rows[-1].at if rows else self._at
        return 0 if self.finding else len(leaves)

    def end(self) -> None:
        """After the last row: check that there should be no more, and that the log's head is that of these rows."""
        size = self.size
        later = [signed for signed in self._sizes if signed > size]
        if size < self._last:
            self.finding = Finding(size + 1, self._last, "missing: the log ends later")
        elif self._tx.tree.has_beyond(merkle.inner_nodes(size)):
            self.finding = Finding(size + 1, size + 1, "missing: the tree has nodes above it")
        elif later:
            place = self._signed[later[0]][0].place
            self.finding = Finding(self.agreed + 1, later[0], f"differ from the events for which {place} was signed")
        else:
            self.finding = self._head()

    def unlike_head(self) -> Iterator[Finding]:
        """What is wrong with the time and the epoch of the log's head."""
        (head,) = self._tx.audit.heads()
        if head.at != self._at:
            yield Finding(None, None, "the head of the log has another time than its last event")
        if self.records.epoch not in (head.epoch, NOT_LOGGED):
            yield Finding(None, None, "the epoch of the log differs from the epoch in its events")

    def _head(self) -> Finding | None:
        """What is wrong with the tree of the log's head, now that all rows were read."""
        _, edge = self._tx.tree.edge()
        if len(edge) != len(self.edge):
            return Finding(self.size + 1, self.size + 1, "missing: the head of the log is beyond it")
        for place, ours, theirs in zip(merkle.peaks(self.size), self.edge, edge, strict=True):
            if ours != theirs:
                return self._over(place)
        return None

    def _fault(self, seq: int, row: Any) -> Finding | None:
        if row.seq > seq:
            return Finding(seq, row.seq - 1, "missing")
        if row.seq < seq or seq > self._last:
            return Finding(row.seq, row.seq, "added: the log does not count it")
        if _leaf(row) != row.leaf:
            return Finding(seq, seq, "changed: its leaf is of other content")
        return None

    def _replayed(self, rows: Sequence[Any]) -> Finding | None:
        for row in rows:
            try:
                self.records.take(row.at, row.actor, row.action, row.subject_kind, row.subject_id, row.details)
            except (TypeError, ValueError, RecursionError):
                return Finding(row.seq, row.seq, "has details that the service never writes")
        return None

    def _grow(self, leaves: Sequence[bytes]) -> None:
        """Add leaves to the tree, and compare it at each size of a signed checkpoint."""
        begin, end = self.size, self.size + len(leaves)
        stored = dict(self._tx.tree.inner(merkle.inner_nodes(begin), merkle.inner_nodes(end)))
        stops = [size for size in self._sizes if begin < size <= end]
        for stop in [*stops, end]:
            start = self.size
            inner, edge = merkle.grow(start, self.edge, leaves[start - begin : stop - begin])
            for place, node in zip(merkle.inner_subtrees(start, stop), inner, strict=True):
                if stored.get(place.number) != node:
                    self.finding = self._between(place, node, stored.get(place.number))
                    return
            self.size, self.edge = stop, edge
            for signed in self._signed.get(stop, ()) if stop in stops else ():
                if signed.root != merkle.fold(edge):
                    finding = Finding(
                        self.agreed + 1, stop, f"differ from the events for which {signed.place} was signed"
                    )
                    # The comparison with the head may locate it more exactly.
                    self.finding = (self._head() if stop == self._last else None) or finding
                    return
            self.agreed = stop if stop in stops else self.agreed

    def _between(self, place: Subtree, ours: InnerNode, theirs: InnerNode | None) -> Finding:
        if theirs is None or place.level > 1:
            return self._over(place)
        right = theirs.left == ours.left
        return self._over(Subtree(0, place.begin + right))

    def _over(self, place: Subtree) -> Finding:
        if self.agreed >= place.end:
            return Finding(None, None, "the head of the log does not fit its events")
        first = max(place.begin, self.agreed) + 1
        return Finding(first, place.end, "changed: the tree of the log is of other content")


def _leaf(row: Any) -> bytes | None:
    try:
        at = from_microseconds(row.at)
        subject = f"{row.subject_kind}:{row.subject_id}"
        return leaf(row.seq, at, row.actor, row.action, subject, row.details)
    except (TypeError, ValueError, OverflowError):
        # SQLite stores any type in a column.
        return None


def _read(
    tx: Transaction,
    written: Iterable[str],
    keys: Sequence[LogKey],
    signed: dict[int, list[_Signed]],
    outside: str | None,
) -> Iterator[Finding]:
    """Read the checkpoints from outside, the table and the file into `signed`; yield a finding for each bad one."""
    verifiers = [key.verifier for key in keys]
    in_table = ((f"the checkpoint of {size}", size, note) for size, note in tx.checkpoints.all())
    in_file = ((f"checkpoint {number} of the file", None, note) for number, note in enumerate(written, 1))
    from_outside = () if outside is None else (("the checkpoint from outside", None, outside),)
    seen: set[str] = set()
    for place, size, note in (*from_outside, *in_table, *in_file):
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


def _size_of(outside: str | None, keys: Sequence[LogKey]) -> int | None:
    """How many events a checkpoint from outside covers; None if there is none, or it is not of this log."""
    try:
        return None if outside is None else read_checkpoint(outside, [key.verifier for key in keys])[0].size
    except BadNote:
        return None


def _unlike_keys(db: HashDB, keys: Sequence[LogKey], logged: set[str]) -> list[Finding]:
    """A finding for each key of the log that no event has, and for a key of this machine that is not the log's."""
    vkeys = [str(key.verifier) for key in keys]
    reasons = [f"the log's key {vkey} is in no event" for vkey in vkeys if vkey not in logged]
    if db.signing is not None and keys:
        here = db.signing.here(keys[-1].verifier.name)
        if here is not None and str(here) not in vkeys:
            reasons.append(f"the key of this machine, {here}, is not one of the log's")
    return [Finding(None, None, reason) for reason in reasons]
