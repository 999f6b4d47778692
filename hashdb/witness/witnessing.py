"""Witnessing: verify that a submitted checkpoint continues the last one of its log, and cosign it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint, read_checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.notes import KEY_ID_OCTETS, Verifier, signature_line, split_note
from hashdb.errors import BadNote, CheckpointNotSigned, InconsistentLog, MalformedRequest, NotFound, WrongOldSize
from hashdb.witness.state import Cosigned, Refused, WitnessState

log = logging.getLogger("hashdb.witness")


def origin_hash(origin: str) -> str:
    """SHA-256 of the origin of a log, in hex: it names the log in the address of its last cosigned checkpoint."""
    return hashlib.sha256(origin.encode()).hexdigest()


class Witness:
    """Cosigns the checkpoints of the logs that it knows, with one key or more. Thread-safe."""

    def __init__(
        self,
        logs: Iterable[Verifier],
        cosigners: Sequence[Cosigner],
        state: WitnessState,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`logs` are the public keys of the logs. The name of a key is the origin of its log. A log may have several.

        `cosigners` are the keys of the witness. `clock` returns the seconds since 1970.
        """
        verifiers: Mapping[str, list[Verifier]] = defaultdict(list)
        for verifier in logs:
            verifiers[verifier.name].append(verifier)
        self._logs: Mapping[str, Sequence[Verifier]] = dict(verifiers)
        self._cosigners, self._state, self._clock = cosigners, state, clock

    def add_checkpoint(self, text: str) -> str:
        """Verify, store and cosign the submitted checkpoint; return its cosignatures, one a line.

        `text` is the body of the request, a `Submission`. Raises MalformedRequest, NotFound if the log is not known,
        CheckpointNotSigned, WrongOldSize with the size of the last cosigned checkpoint, InconsistentLog, StoreBusy.
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
        if submission.old_size > checkpoint.size:
            raise MalformedRequest(f"the old size {submission.old_size} is above the size of the checkpoint")
        log_keys = {(verifier.name, verifier.id): verifier for verifier in verifiers}
        # Anyone can add signatures to a note: only those by keys of the log are stored. The octets of a signature begin
        # with the id of its key.
        log_signatures = "".join(
            signature_line(verifier, octets[KEY_ID_OCTETS:])
            for name, octets in signatures
            if (verifier := log_keys.get((name, octets[:KEY_ID_OCTETS]))) is not None
        )
        signed_note = f"{body}\n{log_signatures}"
        with self._state.writing():
            last = self._state.cosigned(origin)
            last_size, last_at = (0, 0) if last is None else (last.checkpoint.size, last.at)
            if submission.old_size != last_size:
                raise WrongOldSize(last_size)
            # The times of the cosignatures of a log must not decrease, even if the clock is set back.
            now = max(int(self._clock()), last_at)
            inconsistency = _inconsistency(submission, checkpoint, last)
            if inconsistency is None:
                lines = "".join(cosigner.cosign(body, now) for cosigner in self._cosigners)
                self._state.store(origin_hash(origin), Cosigned(checkpoint, signed_note + lines, now))
                return lines
            last_note = "" if last is None else last.note
            is_new = self._state.refuse(Refused(checkpoint, inconsistency, signed_note, last_note, now))
        if is_new:
            log.error("refused a checkpoint of %s with %d events: %s", origin, checkpoint.size, inconsistency)
        raise InconsistentLog(inconsistency)

    def last_checkpoint(self, hash: str) -> str:
        """The note of a log's last cosigned checkpoint; `hash` is its `origin_hash`. Raises NotFound, StoreBusy."""
        note = self._state.last_note(hash)
        if note is None:
            raise NotFound("a cosigned checkpoint of this log")
        return note


def _inconsistency(submission: Submission, checkpoint: Checkpoint, last: Cosigned | None) -> str | None:
    """Why the submission does not prove that its checkpoint continues the last one; None if it proves it.

    The witness keeps a checkpoint without this proof as evidence. Raises InconsistentLog if the request has a proof
    where none is needed: then the checkpoint is no evidence.
    """
    if checkpoint.size == 0 and checkpoint.root != merkle.EMPTY_ROOT:
        return "the root of the checkpoint without events is wrong"
    if submission.proof and submission.old_size in (0, checkpoint.size):
        raise InconsistentLog("there is nothing to prove between these sizes: send no hashes")
    if submission.old_size == 0 or last is None:
        return None
    cosigned = last.checkpoint
    if checkpoint.size == cosigned.size and checkpoint.root != cosigned.root:
        return "the log signed two trees of the same size"
    if not merkle.extends(cosigned.size, checkpoint.size, cosigned.root, checkpoint.root, submission.proof):
        return "the proof does not show that the log extends the cosigned checkpoint"
    return None
