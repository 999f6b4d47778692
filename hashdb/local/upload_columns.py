"""The columns of a block of a log of uploads: values by algorithm, and the places and forms of frames."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.frames import Extent, Frame, Unit, extent_of
from hashdb.domain.matching.aligners import one_frame_is_enough
from hashdb.domain.signals import Algorithm, Signal

_UNITS: Final = (Unit.SECONDS, Unit.PAGES, Unit.WORDS)
"""A unit is stored as its position here: new ones come last."""
_MILLISECONDS: Final = 1_000
_WITHOUT_QUALITY: Final = -1
_LEVEL: Final = 1
"""The level of zlib: places ascend evenly and forms repeat, so more effort saves next to nothing."""
_FIELDS: Final = ("<i8", "<u4", "<i1", "<u1", "<u4", "<u1")
"""The types of the fields of a frame: thousandths from the place of the frame before, words, quality, unit, form, and
whether one such frame is enough for a match."""
encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_Positions = tuple[int, ...]
_Form = tuple[_Positions, tuple[tuple[str, _Positions], ...]]
"""The columns of a frame's signals, and of those of each of its transforms."""


class Column(NamedTuple):
    """The values of an algorithm in a block, big-endian, and for each the number of the record that has it."""

    owners: NDArray[np.uint32]
    octets: bytes

    def values_of(self, algorithm: Algorithm, number: int) -> Iterator[bytes]:
        """The values of the record with this number, in order; `algorithm` is that of the column."""
        first, last = np.searchsorted(self.owners, [number, number + 1]).tolist()
        size = algorithm.bits // 8
        return (self.octets[place * size : (place + 1) * size] for place in range(first, last))


