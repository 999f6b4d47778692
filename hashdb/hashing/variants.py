"""Variants: the hashes of parts that a contribution stores, since a picture may come back cropped, covered or tilted.

The parts of the balanced profile were chosen on photographs. Nearly every copy that is cropped by up to 15 % or by 35 %
at one side, by 10 % and 5 % at two sides, or by 15 % at all four is within the radius of one part. For crops between
these, a query asks for cuts (`hashing/cuts.py`). Parts are hashed by phash256 only, which tolerates a larger shift than
PDQ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hashdb.domain.signals import MINIMUM_QUALITY, Profile, Signal, usable_signals
from hashdb.hashing.borders import find_borders
from hashdb.hashing.pdq import Changes, quality_from, sample_changes
from hashdb.hashing.pictures import SHORTEST_SIDE, Picture
from hashdb.hashing.windows import Window, coefficients, phash256_signal, proportioned, rotate


def _centred(*shares: float) -> tuple[Window, ...]:
    """For each fraction, the part without this fraction at every side."""
    return tuple(Window(share, share, 1 - share, 1 - share) for share in shares)


def _sides(*shares: float) -> tuple[Window, ...]:
    """For each fraction and each side, the part without this fraction at this side: left, bottom, right, top."""
    cuts = [(share, 0, 0, 0) for share in shares]
    # The four numbers rotated: the fraction is cut off each side in turn.
    return tuple(_cut(*cut[turn:], *cut[:turn]) for cut in cuts for turn in range(4))


def _corners(*shares: tuple[float, float]) -> tuple[Window, ...]:
    """For each pair of fractions (of width, of height) and each corner, the part without them at the corner's sides."""
    windows = []
    for across, down in shares:
        for left, top in ((across, down), (across, 0), (0, down), (0, 0)):
            windows.append(_cut(left, top, across - left, down - top))
    return tuple(windows)


def _strips(share: float) -> tuple[Window, ...]:
    """The part of this fraction at each side: of a picture that is partly covered, one strip is often free."""
    return (Window(0, 0, share, 1), Window(1 - share, 0, 1, 1), Window(0, 0, 1, share), Window(0, 1 - share, 1, 1))


def _cut(left: float, top: float, right: float, bottom: float) -> Window:
    """The part without these fractions at the sides."""
    return Window(left, top, 1 - right, 1 - bottom)


DEEPEST_CUT: Final = 0.35
"""The largest fraction that is cut off the picture by a part that lacks one side only."""
MIDDLE: Final = _centred(0.32)[0]
"""The middle of the picture: 36 % of its width and height."""
STRIPS: Final = _strips(0.25)
"""A quarter of the picture at each side."""
STRIP_QUALITY: Final = 25
"""The least quality of a strip, which often shows sky or ground.

It is lower than that of other parts, because only a search within 31 bits finds a strip.
"""
_CORNERS = _corners((0.08, 0.06), (0.06, 0.08))
WINDOWS: Final = {
    Profile.BALANCED: (*_centred(0.03, 0.06, 0.1, 0.14), MIDDLE, *_sides(0.08, 0.14, DEEPEST_CUT), *_CORNERS, *STRIPS),
    Profile.THOROUGH: (
        *_centred(0.03, 0.06, 0.1, 0.14, 0.18, 0.22),
        MIDDLE,
        *_sides(0.08, 0.14, 0.2, 0.27, DEEPEST_CUT),
        *_CORNERS,
        *_corners((0.1, 0.05), (0.05, 0.1)),
        *STRIPS,
    ),
}
"""The parts that are hashed, by profile; also hashed are parts of other proportions (`proportioned`)."""
TILTS_BY_PROFILE: Final = {Profile.BALANCED: (3.7, -3.7), Profile.THOROUGH: (2.5, -2.5, 4.5, -4.5, 6.5, -6.5)}
"""The degrees by which the picture is rotated, and then cropped to the part without empty corners, by profile."""

_THOROUGH_FRAME_WINDOWS = (*_centred(0.03, 0.06, 0.1, 0.14), *_sides(0.08, 0.14), *_CORNERS)
FRAME_WINDOWS: Final = _centred(0.05, 0.1)
"""The parts of each shot of a video that are hashed by the balanced profile."""
FRAME_WINDOWS_IN_TURN: Final = (_sides(0.1)[::2], _sides(0.1)[1::2])
"""Further parts: those of the shots 0, 2, 4 … (cut at the left or the right), and of 1, 3, 5 … (at bottom or top)."""


def variants(picture: Picture, profile: Profile) -> Iterator[Signal]:
    """The phash256 signals of a profile's parts, each once, without parts that are too plain to match reliably.

    The profile is not the plain one. If the picture has a frame (bars, a caption), the inside of the frame is a part
    too.
    """
    windows = (*WINDOWS[profile], *proportioned(*picture.colour.size))
    return _variants(picture, windows, TILTS_BY_PROFILE[profile])


def frame_variants(picture: Picture, profile: Profile, shot: int) -> Iterator[Signal]:
    """The phash256 signals of a profile's parts of a frame: the first frame of the shot with this number, from 0.

    A video has a frame a second, so far fewer parts are stored of each frame, and some only of every other shot.
    """
    if profile is Profile.THOROUGH:
        yield from _variants(picture, _THOROUGH_FRAME_WINDOWS, TILTS_BY_PROFILE[Profile.BALANCED])
    elif profile is Profile.BALANCED:
        yield from _variants(picture, (*FRAME_WINDOWS, *FRAME_WINDOWS_IN_TURN[shot % len(FRAME_WINDOWS_IN_TURN)]), ())


def _variants(picture: Picture, windows: Sequence[Window], tilts: Sequence[float]) -> Iterator[Signal]:
    grey, is_usable = picture.reduced, part_filter(picture)
    parts = [(grey, window) for window in (*windows, *(window for _, window in find_borders(grey)))]
    parts += [rotate(grey, degrees) for degrees in tilts]
    signals = (phash256_signal(coefficients(pixels, window)) for pixels, window in parts if is_usable(window))
    yield from usable_signals(dict.fromkeys(signals))


def part_filter(picture: Picture) -> Callable[[Window], bool]:
    """A function that returns whether a part of the picture is large enough, and not too plain, to match reliably."""
    (width, height), changes = picture.colour.size, sample_changes(picture.sampled)

    def is_usable(window: Window) -> bool:
        shortest = min(width * (window.right - window.left), height * (window.bottom - window.top))
        least = STRIP_QUALITY if window in STRIPS else MINIMUM_QUALITY
        return shortest >= SHORTEST_SIDE and part_quality(changes, window) >= least

    return is_usable


def part_quality(changes: Changes, window: Window) -> int:
    """The approximate PDQ quality (0 to 100) of a part, from the changes between the samples of the whole picture.

    The sum of the changes in the part is multiplied by how many times longer the sides of the whole picture are. PDQ
    would enlarge the part so many times, which makes its edges so many times longer and leaves their contrast.
    """
    down, across = changes
    samples = len(across)
    left, top, right, bottom = (round(edge * samples) for edge in window)
    if right <= left or bottom <= top:
        return 0
    quality = quality_from(Changes(down[top : bottom - 1, left:right], across[top:bottom, left : right - 1]))
    return min(100, round(quality * samples / math.sqrt((bottom - top) * (right - left))))
