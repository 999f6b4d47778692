"""Witnesses: ask them to cosign each stored checkpoint (c2sp.org/tlog-witness), and keep their cosignatures."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPConnection, HTTPException
from threading import Thread
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import parse_checkpoint
from hashdb.domain.ledger.cosignatures import SUBMISSION_PATH, Submission, WitnessKey
from hashdb.domain.ledger.notes import KEY_ID_OCTETS, signature_line, split_note
from hashdb.domain.ledger.policies import Policy, Witness
from hashdb.domain.sharing.webhooks import Trouble
from hashdb.errors import BadNote, NotCosigned, Unavailable
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.sharing.safe_http import connect, request_target, resolve, trouble_of
from hashdb.store import Transaction
from hashdb.store.ledger.tree import StoredCheckpoint
from hashdb.store.ledger.witnesses import WitnessState

LEASE = timedelta(minutes=2)
"""After this time, an attempt counts as lost, and another process may ask the witness."""
_SECONDS: Final = 10.0
"""Seconds for all requests of one connection; then it is closed."""
_BYTES: Final = 65_536
"""The most bytes of an answer that are read. A cosignature with ML-DSA-44 has 3,300."""
_ATTEMPTS: Final = 3
"""Submissions of one checkpoint to a witness that has cosigned another size than expected."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
"""The pause after a failure: the first one, and the one that longer pauses are limited to."""
_RECENT: Final = 10
"""Checkpoints whose cosignatures are kept, beside the newest one that has the quorum."""
_RETRY_AFTER: Final = 60
"""Seconds after which a client asks again for what is not cosigned yet."""
_TROUBLES = {
    Trouble.ADDRESS_REFUSED: "this service may not connect to its address, see HASHDB_WEBHOOK_NETWORKS",
    Trouble.NAME_UNKNOWN: "its host name has no address",
    Trouble.CERTIFICATE: "its certificate is not valid for its host",
    Trouble.TOO_SLOW: "it took too long to answer",
    Trouble.NOT_CONNECTED: "it does not answer",
    Trouble.NO_ANSWER: "it does not answer",
}
_SIZE = re.compile(r"(0|[1-9][0-9]{0,15})\n?", re.ASCII)
log = logging.getLogger("hashdb.witnesses")


class Reply(NamedTuple):
    """The status and the text of a witness's answer."""

    status: int
    text: str


Send = Callable[[Submission], Reply]
"""Sends a checkpoint to a witness. Raises OSError, HTTPException, ValueError."""
Connect = Callable[[Witness], AbstractContextManager[Send]]
"""Opens requests to a witness for a block."""


class _NotSignedError(Exception):
    """Why a witness did not cosign. `refused`: it found that the log does not contain what it cosigned before."""

    def __init__(self, trouble: str, *, refused: bool = False) -> None:
        super().__init__(trouble)
        self.trouble, self.refused = trouble, refused


def ask(db: HashDB, connect_to: Connect | None = None) -> int:
    """Ask each witness that is due to cosign the newest stored checkpoint; return how many were due.

    Any number of processes may call it: one asks a witness at a time. A slow witness does not delay another one.
    """
    policy = db.rules.witnesses
    if policy is None:
        return 0
    with db.store.read() as tx:
        last, by_named_id = tx.checkpoints.last(), tx.witness_states.by_named_id()
    if last is None:
        return 0
    now, size = db.now(), last.size
    due = [
        witness for witness in policy.witnesses_with_url if _is_due(by_named_id.get(witness.key.named_id), size, now)
    ]
    ask_one = partial(_ask_and_log, db, policy, connect_to or partial(connection_to, egress=db.rules.egress))
    # Daemons: they do not delay the end of the process, and what is cut off is asked again.
    threads = [Thread(target=ask_one, args=(witness,), name="witness", daemon=True) for witness in due]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(due)


def _is_due(state: WitnessState | None, size: int, now: datetime) -> bool:
    """Whether a witness has not cosigned `size` events yet, and its pause is over.

    A pause that ends later than the longest one could was set by a clock that was ahead: it counts as over.
    """
    return state is None or (state.size < size and not now < (state.next_at or now) <= now + _LONGEST_PAUSE)


def _ask_and_log(db: HashDB, policy: Policy, connect_to: Connect, witness: Witness) -> None:
    try:
        _ask(db, policy, connect_to, witness)
    except Unavailable as error:
        log.warning("the witness %s was not asked: %s", witness.name, error)
    except Exception as error:
        db.background.failed(Task.WITNESSES, error)


