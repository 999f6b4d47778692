"""Parts: the values of consecutive blocks of a log of remembered uploads, in arrays that the kernel can scan.

Look-back compares a few values with those of all uploads. A scan for that reads 16 bytes of each value, one after the
other. The tables of the index would be larger than the values, and would lead to nearly as many places.

A part is in memory, or in a memory-mapped file. A record of the log is one upload as it was remembered, or the note
that it was forgotten. Each record of a part has a number, counted from 0, and a place, which finds it in the log: see
`_places`. The arrays of a part, by name:

- `places`: the place of each record.
- `hashes` and `order`: the hashes of the uploads' ids, ascending, and the number of the record of each.
- pdq.owners, and the same for the other algorithms: the number of the record that has each value.
- pdq.0 and pdq.1, and the same for the others: the lanes of the values, which are their first and second 128 bits. A
  value of 64 bits, and a digest, of which only the first 64 bits are here, has one lane of 64 bits.
- The same with the prefix frames-: the values of frames of which one alone is not enough for a match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.aligners import NEARLY_ALL
from hashdb.domain.signals import Algorithm
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, open_arrays, verify_segment, write_arrays
from hashdb.index.vectors import Words, from_octets
from hashdb.local.upload_columns import Column
from hashdb.local.upload_log import LOG, MOST_RECORDS, Block

_SUFFIX, _FRAMED_SUFFIX = ".uploads", ".framed"
"""The suffixes of the files of parts: of `LOG`, and of the log of uploads with frames."""
_MAX_RECORDS: Final = 1 << 24
"""The most records of a merged part."""
_MAX_VALUES: Final = 1 << 25
"""The most values of a merged part: parts are merged in memory."""
_RATIO: Final = 4
"""A part is merged into the one before it if it has more than 1 / `_RATIO` as many records."""
_FEW_DIGESTS: Final = 64
"""Up to so many digests are compared with every value by the kernel; more are looked up in a sorted array."""
_WORD_BITS: Final = 64
_FRAMES: Final = "frames-"
"""The prefix of the names of arrays of frames."""
_ROWS_AT_ONCE, _SEARCHED_AT_ONCE = 65_536, 64
"""How many values of frames are compared with how many others in one scan, whose hits are in memory.

