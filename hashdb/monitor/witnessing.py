"""Witnessing: what witnesses cosigned of the log; and since when a size of the log is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hashdb.connection import read_text
from hashdb.domain.ledger.checkpoints import Checkpoint, read_checkpoint
from hashdb.domain.ledger.cosignatures import WitnessKey, cosigners
from hashdb.domain.ledger.notes import Verifier
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.times import format_instant, parse_instant
from hashdb.errors import BadNote, NotCosigned, NotFound, NotWitnessed
from hashdb.monitor.alarms import Alarm, AlarmKind
from hashdb.monitor.replay import Replay
from hashdb.monitor.tables import MonitorTables

if TYPE_CHECKING:
    from hashdb.client import Client

_TIMEOUT = 5.0  # Seconds, for the answer of a witness.
_MOST_SEEN = 1_000  # sizes of the log that are kept
_LAST_SECOND = 253_402_300_799
"""The last second of the calendar."""
_FRESH = timedelta(hours=26)
"""How old the newest cosignature may be. The log grows each day, since an event says that the monitor read the feed."""


class FirstSeen:
    """When each size of the log was first seen by a check. The state of the tables has it under a key."""

    def __init__(self, tables: MonitorTables, key: str) -> None:
        """Reads what earlier checks saw."""
        self._tables, self._key = tables, key
        # Sizes of the log, in ascending order, each with the time of the first check that saw it.
        self._seen = [(size, parse_instant(at)) for size, at in json.loads(tables.text(key) or "[]")]

    def note(self, size: int, at: datetime) -> None:
        """Note that the log has so many events at a time."""
        if not self._seen or size > self._seen[-1][0]:
            self._seen = [*self._seen, (size, at)][-_MOST_SEEN:]
            text = json.dumps([(size, format_instant(at)) for size, at in self._seen])
            self._tables.put(**{self._key: text})

    def time_first_above(self, size: int) -> datetime | None:
        """When an event after the first `size` was first seen; None if none was. Forgets what was seen before."""
        self._seen = [(seen, at) for seen, at in self._seen if seen > size] or self._seen[-1:]
        return next((at for seen, at in self._seen if seen > size), None)


@dataclass(frozen=True, slots=True)
class Notes:
    """The cosigned checkpoints of the service (None: it has none) and of witnesses, read before its newest one."""

    cosigned: str | None
    by_witness: dict[str, str] = field(default_factory=dict)


class Witnessing:
    """Compares the cosigned checkpoints with the log that was replayed."""

    def __init__(
        self, policy: Policy, tables: MonitorTables, client: Client, replay: Replay, late_after: timedelta
    ) -> None:
        """`late_after` is how long the quorum may take to cosign an event."""
        self._policy, self._tables, self._client = policy, tables, client
        self._replay, self._late_after = replay, late_after
        self._seen = FirstSeen(tables, "witnessing")

    def read(self, origin: str) -> Notes:
        """The newest cosigned checkpoint of the service, and what the witnesses serve themselves of the log."""
        try:
            cosigned = self._client.cosigned_checkpoint()
        except (NotCosigned, NotFound):
            cosigned = None
        path = f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"
        urls = {witness.name: witness.url.rstrip("/") + path for witness in self._policy.witnesses if witness.url}
        texts = {name: read_text(url, _TIMEOUT) for name, url in urls.items()}
        return Notes(cosigned, {name: text for name, text in texts.items() if text})

    def judge(self, notes: Notes, checkpoint_note: str, verifiers: Collection[Verifier], now: datetime) -> list[Alarm]:
        """The alarms of these notes, after the log was replayed up to the checkpoint in `checkpoint_note`."""
        size, since = self._replay.size, self._agreed_at
        alarms: list[Alarm] = []
        cosigned_size = 0
        if notes.cosigned is not None:
            try:
                checkpoint, cosigned_at = self._policy.check(notes.cosigned, verifiers)
                if what := self._unlike(checkpoint):
                    what = f"the cosigned checkpoint of the service {what}"
                    evidence = {"checkpoint.txt": checkpoint_note, "cosigned.txt": notes.cosigned}
                    alarms.append(Alarm(AlarmKind.WITNESS_DIFFERS, what, since=since, evidence=evidence))
                else:
                    cosigned_size = checkpoint.size
                    alarms += self._old(cosigned_at, notes, now)
                    self._tables.put(witnessed_at=now)
            except (BadNote, NotWitnessed):
                pass
        alarms += self._unlike_witnesses(notes, checkpoint_note, verifiers)
        self._seen.note(size, now)
        waiting = self._seen.time_first_above(cosigned_size)
        if not alarms and waiting is not None and self._tables.waited_while_answering(waiting, now) > self._late_after:
            what = (
                f"the quorum of witnesses cosigned {cosigned_size} of {size} events; the first later event was seen at"
                f" {format_instant(waiting)}"
            )
            evidence = {"checkpoint.txt": checkpoint_note, "cosigned.txt": notes.cosigned or ""}
            alarms.append(Alarm(AlarmKind.NOT_WITNESSED, what, since=since, evidence=evidence))
        return alarms

    def _old(self, cosigned_at: Mapping[WitnessKey, int], notes: Notes, now: datetime) -> list[Alarm]:
        """The alarm if the quorum cosigned nothing for a day: a service that is frozen may hide all later events.

        `cosigned_at` has the seconds since 1970 at which each witness cosigned.
        """
        keys = sorted(cosigned_at, key=lambda key: -cosigned_at[key])
        quorum = next(
            (keys[: count + 1] for count in range(len(keys)) if self._policy.has_quorum(keys[: count + 1])), None
        )
        if not quorum:
            return []
        at = datetime.fromtimestamp(min(cosigned_at[quorum[-1]], _LAST_SECOND), UTC)
        if now - at <= _FRESH:
            return []
        what = (
            f"the newest checkpoint that the quorum cosigned dates from {format_instant(at)}: you may be shown an old"
            " log"
        )
        evidence = {"cosigned.txt": notes.cosigned or ""}
        return [Alarm(AlarmKind.NOT_WITNESSED, what, since=self._agreed_at, evidence=evidence)]

    def _unlike_witnesses(self, notes: Notes, checkpoint_note: str, verifiers: Collection[Verifier]) -> list[Alarm]:
        """The alarms of what the witnesses serve themselves; what is no checkpoint that they cosigned is ignored."""
        alarms: list[Alarm] = []
        for witness in self._policy.witnesses:
            theirs = notes.by_witness.get(witness.name)
            if theirs is None:
                continue
            try:
                checkpoint, _ = read_checkpoint(theirs, self._policy.logs or verifiers)
                signed = cosigners(theirs, [witness.key])
            except BadNote:
                continue
            if signed and (what := self._unlike(checkpoint)):
                what = f"witness {witness.name} was shown another log than you: its checkpoint {what}"
                evidence = {"checkpoint.txt": checkpoint_note, "witness.txt": theirs}
                subject = f"witness {witness.name}"
                alarms.append(Alarm(AlarmKind.WITNESS_DIFFERS, what, subject, self._agreed_at, evidence))
        return alarms

    def _unlike(self, checkpoint: Checkpoint) -> str | None:
        """How a checkpoint contradicts the replayed log; None if it is of the same log."""
        size, root = self._replay.size, self._replay.root
        if checkpoint.origin != self._tables.text("origin"):
            return f"is of the log {checkpoint.origin}"
        if checkpoint.size > size:
            return f"has {checkpoint.size} events, and the log that the service shows you has {size}"
        if checkpoint.size == size:
            fits = checkpoint.root == root
        else:
            proof = self._client.consistency(checkpoint.size, size)
            fits = proof.proves(checkpoint, Checkpoint(checkpoint.origin, size, root))
        return None if fits else f"of {checkpoint.size} events is not of the log that the service shows you"

    @property
    def _agreed_at(self) -> datetime | None:
        """When a cosigned checkpoint last agreed with the log; None: never."""
        return self._tables.time("witnessed_at")
