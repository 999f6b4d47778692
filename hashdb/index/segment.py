"""A segment: an immutable set of values with tables for multi-index hashing, in memory or in a file.

A file is written whole or not at all, opened by memory-mapping, and checked in blocks. It is a magic line, the length
and checksum of a JSON header, the header, and the arrays, each at a multiple of 64 bytes. Everything is little-endian.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hashdb.index import vectors
from hashdb.index.folder import opener, sync_folder
from hashdb.index.kernel import SearchResults, Table, kernel
from hashdb.index.plan import Chunks, choose, probing, scanning, worth_probing
from hashdb.index.vectors import Entries, Hits, Lane, Words, chunk_of, copied, distinct, room

_MAGIC = b"hashdb segment 2\n"
_BLOCK = 16 * 1024 * 1024
"""Bytes that have a checksum of their own."""
_PIECE = 1024 * 1024
"""Bytes that are read or written at a time."""
_ALIGNED = 64
_LONGEST_HEADER = 1024 * 1024
_LARGEST = 2**32 - 1

_PLACES = 2**32
_COUNTED = 131_072
"""Values, or places, that are counted at a time: what counts them lets no other thread run."""


Step = Callable[[str], None]
"""Told the name of each step of a write before it is taken; a test ends the process there."""


class DamagedSegment(Exception):
    """A file that is not a whole segment of this version; it is rebuilt from the store."""


class Segment:
    """Distinct values of one length, and for each chunk the rows ordered by its value."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        cut: Chunks,
        offsets: NDArray[np.uint32] | None = None,
        entries: Entries | None = None,
    ) -> None:
        """Over arrays that are never changed again; `build` makes them.

        `offsets` holds for each chunk, one after the other, where in `entries` those of each chunk value begin.
        """
        self.lanes, self.cut, self.offsets, self.entries = tuple(lanes), cut, offsets, entries
        self._probing: dict[int, bool] = {}

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.lanes[0])

    def words(self, rows: NDArray[np.integer] | slice) -> Words:
        """The words of some rows."""
        return np.concatenate([lane[rows] for lane in self.lanes], axis=1)

    def probed(self, radius: int) -> bool:
        """Whether a search at this radius goes by the tables."""
        probing = self._probing.get(radius)
        if probing is None:
            probing = self._probing[radius] = worth_probing(self.cut, len(self), radius)
        return probing

    def cost(self, radius: int) -> float:
        """Nanoseconds that a query is expected to take in the kernel."""
        many, cut = len(self), self.cut
        return probing(cut, many, radius) if self.probed(radius) else scanning(many, cut.bits)

    def search(self, queries: Words, radius: int) -> Hits:
        """Every row within `radius` bits of each query, each once, in no order."""
        return self.probe(queries, radius) if self.probed(radius) else self.scan(queries, radius)

    def probe(self, queries: Words, radius: int) -> Hits:
        """The same by the tables; only a query that has too many candidates is compared with every row."""
        if (native := kernel()) is not None:
            return _told(native.probe(self.table, self.cut, queries, radius))
        return vectors.probe(self, queries, radius)

    def scan(self, queries: Words, radius: int) -> Hits:
        """The same by comparing every row."""
        if (native := kernel()) is not None:
            return _told(native.scan(self.table, queries, radius))
        return vectors.scan(self, queries, radius)

    def near(self, value: int, radius: int) -> Iterable[tuple[int, int]]:
        """Distance and value of all within the radius of one value, some twice; by NumPy."""
        return vectors.near(self, value, radius, probing=self.probed(radius))

    @cached_property
    def table(self) -> Table:
        """What the kernel reads."""
        return Table(self.lanes, self.cut, self.offsets, self.entries)


def build(words: Words, radius: int, cut: Chunks | None = None) -> Segment:
    """The segment of some values, which need not be distinct, cut for searches at `radius` (or as said).

    Raises ValueError for more than a segment holds.
    """
    return arrange(distinct(words), radius, cut)


def most(bits: int) -> int:
    """How many values a segment holds at most, however it is cut: its tables have places of 32 bits."""
    return (_PLACES - 1) // (bits // 8)


