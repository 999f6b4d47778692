"""Scans: values that are compared with all uploads, some at a time, and the uploads that are near them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.parallel import has_idle_processor, in_threads
from hashdb.local.upload_days import Day
from hashdb.local.upload_parts import Asked, Part

_WORTH_SHARING: Final = 4_000_000
"""Comparisons from which an idle processor takes half of the values."""
_PAIRS_A_PIECE: Final = 500_000_000
"""Comparisons of values that are made without a pause, about a second of a processor."""
_FRAMED_AT_ONCE: Final = 16
"""Uploads with frames that are read together: one of a film has 7,200 frames."""

_Places = NDArray[np.int64]


class _Piece(NamedTuple):
    """Some comparisons with values of a day, and how many; `search` returns the places of the records that are near."""

    day: Day
    pairs: int
    search: Callable[[], _Places]


class Scan:
    """A comparison with everything that was read before it began: what is packed or merged meanwhile is the same."""

    def __init__(self, lock: Lock, days: Sequence[Day], asked: Mapping[Algorithm, Asked]) -> None:
        """Compares nothing yet. Under the `lock`, the days are read."""
        self._lock = lock
        self._work = deque(piece for day in days for part in day.parts for piece in _pieces(day, part, asked))
        self._found: dict[Day, list[_Places]] = {day: [] for day in sorted(days, key=lambda day: day.has_frames)}

    def go_on(self, pairs: float = math.inf) -> bool:
        """Make about so many comparisons; return whether all are made."""
        some: list[_Piece] = []
        while self._work and (not some or pairs > 0):
            some.append(self._work.popleft())
            pairs -= some[-1].pairs
        if sum(piece.pairs for piece in some) > _WORTH_SHARING and has_idle_processor():
            found = [places for half in in_threads(_search, _halves(some)) for places in half]
        else:
            found = _search(some)
        for day, places in found:
            if len(places):
                self._found[day].append(places)
        return not self._work

    def take(self, most: int) -> list[str]:
        """At most so many ids of uploads that are near, some perhaps of records that were replaced since; each place
        once, in the order of the logs. Empty if there is no other."""
        ids: dict[str, None] = {}
        of_frames = _FRAMED_AT_ONCE
        with self._lock:
            while self._found and len(ids) < most and of_frames > 0:
                day = next(iter(self._found))
                found = self._found.pop(day)
                places = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
                count = most - len(ids)
                if day.has_frames:
                    count = min(count, of_frames)
                    of_frames -= len(places)
                if len(places) > count:
                    self._found = {day: [places[count:]], **self._found}
                ids.update((id, None) for place in places[:count].tolist() if (id := _id(day, place)))
                if not ids:
                    # These records are gone: others may be left.
                    of_frames = _FRAMED_AT_ONCE
        return list(ids)


def _pieces(day: Day, part: Part, asked: Mapping[Algorithm, Asked]) -> Iterator[_Piece]:
    for algorithm, (words, _) in asked.items():
        if rows := part.values.get(algorithm, 0):
            step = max(1, _PAIRS_A_PIECE // rows)
            for start in range(0, len(words), step):
                some = words[start : start + step]
                yield _Piece(day, rows * len(some), _of_uploads(part, algorithm, some))
    pairs = sum(rows * len(asked[algorithm].words) for algorithm, rows in part.frames.items() if algorithm in asked)
    if pairs:
        step = max(1, len(part) * _PAIRS_A_PIECE // pairs)
        for first in range(0, len(part), step):
            last = min(first + step, len(part))
            yield _Piece(day, pairs * (last - first) // len(part), _of_frames(part, asked, first, last))


def _of_uploads(part: Part, algorithm: Algorithm, words: NDArray[np.uint64]) -> Callable[[], _Places]:
    return lambda: part.near(algorithm, words, algorithm.radius)


def _of_frames(part: Part, asked: Mapping[Algorithm, Asked], first: int, last: int) -> Callable[[], _Places]:
    return lambda: part.near_frames(asked, first, last)


def _search(pieces: Sequence[_Piece]) -> list[tuple[Day, _Places]]:
    return [(piece.day, piece.search()) for piece in pieces]


def _halves(pieces: Sequence[_Piece]) -> list[Sequence[_Piece]]:
    """The pieces in two lists of about the same size."""
    halves: list[list[_Piece]] = [[], []]
    sizes = [0, 0]
    for piece in sorted(pieces, key=lambda one: -one.pairs):
        smaller = sizes.index(min(sizes))
        halves[smaller].append(piece)
        sizes[smaller] += piece.pairs
    return [half for half in halves if half]


def _id(day: Day, place: int) -> str:
    try:
        block, number = day.block(place)
    except LookupError:
        return ""
    return block.id(number)
