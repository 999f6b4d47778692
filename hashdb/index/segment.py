"""Segments: immutable sets of values with tables for multi-index hashing, in memory or in a file.

`hashdb.index.vectors` says how the tables are laid out.

A file is written whole or not at all, opened by memory-mapping, and verified in blocks. It begins with a magic line,
the length (8 bytes) and the CRC-32 (4 bytes) of a JSON header, and the header. Then come the arrays, each aligned to
64 bytes. Length and CRC-32 are little-endian; the arrays have the byte order of the machine, which the header names.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hashdb.errors import os_reason
from hashdb.index import vectors
from hashdb.index.folder import opener, sync_folder
from hashdb.index.kernel import SearchResults, Table, kernel
from hashdb.index.plan import Chunks, choose_chunks, probing_cost, scanning_cost, worth_probing
from hashdb.index.vectors import Entries, Hits, Lane, Words, allocate, chunk_of, copy_columns, distinct, use_huge_pages

_MAGIC = b"hashdb segment 2\n"
_PREFIX_SIZE = len(_MAGIC) + 12
"""Bytes before the header: the magic line, the length and the CRC-32."""
_BLOCK_SIZE = 16 * 1024 * 1024
"""Bytes with one checksum."""
_PIECE_SIZE = 2 * 1024 * 1024
"""Bytes that are read or written at a time: a huge page, which the system maps whole if it was written whole."""
_ALIGNMENT, _MAX_HEADER = 64, 1024 * 1024
"""Bytes to whose multiple each array is padded, and bytes of a header that are read at most."""
MAX_ENTRIES = 2**32 - 1
"""The most entries of all tables of a segment: an offset, which is a position among them, has 32 bits."""
_STRIDE = 131_072
"""Values, or offsets, that NumPy counts at a time: it holds the GIL meanwhile, so no other thread can run."""

Step = Callable[[str], None]
"""Called with the name of each step of a write before the step; a test ends the process there."""


class DamagedSegment(Exception):
    """A file that is no complete segment of this version; the index is rebuilt from the store."""


class Segment:
    """Distinct values of one length, sorted, and a table for each chunk, if there are chunks."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        chunks: Chunks,
        offsets: NDArray[np.uint32] | None = None,
        entries: Entries | None = None,
    ) -> None:
        """A segment over arrays that must never change again; `build_segment` makes them.

        `lanes` are the words of the values, in pairs (single words for 64 bits). `offsets` and `entries` are the
        tables; without chunks, there are none. The values in memory, which have no chunks, need not be sorted.
        """
        self.lanes, self.chunks, self.offsets, self.entries = tuple(lanes), chunks, offsets, entries
        self._uses_tables: dict[int, bool] = {}  # by radius

    def __len__(self) -> int:
        """How many values the segment has."""
        return len(self.lanes[0])

    def words(self, rows: NDArray[np.integer] | slice) -> Words:
        """The words of some rows. Shape (rows, bits / 64)."""
        return np.concatenate([lane[rows] for lane in self.lanes], axis=1)

    def uses_tables(self, radius: int) -> bool:
        """Whether a search at this radius uses the tables; if not, it compares every row."""
        uses_tables = self._uses_tables.get(radius)
        if uses_tables is None:
            uses_tables = self._uses_tables[radius] = worth_probing(self.chunks, len(self), radius)
        return uses_tables

    def cost(self, radius: int) -> float:
        """The expected nanoseconds of one query in the kernel."""
        count, chunks = len(self), self.chunks
        return probing_cost(chunks, count, radius) if self.uses_tables(radius) else scanning_cost(count, chunks.bits)

    def search(self, queries: Words, radius: int) -> Hits:
        """All rows within `radius` bits of each query, each once, in no order."""
        return self.probe(queries, radius) if self.uses_tables(radius) else self.scan(queries, radius)

    def probe(self, queries: Words, radius: int) -> Hits:
        """Search by the tables; only a query with too many candidates is compared with every row."""
        if (native := kernel()) is not None:
            return _hits(native.probe(self.table, self.chunks, queries, radius))
        return vectors.probe(self, queries, radius)

    def scan(self, queries: Words, radius: int) -> Hits:
        """Search by comparing every row."""
        if (native := kernel()) is not None:
            return _hits(native.scan(self.table, queries, radius))
        return vectors.scan(self, queries, radius)

    def near(self, value: int, radius: int) -> Iterable[tuple[int, int]]:
        """Distance and value of all within `radius` bits of one value, some several times; by NumPy."""
        return vectors.near(self, value, radius, probing=self.uses_tables(radius))

    @cached_property
    def table(self) -> Table:
        """The arrays as the kernel reads them."""
        return Table(self.lanes, self.chunks, self.offsets, self.entries)


