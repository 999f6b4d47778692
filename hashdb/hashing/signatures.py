"""Signatures of a picture and of its parts: a detail of 1,024 bits, and a colour of 4 x 4 parts.

The bits of a detail say which coefficients of the cosine transform are clearly positive, by more than what a JPEG adds.
A picture with few shapes, like a flag, has hardly anything at most frequencies. These bits are 0 in the original and in
a copy; if they said only the sign, they would be rounding noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from PIL import Image

from hashdb.domain.signatures import WHOLE, Kind, Signature
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, Octets
from hashdb.hashing.transforms import DETAIL_FREQUENCIES, MIRROR, TILTS, Inside, mirror, orientations
from hashdb.hashing.windows import SAMPLES, Window, coefficients, rotate
from hashdb.hashing.windows import WHOLE as WHOLE_WINDOW

MIN_COEFFICIENT: Final = 6
"""A coefficient counts as positive above this: in grey levels, of the orthonormal transform of 64 x 64 samples."""
_PARTS: Final = 4
_SMALL: Final = 32
"""The side, in pixels, of the reduced picture whose colours are averaged."""
_NORMS = np.array([1, *[2] * (DETAIL_FREQUENCIES - 1)]) / SAMPLES
SCALE = np.sqrt(np.outer(_NORMS, _NORMS))
"""Multiplied by this (32 x 32), the result of `coefficients` is that of the orthonormal transform."""
# The mean brightness tells nothing: its bit is always 0.
SCALE[0, 0] = 0
MOST_SIGNATURES: Final = 64
"""The most signatures of a query."""


def signatures(picture: Picture) -> tuple[Signature, ...]:
    """The signatures that a contribution of a picture with detail stores: the detail and the colour of the whole."""
    return _Signer(picture).whole()


def signatures_by_view(picture: Picture, inside: Inside, names: Iterable[str]) -> dict[str, tuple[Signature, ...]]:
    """The signatures of the whole picture, and of each view with one of these names of transforms, by name.

    The picture has detail, and `inside` is what `look_inside` found. There are at most 64 signatures: those of the last
    views of `_Signer.views`, which are the least likely, are left out.
    """
    by_view: dict[str, list[Signature]] = {}
    wanted, remaining = {WHOLE, *names}, MOST_SIGNATURES
    for name, of_view in _Signer(picture).views(inside):
        if name in wanted:
            # Several parts have the same name, and two of them may look alike.
            new = [signature for signature in of_view if signature not in by_view.get(name, ())][:remaining]
            by_view.setdefault(name, []).extend(new)
            remaining -= len(new)
    return {name: tuple(of_view) for name, of_view in by_view.items() if of_view}


class _Signer:
    """Computes the signatures of any part of one picture from its reduced pixels."""

    def __init__(self, picture: Picture) -> None:
        self._grey = picture.reduced
        side = (_SMALL, _SMALL)
        self._colour = picture.colour.resize(side, Image.Resampling.BOX, reducing_gap=1.0).convert("YCbCr")

    def whole(self) -> tuple[Signature, ...]:
        """The detail and the colour of the whole picture."""
        return _signatures(self._coefficients(WHOLE_WINDOW), self._colours(WHOLE_WINDOW))

    def views(self, inside: Inside) -> Iterator[tuple[str, tuple[Signature, ...]]]:
        """The name and the signatures of each view that may show the whole picture, the likeliest first."""
        whole, colours = self._coefficients(WHOLE_WINDOW), self._colours(WHOLE_WINDOW)
        yield WHOLE, _signatures(whole, colours)
        oriented_colours = _oriented_colours(colours)
        turned = {name: _signatures(oriented, oriented_colours[name]) for name, oriented in orientations(whole)}
        yield MIRROR, turned.pop(MIRROR)
        # `inside` has the windows of parts, and their coefficients are computed here. It has those of panels already.
        parts = [(name, self._coefficients(window), self._colours(window)) for name, window in inside.parts]
        panels = [
            (f"panel-{number}", panel, self._colours(window)) for number, (window, panel) in enumerate(inside.panels, 1)
        ]
        for name, part, colours_of_part in parts:
            yield name, _signatures(part, colours_of_part)
        for name, degrees in TILTS:
            grey, window = rotate(self._grey, degrees)
            # Such a small turn hardly changes the mean colours of the parts.
            yield name, _signatures(coefficients(grey, window, DETAIL_FREQUENCIES), colours)
        for part in inside.straightened:
            # Only its greys are known.
            yield "flat", _detail(part)
        for name, panel, colours_of_panel in panels:
            yield name, _signatures(panel, colours_of_panel)
        yield from turned.items()
        # The last views have details alone, so that more of them are within the limit.
        yield "invert", _detail(-whole)
        for name, part, _ in (*parts, *panels):
            yield f"{name}-{MIRROR}", _detail(mirror(part))

    def _coefficients(self, window: Window) -> Floats:
        return coefficients(self._grey, window, DETAIL_FREQUENCIES)

    def _colours(self, window: Window) -> Octets:
        """The mean Cb and Cr of the parts of a window (4 x 4 x 2)."""
        left, top, right, bottom = (edge * _SMALL for edge in window)
        parts = self._colour.resize((_PARTS, _PARTS), Image.Resampling.BOX, box=(left, top, right, bottom))
        return np.asarray(parts)[:, :, 1:]


def _oriented_colours(colours: Octets) -> dict[str, Octets]:
    """The colours of the parts of the picture (4 x 4 x 2) in each other orientation, by its name."""
    swapped = colours.swapaxes(0, 1)
    return {
        MIRROR: colours[:, ::-1],
        "flip": colours[::-1],
        "rotate-180": colours[::-1, ::-1],
        "transpose": swapped,
        "rotate-90": swapped[::-1],
        "rotate-270": swapped[:, ::-1],
        "transverse": swapped[::-1, ::-1],
    }


def _signatures(coefficients: Floats, colours: Octets) -> tuple[Signature, ...]:
    return *_detail(coefficients), Signature(Kind.COLOUR, np.ascontiguousarray(colours).tobytes())


def _detail(coefficients: Floats) -> tuple[Signature, ...]:
    return (Signature(Kind.DETAIL, np.packbits(coefficients * SCALE > MIN_COEFFICIENT).tobytes()),)
