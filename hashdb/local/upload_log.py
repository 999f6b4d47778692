"""The log of a day's uploads: blocks of uploads, each appended whole, with a checksum and its values in columns.

A block is a header (magic, checksum of what follows, the lengths of description and body, the stamp), a description in
JSON, a body, and a trailer (the length of the block, magic). Numbers are little-endian, values big-endian. The body has
the hashes of the ids, the lengths of the records, the columns (owners and values, one algorithm after the other), and
the records in JSON. A record is a list: the id, the time, the columns of the signals; then, if there are any, those of
the transforms by name, the signatures by name, and the duration. One without a time says that an upload was forgotten.

A day has two logs of this format. In `FRAMED_LOG`, the frames of the records come behind the columns: a table of their
places, and columns of their own. A program that knows the first log alone neither reads nor changes the second.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from hashdb.local.upload_columns import Column, ColumnsWriter, Frames, FramesWriter, SignalReader, encode

LOG: Final = "log"
"""The name of the file in the folder of a day."""
FRAMED_LOG: Final = "framed-log"
"""The name of the file of the uploads that have frames, or signals of an algorithm that is not in the other log."""
LOGS: Final = (LOG, FRAMED_LOG)
_IN_LOG: Final = frozenset(map(Algorithm, ("pdq", "phash256", "phash", "dhash", "whash", "ahash", "sha256", "md5")))
"""The algorithms in `LOG`. It never has another one: programs that do not know it would fail at the whole log."""
MOST_RECORDS: Final = 4_096
"""The most records of a block."""
_MOST_FRAMES: Final = 32_768
"""The most frames of a block with more than one record: to read one of them, the whole block is read."""
_HEADER, _TRAILER, _STAMP = Struct("<4sIIIQ"), Struct("<I4s"), Struct("<Q")
_MAGIC, _END = b"hdbu", b"UBDH"
_WITHOUT_FRAMES: Final = 3
"""Fields of a record behind its id and time, unless there are frames: then their duration follows."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was read: the offsets in the log where it begins and ends, and what it has."""

    start: int
    end: int
    stamp: int
    """Orders the blocks of all days as they were appended."""
    hashes: NDArray[np.uint64]
    """For each record, the `hash_id` of its upload's id."""
    columns: Mapping[Algorithm, Column]
    ends: NDArray[np.int64]
    octets: bytes
    """The records in JSON, one after the other, and in `ends` where each ends."""
    frames: Frames | None = None
    """The frames of the records; None if no record has any."""

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
        transforms, signatures = parts[1:3] or ({}, {})
        signals = SignalReader(self.columns, number).signals
        query = Query(
            signals(own),
            transforms={name: signals(positions) for name, positions in transforms.items()},
            signatures={name: tuple(map(Signature.parse, texts)) for name, texts in signatures.items()},
        )
        if self.frames is not None and len(parts) > _WITHOUT_FRAMES:
            query = replace(query, frames=self.frames.frames_of(number), duration=parts[_WITHOUT_FRAMES])
        return Upload(id, from_microseconds(at), query)

    def _record(self, number: int) -> list[Any]:
        start = self.ends[number - 1] if number else 0
        record: list[Any] = json.loads(self.octets[start : self.ends[number]])
        return record


def hash_id(id: str) -> int:
    """The hash of an id, of 64 bits, by which the records of an upload are found."""
    return int.from_bytes(blake2b(id.encode(), digest_size=8).digest(), "little")


class BlockDraft(NamedTuple):
    """A block without its stamp, which orders it: the stamp is known once the log is locked."""

    checksum: int  # of the description and the body
    description: bytes
    body: bytes

    def stamped(self, stamp: int) -> bytes:
        """The block with this stamp, as it is appended."""
        checksum = zlib.crc32(_STAMP.pack(stamp), self.checksum)
        lengths = len(self.description), len(self.body)
        length = _HEADER.size + sum(lengths) + _TRAILER.size
        header = _HEADER.pack(_MAGIC, checksum, *lengths, stamp)
        return b"".join((header, self.description, self.body, _TRAILER.pack(length, _END)))


def log_name(query: Query) -> str:
    """The name of the log that an upload with this query is appended to."""
    if query.frames or _has_others(query.signals):
        return FRAMED_LOG
    return FRAMED_LOG if query.transforms and any(map(_has_others, query.transforms.values())) else LOG


def _has_others(signals: Sequence[Signal]) -> bool:
    """Whether a signal is of an algorithm that is not in `LOG`."""
    # Without a generator: this runs for every upload.
    for signal in signals:  # noqa: SIM110
        if signal.algorithm not in _IN_LOG:
            return True
    return False


