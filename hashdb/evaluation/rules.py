"""The two rules by which vPDQ matches videos by default, as published, to compare with.

Both look at the frames of a video as a bag: those of quality 50 or more, each hash once, one frame a second. A frame
agrees if any frame of the other video is within 31 bits of PDQ. The rule of the documentation asks that 80 % of the
*listed* video's frames agree; that of the Python package asks that 80 % of the *upload's* frames do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from hashdb.domain.frames import Frame
from hashdb.domain.signals import Algorithm
from hashdb.index.vectors import Words, pack

DISTANCE: Final = 31  # bits of PDQ
QUALITY: Final = 50  # of PDQ, at least
SHARE: Final = 0.8  # of the frames, at least
_INTERVAL: Final = 0.9985  # seconds, at least: times are rounded to 1 ms, so frames that are 1 s apart may have 0.999 s


class Agreement(NamedTuple):
    """The shares of both videos' frames that agree, 0 to 1."""

    query: float
    listed: float

    @property
    def by_listed(self) -> bool:
        """Whether the rule of the documentation matches."""
        return self.listed >= SHARE

    @property
    def by_query(self) -> bool:
        """Whether the rule of the Python package matches."""
        return self.query >= SHARE


def bag(frames: Sequence[Frame]) -> Words:
    """The distinct PDQ values that vPDQ compares, of one frame a second: a row for each, in words of 64 bits.

    A frame with a quality below `QUALITY` is the frame of its second all the same: no other frame replaces it.
    """
    values, due = dict[int, None](), 0.0
    for frame in frames:
        if frame.at < due:
            continue
        due = frame.at + _INTERVAL
        for signal in frame.signals:
            if signal.algorithm is Algorithm.PDQ and (frame.quality or 0) >= QUALITY:
                values[signal.value] = None
                break
    return pack(list(values), Algorithm.PDQ.bits)


def compare(query: Words, listed: Words) -> Agreement:
    """How far two bags agree; an empty one agrees with nothing."""
    if not len(query) or not len(listed):
        return Agreement(0.0, 0.0)
    near = np.bitwise_count(query[:, None] ^ listed[None]).sum(axis=2, dtype=np.uint16) <= DISTANCE
    return Agreement(float(near.any(axis=1).mean()), float(near.any(axis=0).mean()))
