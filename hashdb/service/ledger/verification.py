"""Verification: compares the events with the Merkle tree and each signed checkpoint, and the tables with the events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Self

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
from hashdb.service.ledger.records import wrong_commitments, wrong_tables
from hashdb.service.stats.counts import wrong_counts
from hashdb.store import Transaction

_ROWS_A_BLOCK = 8_192
"""Rows of events that are read at a time."""
_MOST_FINDINGS = 20
"""The most findings that a job stores, the first ones."""
log = logging.getLogger("hashdb.audit")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and the seqs of the first and the last event concerned (None: no particular event)."""

    first: int | None
    last: int | None
    reason: str

    @classmethod
    def without_event(cls, reason: str) -> Self:
        """A finding that concerns no particular event."""
        return cls(None, None, reason)

    def __str__(self) -> str:
        """The finding as one sentence."""
        if self.first is None:
            return self.reason
        events = f"event {self.first}" if self.first == self.last else f"events {self.first} to {self.last}"
        return f"{events}: {self.reason}"


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A signed checkpoint that was kept outside the service: how many events it covers, and the time of the last."""

    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome: how many events agree, and the root of the tree over them.

    If the events or their tree do not agree, verification stops at the first difference, which is the first finding.
    """

    size: int
    root: bytes
    checkpoints: int
    """How many signed checkpoints agree with the events."""
    findings: tuple[Finding, ...]
    kept: KeptCheckpoint | None = None
    """The kept checkpoint, if one was given and nothing is wrong."""


@dataclass(frozen=True, slots=True)
class _SignedRoot:
    """The root of a checkpoint that one of the log's keys signed, and the words for where the checkpoint is stored."""

    root: bytes
    where: str


_SignedRoots = dict[int, list[_SignedRoot]]
"""The roots of signed checkpoints by size: how many events they cover."""


def verify(
    db: HashDB,
    actor: Actor,
    advance: Callable[[int], object] = lambda count: None,
    kept: str | None = None,
    *,
    signals: bool = False,
) -> Verdict:
    """Recompute each leaf and the whole tree from the events, and compare them with the stored tree and checkpoints.

    If they agree, compare the tables with the records that result from the events, all in one transaction.
    `kept` is the note of a signed checkpoint that was kept outside the service; it is compared like those of the
    service. With `signals`, also compare the signals of each contribution with its commitment.
    `advance` is called with the number of events read since the last call. Raises StoreBusy, BadSetting.
    """
    actor.require(Scope.AUDIT)
    # The file is read first: then the transaction sees all events that its checkpoints cover.
    in_file = () if db.signing is None else db.signing.recorded_checkpoints()
    with db.store.read() as tx:
        if [head.id for head in tx.audit.head_rows()] != [1]:
            return Verdict(0, merkle.EMPTY_ROOT, 0, (Finding.without_event("the log has no head, or more than one"),))
        keys = tx.checkpoints.keys()
        kept_size = _size_of(kept, keys)
        signed: _SignedRoots = {}
        findings = [*_read_checkpoints(tx, in_file, keys, kept, signed)]
        replay = _Replay(tx, signed)
        while count := replay.read_block():
            advance(count)
        if replay.finding is None:
            replay.finish()
        if replay.finding is None:
            findings += replay.head_findings()
            findings += _key_findings(db, keys, replay.records.signers)
            findings += [Finding(seq, seq, reason) for seq, reason in wrong_counts(tx)]
            findings += [Finding(seq, seq, reason) for seq, reason in active_set.differences(db, tx, advance)]
            reasons = [*wrong_tables(tx, replay.records, db.now(), advance)]
            reasons += wrong_commitments(tx, advance) if signals else ()
            reasons += witnesses.wrong_cosignatures(db, tx)
            findings += [Finding.without_event(reason) for reason in reasons]
        else:
            findings.insert(0, replay.finding)
        checkpoints = sum(len(roots) for size, roots in signed.items() if size <= replay.agreed_size)
        kept_checkpoint = None
        if kept_size is not None and not findings:
            last = tx.audit.event(kept_size) if kept_size else tx.audit.head()
            kept_checkpoint = KeptCheckpoint(kept_size, last.at)
        root = merkle.fold(replay.peak_hashes)
        return Verdict(replay.size, root, checkpoints, tuple(findings), kept_checkpoint)


def start(db: HashDB, actor: Actor) -> Verification:
    """Start a job that verifies the log, unless one is running; return the running one."""
    actor.require(Scope.AUDIT)
    return jobs.start(
        db,
        Task.VERIFICATION,
        lambda tx: tx.verifications,
        lambda tx: tx.verifications.add(str(actor), tx.audit.head().seq, db.now()),
        partial(_run_job, db, actor),
    )


