"""Who holds signals, in SQL: whatever the status and the standing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from itertools import groupby

from sqlalchemy import select

from hashdb.domain.signals import Signal
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import signals


class Neighbors(Repository):
    """Neighbors within one transaction."""

    def holding(self, found: Collection[Signal], each: int) -> Mapping[int, list[Signal]]:
        """The contributions that hold any of the signals, of each signal at most so many: id → which it holds."""
        held: dict[int, list[Signal]] = defaultdict(list)
        for algorithm, group in groupby(sorted(found), key=lambda signal: signal.algorithm):
            for some in chunks([signal.to_bytes() for signal in group], 50):
                query = (
                    select(signals.c.contribution_id, signals.c.value)
                    .where(signals.c.algorithm == str(algorithm), signals.c.value.in_(some))
                    .limit(each * len(some))
                )
                for row in self._connection.execute(query):
                    held[row.contribution_id].append(Signal.from_bytes(algorithm, row.value))
        return held
