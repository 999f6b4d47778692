"""Variants: the hashes of parts that a contribution stores, since a picture may come back cropped or tilted.

The parts of the balanced profile were chosen on photographs. Nearly every copy that is cropped by up to 15 % at one
side, by 10 % and 5 % at two sides, or by 15 % at all four is within the radius of one part. They are hashed by phash256
only, which tolerates a larger shift than PDQ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from hashdb.domain.signals import MINIMUM_QUALITY, Profile, Signal
from hashdb.hashing.borders import find_borders
from hashdb.hashing.pdq import SHORTEST_SIDE, changes, quality_from
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats
from hashdb.hashing.windows import Window, coefficients, phash256_signal, reduce_picture, rotate


def _centred(*shares: float) -> tuple[Window, ...]:
    """The picture without this fraction at every side."""
    return tuple(Window(share, share, 1 - share, 1 - share) for share in shares)


def _sides(*shares: float) -> tuple[Window, ...]:
    """The picture without this fraction at one side, for each side."""
    cuts = [(share, 0, 0, 0) for share in shares]
    return tuple(_cut(*cut[turn:], *cut[:turn]) for cut in cuts for turn in range(4))


def _corners(*shares: tuple[float, float]) -> tuple[Window, ...]:
    """The picture without these fractions of width and height at one corner, for each corner."""
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
"""The degrees by which the picture is rotated, and then cropped to the part without empty corners, by profile."""

FRAME_WINDOWS: Final = _centred(0.05, 0.1)
"""The parts of each shot of a video that are hashed by the balanced profile."""
FRAME_TURNS: Final = (_sides(0.1)[::2], _sides(0.1)[1::2])
"""Further parts: those of the first, the third, … shot, and those of the second, the fourth, …"""


def variants(picture: Picture, profile: Profile) -> Iterator[Signal]:
    """The phash256 signals of a profile's parts, each once, without parts that are too plain to match reliably.

    If the picture has a frame (bars, a caption), the inside of the frame is a part too.
    """
    if profile is not Profile.PLAIN:
        yield from _variants(picture, WINDOWS[profile], TILTS[profile])


def frame_variants(picture: Picture, profile: Profile, shot: int) -> Iterator[Signal]:
    """The same for the first frame of the shot with this number, of a video.

    A video has a frame a second, so that far fewer parts are stored of each, and the shots take turns with some.
    """
    if profile is Profile.THOROUGH:
        yield from variants(picture, Profile.BALANCED)
    elif profile is Profile.BALANCED:
        yield from _variants(picture, (*FRAME_WINDOWS, *FRAME_TURNS[shot % len(FRAME_TURNS)]), ())


def _variants(picture: Picture, windows: Sequence[Window], tilts: Sequence[float]) -> Iterator[Signal]:
    if min(picture.colour.size) < SHORTEST_SIDE:
        return
    grey, (down, across) = reduce_picture(picture), changes(picture.sampled)
    parts = [(grey, window) for window in (*windows, *(window for _, window in find_borders(grey)))]
    parts += [rotate(grey, degrees) for degrees in tilts]
    known: set[Signal] = set()
    for pixels, window in parts:
        if quality_of(down, across, window) >= MINIMUM_QUALITY:
            signal = phash256_signal(coefficients(pixels, window))
            if signal.fault() is None and signal not in known:
                known.add(signal)
                yield signal


def quality_of(down: Floats, across: Floats, window: Window) -> int:
    """The approximate PDQ quality (0 to 100) of a part, from the changes between the samples of the whole picture.

    It is scaled by how many times the part is smaller: enlarged, its edges are as high and that many times longer.
    """
    samples = len(across)
    left, top, right, bottom = (round(edge * samples) for edge in window)
    if right <= left or bottom <= top:
        return 0
    part = quality_from(down[top : bottom - 1, left:right], across[top:bottom, left : right - 1])
    return min(100, round(part * samples / math.sqrt((bottom - top) * (right - left))))