The frames of a film that hardly moves are all near each other.
"""


class SearchValues(NamedTuple):
    """Values of contributions, of one algorithm, that are searched for among the uploads."""

    words: Words
    shares: NDArray[np.float64]
    """For each value, which share of its contribution the value covers, 0 to 1; the largest, if several have it.

    A picture is covered by its hash: 1. From `NEARLY_ALL` on, one frame of an upload is enough for a match.
    """


class Part:
    """The values of the blocks between two offsets of a log, in bytes."""

    def __init__(self, start: int, end: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """A part over arrays that must not change, named as in the docstring of this module."""
        self.start, self.end, self.arrays = start, end, arrays
        self._segments: dict[Algorithm, Segment] = {}

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.arrays["places"])

    @cached_property
    def value_counts(self) -> Mapping[Algorithm, int]:
        """How many values of each algorithm there are that `places_near` searches: one is enough for a match."""
        return self._count_values("")

    @cached_property
    def frame_value_counts(self) -> Mapping[Algorithm, int]:
        """How many values of each algorithm there are that `places_with_near_frames` searches."""
        return self._count_values(_FRAMES)

    @cached_property
    def total_values(self) -> int:
        """How many values there are, of all algorithms."""
        return sum(self.value_counts.values()) + sum(self.frame_value_counts.values())

    def places_near(self, algorithm: Algorithm, searched: Words, radius: int) -> NDArray[np.int64]:
        """The places of the records that have a value within `radius` bits of one in `searched`, each once.

        Digests are compared by their first 64 bits, for which `radius` must be 0. It does not search the arrays of
        frames.
        """
        if algorithm not in self.value_counts:
            return np.empty(0, np.int64)
        lanes = self._lanes(str(algorithm))
        if algorithm.is_digest and len(searched) > _FEW_DIGESTS:
            digests, values = np.unique(searched[:, 0]), lanes[0][:, 0]
            candidates = digests[np.searchsorted(digests, values).clip(max=len(digests) - 1)]
            rows: NDArray[np.integer[Any]] = np.flatnonzero(candidates == values)
        else:
            bits = _WORD_BITS if algorithm.is_digest else algorithm.bits
            # Chunks without widths: a segment without tables, which can only be scanned.
            segment = self._segments.setdefault(algorithm, Segment(lanes, Chunks(bits, ())))
            rows = segment.scan(np.ascontiguousarray(searched[:, : bits // _WORD_BITS]), radius).rows
        owners = np.unique(self.arrays[f"{algorithm}.owners"][rows])
        places: NDArray[np.int64] = self.arrays["places"][owners].astype(np.int64)
        return places

    def places_with_near_frames(
        self, searched: Mapping[Algorithm, SearchValues], first: int, end: int
    ) -> NDArray[np.int64]:
        """The places of the records whose frames may match, each once, of those numbered `first` up to before `end`.

        The frames of a record may match if two of its values are within the algorithm's radius of searched values, or
        if one is, and these cover nearly all of a contribution. Uploads that only share one passage with a
        contribution, which may be very many, are therefore not read.
        """
        near_values, one_is_enough = np.zeros(end - first, np.uint32), np.zeros(end - first, bool)
        for algorithm in searched.keys() & self.frame_value_counts.keys():
            owners = self.arrays[f"{_FRAMES}{algorithm}.owners"]
            first_row, end_row = np.searchsorted(owners, [first, end]).tolist()
            for row in range(first_row, end_row, _ROWS_AT_ONCE):
                rows = slice(row, min(end_row, row + _ROWS_AT_ONCE))
                shares = self._covered_shares(algorithm, searched[algorithm], rows)
                hits = np.flatnonzero(shares)
                records = owners[rows][hits].astype(np.intp) - first
                near_values += np.bincount(records, minlength=len(near_values)).astype(np.uint32)
                one_is_enough[records[shares[hits] >= NEARLY_ALL]] = True
        matching = np.flatnonzero(one_is_enough | (near_values > 1)) + first
        places: NDArray[np.int64] = self.arrays["places"][matching].astype(np.int64)
        return places

    def _covered_shares(self, algorithm: Algorithm, searched: SearchValues, rows: slice) -> NDArray[np.float64]:
        """For each of these rows of frames' values, the sum of the shares of the searched values near it; 0 if none."""
        segment = Segment([lane[rows] for lane in self._lanes(f"{_FRAMES}{algorithm}")], Chunks(algorithm.bits, ()))
        shares = np.zeros(len(segment))
        for start in range(0, len(searched.words), _SEARCHED_AT_ONCE):
            words = np.ascontiguousarray(searched.words[start : start + _SEARCHED_AT_ONCE])
            hits = segment.scan(words, algorithm.radius)
            if len(hits.rows):
                weights = searched.shares[start : start + _SEARCHED_AT_ONCE][hits.queries]
                shares += np.bincount(hits.rows, weights, len(shares))
        return shares

    def places_of(self, id_hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The places of the records of the uploads whose ids have these hashes, in the order of the log."""
        own = self.arrays["hashes"]
        first, end = np.searchsorted(own, id_hashes), np.searchsorted(own, id_hashes, "right")
        in_part = np.flatnonzero(end > first)
        if not len(in_part):
            return np.empty(0, np.int64)
        rows = np.concatenate([np.arange(first[position], end[position]) for position in in_part])
        places: NDArray[np.int64] = self.arrays["places"][self.arrays["order"][rows]].astype(np.int64)
        places.sort()
        return places

    def _count_values(self, prefix: str) -> Mapping[Algorithm, int]:
        counts: dict[Algorithm, int] = {}
        for algorithm in Algorithm:
            if (owners := self.arrays.get(f"{prefix}{algorithm}.owners")) is not None:
                counts[algorithm] = len(owners)
        return counts

    def _lanes(self, name: str) -> list[NDArray[np.uint64]]:
        """The lanes of an algorithm; `name` is its name, for frames with the prefix."""
        return [self.arrays[lane] for lane in (f"{name}.0", f"{name}.1") if lane in self.arrays]


def _places(block: Block) -> NDArray[np.int64]:
    """The place of each record of a block: the offset of the block in the log and the number in it, as one number.

    `Day.block` takes a place apart again.
    """
    return block.start * MOST_RECORDS + np.arange(len(block), dtype=np.int64)


def make_part(blocks: Sequence[Block]) -> Part:
    """A part in memory, made of consecutive blocks."""
    # The number in the part of the first record of each block, and at the end how many records there are.
    firsts = np.cumsum([0, *map(len, blocks)])
    arrays: dict[str, NDArray[Any]] = {"places": np.concatenate(list(map(_places, blocks)))}
    numbered = list(zip(firsts.tolist(), blocks, strict=False))
    of_frames = [(first, block.frames) for first, block in numbered if block.frames is not None]
    of_items = [(first, block.columns) for first, block in numbered]
    # `frames.alone` has the frames of which one is enough for a match, like a page: they are searched like pictures.
    _add_columns(arrays, "", [*of_items, *((first, frames.alone) for first, frames in of_frames)])
    _add_columns(arrays, _FRAMES, [(first, frames.columns) for first, frames in of_frames])
    arrays |= _sorted_hashes(np.concatenate([block.hashes.astype(np.uint64) for block in blocks]))
    return Part(blocks[0].start, blocks[-1].end, arrays)


def _add_columns(
    arrays: dict[str, NDArray[Any]], prefix: str, blocks: Sequence[tuple[int, Mapping[Algorithm, Column]]]
) -> None:
    """Add the arrays of the values to `arrays`, with `prefix` before their names.

    `blocks` has the columns of each block, and the number in the part of the block's first record.
    """
    for algorithm in dict.fromkeys(algorithm for _, columns in blocks for algorithm in columns):
        of_algorithm = [(first, columns[algorithm]) for first, columns in blocks if algorithm in columns]
        name = f"{prefix}{algorithm}"
        arrays[f"{name}.owners"] = np.concatenate(
            [column.owners.astype(np.uint32) + np.uint32(first) for first, column in of_algorithm]
        )
        words = from_octets(b"".join(column.octets for _, column in of_algorithm), algorithm.bits)
        if algorithm.is_digest:
            words = words[:, :1]
        for lane in range(0, words.shape[1], 2):
            arrays[f"{name}.{lane // 2}"] = np.ascontiguousarray(words[:, lane : lane + 2])


def merge_parts(parts: Sequence[Part]) -> Part:
    """A part in memory, made of consecutive parts."""
    # The number in the merged part of the first record of each part, and at the end how many records there are.
    firsts = np.cumsum([0, *map(len, parts)]).tolist()
    names = dict.fromkeys(name for part in parts for name in part.arrays)
    arrays: dict[str, NDArray[Any]] = {}
    for name in names:
        joined = [(first, part.arrays[name]) for first, part in zip(firsts, parts, strict=False) if name in part.arrays]
        if name.endswith(".owners"):
            arrays[name] = np.concatenate([array + np.uint32(first) for first, array in joined])
        elif name not in ("hashes", "order"):
            arrays[name] = np.concatenate([array for _, array in joined])
    # The hashes in the order of the records, to be sorted again.
    hashes = np.empty(firsts[-1], np.uint64)
    for first, part in zip(firsts, parts, strict=False):
        hashes[first + part.arrays["order"].astype(np.intp)] = part.arrays["hashes"]
    return Part(parts[0].start, parts[-1].end, arrays | _sorted_hashes(hashes))


def _sorted_hashes(hashes: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    """The arrays `hashes` and `order`, from the hash of each record's id."""
    order = np.argsort(hashes)
    return {"hashes": hashes[order], "order": order.astype(np.uint32)}


def _suffix(log: Path) -> str:
    """The suffix of the files of this log's parts."""
    return _SUFFIX if log.name == LOG else _FRAMED_SUFFIX


def write_part(log: Path, part: Part) -> Part:
    """Write a part to a file beside its log, and return the part as that file is mapped. Raises OSError."""
    path = log.with_name(f"{part.start}-{part.end}{_suffix(log)}")
    write_arrays(path, {"start": part.start, "end": part.end}, list(part.arrays.items()))
    return open_part(path)


def open_part(path: Path, *, check: bool = False) -> Part:
    """The part in a file, memory-mapped. Raises DamagedSegment if the file is damaged or gone.

    Without `check`, only the header and the size are checked; with it, the checksums of the whole file.
    """
    if check:
        verify_segment(path)
    facts, arrays = open_arrays(path)
    return Part(int(facts["start"]), int(facts["end"]), arrays)


def list_parts(log: Path) -> tuple[list[Path], list[Path]]:
    """The files of consecutive parts, from the start of a log on, and the files beside it that are not needed.

    If several parts start at the same offset, the longest one is in use: it was merged from the others. A file that
    was being written when its process ended has the suffix `.part`.
    """
    ends: dict[int, dict[int, Path]] = {}
    suffix = _suffix(log)
    files = [path for path in log.parent.iterdir() if path.suffix in (suffix, ".part")]
    for path in files:
        first, _, last = path.stem.partition("-")
        if path.suffix == suffix and first.isdecimal() and last.isdecimal():
            ends.setdefault(int(first), {})[int(last)] = path
    chain: list[Path] = []
    offset = 0
    while offset in ends:
        offset, path = max(ends[offset].items())
        chain.append(path)
    return chain, [path for path in files if path not in chain]


def count_to_merge(parts: Sequence[Part]) -> int:
    """How many of the last parts should be merged into one; 0 for none."""
    if not parts:
        return 0
    count, records, values = 1, len(parts[-1]), parts[-1].total_values
    for part in reversed(parts[:-1]):
        if records * _RATIO <= len(part):
            break
        if records + len(part) > _MAX_RECORDS or values + part.total_values > _MAX_VALUES:
            break
        count, records, values = count + 1, records + len(part), values + part.total_values
    return count if count > 1 else 0