class ColumnsWriter:
    """Collects the values of records, which are added in order."""

    def __init__(self) -> None:
        """No values yet."""
        self.values: dict[Algorithm, list[bytes]] = {}
        self.owners: dict[Algorithm, list[int]] = {}
        self._positions: dict[Algorithm, int] = {}

    def add(self, signals: Sequence[Signal], number: int) -> list[int]:
        """Add signals of the record with this number, and return the position of the column of each."""
        positions, values, owners, columns = self._positions, self.values, self.owners, []
        for signal in signals:
            algorithm = signal.algorithm
            if algorithm not in positions:
                positions[algorithm], values[algorithm], owners[algorithm] = len(positions), [], []
            values[algorithm].append(signal.value.to_bytes(algorithm.bits // 8))
            owners[algorithm].append(number)
            columns.append(positions[algorithm])
        return columns

    @property
    def counts(self) -> list[tuple[Algorithm, int]]:
        """How many values each column has, in their order."""
        return [(algorithm, len(values)) for algorithm, values in self.values.items()]

    @property
    def octets(self) -> list[bytes]:
        """The owners and the values of each column, to be joined."""
        parts: list[bytes] = []
        for algorithm, values in self.values.items():
            parts += [np.array(self.owners[algorithm], "<u4").tobytes(), *values]
        return parts


def units_enough_alone(frames: Sequence[Frame]) -> Set[Unit]:
    """The units of which one frame of an upload is enough for a match."""
    extent = extent_of(frames) or Extent()
    return {unit for unit in _UNITS if one_frame_is_enough(unit, extent.length_in(unit))}


class FramesWriter:
    """Collects the frames of records, added in order. Of a frame that is not searched for, it keeps only the place."""

    def __init__(self) -> None:
        """No frames yet."""
        self._columns = ColumnsWriter(), ColumnsWriter()
        """The values of the frames of which one is not enough for a match, and of those of which one is."""
        self._forms: dict[_Form, int] = {}
        """The number of each form."""
        self._counts: list[tuple[int, int]] = []
        """The number of each record with frames, and how many it has."""
        self._rows: list[tuple[int, int, int, int, int, int]] = []
        """The fields of each frame, in the order of `_FIELDS`."""

    def add(self, frames: Sequence[Frame], number: int) -> None:
        """Add the frames of the record with this number."""
        forms, before, units_alone = self._forms, 0, units_enough_alone(frames)
        for frame in frames:
            is_alone = frame.unit in units_alone
            add = self._columns[is_alone].add
            form: _Form = ((), ())
            if frame.matches:
                altered = [(name, tuple(add(signals, number))) for name, signals in frame.transforms.items()]
                form = tuple(add(frame.signals, number)), tuple(altered)
            place = round(frame.at * _MILLISECONDS)
            quality = _WITHOUT_QUALITY if frame.quality is None else frame.quality
            unit, number_of_form = _UNITS.index(frame.unit), forms.setdefault(form, len(forms))
            self._rows.append((place - before, frame.length, quality, unit, number_of_form, is_alone))
            before = place
        self._counts.append((number, len(frames)))

    def __len__(self) -> int:
        """How many records with frames there are."""
        return len(self._counts)

    def encoded(self) -> tuple[dict[str, object], list[bytes]]:
        """The description of the frames in that of the block, and the octets, to be joined."""
        fields = zip(*self._rows, strict=True)
        table = [np.array(self._counts, "<u4").tobytes()]
        table += [np.array(values, kind).tobytes() for kind, values in zip(_FIELDS, fields, strict=True)]
        packed = [zlib.compress(b"".join(table), _LEVEL)]
        parts: list[bytes] = []
        for columns in self._columns:
            owners = b"".join(np.array(of_column, "<u4").tobytes() for of_column in columns.owners.values())
            packed.append(zlib.compress(owners, _LEVEL))
            parts += [value for values in columns.values.values() for value in values]
        description = {
            "records": len(self._counts),
            "frames": len(self._rows),
            "columns": [columns.counts for columns in self._columns],
            "forms": [[own, dict(altered)] for own, altered in self._forms],
            "packed": list(map(len, packed)),
        }
        return description, [*packed, *parts]


class Frames:
    """The frames of the records of a block. `alone` has the columns of frames of which one is enough for a match.

    `columns` has those of the other frames, and `length` is how many octets the frames take.
    """

    def __init__(self, description: Mapping[str, Any], octets: bytes) -> None:
        """From what `FramesWriter.encoded` returned; `octets` are those of the block, from where the frames begin."""
        self._records, self._count = int(description["records"]), int(description["frames"])
        self._forms: list[tuple[list[int], dict[str, list[int]]]] = description["forms"]
        packed: list[bytes] = []
        self.length = 0
        for size in description["packed"]:
            packed.append(octets[self.length : self.length + size])
            self.length += size
        self._packed, *owners = packed
        self.columns, self.alone = (
            self._take(counts, octets, of_columns)
            for counts, of_columns in zip(description["columns"], owners, strict=True)
        )

    def _take(self, counts: Sequence[tuple[str, int]], octets: bytes, packed: bytes) -> dict[Algorithm, Column]:
        """The next columns: `counts` has the algorithm and the number of values of each, `packed` their owners."""
        owners, taken, columns = np.frombuffer(zlib.decompress(packed), "<u4"), 0, dict[Algorithm, Column]()
        for name, many in counts:
            size = many * Algorithm(name).bits // 8
            values = octets[self.length : self.length + size]
            columns[Algorithm(name)] = Column(owners[taken : taken + many], values)
            taken, self.length = taken + many, self.length + size
        return columns

    def frames_of(self, number: int) -> tuple[Frame, ...]:
        """The frames of the record with this number, in their order."""
        counts, ats, *fields = self._table
        if not (at := np.flatnonzero(counts[:, 0] == number)).size:
            return ()
        first = int(counts[: at[0], 1].sum())
        rows = slice(first, first + int(counts[at[0], 1]))
        readers = SignalReader(self.columns, number), SignalReader(self.alone, number)
        frames: list[Frame] = []
        for thousandths, length, quality, unit, form, is_alone in zip(
            ats[rows].cumsum().tolist(), *(field[rows].tolist() for field in fields), strict=True
        ):
            own, altered = self._forms[form]
            signals = readers[is_alone].signals
            transforms = {name: signals(positions) for name, positions in altered.items()}
            known = None if quality == _WITHOUT_QUALITY else quality
            frames.append(Frame(thousandths / _MILLISECONDS, signals(own), known, transforms, _UNITS[unit], length))
        return tuple(frames)

    @cached_property
    def _table(self) -> list[NDArray[Any]]:
        """The number of each record with frames, with how many it has; then for all frames, an array of each field."""
        octets, position = zlib.decompress(self._packed), 8 * self._records
        table: list[NDArray[Any]] = [np.frombuffer(octets, "<u4", 2 * self._records).reshape(-1, 2)]
        for kind in _FIELDS:
            table.append(np.frombuffer(octets, kind, self._count, position))
            position += table[-1].nbytes
        return table


class SignalReader:
    """Reads the signals of one record, one after the other."""

    def __init__(self, columns: Mapping[Algorithm, Column], number: int) -> None:
        """Reads nothing yet; `number` is that of the record."""
        self._names = tuple(columns)
        self._left = {algorithm: column.values_of(algorithm, number) for algorithm, column in columns.items()}

    def signals(self, positions: Sequence[int]) -> tuple[Signal, ...]:
        """The next signals of the record, from the columns at these positions."""
        return tuple(
            [
                Signal.from_bytes(self._names[position], next(self._left[self._names[position]]))
                for position in positions
            ]
        )