def draft_blocks(uploads: Sequence[Upload | str]) -> list[BlockDraft]:
    """The blocks of uploads of one log, in order; a text is the id of an upload that is forgotten."""
    drafts: list[BlockDraft] = []
    start = frames = 0
    for place, upload in enumerate(uploads):
        own_frames = 0 if isinstance(upload, str) else len(upload.query.frames)
        if place - start == MOST_RECORDS or (place > start and frames + own_frames > _MOST_FRAMES):
            drafts.append(draft_block(uploads[start:place]))
            start, frames = place, 0
        frames += own_frames
    if start < len(uploads):
        drafts.append(draft_block(uploads[start:]))
    return drafts


def draft_block(uploads: Sequence[Upload | str]) -> BlockDraft:
    """The block of at most `MOST_RECORDS` uploads of one log; of those that are forgotten, there is only the id."""
    columns, frames = ColumnsWriter(), FramesWriter()
    add = columns.add  # returns the column of each signal
    records: list[bytes] = []
    hashes: list[int] = []
    for number, upload in enumerate(uploads):
        if isinstance(upload, str):
            record: list[object] = [upload, None]
        else:
            query = upload.query
            record = [upload.id, to_microseconds(upload.at), add(query.signals, number)]
            if query.transforms or query.signatures or query.frames:
                record.append({name: add(signals, number) for name, signals in query.transforms.items()})
                record.append({name: list(map(str, own)) for name, own in query.signatures.items()})
            if query.frames:
                record.append(query.duration)
                frames.add(query.frames, number)
        hashes.append(hash_id(str(record[0])))
        records.append(encode(record).encode())
    description: dict[str, object] = {"records": len(records), "columns": columns.counts}
    parts = [np.array(hashes, "<u8").tobytes(), np.array(list(map(len, records)), "<u4").tobytes(), *columns.octets]
    if len(frames):
        description["frames"], octets = frames.encoded()
        parts += octets
    described, body = encode(description).encode(), b"".join([*parts, *records])
    return BlockDraft(zlib.crc32(body, zlib.crc32(described)), described, body)


def decode_block(file: int, start: int) -> Block | None:
    """The block at an offset of a file (its descriptor); None if no whole, undamaged block begins there."""
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


def _decode_body(octets: bytes, position: int, start: int, end: int, stamp: int) -> Block:
    description = json.loads(octets[:position])
    count = int(description["records"])

    def take(type: str, length: int) -> NDArray[Any]:
        nonlocal position
        array = np.frombuffer(octets, type, length, position)
        position += array.nbytes
        return array

    hashes, lengths = take("<u8", count), take("<u4", count)
    columns: dict[Algorithm, Column] = {}
    for name, values in description["columns"]:
        owners, size = take("<u4", values), values * Algorithm(name).bits // 8
        columns[Algorithm(name)] = Column(owners, octets[position : position + size])
        position += size
    frames = None
    if "frames" in description:
        frames = Frames(description["frames"], octets[position:])
        position += frames.length
    records = octets[position : position + int(lengths.sum())]
    return Block(start, end, stamp, hashes, columns, lengths.cumsum(dtype=np.int64), records, frames)


def append(log: Path, blocks: Sequence[bytes]) -> int:
    """Append blocks to a log, and return its descriptor, which is to be synced and closed.

    The caller holds the lock of the uploads. What a killed process left half written is cut off. Raises OSError, and
    then only the first blocks may have been appended. They stay, because another process may have read them.
    """
    file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = _sound_end(file)
        os.ftruncate(file, end)
        for block in blocks:
            try:
                _write(file, block)
            except OSError:
                os.ftruncate(file, end)
                raise
            end += len(block)
    except BaseException:
        os.close(file)
        raise
    return file


def _write(file: int, octets: bytes) -> None:
    left = memoryview(octets)
    while left:
        left = left[os.write(file, left) :]


def _sound_end(file: int) -> int:
    """Where the last whole block of a log ends."""
    size = os.fstat(file).st_size
    tail = os.pread(file, _TRAILER.size, max(0, size - _TRAILER.size))
    if len(tail) == _TRAILER.size:
        length, magic = _TRAILER.unpack(tail)
        if magic == _END and length <= size and decode_block(file, size - length) is not None:
            return size
    end = 0
    while (block := next_block(file, end)) is not None:
        end = block.end
    return end


def next_block(file: int, start: int) -> Block | None:
    """The block at or after an offset of a log: what is damaged before it is left out; None if there is no other."""
    if (block := decode_block(file, start)) is not None:
        return block
    size, room = os.fstat(file).st_size, 1 << 20
    while start < size:
        octets = os.pread(file, room + len(_MAGIC) - 1, start)
        at = octets.find(_MAGIC)
        while at >= 0:
            if (block := decode_block(file, start + at)) is not None:
                return block
            at = octets.find(_MAGIC, at + 1)
        start += room
    return None
