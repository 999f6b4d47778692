"""Contributions that are retired or under review, in SQL: a new contribution near their signals is quarantined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, exists, func, not_, or_, select, union_all

from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Action
from hashdb.domain.matching.aligners import LEAST_FRAMES
from hashdb.domain.review.cases import Decision
from hashdb.domain.review.shadows import BY_FRAMES, FRAMES_PLACE, SignalsByPlace, default_shadow
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.store.contributions.frames import ITEM, UNITS, holds, number_of, signals_in
from hashdb.store.contributions.statuses import MATCHING, unended
from hashdb.store.repositories import IDS, NOW, Repository, values_by_algorithm
from hashdb.store.tables import SIGNAL_TABLES, SUPPRESSED_TABLES, cases, contributions, events, shots, signal_table

_MOST = 100
"""The most contributions of a signal that are returned."""
_Holders = Mapping[Table, Select[Any]]
"""A query for the contributions that hold signals, for each table of signals."""


class Shadows(Repository):
    """The signals of contributions that are retired or under review, and what is near them, within one transaction.

    An item's own signals have the positions 0 to 63; those of its frames follow, 64 for each shot (`position_of`).
    """

    def case_values(self) -> dict[Algorithm, list[bytes]]:
        """The values of all contributions that ever had a case, suppressed ones too, big-endian.

        Near these, `retired_with` and `ended_with` decide which signals cast a shadow.
        """
        return self._values(_WITH_CASE, {})

    def case_values_since(self, after: int, upto: int) -> dict[Algorithm, list[bytes]]:
        """As `case_values`, of the cases that events `after` < seq ≤ `upto` opened."""
        return self._values(_WITH_CASE_SINCE, {"after": after, "upto": upto})

    def retired_with(self, wanted: Collection[Signal]) -> dict[Signal, tuple[int, ...]]:
        """Those of the signals that cast a shadow, each with the first 100 retired contributions at most.

        The contributions may have any status.
        """
        ids: dict[Signal, dict[int, None]] = defaultdict(dict)
        for id, signal in self._shadow_casters(_RETIRED, wanted):
            if len(ids[signal]) < _MOST:
                ids[signal][id] = None
        return {signal: tuple(holders) for signal, holders in ids.items()}

    def ended_with(self, member: int, wanted: Collection[Signal], now: datetime) -> dict[Signal, tuple[int, ...]]:
        """Those of the signals that ended contributions of the member have, each with these contributions, in order.

        Ended are those that were withdrawn or have expired, and are quarantined or have an open case. Only signals that
        would cast a shadow count, and at most the last 100 contributions of each.
        """
        ids: dict[Signal, tuple[int, ...]] = defaultdict(tuple)
        for id, signal in self._shadow_casters(_ENDED, wanted, member=member, now=now):
            ids[signal] += (id,)
        return dict(ids)

    def twins_with(self, member: int, wanted: Collection[Signal], now: datetime) -> tuple[int, ...]:
        """The member's contributions with enough of these signals that match, or would match without its suspension."""
        positions_by_id: dict[int, set[int]] = defaultdict(set)
        for id, position, _ in self._rows(_HOLDING, wanted, {"member": member, "now": now}):
            positions_by_id[id].add(position)
        return self.with_enough_signals(positions_by_id)

    def with_enough_signals(self, positions_by_id: Mapping[int, Collection[int]]) -> tuple[int, ...]:
        """The contributions with enough signals at these positions.

        Enough is one signal of the item itself, or of as many shots of one unit as `LEAST_FRAMES` says: one page, or
        several shots of a video or windows of words. All are enough if the item has fewer.
        """
        numbers = {id: set(map(number_of, positions)) for id, positions in positions_by_id.items()}
        sufficient = {id for id, shot_numbers in numbers.items() if ITEM in shot_numbers}
        of_shots = [id for id, shot_numbers in numbers.items() if shot_numbers and id not in sufficient]
        for id, name, first, last, count in self._rows_in(_SHOTS, shots.c.contribution_id, of_shots):
            # The shots of pages come before those of words: the numbers of each unit are a range.
            shot_numbers = [number for number in numbers[id] if first <= number <= last]
            if shot_numbers and len(shot_numbers) >= min(LEAST_FRAMES[UNITS[name]], count):
                sufficient.add(id)
        return tuple(sorted(sufficient))

    def contributed_or_amended_since(self, member: int, after: int) -> tuple[int, ...]:
        """The member's contributions that match, or would match without its suspension, and have signals since `after`.

        Some that were amended otherwise after that seq are among them.
        """
        return tuple(self._connection.scalars(_ADDED, {"member": member, "after": after}))

    def shadow_positions(self, ids: Collection[int]) -> dict[int, frozenset[int]]:
        """The positions of the signals that cast a shadow once these contributions are retired, by contribution.

        They come from the last decision to retire. Without one, or if version 0.1.0 made it, they are those of
        `default_shadow`. All frames of an item have one place, `FRAMES_PLACE`.
        """
        decided: dict[int, frozenset[int]] = {}
        for id, places in self._run_for_ids(_SHADOWS, ids):
            decided[id] = frozenset(map(int, places))
        placed = self.signals_by_place(set(ids) - decided.keys())
        return {id: frozenset(default_shadow(signals)) for id, signals in placed.items()} | decided

    def signals_by_place(self, ids: Collection[int]) -> dict[int, SignalsByPlace]:
        """The signals of each contribution by place, suppressed ones too. The place of an own signal is its position.

        At the place `FRAMES_PLACE` is the first signal of the first shot that has one by `BY_FRAMES`.
        """
        signals_by_id: dict[int, dict[int, Signal]] = {id: {} for id in ids}
        for id, position, algorithm, value in self._run_for_ids(_OF_ITEMS, ids):
            signals_by_id[id][position] = Signal.from_bytes(Algorithm(algorithm), value)
        for id, of_shots in self.first_signals_of_shots(ids).items():
            signals_by_id[id][FRAMES_PLACE] = of_shots[min(of_shots)]
        return dict(signals_by_id)

    def first_signals_of_shots(self, ids: Collection[int]) -> dict[int, dict[int, Signal]]:
        """By contribution and by the number of the shot, the first signal of each shot, suppressed ones too.

        Only signals by PDQ and of texts count.
        """
        # The position, the algorithm and the value of the signal.
        firsts: dict[int, dict[int, tuple[int, str, bytes]]] = defaultdict(dict)
        for id, position, algorithm, value in self._run_for_ids(_OF_SHOTS, ids):
            number, placed = number_of(position), (position, algorithm, value)
            firsts[id][number] = min(firsts[id].get(number, placed), placed)
        return {
            id: {number: Signal.from_bytes(Algorithm(name), value) for number, (_, name, value) in of_shots.items()}
            for id, of_shots in firsts.items()
        }

    def _shadow_casters(
        self, query: _Holders, wanted: Collection[Signal], **parameters: object
    ) -> list[tuple[int, Signal]]:
        """The contributions of a query with the signals by which each casts a shadow, in order."""
        rows = list(self._rows(query, wanted, parameters))
        shadows = self.shadow_positions({id for id, _, _ in rows})
        return sorted((id, signal) for id, position, signal in rows if _casts(position, signal, shadows[id]))

    def _rows(
        self, query: _Holders, wanted: Collection[Signal], parameters: Mapping[str, object]
    ) -> Iterator[tuple[int, int, Signal]]:
        """The id of each contribution that has any of the signals, with the position and the signal."""
        for algorithm, values in values_by_algorithm(wanted):
            of_values = {"algorithm": str(algorithm), "octets": values, **parameters}
            for id, position, value in self._run(query[signal_table(algorithm)], of_values):
                yield id, position, Signal.from_bytes(algorithm, value)

    def _values(self, query: Select[Any], parameters: dict[str, int]) -> dict[Algorithm, list[bytes]]:
        """The distinct values of the contributions that a query selects, suppressed ones too."""
        by_algorithm: dict[str, list[bytes]] = defaultdict(list)
        for table in _ALL_TABLES:
            distinct = select(table.c.algorithm, table.c.value).where(table.c.contribution_id.in_(query)).distinct()
            for algorithm, value in self._connection.execute(distinct, parameters):
                by_algorithm[algorithm].append(value)
        return {Algorithm(algorithm): values for algorithm, values in by_algorithm.items()}


