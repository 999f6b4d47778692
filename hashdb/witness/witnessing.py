"""Witnessing: verifies that a submitted checkpoint continues the last one of its log, and cosigns it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import KEY_ID, Checkpoint, Verifier, read_checkpoint, signature_line, split_note
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.errors import BadNote, CheckpointNotSigned, InconsistentLog, MalformedRequest, NotFound, WrongOldSize
from hashdb.witness.state import Cosigned, Refused, WitnessState

log = logging.getLogger("hashdb.witness")


def origin_hash(origin: str) -> str:
    """SHA-256 of the origin of a log, in hex: its name in the address of its last checkpoint."""
    return hashlib.sha256(origin.encode()).hexdigest()


class Witness:
    """Cosigns the checkpoints of some logs with one key or more; thread-safe."""

    def __init__(
        self,
        logs: Iterable[Verifier],
        cosigners: Sequence[Cosigner],
        state: WitnessState,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`logs` are the keys of the logs, whose names are the origins; a log may have several."""
        verifiers: Mapping[str, list[Verifier]] = defaultdict(list)
        for verifier in logs:
            verifiers[verifier.name].append(verifier)
        self._logs: Mapping[str, Sequence[Verifier]] = dict(verifiers)
        self._cosigners, self._state, self._clock = cosigners, state, clock

    def add_checkpoint(self, text: str) -> str:
        """The cosignatures, a line each, of the checkpoint in the body of a request; it is stored first.

        Raises MalformedRequest, NotFound for a log that is not known, CheckpointNotSigned, WrongOldSize with the size
        of the last checkpoint, InconsistentLog, StoreBusy.
        """
        try:
            submission = Submission.parse(text)
            body, signatures = split_note(submission.note)
        except BadNote as error:
            raise MalformedRequest(str(error)) from None
        origin = body.partition("\n")[0]
        verifiers = self._logs.get(origin)
        if verifiers is None:
            raise NotFound(f"the log {origin} in the list of this witness")
        try:
            checkpoint, _ = read_checkpoint(submission.note, verifiers)
        except BadNote as error:
            raise CheckpointNotSigned(origin, str(error)) from None
        if submission.old > checkpoint.size:
            raise MalformedRequest(f"the old size {submission.old} is above the size of the checkpoint")
        known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
        own_signatures = "".join(
            signature_line(verifier, octets[KEY_ID:])
            for name, octets in signatures
            if (verifier := known.get((name, octets[:KEY_ID]))) is not None
        )
        signed = f"{body}\n{own_signatures}"
        with self._state.writing():
            last = self._state.cosigned(origin)
            size, at = (0, 0) if last is None else (last.checkpoint.size, last.at)
            if submission.old != size:
                raise WrongOldSize(size)
            now = max(int(self._clock()), at)
            fault = _fault(submission, checkpoint, last)
            if fault is None:
                lines = "".join(cosigner.cosign(body, now) for cosigner in self._cosigners)
                self._state.put(origin_hash(origin), Cosigned(checkpoint, signed + lines, now))
                return lines
            is_new = self._state.refuse(Refused(checkpoint, fault, signed, "" if last is None else last.note, now))
        if is_new:
            log.error("refused a checkpoint of %s with %d events: %s", origin, checkpoint.size, fault)
        raise InconsistentLog(fault)

    def checkpoint(self, hash: str) -> str:
        """The last cosigned checkpoint of the log whose origin has this hash. Raises NotFound, StoreBusy."""
        note = self._state.note(hash)
        if note is None:
            raise NotFound("a cosigned checkpoint of this log")
        return note


def _fault(submission: Submission, checkpoint: Checkpoint, last: Cosigned | None) -> str | None:
    """Why a checkpoint that the log signed does not seem to continue the last one, or None.

    Raises InconsistentLog if only the request is wrong.
    """
    if checkpoint.size == 0 and checkpoint.root != merkle.EMPTY:
        return "a log without events has another root"
    if submission.hashes and submission.old in (0, checkpoint.size):
        raise InconsistentLog("there is nothing to prove between these sizes: send no hashes")
    if submission.old == 0 or last is None:
        return None
    before = last.checkpoint
    if checkpoint.size == before.size and checkpoint.root != before.root:
        return "the log signed two trees of the same size"
    if not merkle.extends(before.size, checkpoint.size, before.root, checkpoint.root, submission.hashes):
        return "the proof does not show that its tree begins with the one that was cosigned"
    return None