def build_segment(words: Words, radius: int, chunks: Chunks | None = None) -> Segment:
    """A segment of values, which need not be distinct, for searches at `radius` bits (or with the given chunks).

    Raises ValueError for more values than a segment holds.
    """
    return build_sorted_segment(distinct(words), radius, chunks)


def max_values(bits: int) -> int:
    """The most values that a segment holds with any chunks; `choose_chunks` makes at most one for every 8 bits."""
    return MAX_ENTRIES // (bits // 8)


def split_for_segments(words: Words) -> Iterator[Words]:
    """The values in parts, each with as many as a segment holds."""
    most = max_values(words.shape[1] * 64)
    for start in range(0, len(words), most):
        yield words[start : start + most]


def build_sorted_segment(arranged: Words, radius: int, chunks: Chunks | None = None) -> Segment:
    """A segment of values that are distinct and sorted. Raises ValueError for too many values."""
    bits = arranged.shape[1] * 64
    chunks = chunks or choose_chunks(len(arranged), bits, radius)
    if len(arranged) * max(1, len(chunks.widths)) > MAX_ENTRIES:
        raise ValueError(f"a segment cannot hold {len(arranged)} values")
    width = 1 if bits == 64 else 2
    lanes = [copy_columns(arranged[:, first : first + width]) for first in range(0, bits // 64, width)]
    if not chunks.widths:
        return Segment(lanes, chunks)
    count, offsets = len(arranged), allocate((chunks.bases[-1],), np.uint32)
    entries: Entries = allocate((count * len(chunks.widths),), np.uint64 if bits == 64 else np.uint32)
    native = kernel()
    keys = allocate((0 if native else count,), np.uint64)
    for chunk, (shift, width) in enumerate(zip(chunks.shifts, chunks.widths, strict=True)):
        first, start = chunk * count, chunks.bases[chunk]
        table, chunk_entries = offsets[start : start + (1 << width) + 1], entries[first : first + count]
        if native is not None:
            native.order(arranged, shift, width, first, table, chunk_entries)
        else:
            sort_chunk(arranged, shift, width, first, table, chunk_entries, keys)
    # Sorted by the most significant chunk, the values are in their own order: the first table's entries of 64 bits are
    # also the lane.
    return Segment([entries[:count, None]] if bits == 64 else lanes, chunks, offsets, entries)


def sort_chunk(
    values: Words,
    shift: int,
    width: int,
    base: int,
    table: NDArray[np.uint32],
    entries: Entries,
    keys: NDArray[np.uint64],
) -> None:
    """Fill one table, by NumPy: its `entries`, sorted by the chunk at `shift`, and in `table` its offsets.

    `base` is the first offset: how many entries the tables before have. `keys` is room for a number for each value.
    """
    # Sorting value and row in one word, a key, is several times faster than an argsort.
    for start in range(0, len(keys), _STRIDE):
        part = chunk_of(values[start : start + _STRIDE].T, shift, width)
        part <<= np.uint64(32)
        part |= np.arange(start, start + len(part), dtype=np.uint64)
        keys[start : start + _STRIDE] = part
    keys.sort()
    table[0], table[1:] = base, 0
    for start in range(0, len(keys), _STRIDE):
        part = keys[start : start + _STRIDE]
        rows = part.astype(np.uint32)
        entries[start : start + _STRIDE] = values[:, 0].take(rows) if entries.dtype == np.uint64 else rows
        chunk_values = (part >> np.uint64(32)).view(np.int64)
        # The values are sorted: `bincount` begins at the least one, not at 0.
        least = int(chunk_values[0])
        chunk_values -= least
        counts = np.bincount(chunk_values)
        table[1 + least : 1 + least + len(counts)] += counts.astype(np.uint32)
    # So far the table has the size of each bucket, one place after its offset: their sums are the offsets.
    for start in range(0, len(table), _STRIDE):
        offsets = table[start : start + _STRIDE]
        offsets[0] += table[start - 1] if start else 0
        # Summing in place would hold the GIL.
        offsets[:] = np.add.accumulate(offsets, dtype=np.uint32)


def _hits(results: SearchResults) -> Hits:
    count = results.struct.count
    return Hits(results.queries[:count], results.rows[:count], results.distances[:count])


def no_step(name: str) -> None:
    """Do nothing: the default step."""


def write_segment(path: Path, segment: Segment, step: Step = no_step) -> None:
    """Write a segment: it appears under `path` only when it is complete and durable. Raises OSError."""
    facts = {"bits": segment.chunks.bits, "widths": segment.chunks.widths, "count": len(segment)}
    write_arrays(path, facts, _stored_arrays(segment), step)


def write_arrays(
    path: Path, facts: Mapping[str, object], arrays: Sequence[tuple[str, NDArray[Any]]], step: Step = no_step
) -> None:
    """Write named arrays and facts about them (values for JSON), as `write_segment` does. Raises OSError."""
    sections, size = [], 0
    for name, array in arrays:
        sections.append({"name": name, "type": array.dtype.str, "shape": array.shape, "at": size})
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    header: dict[str, Any] = {
        **facts,
        "order": sys.byteorder,
        "sections": sections,
        "size": size,
        # Placeholders as long as the longest checksums: the header is written last, into the room that is left for it.
        "checksums": [2**32 - 1] * -(-size // _BLOCK_SIZE),
    }
    length = len(json.dumps(header))
    unfinished = path.with_suffix(".part")
    step(f"write {path.suffix}")
    with open(unfinished, "wb", opener=opener) as file:
        file.write(bytes(_body_start(length)))
        step("body")
        header["checksums"] = list(_write_blocks(file, arrays))
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
    """The segment in a file, memory-mapped: processes share the pages, which are read when needed.

    It checks the header and the size, not the body (`verify` does). Raises DamagedSegment.
    """
    header, arrays = open_arrays(path)
    try:
        chunks, entries = Chunks(int(header["bits"]), tuple(header["widths"])), arrays.get("entries")
        if chunks.bits == 64 and chunks.widths:
            return Segment([arrays["entries"][: header["count"], None]], chunks, arrays["offsets"], entries)
        first, *others = [arrays[name] for name in sorted(arrays) if name.startswith("lane")]
        return Segment([first, *others], chunks, arrays.get("offsets"), entries)
    except (KeyError, TypeError, ValueError):
        raise _not_a_segment(path) from None


def open_arrays(path: Path) -> tuple[Mapping[str, Any], dict[str, NDArray[Any]]]:
    """The header of a file, which has the facts, and its arrays by name, memory-mapped. Raises DamagedSegment."""
    header, body_start = _read_header(path)
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        use_huge_pages(mapped)
    except OSError as error:
        raise _unreadable(path, error) from None
    arrays: dict[str, NDArray[Any]] = {}
    try:
        for section in header["sections"]:
            shape = section["shape"]
            values = np.frombuffer(mapped, section["type"], int(np.prod(shape)), body_start + section["at"])
            arrays[section["name"]] = values.reshape(shape)
    except (KeyError, TypeError, ValueError):
        raise _not_a_segment(path) from None
    return header, arrays


def verify_segment(path: Path) -> None:
    """Verify the checksums of the whole body of a file. Raises DamagedSegment."""
    header, start = _read_header(path)
    try:
        with path.open("rb") as file:
            file.seek(start)
            damaged = [block for block, checksum in enumerate(header["checksums"]) if _block_checksum(file) != checksum]
    except OSError as error:
        raise _unreadable(path, error) from None
    if damaged:
        raise DamagedSegment(f"block {damaged[0]} of {path.name} is damaged")


def _read_header(path: Path) -> tuple[Any, int]:
    """The header of a file, and the position in bytes at which its arrays begin. Raises DamagedSegment."""
    try:
        with path.open("rb") as file:
            prefix = file.read(_PREFIX_SIZE)
            if prefix[: len(_MAGIC)] != _MAGIC:
                raise _not_a_segment(path)
            length = int.from_bytes(prefix[len(_MAGIC) : -4], "little")
            text = file.read(min(length, _MAX_HEADER))
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(text) != length or zlib.crc32(text).to_bytes(4, "little") != prefix[-4:]:
        raise DamagedSegment(f"the header of {path.name} is damaged")
    try:
        header = json.loads(text)
        order, expected_size = header["order"], _body_start(length) + header["size"]
    except (KeyError, TypeError, ValueError):
        raise _not_a_segment(path) from None
    if order != sys.byteorder:
        raise DamagedSegment(f"{path.name} was written on a machine of another byte order")
    if size != expected_size:
        raise DamagedSegment(f"{path.name} has {size} bytes instead of {expected_size}")
    return header, _body_start(length)


def _not_a_segment(path: Path) -> DamagedSegment:
    return DamagedSegment(f"{path.name} is not a segment of this version")


def _unreadable(path: Path, error: OSError) -> DamagedSegment:
    return DamagedSegment(f"{path.name} cannot be read: {os_reason(error)}")


def _body_start(header_length: int) -> int:
    """The position in bytes at which the arrays begin: that of the next page of memory."""
    return -(-(_PREFIX_SIZE + header_length) // 4096) * 4096


def _stored_arrays(segment: Segment) -> list[tuple[str, NDArray[Any]]]:
    """The name and the array of each section of a segment's file."""
    lanes: list[tuple[str, NDArray[Any]]] = [(f"lane{number}", lane) for number, lane in enumerate(segment.lanes)]
    if segment.offsets is None or segment.entries is None:
        return lanes
    tables = [("offsets", segment.offsets), ("entries", segment.entries)]
    # Of 64 bits, the first table's entries are the lane.
    return tables if segment.chunks.bits == 64 else lanes + tables


def _write_blocks(file: BinaryIO, arrays: Sequence[tuple[str, NDArray[Any]]]) -> Iterator[int]:
    """Write the arrays, each padded to the alignment; yield the checksum of each block."""
    checksum = position = 0
    for _, array in arrays:
        octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for part in (octets, memoryview(bytes(-len(octets) % _ALIGNMENT))):
            start = 0
            while start < len(part):
                # Copying or checking more at a time would hold the GIL for long.
                piece = part[start : start + _PIECE_SIZE - file.tell() % _PIECE_SIZE]
                file.write(piece)
                start += len(piece)
                # Pieces are aligned in the file, blocks in the body: a block may end within a piece.
                while piece:
                    checked = piece[: _BLOCK_SIZE - position % _BLOCK_SIZE]
                    checksum, position = zlib.crc32(checked, checksum), position + len(checked)
                    piece = piece[len(checked) :]
                    if position % _BLOCK_SIZE == 0:
                        yield checksum
                        checksum = 0
    if position % _BLOCK_SIZE:
        yield checksum


def _block_checksum(file: BinaryIO) -> int:
    """The checksum of the block at the position of the file."""
    checksum = 0
    for _ in range(_BLOCK_SIZE // _PIECE_SIZE):
        checksum = zlib.crc32(file.read(_PIECE_SIZE), checksum)
    return checksum
