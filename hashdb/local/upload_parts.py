"""Parts: the values of a stretch of a log of uploads, packed to be compared one after the other by the kernel.

A few values are asked, and all uploads answer: to compare every value reads 16 bytes of it, from one end of a file to
the other. Tables, as the index has, take twice the room of the values, and lead to as many places as there are values.
A part is in memory, or in a file that is mapped. It has for each algorithm the lanes of the values and the record that
each is of, and the place of each record in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, open_arrays, verify_segment, write_arrays
from hashdb.index.vectors import Words, from_octets
from hashdb.local.upload_log import MOST_RECORDS, Frame

SUFFIX: Final = ".uploads"
_LIMIT: Final = 1 << 24
"""The most records of a part."""
_RATIO: Final = 4
"""Two parts are merged when the later one has more than a fourth of the records of the earlier one."""
_FEW_DIGESTS: Final = 64
_WORD = 64


class Part:
    """The values of the frames between two places of a log."""

    def __init__(self, start: int, end: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """A part over arrays that never change."""
        self.start, self.end, self.arrays = start, end, arrays
        self._segments: dict[Algorithm, Segment] = {}

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.arrays["places"])

    @cached_property
    def values(self) -> Mapping[Algorithm, int]:
        """How many values there are of each algorithm."""
        names = [name.removesuffix(".owners") for name in self.arrays if name.endswith(".owners")]
        return {Algorithm(name): len(self.arrays[f"{name}.owners"]) for name in names}

    def near(self, algorithm: Algorithm, asked: Words, radius: int) -> NDArray[np.int64]:
        """The places of the records with a value within `radius` bits of one of those asked, each once.

        Of a digest, the first word is compared; the radius is 0.
        """
        if algorithm not in self.values:
            return np.empty(0, np.int64)
        lanes = self._lanes(algorithm)
        if algorithm.is_digest and len(asked) > _FEW_DIGESTS:
            wanted = np.unique(asked[:, 0])
            nearest = wanted[np.searchsorted(wanted, lanes[0][:, 0]).clip(max=len(wanted) - 1)]
            rows: NDArray[np.integer[Any]] = np.flatnonzero(nearest == lanes[0][:, 0])
        else:
            bits = _WORD if algorithm.is_digest else algorithm.bits
            segment = self._segments.setdefault(algorithm, Segment(lanes, Chunks(bits, ())))
            rows = segment.scan(np.ascontiguousarray(asked[:, : bits // _WORD]), radius).rows
        owners = np.unique(self.arrays[f"{algorithm}.owners"][rows])
        places: NDArray[np.int64] = self.arrays["places"][owners].astype(np.int64)
        return places

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The places of the records of uploads whose ids have these hashes, in the order of the log."""
        known = self.arrays["hashes"]
        first, last = np.searchsorted(known, hashes), np.searchsorted(known, hashes, "right")
        found = np.flatnonzero(last > first)
        if not len(found):
            return np.empty(0, np.int64)
        rows = np.concatenate([np.arange(first[at], last[at]) for at in found])
        places: NDArray[np.int64] = self.arrays["places"][self.arrays["order"][rows]].astype(np.int64)
        places.sort()
        return places

    def _lanes(self, algorithm: Algorithm) -> list[NDArray[np.uint64]]:
        return [self.arrays[name] for name in (f"{algorithm}.0", f"{algorithm}.1") if name in self.arrays]


def place_of(frame: Frame, number: int) -> int:
    """The place of a record of a frame, as one number."""
    return frame.start * MOST_RECORDS + number


