"""Additions in SQL: further signals of contributions, and the contributions of a member by their signals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Table, bindparam, select

from hashdb.domain.signals import SIGNALS_AN_ITEM, Signal
from hashdb.domain.signatures import Signature
from hashdb.store.contributions.contributions import SIGNATURE_COLUMNS
from hashdb.store.contributions.frames import SIGNAL_COLUMNS, SignalRow, holds
from hashdb.store.contributions.statuses import active
from hashdb.store.repositories import NOW, Repository, insert_values, values_by_algorithm
from hashdb.store.tables import SIGNAL_TABLES, contributions, fingerprints, members, signal_table, signatures

_HOLDING = {
    table: select(contributions.c.id)
    .distinct()
    .join(table, table.c.contribution_id == contributions.c.id)
    .join(members, members.c.id == contributions.c.member_id)
    .where(
        *holds(table),
        # Signals of frames have higher positions.
        table.c.position < SIGNALS_AN_ITEM,
        contributions.c.member_id == bindparam("member"),
        contributions.c.id > bindparam("after"),
        active(NOW),
    )
    .order_by(contributions.c.id)
    .limit(bindparam("limit"))
    for table in SIGNAL_TABLES
}


class Additions(Repository):
    """Additions within one transaction."""

    def contributions_with(
        self, member: int, wanted: Collection[Signal], after: int, limit: int, now: datetime
    ) -> tuple[int, ...]:
        """The first `limit` ids above `after` of the member's active contributions that have any of these signals.

        Signals of frames and suppressed ones are left out.
        """
        ids: set[int] = set()
        parameters = {"member": member, "after": after, "limit": limit, "now": now}
        for algorithm, values in values_by_algorithm(wanted):
            of_values = {"algorithm": str(algorithm), "octets": values}
            ids.update(self._connection.scalars(_HOLDING[signal_table(algorithm)], parameters | of_values))
        return tuple(sorted(ids)[:limit])

    def add(
        self,
        new_signals: Mapping[int, Mapping[int, Signal]],
        new_signatures: Mapping[int, Mapping[int, Signature]],
        new_fingerprints: Collection[tuple[int, bytes]],
    ) -> None:
        """Add signals and signatures to locked contributions, by contribution and position.

        `new_fingerprints` are pairs of a contribution and a fingerprint of a set of signals.
        """
        signal_rows: dict[Table, list[SignalRow]] = {table: [] for table in SIGNAL_TABLES}
        for id, placed in new_signals.items():
            for position, signal in placed.items():
                row = (id, position, str(signal.algorithm), signal.to_bytes())
                signal_rows[signal_table(signal.algorithm)].append(row)
        for table, rows in signal_rows.items():
            insert_values(self._connection, table.name, SIGNAL_COLUMNS, rows)
        signature_rows: list[SignalRow] = [
            (id, position, str(signature.kind), signature.octets)
            for id, placed in new_signatures.items()
            for position, signature in placed.items()
        ]
        insert_values(self._connection, signatures.name, SIGNATURE_COLUMNS, signature_rows)
        insert_values(self._connection, fingerprints.name, ("contribution_id", "fingerprint"), list(new_fingerprints))
