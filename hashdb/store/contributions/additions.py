"""Additions in SQL: further signals of contributions, and the contributions of a member by their signals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import bindparam, select

from hashdb.domain.rules import SIGNALS_AN_ITEM
from hashdb.domain.signals import Signal
from hashdb.domain.signatures import Signature
from hashdb.store.contributions.contributions import SIGNATURE_COLUMNS
from hashdb.store.contributions.frames import SIGNAL_COLUMNS, SignalRow
from hashdb.store.contributions.statuses import active
from hashdb.store.repositories import Repository, chunks, insert_values
from hashdb.store.tables import HOLDING, contributions, digests, fingerprints, holding, members, signals, signatures

_HOLDING = {
    table: select(contributions.c.id)
    .distinct()
    .join(table, table.c.contribution_id == contributions.c.id)
    .join(members, members.c.id == contributions.c.member_id)
    .where(
        table.c.algorithm == bindparam("algorithm"),
        table.c.value.in_(bindparam("octets", expanding=True)),
        # Those of frames are behind.
        table.c.position < SIGNALS_AN_ITEM,
        contributions.c.member_id == bindparam("member"),
        contributions.c.id > bindparam("after"),
        active(bindparam("now", type_=contributions.c.expires_at.type)),
    )
    .order_by(contributions.c.id)
    .limit(bindparam("limit"))
    for table in HOLDING
}


class Additions(Repository):
    """Additions within one transaction."""

    def holding(
        self, member: int, wanted: Collection[Signal], after: int, limit: int, now: datetime
    ) -> tuple[int, ...]:
        """The first `limit` ids above `after` of the member's active contributions that hold any of these signals.

        Signals of frames and suppressed ones are left out.
        """
        ids: set[int] = set()
        for algorithm, group in groupby(sorted(wanted), key=lambda signal: signal.algorithm):
            for octets in chunks([signal.to_bytes() for signal in group]):
                bound = {"algorithm": str(algorithm), "octets": octets, "member": member}
                bound |= {"after": after, "limit": limit, "now": now}
                ids.update(self._connection.scalars(_HOLDING[holding(algorithm)], bound))
        return tuple(sorted(ids)[:limit])

    def add(
        self,
        added: Mapping[int, Mapping[int, Signal]],
        signed: Mapping[int, Mapping[int, Signature]],
        sets: Collection[tuple[int, bytes]],
    ) -> None:
        """Add signals and signatures to locked contributions, by contribution and position, and fingerprints."""
        signal_rows: list[SignalRow] = []
        digest_rows: list[SignalRow] = []
        for id, placed in added.items():
            for position, signal in placed.items():
                rows_of = signal_rows if holding(signal.algorithm) is signals else digest_rows
                rows_of.append((id, position, str(signal.algorithm), signal.to_bytes()))
        insert_values(self._connection, signals.name, SIGNAL_COLUMNS, signal_rows)
        insert_values(self._connection, digests.name, SIGNAL_COLUMNS, digest_rows)
        signature_rows: list[SignalRow] = [
            (id, position, str(signature.kind), signature.octets)
            for id, own in signed.items()
            for position, signature in own.items()
        ]
        insert_values(self._connection, signatures.name, SIGNATURE_COLUMNS, signature_rows)
        rows: Sequence[tuple[bytes, int]] = [(fingerprint, id) for id, fingerprint in sets]
        insert_values(self._connection, fingerprints.name, ("fingerprint", "contribution_id"), rows)
