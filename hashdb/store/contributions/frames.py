"""Frames of videos in SQL: a row for each shot, with its times; its signals are with those of all contributions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, literal_column, select

from hashdb.domain.frames import Frame, Shot, split_shots
from hashdb.domain.matching.videos import ListedShot, ShotTimes
from hashdb.domain.rules import SIGNALS_AN_ITEM
from hashdb.domain.signals import PERCEPTUAL, Algorithm, Signal
from hashdb.store.repositories import CHUNK, Repository, chunks, insert_values
from hashdb.store.tables import masks, shots, signals

SignalRow = tuple[int, int, str, bytes]
"""Contribution, position, algorithm, value."""
SIGNAL_COLUMNS = ("contribution_id", "position", "algorithm", "value")
"""The columns of a row of signals."""
_COLUMNS = ("contribution_id", "number", "start", "end", "quality", "more")
_FIRST = itemgetter(0)
_ALGORITHMS = {str(algorithm): algorithm for algorithm in Algorithm}
_SIGNALS = (
    select(signals.c.contribution_id, signals.c.position, signals.c.algorithm, signals.c.value)
    .where(signals.c.contribution_id.in_(bindparam("ids", expanding=True)), signals.c.position >= SIGNALS_AN_ITEM)
    .order_by(signals.c.contribution_id, signals.c.position)
)
_SUPPRESSED = select(masks.c.contribution_id, masks.c.position, masks.c.algorithm, masks.c.value).where(
    masks.c.contribution_id.in_(bindparam("ids", expanding=True)), masks.c.position >= SIGNALS_AN_ITEM
)
_MASKED = select(masks.c.position).where(
    masks.c.contribution_id == bindparam("id"), masks.c.position >= SIGNALS_AN_ITEM
)
_PLACES = (
    select(
        signals.c.contribution_id,
        signals.c.value,
        signals.c.position,
        func.row_number()
        .over(partition_by=(signals.c.contribution_id, signals.c.value), order_by=signals.c.position)
        .label("place"),
    )
    .where(
        # The sum keeps SQLite from a look-up for each pair of a contribution and a value.
        (signals.c.contribution_id + literal_column("0")).in_(bindparam("ids", expanding=True)),
        signals.c.algorithm == bindparam("algorithm"),
        signals.c.value.in_(bindparam("octets", expanding=True)),
        signals.c.position >= SIGNALS_AN_ITEM,
    )
    .subquery()
)
_HELD = (
    select(_PLACES.c.contribution_id, _PLACES.c.value, shots.c.start, shots.c.end)
    .join(
        shots,
        (shots.c.contribution_id == _PLACES.c.contribution_id)
        & (shots.c.number == _PLACES.c.position // SIGNALS_AN_ITEM - 1),
    )
    .where(_PLACES.c.place <= bindparam("most"))
)
_SHOTS = (
    select(shots)
    .where(shots.c.contribution_id.in_(bindparam("ids", expanding=True)))
    .order_by(shots.c.contribution_id, shots.c.number)
)
_TIMES = select(shots.c.contribution_id, shots.c.number, shots.c.start, shots.c.end).where(
    shots.c.contribution_id.in_(bindparam("ids", expanding=True))
)


class Frames(Repository):
    """Frames within one transaction."""

    def add(self, frames_by_id: Mapping[int, Sequence[Frame]], suppressed: Mapping[Signal, int]) -> list[SignalRow]:
        """Record the shots of contributions; return the rows of their signals, which the caller inserts.

        Signals that a benign entry suppresses, by entry, are recorded as such.
        """
        rows: list[tuple[object, ...]] = []
        signal_rows: list[SignalRow] = []
        masked: list[tuple[int, int, str, bytes, int]] = []
        for id, frames in frames_by_id.items():
            for number, shot in enumerate(split_shots(frames)):
                first, *others = shot.frames
                kept = others if first.matches else shot.frames
                more = json.dumps([_packed(frame) for frame in kept], separators=(",", ":")) if kept else None
                rows.append((id, number, _milliseconds(shot.start), _milliseconds(shot.end), first.quality, more))
                for place, signal in enumerate(first.signals if first.matches else (), position_of(number)):
                    row = (id, place, str(signal.algorithm), signal.to_bytes())
                    if signal in suppressed:
                        masked.append((*row, suppressed[signal]))
                    else:
                        signal_rows.append(row)
        insert_values(self._connection, shots.name, _COLUMNS, rows)
        insert_values(self._connection, masks.name, (*SIGNAL_COLUMNS, "benign_id"), masked)
        return signal_rows

    def of(self, ids: Collection[int], *, suppressed: bool = False) -> dict[int, tuple[Frame, ...]]:
        """The frames of contributions, in ascending time. Suppressed signals are left out, unless `suppressed`."""
        frames: dict[int, tuple[Frame, ...]] = {}
        for chunk in chunks(sorted(ids)):
            for id, rows in groupby(self._shots(chunk, suppressed=suppressed), key=_FIRST):
                frames[id] = tuple(frame for _, _, frames_of_shot in rows for frame in frames_of_shot)
        return frames

    def shots(self, id: int) -> tuple[Shot, ...]:
        """The shots of a contribution, in ascending time. Suppressed signals are left out, and counted."""
        masked = Counter(number_of(position) for (position,) in self._run(_MASKED, {"id": id}))
        return tuple(Shot(frames, masked[number]) for _, number, frames in self._shots([id]))

    def _shots(self, ids: Sequence[int], *, suppressed: bool = False) -> Iterator[tuple[int, int, tuple[Frame, ...]]]:
        """Each shot of contributions: the contribution, its number, its frames."""
        held: dict[tuple[int, int], dict[int, Signal]] = defaultdict(dict)
        rows = [tuple(row) for row in self._run(_SIGNALS, {"ids": ids})]
        if suppressed:
            rows = sorted([*rows, *(tuple(row) for row in self._run(_SUPPRESSED, {"ids": ids}))])
        for id, position, name, value in rows:
            held[id, number_of(position)][position % SIGNALS_AN_ITEM] = Signal.from_bytes(_ALGORITHMS[name], value)
        for row in self._run(_SHOTS, {"ids": ids}):
            id, number = row[:2]
            yield id, number, tuple(_frames(row, held.get((id, number), {})))


def shot_times(
    run: Callable[[Select[Any], Mapping[str, Any]], Iterable[Any]],
    found: Mapping[int, Collection[Signal]],
    most: int,
) -> dict[tuple[int, Signal], tuple[ShotTimes, ...]]:
    """For contributions and signals of them, the times of the first `most` shots that have the signal.

    `run` executes a statement with its parameters.
    """
    times: dict[tuple[int, Signal], list[ShotTimes]] = defaultdict(list)
    for ids, algorithm, octets in _pieces(found):
        for values in chunks(sorted(octets)):
            parameters = {"ids": ids, "algorithm": str(algorithm), "octets": values, "most": most}
            for id, value, start, end in run(_HELD, parameters):
                signal = Signal.from_bytes(algorithm, value)
                if signal in found[id]:
                    times[id, signal].append(ShotTimes(start, end))
    return {key: tuple(sorted(stretches)) for key, stretches in times.items()}


def _pieces(found: Mapping[int, Collection[Signal]]) -> Iterator[tuple[Sequence[int], Algorithm, Collection[bytes]]]:
    """Contributions, and values of them by one algorithm: as many as a statement takes, unless one has more."""
    for algorithm in PERCEPTUAL:
        ids, octets = list[int](), set[bytes]()
        for id in sorted(found):
            own = {signal.to_bytes() for signal in found[id] if signal.algorithm is algorithm}
            if ids and own and (len(ids) == CHUNK or len(octets | own) > CHUNK):
                yield ids, algorithm, octets
                ids, octets = [], set()
            if own:
                ids.append(id)
                octets |= own
        if ids:
            yield ids, algorithm, octets


def listed_shots(run: Callable[[Select[Any], Mapping[str, Any]], Iterable[Any]], id: int) -> list[ListedShot]:
    """The shots of a contribution that are searched for. `run` executes a statement with its parameters."""
    held: dict[int, list[Signal]] = defaultdict(list)
    for _, position, name, value in run(_SIGNALS, {"ids": [id]}):
        held[number_of(position)].append(Signal.from_bytes(_ALGORITHMS[name], value))
    times = sorted((number, start, end) for _, number, start, end in run(_TIMES, {"ids": [id]}))
    return [ListedShot(start, end, held[number]) for number, start, end in times if number in held]


ITEM: Final = -1
"""The number that stands for the item itself, which is no shot."""


def position_of(number: int) -> int:
    """The position of the first signal of a shot: those of the item itself are below the first shot's."""
    return SIGNALS_AN_ITEM * (number + 1)


def number_of(position: int) -> int:
    """The shot of the signal at a position; `ITEM` for the item itself."""
    return position // SIGNALS_AN_ITEM - 1


def _frames(row: Any, held: Mapping[int, Signal]) -> Iterator[Frame]:
    """The frames of a shot, of which these signals are not suppressed, by place."""
    _, _, start, _, quality, more = row
    first = Frame(start, tuple(held.values()), quality)
    # The others are near its first signal, and suppressed with it.
    is_suppressed = first.matches and 0 not in held
    if first.matches:
        yield first
    for milliseconds, quality, texts in json.loads(more or "[]"):
        yield Frame(milliseconds / 1000, () if is_suppressed else tuple(map(Signal.parse, texts)), quality)


def _packed(frame: Frame) -> tuple[int, int | None, list[str]]:
    return _milliseconds(frame.at), frame.quality, list(map(str, frame.signals))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
