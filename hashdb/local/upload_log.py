"""The log of a day's uploads: frames of uploads, each appended whole, with a checksum and its values in columns.

A frame is a header (magic, checksum of what follows, the lengths of description and body, the stamp), a description in
JSON, a body, and a trailer (the length of the frame, magic). Numbers are little-endian, values big-endian. The body has
the hashes of the ids, the lengths of the records, the columns (owners and values, one algorithm after the other), and
the records in JSON. A record without a time says that an upload was forgotten.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Signature
from hashdb.domain.times import from_microseconds, to_microseconds

LOG: Final = "log"
"""The name of the file in the folder of a day."""
MOST_RECORDS: Final = 4_096
"""The most records of a frame."""
_HEADER, _TRAILER, _STAMP = Struct("<4sIIIQ"), Struct("<I4s"), Struct("<Q")
_MAGIC, _END = b"hdbu", b"UBDH"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Column(NamedTuple):
    """The values of an algorithm in a frame, big-endian, and for each the number of the record that has it."""

    owners: NDArray[np.uint32]
    octets: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was read: where it begins and ends, and what it has."""

    start: int
    end: int
    stamp: int
    """Orders the frames of all days as they were appended."""
    hashes: NDArray[np.uint64]
    columns: Mapping[Algorithm, Column]
    ends: NDArray[np.int64]
    octets: bytes
    """The records, one after the other, and where each ends."""

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.ends)

    def id(self, number: int) -> str:
        """The id of the upload of a record."""
        return str(self._record(number)[0])

    def upload(self, number: int) -> Upload | None:
        """The upload of a record; None if the record says that it was forgotten."""
        id, at, *parts = self._record(number)
        if at is None:
            return None
        own: list[int] = parts[0]
        transforms: dict[str, list[int]]
        signatures: dict[str, list[str]]
        transforms, signatures = parts[1:] or ({}, {})
        left = {algorithm: _values_of(algorithm, column, number) for algorithm, column in self.columns.items()}
        names = tuple(self.columns)

        def signals(places: Sequence[int]) -> tuple[Signal, ...]:
            return tuple(Signal.from_bytes(names[place], next(left[names[place]])) for place in places)

        query = Query(
            signals(own),
            transforms={name: signals(places) for name, places in transforms.items()},
            signatures={name: tuple(map(Signature.parse, texts)) for name, texts in signatures.items()},
        )
        return Upload(id, from_microseconds(at), query)

    def _record(self, number: int) -> list[Any]:
        start = self.ends[number - 1] if number else 0
        record: list[Any] = json.loads(self.octets[start : self.ends[number]])
        return record


def _values_of(algorithm: Algorithm, column: Column, number: int) -> Iterator[bytes]:
    """The values of one record in a column, in order."""
    first, last = np.searchsorted(column.owners, [number, number + 1]).tolist()
    size = algorithm.bits // 8
    return (column.octets[place * size : (place + 1) * size] for place in range(first, last))


def hash_id(id: str) -> int:
    """The hash of an id, of 64 bits, by which the records of an upload are found."""
    return int.from_bytes(blake2b(id.encode(), digest_size=8).digest(), "little")


class Draft(NamedTuple):
    """A frame without its stamp, which orders it: the stamp is known once the log is locked."""

    checksum: int
    description: bytes
    body: bytes

    def stamped(self, stamp: int) -> bytes:
        """The frame."""
        checksum = zlib.crc32(_STAMP.pack(stamp), self.checksum)
        lengths = len(self.description), len(self.body)
        length = _HEADER.size + sum(lengths) + _TRAILER.size
        header = _HEADER.pack(_MAGIC, checksum, *lengths, stamp)
        return b"".join((header, self.description, self.body, _TRAILER.pack(length, _END)))


