"""Segments in files: written whole or not at all, opened by memory-mapping, checked in blocks.

A file is a magic line, the length and checksum of a JSON header, the header, and the arrays, each at a multiple of 64
bytes. Everything is little-endian.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hashdb.index import private
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment

_MAGIC = b"hashdb segment 2\n"
_BLOCK = 16 * 1024 * 1024
"""Bytes that have a checksum of their own."""
_PIECE = 1024 * 1024
"""Bytes that are read or written at a time."""
_ALIGNED = 64
_LONGEST_HEADER = 1024 * 1024
_LARGEST = 2**32 - 1

Step = Callable[[str], None]
"""Told the name of each step of a write before it is taken; a test ends the process there."""


class DamagedSegment(Exception):
    """A file that is not a whole segment of this version; it is rebuilt from the store."""


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
    with open(unfinished, "wb", opener=private.opener) as file:
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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
