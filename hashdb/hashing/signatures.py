"""Signatures of a picture and of its parts: a detail of 1,024 bits, and a colour of 4 x 4 parts.

The bits of a detail say which frequencies clearly rise, by more than what a JPEG adds. Where a picture has no detail,
as in a flag, they are 0 in the original and in a copy; the bare sign would be rounding noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from PIL import Image

from hashdb.domain.signatures import WHOLE, Kind, Signature
from hashdb.hashing.pdq import has_detail
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, Octets
from hashdb.hashing.transforms import DETAILED, MIRROR, TILTS, Inside, mirror, orientations
from hashdb.hashing.windows import SAMPLES, Window, coefficients, rotate
from hashdb.hashing.windows import WHOLE as WHOLE_WINDOW

LEAST: Final = 6
"""By how many grey levels a frequency must rise, as its share of an orthonormal transform of 64 x 64 samples."""
_PARTS: Final = 4
_SMALL: Final = 32
"""The side, in pixels, of the reduced picture whose colours are averaged."""
_NORMS = np.array([1, *[2] * (DETAILED - 1)]) / SAMPLES
SCALE = np.sqrt(np.outer(_NORMS, _NORMS))
# The mean tells nothing.
SCALE[0, 0] = 0
MOST_SIGNATURES: Final = 64
"""The most signatures of a query."""


def signatures(picture: Picture) -> tuple[Signature, ...]:
    """The signatures that a contribution of the picture stores: the detail and the colour of the whole.

    There are none of a flat picture, and none if a side has less than 5 pixels.
    """
    return _Signer(picture).upright(WHOLE_WINDOW) if has_detail(picture) else ()


def signatures_by_view(
    picture: Picture, inside: Inside | None, names: Iterable[str]
) -> Iterator[tuple[str, tuple[Signature, ...]]]:
    """The name and the signatures of the whole picture, then of each view with one of these names of transforms.

    `inside` is that of `look_inside`. At most 64 signatures, those of the least likely panels left out.
    """
    if inside is None:
        return
    by_view: dict[str, list[Signature]] = {}
    known, left = {WHOLE, *names}, MOST_SIGNATURES
    for name, of_view in _Signer(picture).views(inside):
        if name in known:
            new = [signature for signature in of_view if signature not in by_view.get(name, ())][:left]
            by_view.setdefault(name, []).extend(new)
            left -= len(new)
    yield from ((name, tuple(of_view)) for name, of_view in by_view.items() if of_view)


class _Signer:
    """Computes the signatures of any part of one picture from its reduced pixels."""

    def __init__(self, picture: Picture) -> None:
        self._grey = picture.reduced
        side = (_SMALL, _SMALL)
        self._colour = picture.colour.resize(side, Image.Resampling.BOX, reducing_gap=1.0).convert("YCbCr")

    def upright(self, window: Window) -> tuple[Signature, ...]:
        """The detail and the colour of a part."""
        return _signatures(self._coefficients(window), self._colours(window))

    def views(self, inside: Inside) -> Iterator[tuple[str, tuple[Signature, ...]]]:
        """The name and the signatures of each view that may show the whole picture, the likeliest first."""
        whole, colours = self._coefficients(WHOLE_WINDOW), self._colours(WHOLE_WINDOW)
        yield WHOLE, _signatures(whole, colours)
        oriented = zip(orientations(whole), _turns(colours), strict=True)
        turned = {name: _signatures(detail, colour) for (name, detail), colour in oriented}
        yield MIRROR, turned.pop(MIRROR)
        parts = [(name, self._coefficients(window)) for name, window in inside.parts]
        for (name, part), (_, window) in zip(parts, inside.parts, strict=True):
            yield name, _signatures(part, self._colours(window))
        for name, degrees in TILTS:
            grey, window = rotate(self._grey, degrees)
            yield name, _signatures(coefficients(grey, window, DETAILED), colours)
        for flat in inside.flat:
            yield "flat", _detail(flat)
        for number, (window, panel) in enumerate(inside.panels, 1):
            yield f"panel-{number}", _signatures(panel, self._colours(window))
        yield from turned.items()
        yield "invert", _detail(-whole)
        panels = [(f"panel-{number}", panel) for number, (_, panel) in enumerate(inside.panels, 1)]
        for name, part in (*parts, *panels):
            yield f"{name}-{MIRROR}", _detail(mirror(part))

    def _coefficients(self, window: Window) -> Floats:
        return coefficients(self._grey, window, DETAILED)

    def _colours(self, window: Window) -> Octets:
        """The mean Cb and Cr of the parts of a window (4 x 4 x 2)."""
        left, top, right, bottom = (edge * _SMALL for edge in window)
        parts = self._colour.resize((_PARTS, _PARTS), Image.Resampling.BOX, box=(left, top, right, bottom))
        return np.asarray(parts)[:, :, 1:]


def _turns(colours: Octets) -> Iterator[Octets]:
    """The colours of the parts of the picture in each other orientation, in the order of `orientations`."""
    swapped = colours.swapaxes(0, 1)
    yield from (colours[:, ::-1], colours[::-1], colours[::-1, ::-1])
    yield from (swapped, swapped[::-1], swapped[:, ::-1], swapped[::-1, ::-1])


def _signatures(coefficients: Floats, colours: Octets) -> tuple[Signature, ...]:
    return *_detail(coefficients), Signature(Kind.COLOUR, np.ascontiguousarray(colours).tobytes())


def _detail(coefficients: Floats) -> tuple[Signature, ...]:
    return (Signature(Kind.DETAIL, np.packbits(coefficients * SCALE > LEAST).tobytes()),)