def _ask(db: HashDB, policy: Policy, connect_to: Connect, witness: Witness) -> None:
    """Ask one witness, unless another process does, and store its cosignature or why there is none."""
    named_id = witness.key.named_id
    with db.store.begin() as tx:
        now = db.now()
        state = tx.witness_states.claim(named_id, now, now + LEASE, now + _LONGEST_PAUSE)
    if state is None:
        return
    try:
        with connect_to(witness) as send:
            size, line = _submit(db, witness.key, state.size, send)
    except _NotSignedError as error:
        _store_trouble(db, witness, state, error)
        return
    except (OSError, HTTPException, ValueError) as error:
        is_binary = isinstance(error, UnicodeDecodeError)
        trouble = "its answer is not text" if is_binary else _TROUBLES[trouble_of(error)]
        _store_trouble(db, witness, state, _NotSignedError(trouble))
        return
    if state.trouble is not None:
        log.warning("the witness %s cosigns again", witness.name)
    with db.store.begin() as tx:
        now = db.now()
        tx.cosignatures.put(size, named_id, line, now)
        tx.witness_states.set(named_id, WitnessState(size, now, now))
        cosigned = newest_cosigned(tx, policy)
        # Witnesses are asked about the newest checkpoint only, so that an older one does not get the quorum any more.
        recent = [*tx.cosignatures.lines_by_size()][:_RECENT]
        tx.cosignatures.keep_only([*recent, cosigned.size] if cosigned else recent)


def _store_trouble(db: HashDB, witness: Witness, state: WitnessState, error: _NotSignedError) -> None:
    now = db.now()
    since = state.failing_since or now
    # Once it has refused the log, that stays until it cosigns again.
    refused = error.refused or state.refused
    pause = min(max((now - since) / 4, _SHORTEST_PAUSE), _LONGEST_PAUSE)
    failed = WitnessState(state.size, state.at, now + pause, since, error.trouble, refused)
    with db.store.begin() as tx:
        tx.witness_states.set(witness.key.named_id, failed)
    if error.refused:
        log.error("the witness %s refuses the log: %s", witness.name, error.trouble)
    elif error.trouble != state.trouble:
        log.warning("the witness %s does not cosign: %s", witness.name, error.trouble)


def _submit(db: HashDB, key: WitnessKey, old_size: int, send: Send) -> tuple[int, str]:
    """Submit the newest stored checkpoint; return its size, and the line of the witness's cosignature.

    `old_size` is the size that the witness cosigned last, as far as is known. Raises _NotSignedError, and as `Send`.
    """
    for _ in range(_ATTEMPTS):
        submission = _submission(db, old_size)
        reply = send(submission)
        checkpoint = parse_checkpoint(split_note(submission.note)[0])
        if reply.status == 200:
            return checkpoint.size, _verified_line(key, submission.note, reply.text)
        if reply.status != 409:
            raise _refusal(reply.status, checkpoint.origin)
        size = _SIZE.fullmatch(reply.text)
        if not size or (int(size[1]) == old_size and old_size != checkpoint.size):
            raise _NotSignedError("its 409 answer does not contain the size of a different checkpoint")
        if int(size[1]) == old_size:
            # It cosigned another root of this size. Until version 1.0.0, the specification had 409 for this, too.
            raise _refusal(422, checkpoint.origin)
        old_size = int(size[1])
        if old_size > checkpoint.size:
            raise _ahead(db, old_size)
    raise _NotSignedError("another program submits checkpoints of this log at the same time")


def _submission(db: HashDB, old_size: int) -> Submission:
    """The newest stored checkpoint, with the proof that its tree begins with the tree of `old_size`."""
    with db.store.read() as tx:
        last = tx.checkpoints.last()
        assert last is not None
        hashes = tx.tree.proof(merkle.consistency(old_size, last.size)) if 0 < old_size < last.size else ()
    return Submission(old_size, hashes, last.note)


def _verified_line(key: WitnessKey, note: str, text: str) -> str:
    """The line of the witness's cosignature in its answer, which fits the note."""
    try:
        body, signatures = split_note(note + text)
    except BadNote:
        raise _NotSignedError("its answer has no signature lines") from None
    for name, octets in signatures:
        if (name, octets[:KEY_ID_OCTETS]) == (key.name, key.id):
            if key.signed_at(body, octets[KEY_ID_OCTETS:]) is None:
                raise _NotSignedError("its cosignature is not valid for the checkpoint")
            return signature_line(key, octets[KEY_ID_OCTETS:])
    raise _NotSignedError("its answer has no cosignature by the key of the policy")


