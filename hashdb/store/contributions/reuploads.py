"""Contributions that are retired or under review, in SQL: a new contribution near their signals is quarantined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, func, not_, or_, select

from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Action
from hashdb.domain.review.cases import Decision, SignalsByPlace, usual
from hashdb.domain.signals import Algorithm, Signal
from hashdb.store.contributions.statuses import unended
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import cases, contributions, events, masks, signals

_Holders = Select[Any]


class Retired(Repository):
    """Contributions that are retired or under review, within one transaction."""

    def every(self) -> dict[Algorithm, list[bytes]]:
        """The values of all contributions that ever had a case, suppressed ones too, big-endian; `among` decides."""
        return self._values(_EVERY, {})

    def since(self, after: int, upto: int) -> dict[Algorithm, list[bytes]]:
        """The same of the cases that events `after` < seq ≤ `upto` opened."""
        return self._values(_SINCE, {"after": after, "upto": upto})

    def among(self, wanted: Collection[Signal]) -> dict[Signal, int]:
        """The signals that cast a shadow, each with the lowest retired contribution (of any status)."""
        ids: dict[Signal, int] = {}
        for id, signal in self._casting(_RETIRED, wanted):
            ids.setdefault(signal, id)
        return ids

    def shed(self, member: int, wanted: Collection[Signal], now: datetime) -> dict[Signal, tuple[int, ...]]:
        """The signals that ended contributions of the member hold, with these contributions, in order.

        These were withdrawn or have expired, and are quarantined or have an open case. Only signals that would cast a
        shadow count, and at most the last hundred contributions of each.
        """
        ids: dict[Signal, tuple[int, ...]] = defaultdict(tuple)
        for id, signal in self._casting(_SHED, wanted, member=member, now=now):
            ids[signal] += (id,)
        return dict(ids)

    def holding(self, member: int, wanted: Collection[Signal], now: datetime) -> tuple[int, ...]:
        """The member's contributions with any of these signals that match, or would match without its suspension."""
        rows = self._rows(_HOLDING, wanted, {"member": member, "now": now})
        return tuple(sorted({id for id, _, _ in rows}))

    def added(self, member: int, after: int) -> tuple[int, ...]:
        """The member's contributions added after seq `after` that match, or would match without its suspension."""
        return tuple(self._connection.scalars(_ADDED, {"member": member, "after": after}))

    def shadows(self, ids: Collection[int]) -> dict[int, frozenset[int]]:
        """The positions of the signals that cast a shadow once these contributions are retired, by contribution.

        They come from the last decision to retire. Without one, or if version 0.1.0 made it, they are the usual ones.
        """
        named: dict[int, frozenset[int]] = {}
        for chunk in chunks(sorted(ids)):
            for id, places in self._connection.execute(_SHADOWS, {"ids": chunk}):
                named[id] = frozenset(map(int, places))
        placed = self.placed(set(ids) - named.keys())
        return {id: frozenset(usual(signals)) for id, signals in placed.items()} | named

    def placed(self, ids: Collection[int]) -> dict[int, SignalsByPlace]:
        """The signals of each contribution by their position, suppressed ones too."""
        signals_by_id: dict[int, dict[int, Signal]] = {id: {} for id in ids}
        for table in (signals, masks):
            query = select(table.c.contribution_id, table.c.position, table.c.algorithm, table.c.value)
            for id, place, algorithm, value in self._among(query, table.c.contribution_id, ids):
                signals_by_id[id][place] = Signal.from_bytes(Algorithm(algorithm), value)
        return dict(signals_by_id)

    def _casting(self, query: _Holders, wanted: Collection[Signal], **parameters: object) -> list[tuple[int, Signal]]:
        """The contributions of a query with the signals by which each casts a shadow, in order."""
        rows = list(self._rows(query, wanted, parameters))
        shadows = self.shadows({id for id, _, _ in rows})
        return sorted((id, signal) for id, place, signal in rows if place in shadows[id])

    def _rows(
        self, query: _Holders, wanted: Collection[Signal], parameters: Mapping[str, object]
    ) -> Iterator[tuple[int, int, Signal]]:
        """The contributions that hold any of the signals: (id, position, signal)."""
        for algorithm, group in groupby(sorted(wanted), key=lambda signal: signal.algorithm):
            for octets in chunks([signal.to_bytes() for signal in group]):
                bound = {"algorithm": str(algorithm), "octets": octets, **parameters}
                rows: Sequence[Any] = self._connection.execute(query, bound).all()
                for id, place, value in rows:
                    yield id, place, Signal.from_bytes(algorithm, value)

    def _values(self, query: Select[Any], parameters: dict[str, int]) -> dict[Algorithm, list[bytes]]:
        """The distinct values of the contributions that a query selects, suppressed ones too."""
        values_by_algorithm: dict[str, list[bytes]] = defaultdict(list)
        for table in (signals, masks):
            distinct = select(table.c.algorithm, table.c.value).where(table.c.contribution_id.in_(query)).distinct()
            for algorithm, value in self._connection.execute(distinct, parameters):
                values_by_algorithm[algorithm].append(value)
        return {Algorithm(algorithm): values for algorithm, values in values_by_algorithm.items()}


_EVERY = select(cases.c.contribution_id)
_SINCE = (
    select(cases.c.contribution_id)
    .join(events, and_(events.c.subject_kind == "case", events.c.subject_id == cases.c.id))
    .where(
        events.c.seq > bindparam("after"),
        events.c.seq <= bindparam("upto"),
        events.c.action == str(Action.CASE_OPENED),
    )
)
_HOLDERS = (
    select(contributions.c.id, signals.c.position, signals.c.value)
    .join(contributions, contributions.c.id == signals.c.contribution_id)
    .where(
        signals.c.algorithm == bindparam("algorithm"),
        signals.c.value.in_(bindparam("octets", expanding=True)),
    )
)
_RETIRED = _HOLDERS.where(contributions.c.standing == str(Standing.RETIRED))
_NOW = bindparam("now", type_=contributions.c.expires_at.type)
_WAITS = exists().where(cases.c.contribution_id == contributions.c.id, cases.c.decision.is_(None))
_SHED = (
    _HOLDERS.where(
        contributions.c.member_id == bindparam("member"),
        not_(unended(_NOW)),
        or_(contributions.c.standing == str(Standing.QUARANTINED), _WAITS),
    )
    .order_by(contributions.c.id.desc())
    .limit(100)
)
_MATCHING = contributions.c.standing.in_([str(one) for one in Standing if one.matches])
_HOLDING = _HOLDERS.where(contributions.c.member_id == bindparam("member"), unended(_NOW), _MATCHING)
_ADDED = (
    select(contributions.c.id)
    .join(events, events.c.subject_id == contributions.c.id)
    .where(
        events.c.seq > bindparam("after"),
        events.c.action == str(Action.CONTRIBUTION_ADDED),
        contributions.c.member_id == bindparam("member"),
        contributions.c.withdrawn_at.is_(None),
        _MATCHING,
    )
)
_LATEST = (
    select(func.max(cases.c.id))
    .where(cases.c.contribution_id.in_(bindparam("ids", expanding=True)), cases.c.decision == str(Decision.RETIRE))
    .group_by(cases.c.contribution_id)
)
_SHADOWS = select(cases.c.contribution_id, cases.c.shadow).where(cases.c.id.in_(_LATEST), cases.c.shadow.is_not(None))
