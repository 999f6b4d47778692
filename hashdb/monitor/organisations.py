"""Organisations: their signatures of the root of the active set, and that of this monitor."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hashdb.domain.ledger.cosignatures import Cosigner, SetRoot
from hashdb.domain.ledger.notes import Verifier, read_note
from hashdb.domain.ledger.policies import Policy
from hashdb.errors import BadNote, NotFound, RootNotSigned
from hashdb.monitor.alarms import Alarm, AlarmKind
from hashdb.monitor.replay import Replay
from hashdb.monitor.tables import MonitorTables
from hashdb.monitor.witnessing import FirstSeen

if TYPE_CHECKING:
    from hashdb.client import Client


class Organisations:
    """Compares the served root of the active set with the recorded one, and its signatures with a policy."""

    def __init__(
        self,
        policy: Policy | None,
        signer: Cosigner | None,
        tables: MonitorTables,
        client: Client,
        replay: Replay,
        late_after: timedelta,
    ) -> None:
        """`late_after` is how long the quorum may take to sign a root. Without policy and signer, nothing is read."""
        self._policy, self._signer, self._tables = policy, signer, tables
        self._client, self._replay, self._late_after = client, replay, late_after
        self._seen = FirstSeen(tables, "signing")

    def judge(self, verifiers: Collection[Verifier], now: datetime, *, sign: bool) -> list[Alarm]:
        """The alarms of the served root; with `sign`, sign it if there are none. Raises the errors of the client."""
        if (self._policy is None and self._signer is None) or not self._replay.set_seq:
            return []
        try:
            note = self._client.set_root().note
        except NotFound:
            return []
        since = self._tables.time("signed_at")
        try:
            body, _ = read_note(note, verifiers)
            served = SetRoot.parse(body)
        except BadNote as error:
            what = f"the root of the active set that the service serves does not verify: {error}"
            return [Alarm(AlarmKind.UNKNOWN_KEY, what, "the active set", since, {"set.txt": note})]
        if served.seq != self._replay.set_seq:
            # A later root: the next check has its event.
            return []
        if (served.origin, served.root) != (self._tables.text("origin"), self._replay.set_root):
            what = f"the service serves another root of the active set for event {served.seq} than the events give"
            return [Alarm(AlarmKind.SET_DIFFERS, what, "the active set", since, {"set.txt": note})]
        if sign and self._signer is not None and served.seq > self._tables.number("own_seq"):
            note = self._client.sign_set(self._signer.cosign(served.body, int(now.timestamp())))
            self._tables.put(own_seq=served.seq)
        return self._unsigned(note, served, verifiers, now)

    def _unsigned(self, note: str, served: SetRoot, verifiers: Collection[Verifier], now: datetime) -> list[Alarm]:
        """The alarm if the quorum has signed no root for long."""
        if self._policy is None:
            return []
        try:
            self._policy.check_root(note, verifiers)
            self._tables.put(signed_seq=served.seq, signed_at=now)
        except (BadNote, RootNotSigned):
            pass
        self._seen.note(served.seq, now)
        waiting = self._seen.time_first_above(self._tables.number("signed_seq"))
        if waiting is None or self._tables.waited_while_answering(waiting, now) <= self._late_after:
            return []
        what = (
            f"the quorum of organisations signed no root of the active set since event"
            f" {self._tables.number('signed_seq')}; the newest is of event {served.seq}"
        )
        return [Alarm(AlarmKind.SET_UNSIGNED, what, since=self._tables.time("signed_at"), evidence={"set.txt": note})]