def draft_frame(uploads: Sequence[Upload | str]) -> Draft:
    """The frame of at most `MOST_RECORDS` uploads; of those that are forgotten, there is only the id."""
    values: dict[Algorithm, list[bytes]] = {}
    owners: dict[Algorithm, list[int]] = {}
    places: dict[Algorithm, int] = {}
    records: list[bytes] = []
    hashes: list[int] = []

    def add(signals: Sequence[Signal], number: int) -> list[int]:
        columns = []
        for signal in signals:
            algorithm = signal.algorithm
            if algorithm not in places:
                places[algorithm], values[algorithm], owners[algorithm] = len(places), [], []
            values[algorithm].append(signal.value.to_bytes(algorithm.bits // 8))
            owners[algorithm].append(number)
            columns.append(places[algorithm])
        return columns

    for number, upload in enumerate(uploads):
        if isinstance(upload, str):
            record: list[object] = [upload, None]
        else:
            query = upload.query
            record = [upload.id, to_microseconds(upload.at), add(query.signals, number)]
            if query.transforms or query.signatures:
                record.append({name: add(signals, number) for name, signals in query.transforms.items()})
                record.append({name: list(map(str, own)) for name, own in query.signatures.items()})
        hashes.append(hash_id(str(record[0])))
        records.append(_encode(record).encode())
    description = _encode({"records": len(records), "columns": [[name, len(values[name])] for name in places]}).encode()
    parts = [np.array(hashes, "<u8").tobytes(), np.array(list(map(len, records)), "<u4").tobytes()]
    for algorithm in places:
        parts += [np.array(owners[algorithm], "<u4").tobytes(), *values[algorithm]]
    body = b"".join([*parts, *records])
    return Draft(zlib.crc32(body, zlib.crc32(description)), description, body)


def decode_frame(file: int, start: int) -> Frame | None:
    """The frame at a place of a file (its descriptor); None if no whole, undamaged frame begins there."""
    head = os.pread(file, _HEADER.size, start)
    if len(head) < _HEADER.size:
        return None
    magic, checksum, description_length, body_length, stamp = _HEADER.unpack(head)
    length = description_length + body_length
    if magic != _MAGIC or start + _HEADER.size + length + _TRAILER.size > os.fstat(file).st_size:
        return None
    octets = os.pread(file, length + _TRAILER.size, start + _HEADER.size)
    if len(octets) < length + _TRAILER.size:
        return None
    if zlib.crc32(_STAMP.pack(stamp), zlib.crc32(memoryview(octets)[:length])) != checksum:
        return None
    end = start + _HEADER.size + len(octets)
    if octets[length:] != _TRAILER.pack(end - start, _END):
        return None
    return _decode_body(octets, description_length, start, end, stamp)


def _decode_body(octets: bytes, position: int, start: int, end: int, stamp: int) -> Frame:
    description = json.loads(octets[:position])
    count = int(description["records"])

    def take(type: str, many: int) -> NDArray[Any]:
        nonlocal position
        array = np.frombuffer(octets, type, many, position)
        position += array.nbytes
        return array

    hashes, lengths = take("<u8", count), take("<u4", count)
    columns: dict[Algorithm, Column] = {}
    for name, many in description["columns"]:
        owners, size = take("<u4", many), many * Algorithm(name).bits // 8
        columns[Algorithm(name)] = Column(owners, octets[position : position + size])
        position += size
    records = octets[position : position + int(lengths.sum())]
    return Frame(start, end, stamp, hashes, columns, lengths.cumsum(dtype=np.int64), records)


def append(folder: Path, frames: Sequence[bytes]) -> int:
    """Append frames to the log in the folder of a day, and return its descriptor, which is to be synced and closed.

    The caller holds the lock of the uploads. What a killed process left half written is cut off. Raises OSError, and
    then only the first frames may have been appended: whoever reads them already must find nothing else there.
    """
    file = os.open(folder / LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = _sound_end(file)
        os.ftruncate(file, end)
        for frame in frames:
            try:
                _write(file, frame)
            except OSError:
                os.ftruncate(file, end)
                raise
            end += len(frame)
    except BaseException:
        os.close(file)
        raise
    return file


def _write(file: int, octets: bytes) -> None:
    left = memoryview(octets)
    while left:
        left = left[os.write(file, left) :]


def _sound_end(file: int) -> int:
    """Where the last whole frame of a log ends."""
    size = os.fstat(file).st_size
    tail = os.pread(file, _TRAILER.size, max(0, size - _TRAILER.size))
    if len(tail) == _TRAILER.size:
        length, magic = _TRAILER.unpack(tail)
        if magic == _END and length <= size and decode_frame(file, size - length) is not None:
            return size
    end = 0
    while (frame := next_frame(file, end)) is not None:
        end = frame.end
    return end


def next_frame(file: int, start: int) -> Frame | None:
    """The frame at or after a place of a log: what is damaged before it is left out; None if there is no other."""
    if (frame := decode_frame(file, start)) is not None:
        return frame
    size, room = os.fstat(file).st_size, 1 << 20
    while start < size:
        octets = os.pread(file, room + len(_MAGIC) - 1, start)
        at = octets.find(_MAGIC)
        while at >= 0:
            if (frame := decode_frame(file, start + at)) is not None:
                return frame
            at = octets.find(_MAGIC, at + 1)
        start += room
    return None