def make_part(frames: Sequence[Frame]) -> Part:
    """The part of frames that follow each other, in memory."""
    counts = [len(frame) for frame in frames]
    firsts = np.cumsum([0, *counts])
    places = np.concatenate(
        [
            np.arange(frame.start * MOST_RECORDS, frame.start * MOST_RECORDS + count)
            for frame, count in zip(frames, counts, strict=True)
        ]
    )
    arrays: dict[str, NDArray[Any]] = {"places": places}
    for algorithm in dict.fromkeys(algorithm for frame in frames for algorithm in frame.columns):
        having = [
            (first, frame.columns[algorithm])
            for first, frame in zip(firsts.tolist(), frames, strict=False)
            if algorithm in frame.columns
        ]
        arrays[f"{algorithm}.owners"] = np.concatenate(
            [column.owners.astype(np.uint32) + np.uint32(first) for first, column in having]
        )
        words = from_octets(b"".join(column.octets for _, column in having), algorithm.bits)
        if algorithm.is_digest:
            words = words[:, :1]
        for lane in range(0, words.shape[1], 2):
            arrays[f"{algorithm}.{lane // 2}"] = np.ascontiguousarray(words[:, lane : lane + 2])
    arrays |= _ordered(np.concatenate([frame.hashes.astype(np.uint64) for frame in frames]))
    return Part(frames[0].start, frames[-1].end, arrays)


def merge_parts(parts: Sequence[Part]) -> Part:
    """The part of parts that follow each other, in memory."""
    firsts = np.cumsum([0, *map(len, parts)]).tolist()
    names = dict.fromkeys(name for part in parts for name in part.arrays)
    arrays: dict[str, NDArray[Any]] = {}
    for name in names:
        having = [(first, part.arrays[name]) for first, part in zip(firsts, parts, strict=False) if name in part.arrays]
        if name.endswith(".owners"):
            arrays[name] = np.concatenate([array + np.uint32(first) for first, array in having])
        elif name not in ("hashes", "order"):
            arrays[name] = np.concatenate([array for _, array in having])
    hashes = np.empty(firsts[-1], np.uint64)
    for first, part in zip(firsts, parts, strict=False):
        hashes[first + part.arrays["order"].astype(np.intp)] = part.arrays["hashes"]
    return Part(parts[0].start, parts[-1].end, arrays | _ordered(hashes))


def _ordered(hashes: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    order = np.argsort(hashes)
    return {"hashes": hashes[order], "order": order.astype(np.uint32)}


def write_part(folder: Path, part: Part) -> Part:
    """Write a part to a file of the folder of its day, and return it as it is mapped. Raises OSError."""
    path = folder / f"{part.start}-{part.end}{SUFFIX}"
    write_arrays(path, {"start": part.start, "end": part.end}, list(part.arrays.items()))
    return open_part(path)


def open_part(path: Path, *, check: bool = False) -> Part:
    """The part in a file. Raises DamagedSegment if it is damaged, as far as it was checked, or gone."""
    if check:
        verify_segment(path)
    facts, arrays = open_arrays(path)
    return Part(int(facts["start"]), int(facts["end"]), arrays)


def list_parts(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of parts that follow each other from the start of the log on, and those that are not needed."""
    ends: dict[int, dict[int, Path]] = {}
    every = [path for path in folder.iterdir() if path.suffix in (SUFFIX, ".part")]
    for path in every:
        first, _, last = path.stem.partition("-")
        if path.suffix == SUFFIX and first.isdecimal() and last.isdecimal():
            ends.setdefault(int(first), {})[int(last)] = path
    chain: list[Path] = []
    at = 0
    while at in ends:
        at, path = max(ends[at].items())
        chain.append(path)
    return chain, [path for path in every if path not in chain]


def worth_merging(parts: Sequence[Part]) -> int:
    """How many of the last parts should be merged into one; 0 for none."""
    many, size = 1, len(parts[-1]) if parts else 0
    for part in reversed(parts[:-1]):
        if size * _RATIO <= len(part) or size + len(part) > _LIMIT:
            break
        many, size = many + 1, size + len(part)
    return many if many > 1 else 0


def total(parts: Iterable[Part]) -> int:
    """How many records some parts have together."""
    return sum(map(len, parts))
