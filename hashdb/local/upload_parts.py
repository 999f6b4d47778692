"""Parts: the values of some blocks of a log of uploads, packed to be compared one after the other by the kernel.

A few values are compared with those of all uploads, which reads 16 bytes of each, from one end of a file to the other.
Tables, as the index has, take twice the room of the values, and lead to as many places as there are values.
A part is in memory, or in a file that is mapped. It has for each algorithm the lanes of the values and the record that
each is of, for the uploads themselves and apart for their frames, and the place of each record in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

_SUFFIXES: Final = {LOG: ".uploads"}
"""The suffixes of the files, by the name of the log: those of the log with frames have `.framed`."""
_FRAMED: Final = ".framed"
_LIMIT: Final = 1 << 24
"""The most records of a part."""
_MOST_VALUES: Final = 1 << 25
"""The most values of a part that is merged, which is done in memory."""
_RATIO: Final = 4
"""Two parts are merged when the later one has more than a fourth of the records of the earlier one."""
_FEW_DIGESTS: Final = 64
_WORD = 64
_OF_FRAMES: Final = "frames-"
"""How the names of the arrays begin that are of frames."""
_ROWS_AT_ONCE, _SEARCHED_AT_ONCE = 65_536, 64
"""Values of frames that are compared at once: of a film that hardly moves, all are near each other."""


class SearchValues(NamedTuple):
    """Values of an algorithm, and for each the share of the longest contribution that has it, 0 to 1.

    From `NEARLY_ALL` on, one frame of an upload is enough for a match: so it is for the hash of a picture.
    """

    words: Words
    shares: NDArray[np.float64]


class Part:
    """The values of the blocks between two places of a log."""

    def __init__(self, start: int, end: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """A part over arrays that never change."""
        self.start, self.end, self.arrays = start, end, arrays
        self._segments: dict[Algorithm, Segment] = {}

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.arrays["places"])

    @cached_property
    def values(self) -> Mapping[Algorithm, int]:
        """How many values of each algorithm there are of which one is enough for a match."""
        return self._count("")

    @cached_property
    def frames(self) -> Mapping[Algorithm, int]:
        """How many values of each algorithm the other frames have."""
        return self._count(_OF_FRAMES)

    @cached_property
    def size(self) -> int:
        """How many values there are."""
        return sum(self.values.values()) + sum(self.frames.values())

    def near(self, algorithm: Algorithm, searched: Words, radius: int) -> NDArray[np.int64]:
        """The places of the records with a value within `radius` bits of one of those searched for, each once.

        Of a digest, the first word is compared; the radius is 0. Values of frames are not compared.
        """
        if algorithm not in self.values:
            return np.empty(0, np.int64)
        lanes = self._lanes(str(algorithm))
        if algorithm.is_digest and len(searched) > _FEW_DIGESTS:
            wanted = np.unique(searched[:, 0])
            nearest = wanted[np.searchsorted(wanted, lanes[0][:, 0]).clip(max=len(wanted) - 1)]
            rows: NDArray[np.integer[Any]] = np.flatnonzero(nearest == lanes[0][:, 0])
        else:
            bits = _WORD if algorithm.is_digest else algorithm.bits
            segment = self._segments.setdefault(algorithm, Segment(lanes, Chunks(bits, ())))
            rows = segment.scan(np.ascontiguousarray(searched[:, : bits // _WORD]), radius).rows
        owners = np.unique(self.arrays[f"{algorithm}.owners"][rows])
        places: NDArray[np.int64] = self.arrays["places"][owners].astype(np.int64)
        return places

    def near_frames(self, searched: Mapping[Algorithm, SearchValues], first: int, last: int) -> NDArray[np.int64]:
        """The places of those of some records whose frames may match, each once: from one number up to another one.

        Of a record, two values are within the usual radius of some that are searched for; or one is, if those have
        nearly all of a contribution. A passage that very many uploads share is therefore no reason to read them.
        """
        near, enough = np.zeros(last - first, np.uint32), np.zeros(last - first, bool)
        for algorithm in searched.keys() & self.frames.keys():
            owners = self.arrays[f"{_OF_FRAMES}{algorithm}.owners"]
            begin, end = np.searchsorted(owners, [first, last]).tolist()
            for row in range(begin, end, _ROWS_AT_ONCE):
                rows = slice(row, min(end, row + _ROWS_AT_ONCE))
                shares = self._shares(algorithm, searched[algorithm], rows)
                hits = np.flatnonzero(shares)
                records = owners[rows][hits].astype(np.intp) - first
                near += np.bincount(records, minlength=len(near)).astype(np.uint32)
                enough[records[shares[hits] >= NEARLY_ALL]] = True
        wanted = np.flatnonzero(enough | (near > 1)) + first
        places: NDArray[np.int64] = self.arrays["places"][wanted].astype(np.int64)
        return places

    def _shares(self, algorithm: Algorithm, searched: SearchValues, rows: slice) -> NDArray[np.float64]:
        """For some values of frames, the share of a contribution that the values near each have together; 0 if none."""
        segment = Segment([lane[rows] for lane in self._lanes(f"{_OF_FRAMES}{algorithm}")], Chunks(algorithm.bits, ()))
        shares = np.zeros(len(segment))
        for start in range(0, len(searched.words), _SEARCHED_AT_ONCE):
            words = np.ascontiguousarray(searched.words[start : start + _SEARCHED_AT_ONCE])
            hits = segment.scan(words, algorithm.radius)
            if len(hits.rows):
                weights = searched.shares[start : start + _SEARCHED_AT_ONCE][hits.queries]
                shares += np.bincount(hits.rows, weights, len(shares))
        return shares

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The places of the records of uploads whose ids have these hashes, in the order of the log."""
        known = self.arrays["hashes"]
        first, last = np.searchsorted(known, hashes), np.searchsorted(known, hashes, "right")
        known_hashes = np.flatnonzero(last > first)
        if not len(known_hashes):
            return np.empty(0, np.int64)
        rows = np.concatenate([np.arange(first[at], last[at]) for at in known_hashes])
        places: NDArray[np.int64] = self.arrays["places"][self.arrays["order"][rows]].astype(np.int64)
        places.sort()
        return places

    def _count(self, beginning: str) -> Mapping[Algorithm, int]:
        counts: dict[Algorithm, int] = {}
        for algorithm in Algorithm:
            if (owners := self.arrays.get(f"{beginning}{algorithm}.owners")) is not None:
                counts[algorithm] = len(owners)
        return counts

    def _lanes(self, column: str) -> list[NDArray[np.uint64]]:
        return [self.arrays[name] for name in (f"{column}.0", f"{column}.1") if name in self.arrays]


