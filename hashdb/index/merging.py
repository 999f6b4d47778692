"""Merging segments, a block of values at a time, so that other threads go on meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hashdb.index.segment import Segment
from hashdb.index.words import Words, copied, distinct, room

_ROWS = 65_536
"""Values of the largest segment that are merged at a time."""


def merged(segments: Sequence[Segment]) -> Words:
    """The distinct values of some segments, sorted; never one less, even if what should be sorted is damaged."""
    firsts = [copied(segment.lanes[0][:, 0]) for segment in segments]
    # What has the same first word falls into the same block.
    bounds = max(firsts, key=len)[_ROWS::_ROWS]
    cuts = [
        np.maximum.accumulate([0, *np.searchsorted(first, bounds).tolist(), len(first)]).tolist() for first in firsts
    ]
    together = room((sum(map(len, firsts)), segments[0].cut.bits // 64), np.uint64)
    end = 0
    for number in range(len(bounds) + 1):
        rows = [slice(*cut[number : number + 2]) for cut in cuts]
        block = distinct(np.concatenate([one.words(some) for one, some in zip(segments, rows, strict=True)]))
        together[end : end + len(block)] = block
        end += len(block)
    return together[:end]