def arrange(arranged: Words, radius: int, cut: Chunks | None = None) -> Segment:
    """The same of values that are distinct and sorted."""
    bits = arranged.shape[1] * 64
    cut = cut or choose(len(arranged), bits, radius)
    if len(arranged) * max(1, len(cut.widths)) >= _PLACES:
        raise ValueError(f"a segment cannot hold {len(arranged):,} values")
    width = 1 if bits == 64 else 2
    lanes = [copied(arranged[:, start : start + width]) for start in range(0, bits // 64, width)]
    if not cut.widths:
        return Segment(lanes, cut)
    count, offsets = len(arranged), room((cut.bases[-1],), np.uint32)
    entries: Entries = room((count * len(cut.widths),), np.uint64 if bits == 64 else np.uint32)
    native = kernel()
    keys = room((0 if native else count,), np.uint64)
    for number, (shift, width) in enumerate(zip(cut.shifts, cut.widths, strict=True)):
        start, base = number * count, cut.bases[number]
        table, part = offsets[base : base + (1 << width) + 1], entries[start : start + count]
        if native is not None:
            native.order(arranged, shift, width, start, table, part)
        else:
            _order(arranged, shift, width, start, table, part, keys)
    # The most significant chunk's order is the order of sorted values: they need not be kept twice.
    return Segment([entries[:count, None]] if bits == 64 else lanes, cut, offsets, entries)


def _order(
    values: Words,
    shift: int,
    width: int,
    base: int,
    table: NDArray[np.uint32],
    entries: Entries,
    keys: NDArray[np.uint64],
) -> None:
    """Fill `entries` in a chunk's order, `table` with where in it each chunk value begins, counted from `base`."""
    # To sort value and row in one word is several times faster than an argsort.
    for start in range(0, len(keys), _COUNTED):
        some = chunk_of(values[start : start + _COUNTED].T, shift, width)
        some <<= np.uint64(32)
        some |= np.arange(start, start + len(some), dtype=np.uint64)
        keys[start : start + _COUNTED] = some
    keys.sort()
    table[0], table[1:] = base, 0
    for start in range(0, len(keys), _COUNTED):
        some = keys[start : start + _COUNTED]
        rows = some.astype(np.uint32)
        entries[start : start + _COUNTED] = values[:, 0].take(rows) if entries.dtype == np.uint64 else rows
        chunks = (some >> np.uint64(32)).view(np.int64)
        least = int(chunks[0])
        chunks -= least
        counts = np.bincount(chunks)
        table[1 + least : 1 + least + len(counts)] += counts.astype(np.uint32)
    for start in range(0, len(table), _COUNTED):
        places = table[start : start + _COUNTED]
        places[0] += table[start - 1] if start else 0
        # To sum up in place would let no other thread run.
        places[:] = np.add.accumulate(places, dtype=np.uint32)


def _told(found: SearchResults) -> Hits:
    count = found.struct.count
    return Hits(found.queries[:count], found.rows[:count], found.distances[:count])


def no_step(name: str) -> None:
    """Does nothing."""


def write_segment(path: Path, segment: Segment, step: Step = no_step) -> None:
    """Write a segment: after this it is whole and durable under `path`, before it nothing is there."""
    arrays = _arrays(segment)
    sections, place = [], 0
    for name, array in arrays:
        sections.append({"name": name, "type": array.dtype.str, "shape": array.shape, "at": place})
        place += -(-array.nbytes // _ALIGNED) * _ALIGNED
    header = {
        "bits": segment.cut.bits,
        "widths": segment.cut.widths,
        "count": len(segment),
        "order": sys.byteorder,
        "sections": sections,
        "size": place,
        # As long as any.
        "checksums": [_LARGEST] * -(-place // _BLOCK),
    }
    length = len(json.dumps(header))
    unfinished = path.with_suffix(".part")
    step(f"write {path.suffix}")
    with open(unfinished, "wb", opener=opener) as file:
        file.write(bytes(_body_at(length)))
        step("body")
        header["checksums"] = list(_write_body(file, arrays))
        text = json.dumps(header).ljust(length).encode()
        file.seek(0)
        file.write(_MAGIC + length.to_bytes(8, "little") + zlib.crc32(text).to_bytes(4, "little") + text)
        file.flush()
        step("sync")
        os.fsync(file.fileno())
    step("rename")
    unfinished.rename(path)
    sync_folder(path.parent)


def open_segment(path: Path) -> Segment:
    """The segment in a file, memory-mapped: pages are shared by all processes and read when needed.

    Checks the header and the size, not the body (`verify` does). Raises DamagedSegment.
    """
    header, body_at = _header(path)
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        return _segment(header, mapped, body_at)
    except (KeyError, TypeError, ValueError):
        raise _foreign(path) from None


def verify(path: Path) -> None:
    """Read a file's whole body against its checksums. Raises DamagedSegment."""
    header, body_at = _header(path)
    try:
        with path.open("rb") as file:
            file.seek(body_at)
            damaged = [i for i, known in enumerate(header["checksums"]) if _checksum(file) != known]
    except OSError as error:
        raise _unreadable(path, error) from None
    if damaged:
        raise DamagedSegment(f"block {damaged[0]} of {path.name} is not what was written")


def _segment(header: Any, mapped: mmap.mmap, body_at: int) -> Segment:
    arrays = {
        one["name"]: np.frombuffer(mapped, one["type"], int(np.prod(one["shape"])), body_at + one["at"]).reshape(
            one["shape"]
        )
        for one in header["sections"]
    }
    cut, entries = Chunks(int(header["bits"]), tuple(header["widths"])), arrays.get("entries")
    if cut.bits == 64 and cut.widths:
        return Segment([arrays["entries"][: header["count"], None]], cut, arrays["offsets"], entries)
    first, *others = [arrays[name] for name in sorted(arrays) if name.startswith("lane")]
    return Segment([first, *others], cut, arrays.get("offsets"), entries)


def _header(path: Path) -> tuple[Any, int]:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC) + 12)
            if start[: len(_MAGIC)] != _MAGIC:
                raise _foreign(path)
            length = int.from_bytes(start[len(_MAGIC) : -4], "little")
            text = file.read(min(length, _LONGEST_HEADER))
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(text) != length or zlib.crc32(text).to_bytes(4, "little") != start[-4:]:
        raise DamagedSegment(f"the header of {path.name} is not what was written")
    try:
        header = json.loads(text)
        order, whole = header["order"], _body_at(length) + header["size"]
    except (KeyError, TypeError, ValueError):
        raise _foreign(path) from None
    if order != sys.byteorder:
        raise DamagedSegment(f"{path.name} was written on a machine of another byte order")
    if size != whole:
        raise DamagedSegment(f"{path.name} has {size:,} bytes, which is not its size")
    return header, _body_at(length)


def _foreign(path: Path) -> DamagedSegment:
    return DamagedSegment(f"{path.name} is no segment of this version")


def _unreadable(path: Path, error: OSError) -> DamagedSegment:
    return DamagedSegment(f"{path.name} cannot be read: {(error.strerror or '').lower()}")


def _body_at(header_length: int) -> int:
    return -(-(len(_MAGIC) + 12 + header_length) // 4096) * 4096


def _arrays(segment: Segment) -> list[tuple[str, NDArray[Any]]]:
    lanes: list[tuple[str, NDArray[Any]]] = [(f"lane{number}", lane) for number, lane in enumerate(segment.lanes)]
    if segment.offsets is None or segment.entries is None:
        return lanes
    tables = [("offsets", segment.offsets), ("entries", segment.entries)]
    # Values of 64 bits stand at the beginning of the entries.
    return tables if segment.cut.bits == 64 else lanes + tables


def _write_body(file: BinaryIO, arrays: list[tuple[str, NDArray[Any]]]) -> Iterator[int]:
    """Write the arrays, each filled up to its place; yield the checksum of each block."""
    checksum = place = 0
    for _, array in arrays:
        octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for part in (octets, memoryview(bytes(-len(octets) % _ALIGNED))):
            start = 0
            while start < len(part):
                # To copy or to check more at a time would let no other thread run.
                piece = part[start : start + min(_PIECE, _BLOCK - place % _BLOCK)]
                file.write(piece)
                checksum = zlib.crc32(piece, checksum)
                start, place = start + len(piece), place + len(piece)
                if place % _BLOCK == 0:
                    yield checksum
                    checksum = 0
    if place % _BLOCK:
        yield checksum


def _checksum(file: BinaryIO) -> int:
    """Of the block that begins where the file stands."""
    checksum = 0
    for _ in range(_BLOCK // _PIECE):
        checksum = zlib.crc32(file.read(_PIECE), checksum)
    return checksum
