"""Frames in SQL: a row for each shot, page and window, with its place; its signals are with those of all items."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, groupby
from operator import itemgetter
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, CompoundSelect, Select, Table, bindparam, func, literal_column, select, union_all

from hashdb.domain.frames import FRAMES_A_REQUEST, Frame, Shot, Unit, mark_shots
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.signals import PERCEPTUAL, SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.store.repositories import CHUNK, IDS, Repository, chunks, insert_values
from hashdb.store.tables import SIGNAL_TABLES, SUPPRESSED_TABLES, shots, signal_table, suppressed_table
from hashdb.store.thread_connections import Parameters, Query

_T = TypeVar("_T")
SignalRow = tuple[int, int, str, bytes]
"""Contribution, position, algorithm, value."""
SIGNAL_COLUMNS = ("contribution_id", "position", "algorithm", "value")
"""The columns of a row of signals."""
ExecuteStatement = Callable[[Query, Parameters], Iterable[Any]]
"""Executes a statement with its parameters."""
_COLUMNS = ("contribution_id", "number", "start", "end", "quality", "more", "unit")
_CONTRIBUTION = itemgetter(0)
ALGORITHMS = {str(algorithm): algorithm for algorithm in Algorithm}
"""The algorithms by their code in the database."""


def signals_in(table: Table, *conditions: ColumnElement[bool]) -> Select[Any]:
    """The query for the signals of contributions, the parameter `ids`, in a table: rows as `SignalRow`."""
    return select(*table.c[SIGNAL_COLUMNS]).where(table.c.contribution_id.in_(IDS), *conditions)


def _of_frames(*tables: Table) -> CompoundSelect[Any]:
    """The query for the signals of frames in several tables, in order."""
    queries = (signals_in(table, table.c.position >= SIGNALS_AN_ITEM) for table in tables)
    return union_all(*queries).order_by("contribution_id", "position")


_SIGNALS = _of_frames(*SIGNAL_TABLES)
_WITH_SUPPRESSED = _of_frames(*SIGNAL_TABLES, *SUPPRESSED_TABLES)
_SUPPRESSED = _of_frames(*SUPPRESSED_TABLES)


def holds(table: Table) -> tuple[ColumnElement[bool], ...]:
    """The conditions of a query for signals by the parameter `algorithm` with one of the values `octets`."""
    return table.c.algorithm == bindparam("algorithm"), table.c.value.in_(bindparam("octets", expanding=True))


def _shots_with(table: Table) -> Select[Any]:
    """The query for the first `most` shots of contributions that have a value, for each value in a table."""
    places = (
        select(
            table.c.contribution_id,
            table.c.value,
            table.c.position,
            func.row_number()
            .over(partition_by=(table.c.contribution_id, table.c.value), order_by=table.c.position)
            .label("place"),
        )
        .where(
            # The sum keeps SQLite from a look-up for each pair of a contribution and a value.
            (table.c.contribution_id + literal_column("0")).in_(IDS),
            *holds(table),
            table.c.position >= SIGNALS_AN_ITEM,
        )
        .subquery()
    )
    return (
        select(places.c.contribution_id, places.c.value, shots.c.start, shots.c.end)
        .join(
            shots,
            (shots.c.contribution_id == places.c.contribution_id)
            & (shots.c.number == places.c.position // SIGNALS_AN_ITEM - 1),
        )
        .where(places.c.place <= bindparam("most"))
    )


_SHOTS_WITH = {table: _shots_with(table) for table in SIGNAL_TABLES}
_SHOTS = select(shots).where(shots.c.contribution_id.in_(IDS)).order_by(shots.c.contribution_id, shots.c.number)
SHOT_PLACES: Select[Any] = select(*shots.c["contribution_id", "number", "start", "end", "unit"]).where(
    shots.c.contribution_id.in_(IDS)
)
"""The query for the places of the shots of contributions, the parameter `ids`."""


class Frames(Repository):
    """Frames within one transaction."""

    def add(self, shots_by_id: Mapping[int, Sequence[Shot]], suppressed: Mapping[Signal, int]) -> list[SignalRow]:
        """Record the shots of contributions; return the rows of their signals, which the caller inserts by algorithm.

        Signals in `suppressed`, each with the benign entry that suppresses it, are inserted here and not returned.
        """
        rows: list[tuple[object, ...]] = []
        signal_rows: list[SignalRow] = []
        masked: dict[Table, list[tuple[int, int, str, bytes, int]]] = defaultdict(list)
        for id, shots_of_item in shots_by_id.items():
            for number, shot in enumerate(shots_of_item):
                first, *others = shot.frames
                unsearched = others if first.matches else shot.frames
                more = json.dumps(list(map(_packed, unsearched)), separators=(",", ":")) if unsearched else None
                unit = None if first.unit is Unit.SECONDS else str(first.unit)
                rows.append((id, number, _milliseconds(shot.start), _milliseconds(shot.end), first.quality, more, unit))
                for place, signal in enumerate(first.signals if first.matches else (), position_of(number)):
                    row = (id, place, str(signal.algorithm), signal.to_bytes())
                    if signal in suppressed:
                        masked[suppressed_table(signal.algorithm)].append((*row, suppressed[signal]))
                    else:
                        signal_rows.append(row)
        insert_values(self._connection, shots.name, _COLUMNS, rows)
        for table, masked_rows in masked.items():
            insert_values(self._connection, table.name, (*SIGNAL_COLUMNS, "benign_id"), masked_rows)
        return signal_rows

    def get(
        self, ids: Collection[int], *, suppressed: bool = False, masked: Collection[int] = ()
    ) -> dict[int, tuple[Frame, ...]]:
        """The frames of contributions, in ascending order, with suppressed signals only if `suppressed`.

        `masked` are the contributions that have suppressed signals: their frames are marked where a shot begins, so
        that `split_shots` gives the same shots without these signals.
        """
        frames: dict[int, tuple[Frame, ...]] = {}
        for chunk in chunks(sorted(ids)):
            for id, rows in groupby(self._shots(chunk, suppressed=suppressed), key=_CONTRIBUTION):
                shots_of_item = (frames_of_shot for _, _, frames_of_shot in rows)
                frames[id] = tuple(mark_shots(shots_of_item) if id in masked else chain.from_iterable(shots_of_item))
        return frames

    def shots(self, id: int) -> tuple[Shot, ...]:
        """The shots of a contribution, in ascending order. Suppressed signals are left out, and counted."""
        masked = Counter(number_of(position) for _, position, *_ in self._run(_SUPPRESSED, {"ids": [id]}))
        return tuple(Shot(frames, masked[number]) for _, number, frames in self._shots([id]))

    def _shots(self, ids: Sequence[int], *, suppressed: bool = False) -> Iterator[tuple[int, int, tuple[Frame, ...]]]:
        """Each shot of contributions: the contribution, its number, its frames."""
        signals_by_shot: dict[tuple[int, int], dict[int, Signal]] = defaultdict(dict)
        for id, position, name, value in self._run(_WITH_SUPPRESSED if suppressed else _SIGNALS, {"ids": ids}):
            signal = Signal.from_bytes(ALGORITHMS[name], value)
            signals_by_shot[id, number_of(position)][position % SIGNALS_AN_ITEM] = signal
        for row in self._run(_SHOTS, {"ids": ids}):
            id, number = row[:2]
            yield id, number, tuple(_frames(row, signals_by_shot.get((id, number), {})))


def limit_frames(items: Sequence[_T], count: Callable[[_T], int]) -> Sequence[_T]:
    """The first items that have `FRAMES_A_REQUEST` frames together at most, but at least one; `count` counts them."""
    totals = accumulate(map(count, items))
    return items[: max(1, sum(1 for total in totals if total <= FRAMES_A_REQUEST))]


def shot_times(
    run: ExecuteStatement, signals_by_id: Mapping[int, Collection[Signal]], most: int
) -> dict[tuple[int, Signal], tuple[ShotTimes, ...]]:
    """For contributions and signals of them, the places of the first `most` shots that have the signal.

    `run` executes a statement with its parameters.
    """
    times: dict[tuple[int, Signal], list[ShotTimes]] = defaultdict(list)
    for ids, algorithm, octets in _pieces(signals_by_id):
        for values in chunks(sorted(octets)):
            parameters = {"ids": ids, "algorithm": str(algorithm), "octets": values, "most": most}
            for id, value, start, end in run(_SHOTS_WITH[signal_table(algorithm)], parameters):
                signal = Signal.from_bytes(algorithm, value)
                if signal in signals_by_id[id]:
                    times[id, signal].append(ShotTimes(start, end))
    return {key: tuple(sorted(stretches)) for key, stretches in times.items()}


def _pieces(
    signals_by_id: Mapping[int, Collection[Signal]],
) -> Iterator[tuple[Sequence[int], Algorithm, Collection[bytes]]]:
    """Contributions, and values of them by one algorithm: as many as a statement takes, unless one has more."""
    for algorithm in PERCEPTUAL:
        ids, octets = list[int](), set[bytes]()
        for id in sorted(signals_by_id):
            values = {signal.to_bytes() for signal in signals_by_id[id] if signal.algorithm is algorithm}
            if ids and values and (len(ids) == CHUNK or len(octets | values) > CHUNK):
                yield ids, algorithm, octets
                ids, octets = [], set()
            if values:
                ids.append(id)
                octets |= values
        if ids:
            yield ids, algorithm, octets


def listed_shots(run: ExecuteStatement, id: int) -> list[ListedShot]:
    """The shots of a contribution that are searched for. `run` executes a statement with its parameters."""
    signals_by_shot: dict[int, list[Signal]] = defaultdict(list)
    for _, position, name, value in run(_SIGNALS, {"ids": [id]}):
        signals_by_shot[number_of(position)].append(Signal.from_bytes(ALGORITHMS[name], value))
    times = sorted((number, start, end, unit) for _, number, start, end, unit in run(SHOT_PLACES, {"ids": [id]}))
    return [
        ListedShot(start, end, signals_by_shot[number], UNITS[unit])
        for number, start, end, unit in times
        if number in signals_by_shot
    ]


UNITS: Mapping[str | None, Unit] = {None: Unit.SECONDS, str(Unit.PAGES): Unit.PAGES, str(Unit.WORDS): Unit.WORDS}

ITEM: Final = -1
"""The number that stands for the item itself, which is no shot."""


def position_of(number: int) -> int:
    """The position of the first signal of a shot: those of the item itself are below the first shot's."""
    return SIGNALS_AN_ITEM * (number + 1)


def number_of(position: int) -> int:
    """The shot of the signal at a position; `ITEM` for the item itself."""
    return position // SIGNALS_AN_ITEM - 1


def _frames(row: Any, signals: Mapping[int, Signal]) -> Iterator[Frame]:
    """The frames of a row of `_SHOTS`; `signals` are those of the first frame that are not suppressed, by place."""
    _, _, start, end, quality, more, name = row
    unit = UNITS[name]
    length = int(end - start) if unit is Unit.WORDS else 0
    first = Frame(start, tuple(signals.values()), quality, unit=unit, length=length)
    # The other frames of the shot are near its first signal, and suppressed with it.
    is_suppressed = first.matches and 0 not in signals
    if first.matches:
        yield first
    for milliseconds, quality, texts in json.loads(more or "[]"):
        yield Frame(milliseconds / 1000, () if is_suppressed else tuple(map(Signal.parse, texts)), quality, unit=unit)


def _packed(frame: Frame) -> tuple[int, int | None, list[str]]:
    """A frame in the column `more`: milliseconds, quality, signals."""
    return _milliseconds(frame.at), frame.quality, list(map(str, frame.signals))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
