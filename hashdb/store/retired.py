"""What was retired, in SQL: the signals near which a contribution waits for a reviewer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from hashdb.domain.audit import Action
from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
from hashdb.domain.shadows import Placed, usual
from hashdb.domain.signals import Algorithm, Signal
from hashdb.store.chunks import chunks
from hashdb.store.tables import cases, contributions, events, masks, signals


class Retired:
    """What was retired, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Over an open connection."""
        self._connection = connection

    def every(self) -> dict[Algorithm, list[bytes]]:
        """The values of all that was ever retired, masked ones too, big-endian; `among` tells what counts now."""
        return self._values(_EVERY, {})

    def since(self, after: int, upto: int) -> dict[Algorithm, list[bytes]]:
        """The same of what events `after` < seq ≤ `upto` retired."""
        return self._values(_SINCE, {"after": after, "upto": upto})

    def among(self, found: Collection[Signal]) -> dict[Signal, int]:
        """Those of the signals that cast a shadow, and the lowest retired contribution of which each does.

        Whatever the status of that contribution is.
        """
        rows: list[tuple[int, int, Signal]] = []
        for algorithm, group in groupby(sorted(found), key=lambda signal: signal.algorithm):
            for octets in chunks([signal.to_bytes() for signal in group]):
                asked = {"algorithm": str(algorithm), "octets": octets}
                for id, place, value in self._connection.execute(_AMONG, asked):
                    rows.append((id, place, Signal.from_bytes(algorithm, value)))
        shadows = self.shadows({id for id, _, _ in rows})
        held: dict[Signal, int] = {}
        for id, place, signal in sorted(rows):
            if place in shadows[id]:
                held.setdefault(signal, id)
        return held

    def shadows(self, ids: Collection[int]) -> dict[int, frozenset[int]]:
        """The places of the signals that cast a shadow once these contributions are retired, by contribution.

        Those of the last decision to retire, or the usual ones where it names none: before it, or by 0.1.0.
        """
        named: dict[int, frozenset[int]] = {}
        for some in chunks(sorted(ids)):
            for id, places in self._connection.execute(_SHADOWS, {"ids": some}):
                named[id] = frozenset(map(int, places))
        placed = self.placed(set(ids) - named.keys())
        return {id: frozenset(usual(signals)) for id, signals in placed.items()} | named

    def placed(self, ids: Collection[int]) -> dict[int, Placed]:
        """The signals of contributions by their place, masked ones too; without any it is empty."""
        found: dict[int, dict[int, Signal]] = {id: {} for id in ids}
        for some in chunks(sorted(ids)):
            for table in (signals, masks):
                columns = table.c.contribution_id, table.c.position, table.c.algorithm, table.c.value
                for id, place, algorithm, value in self._connection.execute(
                    select(*columns).where(table.c.contribution_id.in_(some))
                ):
                    found[id][place] = Signal.from_bytes(Algorithm(algorithm), value)
        return dict(found)

    def _values(self, query: Select[Any], asked: dict[str, int]) -> dict[Algorithm, list[bytes]]:
        found: dict[str, list[bytes]] = defaultdict(list)
        for table in (signals, masks):
            held = select(table.c.algorithm, table.c.value).where(table.c.contribution_id.in_(query))
            for algorithm, value in self._connection.execute(held.distinct(), asked):
                found[algorithm].append(value)
        return {Algorithm(algorithm): values for algorithm, values in found.items()}


_EVERY = select(cases.c.contribution_id).where(cases.c.decision == str(Decision.RETIRE))
_SINCE = select(events.c.subject_id).where(
    events.c.seq > bindparam("after"),
    events.c.seq <= bindparam("upto"),
    events.c.action == str(Action.CONTRIBUTION_RETIRED),
)
_AMONG = (
    select(contributions.c.id, signals.c.position, signals.c.value)
    .join(contributions, contributions.c.id == signals.c.contribution_id)
    .where(
        signals.c.algorithm == bindparam("algorithm"),
        signals.c.value.in_(bindparam("octets", expanding=True)),
        contributions.c.standing == str(Standing.RETIRED),
    )
)
_LATEST = (
    select(func.max(cases.c.id))
    .where(cases.c.contribution_id.in_(bindparam("ids", expanding=True)), cases.c.decision == str(Decision.RETIRE))
    .group_by(cases.c.contribution_id)
)
_SHADOWS = select(cases.c.contribution_id, cases.c.shadow).where(cases.c.id.in_(_LATEST), cases.c.shadow.is_not(None))