def place_of(block: Block, number: int) -> int:
    """The place of a record of a block, as one number."""
    return block.start * MOST_RECORDS + number


def make_part(blocks: Sequence[Block]) -> Part:
    """The part of blocks that follow each other, in memory."""
    counts = [len(block) for block in blocks]
    firsts = np.cumsum([0, *counts])
    places = np.concatenate(
        [
            np.arange(block.start * MOST_RECORDS, block.start * MOST_RECORDS + count)
            for block, count in zip(blocks, counts, strict=True)
        ]
    )
    arrays: dict[str, NDArray[Any]] = {"places": places}
    numbered = list(zip(firsts.tolist(), blocks, strict=False))
    having_frames = [(first, block.frames) for first, block in numbered if block.frames is not None]
    own = [(first, block.columns) for first, block in numbered]
    # One page of a document is enough for a match, as a picture is.
    _add_columns(arrays, "", [*own, *((first, frames.alone) for first, frames in having_frames)])
    _add_columns(arrays, _OF_FRAMES, [(first, frames.columns) for first, frames in having_frames])
    arrays |= _ordered(np.concatenate([block.hashes.astype(np.uint64) for block in blocks]))
    return Part(blocks[0].start, blocks[-1].end, arrays)


def _add_columns(
    arrays: dict[str, NDArray[Any]], beginning: str, blocks: Sequence[tuple[int, Mapping[Algorithm, Column]]]
) -> None:
    """Join the columns of blocks, each with the number of its first record."""
    for algorithm in dict.fromkeys(algorithm for _, columns in blocks for algorithm in columns):
        having = [(first, columns[algorithm]) for first, columns in blocks if algorithm in columns]
        name = f"{beginning}{algorithm}"
        arrays[f"{name}.owners"] = np.concatenate(
            [column.owners.astype(np.uint32) + np.uint32(first) for first, column in having]
        )
        words = from_octets(b"".join(column.octets for _, column in having), algorithm.bits)
        if algorithm.is_digest:
            words = words[:, :1]
        for lane in range(0, words.shape[1], 2):
            arrays[f"{name}.{lane // 2}"] = np.ascontiguousarray(words[:, lane : lane + 2])


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


def _suffix(log: Path) -> str:
    return _SUFFIXES.get(log.name, _FRAMED)


def write_part(log: Path, part: Part) -> Part:
    """Write a part of a log to a file beside it, and return it as it is mapped. Raises OSError."""
    path = log.with_name(f"{part.start}-{part.end}{_suffix(log)}")
    write_arrays(path, {"start": part.start, "end": part.end}, list(part.arrays.items()))
    return open_part(path)


def open_part(path: Path, *, check: bool = False) -> Part:
    """The part in a file. Raises DamagedSegment if it is damaged, as far as it was checked, or gone."""
    if check:
        verify_segment(path)
    facts, arrays = open_arrays(path)
    return Part(int(facts["start"]), int(facts["end"]), arrays)


def list_parts(log: Path) -> tuple[list[Path], list[Path]]:
    """The files of parts that follow each other from the start of a log on, and those that are not needed."""
    ends: dict[int, dict[int, Path]] = {}
    suffix = _suffix(log)
    files = [path for path in log.parent.iterdir() if path.suffix in (suffix, ".part")]
    for path in files:
        first, _, last = path.stem.partition("-")
        if path.suffix == suffix and first.isdecimal() and last.isdecimal():
            ends.setdefault(int(first), {})[int(last)] = path
    chain: list[Path] = []
    at = 0
    while at in ends:
        at, path = max(ends[at].items())
        chain.append(path)
    return chain, [path for path in files if path not in chain]


def worth_merging(parts: Sequence[Part]) -> int:
    """How many of the last parts should be merged into one; 0 for none."""
    many, size, values = 1, len(parts[-1]) if parts else 0, parts[-1].size if parts else 0
    for part in reversed(parts[:-1]):
        if size * _RATIO <= len(part) or size + len(part) > _LIMIT or values + part.size > _MOST_VALUES:
            break
        many, size, values = many + 1, size + len(part), values + part.size
    return many if many > 1 else 0


def total(parts: Iterable[Part]) -> int:
    """How many records some parts have together."""
    return sum(map(len, parts))
