"""What was retired, in SQL: the values near which a contribution waits for a reviewer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from hashdb.domain.audit import Action
from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
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
        """Those of the signals that a retired contribution holds, whatever its status, and the first that does."""
        held: dict[Signal, int] = {}
        for algorithm, group in groupby(sorted(found), key=lambda signal: signal.algorithm):
            for octets in chunks([signal.to_bytes() for signal in group]):
                asked = {"algorithm": str(algorithm), "octets": octets}
                for value, id in self._connection.execute(_AMONG, asked):
                    held[Signal.from_bytes(algorithm, value)] = id
        return held

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
    select(signals.c.value, func.min(contributions.c.id))
    .join(contributions, contributions.c.id == signals.c.contribution_id)
    .where(
        signals.c.algorithm == bindparam("algorithm"),
        signals.c.value.in_(bindparam("octets", expanding=True)),
        contributions.c.standing == str(Standing.RETIRED),
    )
    .group_by(signals.c.value)
)
