"""Rereading: compares every contribution that the service has with the log, in rounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.frames import split_shots
from hashdb.domain.ledger.commitments import commit_lines, item_lines
from hashdb.errors import HashDBError, NotFound, ServiceError
from hashdb.monitor.alarms import Alarm, AlarmKind
from hashdb.monitor.tables import ALL_SIGNALS, MonitorTables, Row
from hashdb.wire.contributions import ContributionOut

if TYPE_CHECKING:
    from hashdb.client import Client

_ROWS_A_PAGE = 1_000
"""Contributions that are read and compared together."""
_MOST_SUSPECTS = 1_000
"""No more contributions are read while so many wait to be judged: each of these is kept, and read at each check."""
_CHANGED_BY_TIME = frozenset({Status.ACTIVE, Status.EXPIRED, Status.SUSPENDED})
"""The statuses between which a contribution changes before an event says so: it expires, or its member is suspended."""
_LOGGED_WITHIN = timedelta(seconds=60)
"""A status that changes with time is shown at once, and logged within this time."""
_MOST_CHANGES = 3
"""Checks in a row at which a contribution may differ because it changed in the meantime."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a contribution; `by_time`: its status may have changed with time and not be logged yet."""

    kind: AlarmKind
    what: str
    by_time: bool = False


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A contribution that differed from the log when it was read; `seq` is the last event on it that was known then."""

    seq: int
    fault: _Fault
    first_at: datetime
    evidence: dict[str, str]
    checks: int = 0
    """At how many checks in a row it differed before."""


class Rereading:
    """Reads the list of contributions piece by piece. What differs is judged once later events are known."""

    def __init__(self, tables: MonitorTables, client: Client, now: Callable[[], datetime]) -> None:
        """Continues the round of the tables."""
        self._tables, self._client, self._now = tables, client, now
        self._suspects: dict[int, _Suspect] = {}

    @property
    def clean_round_began(self) -> datetime | None:
        """When the last complete round in which nothing differed began: what is found now was right then."""
        return self._tables.time("round_held")

    @property
    def is_settled(self) -> bool:
        """Whether nothing that differed waits to be judged, also of a round that an earlier process completed."""
        return not self._suspects and not self._tables.number("round_wrong")

    def read_some(self, seconds: float | None, every: timedelta = timedelta()) -> None:
        """Read contributions for `seconds`, in rounds that begin at least `every` apart.

        Without `seconds`, read all of them in a new round. Raises the errors of the client.
        """
        until = time.monotonic() + (seconds or 0.0)
        after = 0 if seconds is None else self._tables.number("round_after")
        now = self._now()
        began = self._tables.time("round_began")
        if not after and began and now - began < every:
            return
        began = began if after and began else now
        contributions = self._client.contributions(after=after)
        while True:
            page = list(islice(contributions, _ROWS_A_PAGE))
            if any(second <= first for first, second in pairwise([after, *(shown.id for shown in page)])):
                # A list that turns back has no end, and may never come to what it hides.
                raise ServiceError(200, "the list of contributions is not in the order of their ids")
            last = page[-1].id if len(page) == _ROWS_A_PAGE else None
            rows, listed = self._tables.between(after, last), {shown.id: shown for shown in page}
            for id in sorted(listed.keys() | rows.keys()):
                if seconds is not None and len(self._suspects) >= _MOST_SUSPECTS:
                    # The next check judges these, and reads this page again.
                    return
                self._suspect(id, rows.get(id), listed.get(id))
            after = last or 0
            with self._tables.writing():
                self._tables.put(round_after=after, round_began=began)
                if last is None:
                    self._tables.put(round_wrong=len(self._suspects))
                    if not self._suspects:
                        self._tables.put(round_held=began)
            if last is None or (seconds is not None and time.monotonic() > until):
                return

    def judge(self) -> list[Alarm]:
        """The alarms of what differed: call it after later events were replayed."""
        rows, had_suspects = self._tables.rows(self._suspects), bool(self._suspects)
        alarms: list[Alarm] = []
        for id, suspect in list(self._suspects.items()):
            row = rows.get(id)
            late = self._tables.waited_while_answering(suspect.first_at, self._now()) > _LOGGED_WITHIN
            # An event at each check would let an altered contribution wait for ever.
            changed = (0 if row is None else row.seq) != suspect.seq and suspect.checks < _MOST_CHANGES
            fault, now_holds = suspect.fault, True
            # Without an answer, it is read again after the next check.
            with suppress(HashDBError):
                self._suspect(id, row, self._read(id))
                now_holds = id not in self._suspects
            # What changes with time may have changed back before it was logged.
            if not changed and (not fault.by_time or (late and not now_holds)):
                since = self.clean_round_began
                alarms.append(Alarm(fault.kind, fault.what, f"contribution {id}", since, suspect.evidence))
        if had_suspects and not self._suspects:
            self._tables.put(round_wrong=0)
        return alarms

    def _suspect(self, id: int, row: Row | None, shown: Contribution | None) -> None:
        """Compare the row of a contribution by the log with what the service shows of it, and note if they differ."""
        before = self._suspects.pop(id, None)
        if fault := self._fault(id, row, shown):
            evidence = {"log.json": _row_text(row)} if row else {}
            if shown:
                evidence["contribution.json"] = ContributionOut.from_domain(shown).json_text() + "\n"
            first_at = before.first_at if before else self._now()
            checks = before.checks + 1 if before else 0
            self._suspects[id] = _Suspect(row.seq if row else 0, fault, first_at, evidence, checks)

    def _read(self, id: int) -> Contribution | None:
        try:
            return self._client.contribution(id)
        except NotFound:
            return None

    def _fault(self, id: int, row: Row | None, shown: Contribution | None) -> _Fault | None:
        name = f"contribution {id}"
        if row is None:
            planted = f"the service has {name}, but no event of the log added it"
            return _Fault(AlarmKind.CONTRIBUTION_PLANTED, planted) if shown else None
        if shown is None:
            return _Fault(AlarmKind.CONTRIBUTION_REMOVED, f"the log has {name}, but the service does not")
        status, standing = row.state
        if shown.status is not status:
            what = f"{name} is {shown.status} at the service, and {status} by the log"
            by_time = {shown.status, status} <= _CHANGED_BY_TIME
            return _Fault(AlarmKind.CONTRIBUTION_ALTERED, what, by_time=by_time)
        if shown.standing is not standing:
            what = f"{name} is {shown.standing} at the service, and {standing} by the log"
            return _Fault(AlarmKind.CONTRIBUTION_ALTERED, what)
        if not row.state.matches or row.commitment is None:
            return None
        if shown.masked != row.masked or len(shown.undisclosed) > row.masked:
            what = f"{name} has {shown.masked} suppressed signals at the service, and {row.masked} by the log"
            return _Fault(AlarmKind.SIGNALS_HIDDEN, what)
        if row.sealed == ALL_SIGNALS and any(shown.signals):
            what = f"the feed shows {name} as if all its signals were suppressed, but they are not"
            return _Fault(AlarmKind.SIGNALS_HIDDEN, what)
        return None if self._fits_commitment(row, shown) else _Fault(AlarmKind.SIGNALS_ALTERED, describe_altered(id))

    def _fits_commitment(self, row: Row, shown: Contribution) -> bool:
        """Whether the commitment of the log is to the signals that the service shows."""
        if shown.salt is None or shown.commitment != row.commitment:
            return False
        try:
            frames = tuple(self._client.frames(shown.id)) if shown.frame_count else ()
        except ServiceError:
            # The service may fail over what someone wrote to its database.
            return False
        if row.sealed == ALL_SIGNALS and any(frame.matches and frame.signals for frame in frames):
            return False
        lines = item_lines(shown.signals, split_shots(frames), shown.signatures)
        return commit_lines(shown.salt, lines, shown.undisclosed) == row.commitment


def describe_altered(id: int) -> str:
    """The sentence that the signals of a contribution are not those of its commitment."""
    return (
        f"the signals of contribution {id} do not match the commitment in the log: some were altered, removed"
        " or added without an event"
    )


def _row_text(row: Row) -> str:
    commitment = None if row.commitment is None else row.commitment.hex()
    status, standing = row.state
    fields = {"contribution": row.id, "status": status, "standing": standing, "commitment": commitment, "seq": row.seq}
    return json.dumps(fields) + "\n"