def _refusal(status: int, origin: str) -> _NotSignedError:
    if status == 422:
        return _NotSignedError("the log does not extend the checkpoint that it cosigned last", refused=True)
    troubles = {403: f"it does not know the key that signs {origin}", 404: f"it does not know the log {origin}"}
    return _NotSignedError(troubles.get(status, f"it answered {status}"))


def _ahead(db: HashDB, size: int) -> _NotSignedError:
    """The error for a witness that has cosigned more events than the newest stored checkpoint has."""
    with db.store.read() as tx:
        head = tx.audit.head().seq
    if size <= head:
        # Somebody submitted what GET /v1/checkpoint signed; the next stored checkpoint has more events.
        return _NotSignedError("it has cosigned a newer checkpoint; the service asks again with the next one")
    return _NotSignedError(
        f"it cosigned {size} events, but the log has only {head}: the log was restored to an earlier state",
        refused=True,
    )


@contextmanager
def connection_to(witness: Witness, egress: EgressPolicy) -> Iterator[Send]:
    """Requests to a witness over one connection, for as long as the witness keeps it open."""
    parts = urlsplit(f"{(witness.url or '').rstrip('/')}/{SUBMISSION_PATH}")
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "hashdb-log"}
    connection: HTTPConnection | None = None
    with ExitStack() as stack:

        def send(submission: Submission) -> Reply:
            nonlocal connection
            if connection is None or connection.sock is None:
                connection = stack.enter_context(connect(parts, resolve(parts, egress.permits), _SECONDS))
            connection.request("POST", request_target(parts), str(submission).encode(), headers)
            with connection.getresponse() as response:
                octets = response.read(_BYTES)
                return Reply(response.status, octets.decode())

        yield send


def newest_cosigned(tx: Transaction, policy: Policy) -> StoredCheckpoint | None:
    """The newest stored checkpoint that the quorum cosigned. All its cosignatures are added to its note."""
    lines = tx.cosignatures.lines_by_size()
    # A policy whose quorum is no witness at all: every checkpoint has it, also one without cosignatures.
    if policy.has_quorum(()) and (last := tx.checkpoints.last()) is not None:
        lines = {last.size: {}} | lines if last.size not in lines else lines
    for size in sorted(lines, reverse=True):
        stored = tx.checkpoints.get(size)
        if stored is not None and policy.has_quorum([key for key in policy.keys if key.named_id in lines[size]]):
            return stored._replace(note=stored.note + "".join(lines[size].values()))
    return None


def wrong_cosignatures(db: HashDB, tx: Transaction) -> Iterator[str]:
    """A sentence on each stored cosignature by a witness of the policy that does not fit its checkpoint."""
    policy = db.rules.witnesses
    if policy is None:
        return
    keys = {key.named_id: key for key in policy.keys}
    for size, lines in tx.cosignatures.lines_by_size().items():
        stored = tx.checkpoints.get(size)
        for name in lines.keys() & keys.keys():
            try:
                fits = stored is not None and _verified_line(keys[name], stored.note, lines[name]) == lines[name]
            except _NotSignedError:
                fits = False
            if not fits:
                yield (
                    f"the cosignature of {name} is not valid for the checkpoint of size {size}: delete its row in"
                    " cosignatures"
                )


def cosigned(db: HashDB) -> StoredCheckpoint:
    """The newest stored checkpoint that the quorum of witnesses cosigned, with their lines. Raises NotCosigned."""
    policy = db.rules.witnesses
    if policy is None:
        raise NotCosigned("this log has no witnesses: its operator set no HASHDB_WITNESSES", _RETRY_AFTER)
    with db.store.read() as tx:
        stored = newest_cosigned(tx, policy)
    if stored is None:
        raise NotCosigned("no checkpoint has the cosignatures of the quorum yet: try again", _RETRY_AFTER)
    return stored


def states(db: HashDB, tx: Transaction) -> tuple[tuple[Witness, WitnessState], ...]:
    """The witnesses that this service asks, with what it knows of each."""
    policy = db.rules.witnesses
    if policy is None:
        return ()
    by_named_id = tx.witness_states.by_named_id()
    return tuple(
        (witness, by_named_id.get(witness.key.named_id, WitnessState())) for witness in policy.witnesses_with_url
    )


def uncosigned_time(db: HashDB, tx: Transaction) -> timedelta:
    """For how long the first checkpoint after the newest cosigned one has waited for the quorum; 0 if none waits."""
    policy = db.rules.witnesses
    if policy is None:
        return timedelta(0)
    cosigned = newest_cosigned(tx, policy)
    since = tx.checkpoints.signed_after(0 if cosigned is None else cosigned.size)
    return timedelta(0) if since is None else max(db.now() - since, timedelta(0))
