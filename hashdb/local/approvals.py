"""Approvals: a copy has only what organisations signed, which the root of the active set proves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from hashdb.domain.ledger.active_set import BLOCK_NODES, ServedTree, differences
from hashdb.domain.ledger.cosignatures import SetRoot
from hashdb.domain.ledger.notes import Verifier, split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.times import from_microseconds, to_microseconds
from hashdb.errors import BadNote, CopyNotApproved, LogRewritten, NotAsLogged, RootNotSigned, Unavailable
from hashdb.local.committed import CopyTree, FeedRead, describe_difference, newest_root, put_back, seq_of
from hashdb.local.tables import CopyTables

if TYPE_CHECKING:
    from hashdb.client import Client
    from hashdb.domain.ledger.active_set import CommittedSet

APPROVED_FOR: Final = timedelta(hours=24)
"""How long a copy is used after its last approval."""
_MOST_ROOTS: Final = 10
"""At how many roots in a row a contribution may differ, because the feed says that it changed after each of them."""
_RETRY_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Approval:
    """The signed root that a copy has, and when the copy was last compared with the service's root."""

    note: str
    covers: int
    """The seq of the last event that the root takes into account."""
    at: datetime
    logs: tuple[str, ...]
    """The public keys of the log (vkeys), of which one signed the note."""
    pending: Mapping[int, int] = field(default_factory=dict)
    """The contributions that changed after the root, and of which the copy has an earlier state. Each has the number of
    roots in a row at which that was so."""

    @property
    def text(self) -> str:
        """The approval in JSON, as the copy stores it."""
        pending = {str(id): roots for id, roots in self.pending.items()}
        fields = {"note": self.note, "covers": self.covers, "at": to_microseconds(self.at), "logs": self.logs}
        return json.dumps(fields | {"pending": pending})

    @classmethod
    def parse(cls, text: str) -> Approval:
        """The inverse of `text`."""
        fields = json.loads(text)
        pending = {int(id): int(roots) for id, roots in fields["pending"].items()}
        at = from_microseconds(fields["at"])
        return cls(fields["note"], fields["covers"], at, tuple(fields["logs"]), pending)

    @property
    def seq(self) -> int:
        """The seq of the event that has the root, as it is signed."""
        return SetRoot.parse(split_note(self.note)[0]).seq

    def has_root(self, committed: CommittedSet) -> bool:
        """Whether the copy has this root."""
        return self.seq == committed.seq


def find_approval(text: str | None, policy: Policy) -> Approval | None:
    """The approval in this text of a copy, if the organisations of the policy signed its root. Raises ExtraMissing."""
    approval = None if text is None else Approval.parse(text)
    if approval is not None:
        try:
            policy.check_root(approval.note, [Verifier.parse(vkey) for vkey in approval.logs])
        except (BadNote, RootNotSigned):
            return None
    return approval


def require_recent(approval: Approval | None, now: datetime) -> None:
    """Raise CopyNotApproved without an approval, or if it is too old."""
    if approval is None:
        reason = "the root of the copy matches none that its organisations signed"
        raise CopyNotApproved(_RETRY_SECONDS, f"{reason}; sync it with this policy")
    if now - approval.at > APPROVED_FOR:
        hours = int((now - approval.at).total_seconds() / 3_600)
        raise CopyNotApproved(_RETRY_SECONDS, f"it was last approved {hours} hours ago; sync it")


class Approver:
    """Compares a copy with the newest root of the active set that the organisations of a policy signed."""

    def __init__(self, client: Client, policy: Policy) -> None:
        """Requests nothing yet."""
        self._client, self._policy = client, policy
        self._tree: CopyTree | None = None
        self._tables: CopyTables | None = None

    def newest(self, tables: CopyTables) -> tuple[CommittedSet, Approval | None]:
        """The newest root, which is signed, and the approval of the copy so far (None: none that meets the policy).

        Raises RootNotSigned, BadNote, CheckTooEarly while there is no root, LogRewritten if the root is older than the
        one that the copy has, and what the client raises.
        """
        committed = newest_root(self._client)
        root = self._policy.check_root(committed.note, self._logs())
        if (root.seq, root.root) != (committed.seq, committed.root):
            raise BadNote("the root of the active set differs from the signed one")
        before = find_approval(tables.approval(), self._policy)
        # No signature is over `covers`, so the service could say that an old root covers more.
        if before is not None and (root.seq < before.seq or committed.covers < before.covers):
            raise LogRewritten(
                f"its newest root of the active set is of event {root.seq} and covers {committed.covers} events, but an"
                f" earlier one was of event {before.seq} and covered {before.covers}"
            )
        return committed, before

    def approve(
        self, tables: CopyTables, committed: CommittedSet, before: Approval | None, read: FeedRead, now: datetime
    ) -> None:
        """Store the approval of a copy by a root, after the feed was read up to that root.

        `committed` is the root, and `before` the earlier approval, both from `newest`; `read` is what the feed had.
        The feed has the present state of what changed after the root. Such a contribution gets the state back that it
        had in the copy, which an earlier root approved, or is removed. Raises NotAsLogged for anything else that
        differs, and Unavailable if there is a newer root by now.
        """
        if self._tree is None or self._tables is not tables:
            self._tree, self._tables = CopyTree(tables), tables
        self._tree.mark_changed(read.blocks)
        at = now
        if before is not None and before.has_root(committed) and (read.deferred or before.pending):
            # Some contributions wait for the next root: without one, the approval gets too old.
            at = before.at
        if before is not None and before.has_root(committed) and not read.blocks:
            pending = dict(before.pending)
        else:
            pending = self._differing(self._tree, tables, committed, before, read)
            if pending:
                put_back(tables, pending, committed.covers, remove=before is None)
                self._tree.mark_changed({id // BLOCK_NODES for id in pending})
        logs = tuple(str(verifier) for verifier in self._logs())
        approval = Approval(committed.note, committed.covers, at, logs, pending)
        tables.approve(approval.text, at)

    def _differing(
        self, tree: CopyTree, tables: CopyTables, committed: CommittedSet, before: Approval | None, read: FeedRead
    ) -> dict[int, int]:
        """The contributions that differ because they changed after the root, each with at how many roots in a row."""
        if tree.root == committed.root:
            return {}
        pending: dict[int, int] = {}
        served = ServedTree(committed.root, lambda level, number: self._block(committed.seq, level, number))
        for id in differences(tree.block, served):
            pending[id] = 1 if before is None else before.pending.get(id, 0) + (not before.has_root(committed))
            if id not in read.deferred and (seq_of(tables, id) or 0) <= committed.covers:
                raise NotAsLogged(id, describe_difference(tree.block, served, id, committed))
            if pending[id] > _MOST_ROOTS:
                raise NotAsLogged(
                    id, f"at {_MOST_ROOTS} roots in a row, the feed said that it had changed after the root"
                )
        return pending

    def forget(self) -> None:
        """Compute everything again: what was stored since was rolled back."""
        self._tree = None

    def _logs(self) -> tuple[Verifier, ...]:
        return self._policy.logs or self._client.log().verifiers

    def _block(self, seq: int, level: int, number: int) -> bytes:
        block = self._client.set_blocks(level, number)
        if block.seq != seq:
            raise Unavailable(_RETRY_SECONDS)
        return block.hashes
