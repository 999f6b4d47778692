"""Checks a copy against the log: its rows are those committed to, and it has exactly what matches by the log.

An event proves the root of the active set, and a later event each contribution that differs from it. All these events
are in the tree of a checkpoint, which the caller has verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

from hashdb.domain.ledger.active_set import CommittedSet, ServedTree, differences
from hashdb.domain.ledger.events import Action
from hashdb.errors import CheckTooEarly, CopyBehind, LogRewritten
from hashdb.local.committed import CopyTree, altered_ids, count_committed, describe_difference, newest_root, seq_of
from hashdb.local.tables import CopyTables

if TYPE_CHECKING:
    from hashdb.client import Client
    from hashdb.domain.ledger.checkpoints import Checkpoint

MOST_FINDINGS = 100
"""Findings that are reported; a check stops at the last one."""
_ALTERED = "its hashes in the copy do not match the commitment in the log"


@dataclass(frozen=True, slots=True)
class CopyFinding:
    """A contribution of a copy, or missing in it, that is not as the log has it."""

    contribution: int
    reason: str


@dataclass(slots=True)
class CopyCheck:
    """The result of a check of a copy."""

    committed: CommittedSet
    """The root of the active set with which the copy was compared."""
    seq: int
    """The seq up to which the copy has everything."""
    contributions: int
    with_commitment: int
    """How many of the contributions of the copy have a commitment."""
    changed: int = 0
    """How many contributions differ because they changed after the root, as events of the log prove."""
    unproven: int = 0
    """How many differ because they changed after the checkpoint, as a checkpoint signed since then proves."""
    findings: list[CopyFinding] = field(default_factory=list)


def check_copy(
    tables: CopyTables, client: Client, checkpoint: Checkpoint, progress: Callable[[int], None]
) -> CopyCheck:
    """Compare a copy with a verified checkpoint. `progress` is called with the number of contributions that were read.

    Raises CheckTooEarly if the checkpoint does not reach the newest root yet, CopyBehind if the copy does not,
    LogRewritten if the root, or the newest checkpoint, is not of the same log, and what the client raises.
    """
    if not tables.current:
        raise CopyBehind("an earlier version of hashdb made the local copy")
    committed = newest_root(client)
    if committed.seq > checkpoint.size:
        raise CheckTooEarly(
            f"the checkpoint has {checkpoint.size} events, but event {committed.seq} has the root of the active set"
        )
    _prove_root(client, committed, checkpoint)
    with tables.snapshot():
        seq = tables.head().seq
        if seq < committed.covers:
            raise CopyBehind(
                f"the local copy has event {seq}, but the root of the active set covers {committed.covers}"
            )
        contributions, with_commitment = count_committed(tables)
        check = CopyCheck(committed, seq, contributions, with_commitment)
        findings = chain(
            (CopyFinding(id, _ALTERED) for id in altered_ids(tables, progress)),
            _differing(tables, client, check, checkpoint),
        )
        check.findings += islice(findings, MOST_FINDINGS)
    return check


def _differing(tables: CopyTables, client: Client, check: CopyCheck, checkpoint: Checkpoint) -> Iterator[CopyFinding]:
    """The contributions that differ in the copy and in the tree of the root, and that no later event explains.

    Counts in `check` those that one explains.
    """
    committed = check.committed

    def read(level: int, number: int) -> bytes:
        block = client.set_blocks(level, number)
        if block.seq != committed.seq:
            raise CheckTooEarly(f"event {block.seq} has a newer root of the active set")
        return block.hashes

    tree, served = CopyTree(tables), ServedTree(committed.root, read)
    if tree.root == committed.root:
        return
    later: Checkpoint | None = None
    # `differences` yields the ids of the contributions whose leaves differ.
    for id in differences(tree.block, served):
        seq = seq_of(tables, id)
        if seq is not None and seq > checkpoint.size:
            # The feed may say any seq.
            later = later or _newest_checkpoint(client, checkpoint)
            if seq > later.size or not _changed_at(client, id, seq, later):
                yield CopyFinding(id, f"the feed says that it changed with event {seq}, but the log has no such event")
            else:
                check.unproven += 1
        elif seq is not None and seq > committed.covers and _changed_at(client, id, seq, checkpoint):
            check.changed += 1
        else:
            yield CopyFinding(id, describe_difference(tree.block, served, id, committed))


def _newest_checkpoint(client: Client, checkpoint: Checkpoint) -> Checkpoint:
    """The newest checkpoint that the log signed, which continues a verified one. Raises LogRewritten."""
    later = client.check().now
    if later == checkpoint:
        return later
    if later.size <= checkpoint.size or not client.consistency(checkpoint.size, later.size).proves(checkpoint, later):
        raise LogRewritten(f"its newest checkpoint does not continue that of {checkpoint.size} events")
    return later


def _changed_at(client: Client, id: int, seq: int, checkpoint: Checkpoint) -> bool:
    """Whether the log has an event with this seq that changed the contribution."""
    event = client.proven_event(seq, checkpoint)
    changes = event.action in tuple(Action) and Action(event.action).changes_feed
    return event.subject == f"contribution:{id}" and changes


def _prove_root(client: Client, committed: CommittedSet, checkpoint: Checkpoint) -> None:
    """Raise LogRewritten unless the event of a root, which the log has, records this root."""
    event = client.proven_event(committed.seq, checkpoint)
    details = {"root": committed.root.hex(), "count": committed.count, "covers": committed.covers}
    if event.action != Action.SET_COMMITTED or event.details != details:
        raise LogRewritten(f"event {committed.seq} does not have the root of the active set that the service returned")
