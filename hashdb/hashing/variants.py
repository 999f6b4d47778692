"""What is stored of a removed picture beside its own hashes: those of parts, as it may come back cropped or tilted.

The balanced profile's parts were chosen on photographs so that nearly every copy cropped by up to 15 % at one side, by
10 % and 5 % at two of them or by 15 % at all four lies within the radius of one of them. They are of phash256 alone,
which bears more of a shift than PDQ does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hashdb.domain.signals import MINIMUM_QUALITY, Profile, Signal
from hashdb.hashing.frames import framed
from hashdb.hashing.pdq import SHORTEST_SIDE, Floats, quality
from hashdb.hashing.pictures import Picture
from hashdb.hashing.windows import Window, coefficients, phash256_signal, reduced, turned


def _centred(*shares: float) -> tuple[Window, ...]:
    """Without that share at every side."""
    return tuple(Window(share, share, 1 - share, 1 - share) for share in shares)


def _sides(*shares: float) -> tuple[Window, ...]:
    """Without that share at one side, each in turn."""
    cuts = [(share, 0, 0, 0) for share in shares]
    return tuple(_cut(*cut[turn:], *cut[:turn]) for cut in cuts for turn in range(4))


def _corners(*shares: tuple[float, float]) -> tuple[Window, ...]:
    """Without those shares of width and height at one corner, each in turn."""
    windows = []
    for across, down in shares:
        for left, top in ((across, down), (across, 0), (0, down), (0, 0)):
            windows.append(_cut(left, top, across - left, down - top))
    return tuple(windows)


def _cut(left: float, top: float, right: float, bottom: float) -> Window:
    return Window(left, top, 1 - right, 1 - bottom)


WINDOWS: Final = {
    Profile.PLAIN: (),
    Profile.BALANCED: (
        *_centred(0.03, 0.06, 0.1, 0.14),
        *_sides(0.08, 0.14),
        *_corners((0.08, 0.06), (0.06, 0.08)),
    ),
    Profile.THOROUGH: (
        *_centred(0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.21),
        *_sides(0.05, 0.1, 0.15, 0.2, 0.25),
        *_corners((0.06, 0.06), (0.1, 0.05), (0.05, 0.1), (0.11, 0.11), (0.16, 0.08), (0.08, 0.16)),
    ),
}
"""The parts that are hashed, by profile."""
TILTS: Final = {Profile.PLAIN: (), Profile.BALANCED: (3.7, -3.7), Profile.THOROUGH: (2.5, -2.5, 4.5, -4.5, 6.5, -6.5)}
"""The degrees by which the picture is turned and then cropped to what is left of it, by profile."""


def variants(picture: Picture, profile: Profile) -> Iterator[Signal]:
    """The phash256 signals of a profile's parts, each once and none of a part too plain to be told from others.

    Where the picture itself is in a frame (bars, a caption), what is inside is a part, too.
    """
    if profile is Profile.PLAIN or min(picture.colour.size) < SHORTEST_SIDE:
        return
    grey, sampled = reduced(picture), picture.sampled
    parts = [(grey, window) for window in (*WINDOWS[profile], *(window for _, window in framed(grey)))]
    parts += [turned(grey, degrees) for degrees in TILTS[profile]]
    known: set[Signal] = set()
    for pixels, window in parts:
        if quality_of(sampled, window) >= MINIMUM_QUALITY:
            signal = phash256_signal(coefficients(pixels, window))
            if signal.fault() is None and signal not in known:
                known.add(signal)
                yield signal


def quality_of(sampled: Floats, window: Window) -> int:
    """About the PDQ quality of a part: its share of the whole picture's samples, and as many of them as the whole has.

    Enlarged, an edge is as high and as many times longer as the part is smaller.
    """
    left, top, right, bottom = (round(edge * len(sampled)) for edge in window)
    part = sampled[top:bottom, left:right]
    if not part.size:
        return 0
    return min(100, round(quality(part) * len(sampled) / float(np.sqrt(part.size))))