def _casts(position: int, signal: Signal, shadow: Collection[int]) -> bool:
    """Whether the signal at a position casts a shadow; frames do by `BY_FRAMES`."""
    return position in shadow if position < FRAMES_PLACE else signal.algorithm in BY_FRAMES and FRAMES_PLACE in shadow


_SHOTS = (
    select(shots.c.contribution_id, shots.c.unit, func.min(shots.c.number), func.max(shots.c.number), func.count())
    .where(or_(shots.c.quality.is_(None), shots.c.quality >= MINIMUM_QUALITY))
    .group_by(shots.c.contribution_id, shots.c.unit)
)
_ALL_TABLES = (*SIGNAL_TABLES, *SUPPRESSED_TABLES)
_OF_ITEMS = union_all(*(signals_in(table, table.c.position < FRAMES_PLACE) for table in _ALL_TABLES))
_OF_SHOTS = union_all(
    *(
        signals_in(table, table.c.position >= FRAMES_PLACE, table.c.algorithm.in_(sorted(map(str, BY_FRAMES))))
        for table in _ALL_TABLES
    )
)
_WITH_CASE = select(cases.c.contribution_id)
_WITH_CASE_SINCE = (
    select(cases.c.contribution_id)
    .join(events, and_(events.c.subject_kind == "case", events.c.subject_id == cases.c.id))
    .where(
        events.c.seq > bindparam("after"), events.c.seq <= bindparam("upto"), events.c.action == str(Action.CASE_OPENED)
    )
)


