"""Requests of a client about the log: its keys, checkpoints, proofs and receipts, and the check that it only grew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hashdb import wire
from hashdb.connection import ClientRequest, TypedRequests
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, LogRewritten, ServiceError, WitnessesBehind
from hashdb.wire.problems import NOT_HASHDB

if TYPE_CHECKING:
    from hashdb.domain.ledger.active_set import CommittedSet, SetBlock
    from hashdb.domain.ledger.checkpoints import Checkpoint, CheckpointComparison, Consistency, Inclusion, Log
    from hashdb.domain.ledger.events import Event
    from hashdb.domain.ledger.notes import Verifier
    from hashdb.domain.ledger.policies import Cosigned, Policy

_COSIGNED_WITHIN = timedelta(minutes=10)
"""The greatest age of an event that the quorum has not cosigned. The service requests cosignatures each minute."""


class Auditing(TypedRequests):
    """The methods of a client by which everybody can verify the log."""

    def log(self) -> Log:
        """The name of the log, the keys that sign its checkpoints, and the witnesses that cosign them."""
        return self._get(wire.ledger.LogOut, "/v1/log").to_domain()

    def checkpoint(self) -> str:
        """The signed checkpoint of the log, as the text of a note: the number of events, and the root over them."""
        return self._connection.send(ClientRequest("GET", "/v1/checkpoint")).text

    def cosigned_checkpoint(self) -> str:
        """The note, with cosignatures, of the newest checkpoint that the quorum of the operator's witnesses cosigned.

        `Policy.check` says whether it meets a policy of your own. Raises NotCosigned.
        """
        return self._connection.send(ClientRequest("GET", "/v1/checkpoint/cosigned")).text

    def events(self, after: int, limit: int = 1000) -> tuple[Event, ...]:
        """At most `limit` events with seqs above `after`, in order. Raises ServiceError if the answer is not events."""
        page = self._get(wire.ledger.EventsOut, "/v1/events", {"after": after, "limit": limit})
        try:
            return tuple([event.to_domain() for event in page.events])
        except ValueError:
            raise ServiceError(200, NOT_HASHDB) from None

    def inclusion(self, seq: int, size: int) -> Inclusion:
        """The proof that event `seq` is among the first `size` events."""
        return self._get(wire.ledger.InclusionOut, "/v1/proofs/inclusion", {"seq": seq, "size": size}).to_domain()

    def consistency(self, first: int, second: int) -> Consistency:
        """The proof that the log of `second` events begins with the log of `first` events."""
        params = {"first": first, "second": second}
        return self._get(wire.ledger.ConsistencyOut, "/v1/proofs/consistency", params).to_domain()

    def proven_event(self, seq: int, checkpoint: Checkpoint) -> Event:
        """Event `seq`, if it is proven to be in the tree of the checkpoint. Raises LogRewritten if it is not."""
        events = self.events(seq - 1, 1)
        if not events or events[0].seq != seq:
            raise LogRewritten(f"the service did not return event {seq}")
        proof = self.inclusion(seq, checkpoint.size)
        same_leaf = proof.leaf == events[0].computed_leaf and proof.seq == seq
        if not same_leaf or not proof.proves(checkpoint):
            raise LogRewritten(f"event {seq} is not in the tree of the checkpoint")
        return events[0]

    def receipt(
        self,
        seq: int | None = None,
        *,
        subject: tuple[str, int] | None = None,
        action: str | None = None,
        witnessed: bool = False,
    ) -> str:
        """The text of the receipt of event `seq`, or of the last event on a subject such as ("contribution", 17).

        With an `action`, such as `contribution.withdrawn`, it is the last such event on the subject.
        `hashdb.domain.ledger.receipts.Receipt` reads and verifies the text. With `witnessed`, NotCosigned is raised
        while no checkpoint with this event has the cosignatures of the service's quorum.
        """
        kind_and_id = None if subject is None else f"{subject[0]}:{subject[1]}"
        given = {"seq": seq, "subject": kind_and_id, "action": action, "witnessed": 1 if witnessed else None}
        params = {name: value for name, value in given.items() if value is not None}
        return self._connection.send(ClientRequest("GET", "/v1/receipts", params=params)).text

    def set_root(self, *, signed: bool = False) -> CommittedSet:
        """The newest root of the active set, or with `signed` the newest that the service's quorum signed."""
        return self._get(wire.ledger.SetOut, "/v1/set", {"signed": 1} if signed else {}).to_domain()

    def set_blocks(self, level: int, number: int) -> SetBlock:
        """One block of the tree of the active set with the newest root, by its level and its number in this level."""
        return self._get(wire.ledger.SetBlockOut, f"/v1/set/blocks/{level}/{number}").to_domain()

    def sign_set(self, lines: str) -> str:
        """Send cosignatures of a root of the active set, one a line. Return the root's note with all signatures."""
        headers = {"Content-Type": "text/plain"}
        request = ClientRequest("POST", "/v1/set/signatures", text=lines, headers=headers, safe=True)
        return self._connection.send(request).text

    def check(self, kept: str | None = None, witnesses: Policy | None = None) -> CheckpointComparison:
        """Check the log against an earlier checkpoint, whose note was `kept`. None: only verify the newest one.

        With a policy of `witnesses`, also check that its quorum cosigned a checkpoint with which the log begins, and
        that this checkpoint has all events that are older than ten minutes.

        Raises LogRewritten if the log did not only grow since then, BadNote if a checkpoint is malformed or not signed,
        and ScopeMissing if it has grown and this key may not read proofs (scope `audit`). With a policy also
        NotCosigned, NotWitnessed, WitnessesBehind.
        """
        from hashdb.domain.ledger.checkpoints import CheckpointComparison

        # Requested before the newest checkpoint, so that the newest one is at least as large.
        cosigned_note = None if witnesses is None else self.cosigned_checkpoint()
        note, log = self.checkpoint(), self.log()
        current, verifier = _read_signed("the log's checkpoint", note, log)
        cosigned = None
        if witnesses is not None and cosigned_note is not None:
            cosigned = self._check_cosigned(cosigned_note, witnesses, current, log)
        if kept is None:
            return CheckpointComparison(None, current, verifier, new_key=False, note=note, cosigned=cosigned)
        earlier, earlier_verifier = _read_signed("the checkpoint that was kept", kept, log)
        if current.size < earlier.size:
            raise LogRewritten(f"it has {current.size} events, but had {earlier.size} before")
        if current.origin != earlier.origin or not self._only_grew(earlier, current):
            raise LogRewritten(f"its first {earlier.size} events have changed")
        return CheckpointComparison(earlier, current, verifier, verifier != earlier_verifier, note, cosigned)

    def _check_cosigned(self, note: str, witnesses: Policy, current: Checkpoint, log: Log) -> Cosigned:
        """Verify a cosigned checkpoint against the current one, as `check` describes."""
        try:
            cosigned = witnesses.check(note, log.verifiers)
        except BadNote as error:
            raise BadNote(f"the cosigned checkpoint: {error}") from None
        checkpoint = cosigned.checkpoint
        if checkpoint.size > current.size:
            raise LogRewritten(f"it has {current.size} events, but the witnesses cosigned {checkpoint.size}")
        if checkpoint.origin != current.origin or not self._only_grew(checkpoint, current):
            raise LogRewritten(f"its first {checkpoint.size} events differ from those that the witnesses cosigned")
        if checkpoint.size < current.size:
            first = self.proven_event(checkpoint.size + 1, current)
            # Also a time in the future is an error: otherwise a service with such times would never be behind.
            if abs(datetime.now(UTC) - first.at) > _COSIGNED_WITHIN:
                raise WitnessesBehind(checkpoint.size, current.size, format_instant(first.at))
        return cosigned

    def _only_grew(self, earlier: Checkpoint, current: Checkpoint) -> bool:
        # There is no proof between logs of the same size.
        if earlier.size == current.size:
            return earlier.root == current.root
        return self.consistency(earlier.size, current.size).proves(earlier, current)


def _read_signed(name: str, note: str, log: Log) -> tuple[Checkpoint, Verifier]:
    from hashdb.domain.ledger.checkpoints import read_checkpoint

    try:
        return read_checkpoint(note, log.verifiers)
    except BadNote as error:
        raise BadNote(f"{name}: {error}") from None
