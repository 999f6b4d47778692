"""Scans: values that are compared with all uploads, some at a time, and the uploads that are near them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.parallel import has_idle_processor, in_threads
from hashdb.local.upload_days import Day
from hashdb.local.upload_parts import Part, SearchValues

_WORTH_SHARING: Final = 4_000_000
"""Comparisons from which an idle processor takes half of the values."""
_PAIRS_A_PIECE: Final = 500_000_000
"""Comparisons of values that are made without a pause, about a second of a processor."""
_FRAMED_AT_ONCE: Final = 16
"""Uploads with frames that are read together: one of a film has 7,200 frames."""

_Places = NDArray[np.int64]


class _Piece(NamedTuple):
    """Comparisons with values of a day: `pairs` of them. `search` returns the places of the near records in the log."""

    day: Day
    pairs: int
    search: Callable[[], _Places]


class Scan:
    """A comparison with everything that was read before it began: what is packed or merged meanwhile is the same."""

    def __init__(self, lock: Lock, days: Sequence[Day], searched: Mapping[Algorithm, SearchValues]) -> None:
        """Compares nothing yet. Under the `lock`, the days are read."""
        self._lock = lock
        self._work = deque(piece for day in days for part in day.parts for piece in _pieces(day, part, searched))
        self._found: dict[Day, list[_Places]] = {day: [] for day in sorted(days, key=lambda day: day.has_frames)}

    def go_on(self, pairs: float = math.inf) -> bool:
        """Make about `pairs` comparisons; return whether all are made."""
        pieces: list[_Piece] = []
        while self._work and (not pieces or pairs > 0):
            pieces.append(self._work.popleft())
            pairs -= pieces[-1].pairs
        if sum(piece.pairs for piece in pieces) > _WORTH_SHARING and has_idle_processor():
            near = [places for half in in_threads(_search, _halves(pieces)) for places in half]
        else:
            near = _search(pieces)
        for day, places in near:
            if len(places):
                self._found[day].append(places)
        return not self._work

    def take(self, most: int) -> list[str]:
        """The ids of the next uploads, at most `most`, that are near, in the order of the logs. Empty if none is left.

        Each record is taken once; an upload may have been replaced since it was found.
        """
        ids: dict[str, None] = {}
        framed_left = _FRAMED_AT_ONCE
        with self._lock:
            while self._found and len(ids) < most and framed_left > 0:
                day = next(iter(self._found))
                of_day = self._found.pop(day)
                places = np.unique(np.concatenate(of_day)) if of_day else np.empty(0, np.int64)
                count = most - len(ids)
                if day.has_frames:
                    count = min(count, framed_left)
                    framed_left -= len(places)
                if len(places) > count:
                    self._found = {day: [places[count:]], **self._found}
                ids.update((id, None) for place in places[:count].tolist() if (id := _upload_id(day, place)))
                if not ids:
                    # These records are gone: others may be left.
                    framed_left = _FRAMED_AT_ONCE
        return list(ids)


def _pieces(day: Day, part: Part, searched: Mapping[Algorithm, SearchValues]) -> Iterator[_Piece]:
    """All comparisons of a part of a day with searched values, in pieces."""
    for algorithm, (words, _) in searched.items():
        if rows := part.value_counts.get(algorithm, 0):
            step = max(1, _PAIRS_A_PIECE // rows)
            for start in range(0, len(words), step):
                part_of_words = words[start : start + step]
                search = partial(part.places_near, algorithm, part_of_words, algorithm.radius)
                yield _Piece(day, rows * len(part_of_words), search)
    pairs = sum(
        rows * len(searched[algorithm].words)
        for algorithm, rows in part.frame_value_counts.items()
        if algorithm in searched
    )
    if pairs:
        step = max(1, len(part) * _PAIRS_A_PIECE // pairs)
        for first in range(0, len(part), step):
            last = min(first + step, len(part))
            search = partial(part.places_with_near_frames, searched, first, last)
            yield _Piece(day, pairs * (last - first) // len(part), search)


def _search(pieces: Sequence[_Piece]) -> list[tuple[Day, _Places]]:
    return [(piece.day, piece.search()) for piece in pieces]


def _halves(pieces: Sequence[_Piece]) -> list[Sequence[_Piece]]:
    """The pieces in two lists of about the same size."""
    halves: list[list[_Piece]] = [[], []]
    sizes = [0, 0]
    for piece in sorted(pieces, key=lambda piece: -piece.pairs):
        smaller = sizes.index(min(sizes))
        halves[smaller].append(piece)
        sizes[smaller] += piece.pairs
    return [half for half in halves if half]


def _upload_id(day: Day, place: int) -> str:
    """The id of the upload of the record at a place; empty if the record is damaged or gone."""
    try:
        block, number = day.block(place)
    except LookupError:
        return ""
    return block.id(number)