def _holders(*conditions: ColumnElement[bool]) -> _Holders:
    return {
        table: select(contributions.c.id, table.c.position, table.c.value)
        .join(contributions, contributions.c.id == table.c.contribution_id)
        .where(*holds(table), *conditions)
        for table in SIGNAL_TABLES
    }


_RETIRED = _holders(contributions.c.standing == str(Standing.RETIRED))
_HAS_OPEN_CASE = exists().where(cases.c.contribution_id == contributions.c.id, cases.c.decision.is_(None))
_ENDED = {
    table: query.order_by(contributions.c.id.desc()).limit(_MOST)
    for table, query in _holders(
        contributions.c.member_id == bindparam("member"),
        not_(unended(NOW)),
        or_(contributions.c.standing == str(Standing.QUARANTINED), _HAS_OPEN_CASE),
    ).items()
}
_HOLDING = _holders(contributions.c.member_id == bindparam("member"), unended(NOW), MATCHING)
_ADDED = (
    select(contributions.c.id)
    .distinct()
    .join(events, events.c.subject_id == contributions.c.id)
    .where(
        events.c.seq > bindparam("after"),
        events.c.action.in_([str(Action.CONTRIBUTION_ADDED), str(Action.CONTRIBUTION_AMENDED)]),
        contributions.c.member_id == bindparam("member"),
        contributions.c.withdrawn_at.is_(None),
        MATCHING,
    )
)
_LATEST = (
    select(func.max(cases.c.id))
    .where(cases.c.contribution_id.in_(IDS), cases.c.decision == str(Decision.RETIRE))
    .group_by(cases.c.contribution_id)
)
_SHADOWS = select(cases.c.contribution_id, cases.c.shadow).where(cases.c.id.in_(_LATEST), cases.c.shadow.is_not(None))