def latest(db: HashDB, actor: Actor, limit: int = 5) -> tuple[Verification, ...]:
    """At most `limit` verification jobs, newest first."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.verifications.latest(limit)


def _run_job(db: HashDB, actor: Actor, job: Verification, progress: Progress) -> None:
    """Verify the log, store the outcome of the job, and log it as an event."""
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
    stored_findings = findings[:_MOST_FINDINGS]
    with db.store.begin() as tx:
        now = db.now()
        tx.verifications.end(job.id, outcome, progress.done, checkpoints, stored_findings, now)
        details: Details = {
            "size": job.size,
            "done": progress.done,
            "outcome": str(outcome),
            "checkpoints": checkpoints,
            "findings": secret_tag(canonical({"reasons": stored_findings}).encode()),
        }
        tx.audit.append(now, actor, [LogEntry(Action.VERIFICATION_ENDED, "verification", job.id, details)])


class _Replay:
    """Reads the rows of all events once, in order; recomputes the tree, and the records that result from the events."""

    def __init__(self, tx: Transaction, signed: _SignedRoots) -> None:
        self._tx = tx
        self._last_seq = tx.audit.head().seq
        self._signed = signed
        self._signed_sizes = sorted(signed)
        self._last_at = 0
        """The time of the last row read, in microseconds since 1970."""
        self.size = 0
        """How many events agree so far: the size of the recomputed tree."""
        self.peak_hashes: list[bytes] = []
        """The hashes of the peaks of the recomputed tree."""
        self.agreed_size = 0
        """The size of the largest signed checkpoint so far whose root is that of the recomputed tree."""
        self.records = ExpectedRecords()
        self.finding: Finding | None = None
        """The first difference. No further block may be read after it."""

    def read_block(self) -> int:
        """Read a block of rows and return how many were read; 0 after the last row, or if there is a finding."""
        # The first block has no lower bound: a row may have been added before event 1.
        rows = self._tx.audit.rows(self.size or None, _ROWS_A_BLOCK)
        leaves: list[bytes] = []
        row_finding = None
        for seq, row in enumerate(rows, self.size + 1):
            if row_finding := self._row_finding(seq, row):
                break
            leaves.append(row.leaf)
        self._grow(leaves)
        self.finding = self.finding or row_finding or self._replay_rows(rows)
        self._last_at = rows[-1].at if rows else self._last_at
        return 0 if self.finding else len(leaves)

    def finish(self) -> None:
        """After the last row: check that no event is missing after it, and that the log's head has the same tree."""
        size = self.size
        later_sizes = [signed_size for signed_size in self._signed_sizes if signed_size > size]
        if size < self._last_seq:
            self.finding = Finding(size + 1, self._last_seq, "missing: the log ends later")
        elif self._tx.tree.has_beyond(merkle.count_inner_nodes(size)):
            self.finding = Finding(size + 1, size + 1, "missing: the tree has nodes above it")
        elif later_sizes:
            self.finding = self._differs_from_signed(later_sizes[0], self._signed[later_sizes[0]][0])
        else:
            self.finding = self._peaks_finding()

    def head_findings(self) -> Iterator[Finding]:
        """What is wrong with the time and the epoch of the log's head."""
        (head,) = self._tx.audit.head_rows()
        if head.at != self._last_at:
            yield Finding.without_event("the time in the head of the log differs from that of its last event")
        if self.records.epoch not in (head.epoch, NOT_LOGGED):
            yield Finding.without_event("the epoch of the log differs from the epoch in its events")

    def _peaks_finding(self) -> Finding | None:
        """Where the peaks stored in the log's head differ from the recomputed ones, once all rows were read."""
        _, stored = self._tx.tree.size_and_peaks()
        if len(stored) != len(self.peak_hashes):
            return Finding(self.size + 1, self.size + 1, "missing: the head of the log is beyond it")
        for peak, recomputed_hash, stored_hash in zip(merkle.peaks(self.size), self.peak_hashes, stored, strict=True):
            if recomputed_hash != stored_hash:
                return self._subtree_differs(peak)
        return None

    def _row_finding(self, seq: int, row: Any) -> Finding | None:
        """What is wrong with the row that should be the event `seq`."""
        if row.seq > seq:
            return Finding(seq, row.seq - 1, "missing")
        if row.seq < seq or seq > self._last_seq:
            return Finding(row.seq, row.seq, "added: it is beyond the head of the log")
        if _compute_leaf(row) != row.leaf:
            return Finding(seq, seq, "changed: its content does not match its leaf")
        return None

    def _replay_rows(self, rows: Sequence[Any]) -> Finding | None:
        """Apply the events to the expected records; return a finding for the first one that cannot be applied."""
        for row in rows:
            try:
                self.records.replay(row.at, row.actor, row.action, row.subject_kind, row.subject_id, row.details)
            except (TypeError, ValueError, RecursionError):
                return Finding(row.seq, row.seq, "has malformed details")
        return None

    def _grow(self, leaves: Sequence[bytes]) -> None:
        """Add leaves to the recomputed tree; compare its new inner nodes, and its root at each signed size."""
        begin, end = self.size, self.size + len(leaves)
        stored_nodes = dict(self._tx.tree.inner_nodes(merkle.count_inner_nodes(begin), merkle.count_inner_nodes(end)))
        stops = [size for size in self._signed_sizes if begin < size <= end]
        for stop in [*stops, end]:
            start = self.size
            nodes, peak_hashes = merkle.grow(start, self.peak_hashes, leaves[start - begin : stop - begin])
            for subtree, node in zip(merkle.inner_subtrees(start, stop), nodes, strict=True):
                stored = stored_nodes.get(subtree.number)
                if stored != node:
                    self.finding = self._node_differs(subtree, node, stored)
                    return
            self.size, self.peak_hashes = stop, peak_hashes
            for signed in self._signed.get(stop, ()) if stop in stops else ():
                if signed.root != merkle.fold(peak_hashes):
                    # The comparison with the log's head may locate the difference more exactly.
                    located = self._peaks_finding() if stop == self._last_seq else None
                    self.finding = located or self._differs_from_signed(stop, signed)
                    return
            self.agreed_size = stop if stop in stops else self.agreed_size

    def _differs_from_signed(self, size: int, signed: _SignedRoot) -> Finding:
        """Some event after the last agreeing checkpoint and up to `size` differs from those that were signed."""
        return Finding(self.agreed_size + 1, size, f"do not match {signed.where}")

    def _node_differs(self, subtree: Subtree, recomputed: InnerNode, stored: InnerNode | None) -> Finding:
        """The stored root of a subtree differs. Directly above two leaves, this tells which of them."""
        if stored is None or subtree.level > 1:
            return self._subtree_differs(subtree)
        is_right = stored.left == recomputed.left
        return self._subtree_differs(Subtree(0, subtree.begin + is_right))

    def _subtree_differs(self, subtree: Subtree) -> Finding:
        """An event in the subtree, after the last agreeing checkpoint, differs; if there is none, the stored hash."""
        if self.agreed_size >= subtree.end:
            return Finding.without_event("the head of the log does not match its events")
        first = max(subtree.begin, self.agreed_size) + 1
        return Finding(first, subtree.end, "changed: the events do not match the tree of the log")


def _compute_leaf(row: Any) -> bytes | None:
    """The leaf of an event as it is stored; None if the row has values that the service never writes."""
    try:
        at = from_microseconds(row.at)
        subject = f"{row.subject_kind}:{row.subject_id}"
        return leaf(row.seq, at, row.actor, row.action, subject, row.details)
    except (TypeError, ValueError, OverflowError):
        # SQLite stores any type in a column.
        return None


def _read_checkpoints(
    tx: Transaction, file_notes: Iterable[str], keys: Sequence[LogKey], kept: str | None, signed: _SignedRoots
) -> Iterator[Finding]:
    """Add the roots of the kept checkpoint and those in the table and the file to `signed`; yield what is wrong."""
    verifiers = [key.verifier for key in keys]
    in_table = ((f"the checkpoint of size {size}", size, note) for size, note in tx.checkpoints.all_notes())
    in_file = ((f"checkpoint {number} of the file", None, note) for number, note in enumerate(file_notes, 1))
    from_outside = () if kept is None else (("the checkpoint from outside", None, kept),)
    seen: set[str] = set()
    for where, size, note in (*from_outside, *in_table, *in_file):
        if note in seen:
            continue
        seen.add(note)
        try:
            checkpoint, _ = read_checkpoint(note, verifiers)
        except BadNote as error:
            yield Finding.without_event(f"{where}: {error}")
            continue
        if size not in (None, checkpoint.size):
            yield Finding.without_event(f"{where}: its note is of size {checkpoint.size}")
        signed.setdefault(checkpoint.size, []).append(_SignedRoot(checkpoint.root, where))


def _size_of(kept: str | None, keys: Sequence[LogKey]) -> int | None:
    """How many events the kept checkpoint covers; None if none was given, or it is not of this log."""
    try:
        return None if kept is None else read_checkpoint(kept, [key.verifier for key in keys])[0].size
    except BadNote:
        return None


def _key_findings(db: HashDB, keys: Sequence[LogKey], logged: set[str]) -> list[Finding]:
    """A finding for each key of the log that is not in `logged`, and for a key of this machine that is not the log's.

    `logged` are the vkeys that events record.
    """
    vkeys = [str(key.verifier) for key in keys]
    reasons = [f"no event added the log's key {vkey}" for vkey in vkeys if vkey not in logged]
    if db.signing is not None and keys:
        own_key = db.signing.own_key(keys[-1].verifier.name)
        if own_key is not None and str(own_key) not in vkeys:
            reasons.append(f"the key of this machine, {own_key}, is not a key of the log")
    return [Finding.without_event(reason) for reason in reasons]
