"""Transforms of a query: signals of the picture with possible alterations undone.

It may have been mirrored, turned, tilted, inverted or framed, put inside something else, or photographed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.hashing.borders import LEAST, find_borders
from hashdb.hashing.corners import flatten
from hashdb.hashing.panels import find_panels, reduced
from hashdb.hashing.pdq import SHORTEST_SIDE, changes, pdq_coefficients, pdq_signal, quality
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, sample
from hashdb.hashing.variants import quality_of
from hashdb.hashing.windows import (
    WHOLE,
    Window,
    coefficients,
    crop,
    phash256_signal,
    reduce_picture,
    rotate,
    whole_coefficients,
)

MIDDLE: Final = Window(0.14, 0.14, 0.86, 0.86)
"""One of the parts that contributions store; as a query it finds a picture whose edges were written over."""
TILT_DEGREES = 3.5
TILTS: Final = (("tilt-left", TILT_DEGREES), ("tilt-right", -TILT_DEGREES))
"""The names and the degrees of the turns that undo a tilt."""

_WITH_PDQ = 8
"""The likeliest panels, of which PDQ is asked too: contributions from elsewhere may have no other hash."""
_WITH_MIRROR = 4
_INSIDE_FLAT = 2
DETAILED: Final = 32
"""The lowest frequencies that are computed of what has signatures."""

Parts: TypeAlias = Sequence[tuple[str, Window]]


class Inside(NamedTuple):
    """What a picture may be altered from, found once for hashes and signatures."""

    parts: Parts
    """The inside of frames."""
    panels: Sequence[tuple[Window, Floats]] = ()
    """Each panel, and its 32 x 32 coefficients."""
    flat: Sequence[Floats] = ()
    """The 32 x 32 coefficients of what was flattened."""


def look_inside(picture: Picture, *, is_frame: bool = False) -> Inside | None:
    """What may be inside a picture; nothing of a flat or tiny one. A frame of a video has no panels."""
    if min(picture.colour.size) < SHORTEST_SIDE or not quality(picture.sampled):
        return None
    grey = reduce_picture(picture)
    parts = find_borders(grey)
    return Inside(parts) if is_frame else Inside(parts, _panels(picture, parts), _flat(grey))


def transforms(
    picture: Picture, algorithms: Sequence[Algorithm], inside: Inside | None
) -> Iterator[tuple[str, tuple[Signal, ...]]]:
    """The name and the signals of each transform, by PDQ and phash256 only. `inside` is that of `look_inside`.

    64 bits are too few for so many queries. A signal with a fault is left out. A flat picture has no transforms,
    since the bits of its hashes are rounding noise.
    """
    if inside is None:
        return
    grey, parts, flat = reduce_picture(picture), inside.parts, inside.flat
    panels = [panel for _, panel in inside.panels]
    hashers = {
        Algorithm.PDQ: lambda: (*_pdq_transforms(picture, parts), *_pdq_of(panels), *_flat_pdq(flat)),
        Algorithm.PHASH256: lambda: (
            *_phash256_transforms(picture, grey, parts),
            *_phash256_of(panels),
            *_flat_phash256(flat),
        ),
    }
    signals_by_name: dict[str, list[Signal]] = {}
    for algorithm in algorithms:
        for name, signal in hashers[algorithm]() if algorithm in hashers else ():
            if signal.fault() is None:
                signals_by_name.setdefault(name, []).append(signal)
    yield from ((name, tuple(signals)) for name, signals in signals_by_name.items())


def _phash256_transforms(picture: Picture, grey: Floats, parts: Parts) -> Iterator[tuple[str, Signal]]:
    for name, oriented in orientations(whole_coefficients(picture), 0):
        yield name, phash256_signal(oriented)
    for name, window in parts:
        yield from _with_mirror(name, coefficients(grey, window))
    for name, degrees in TILTS:
        yield name, phash256_signal(coefficients(*rotate(grey, degrees)))
    yield "middle", phash256_signal(coefficients(grey, MIDDLE))
    yield "invert", phash256_signal(-whole_coefficients(picture))


def _with_mirror(name: str, original: Floats) -> Iterator[tuple[str, Signal]]:
    yield name, phash256_signal(original)
    for orientation, oriented in orientations(original, 0):
        if orientation == MIRROR:
            yield f"{name}-{orientation}", phash256_signal(oriented)


def _pdq_transforms(picture: Picture, parts: Parts) -> Iterator[tuple[str, Signal]]:
    """PDQ of the orientations and of the parts inside frames only: variants have no PDQ.

    Parts of the same kind of frame share a name, with a signal each.
    """
    yield from pdq_orientations(picture)
    yield "invert", pdq_signal(-pdq_coefficients(picture.sampled))
    for name, window in parts:
        cropped = crop(picture.colour, window)
        if min(cropped.size) >= SHORTEST_SIDE:
            yield name, pdq_signal(pdq_coefficients(sample(cropped)))


def _panels(picture: Picture, parts: Parts) -> list[tuple[Window, Floats]]:
    """Each panel that is neither plain nor one of the parts, with its coefficients."""
    grey, (down, across) = reduced(picture), changes(picture.sampled)
    height, width = grey.shape
    found = []
    for box in find_panels(grey):
        window = box.window(width, height)
        is_part = any(
            max(abs(one - other) for one, other in zip(window, part, strict=True)) <= LEAST for _, part in parts
        )
        if not is_part and quality_of(down, across, window) >= MINIMUM_QUALITY:
            pixels = grey[box.top : box.bottom, box.left : box.right].astype(np.float32)
            # Each side is whole here, so that the matrices depend on its length only, and are cached.
            found.append((window, coefficients(pixels, WHOLE, DETAILED)))
    return found


def _phash256_of(panels: Sequence[Floats]) -> Iterator[tuple[str, Signal]]:
    for number, panel in enumerate(panels, 1):
        signals = _with_mirror(f"panel-{number}", panel[:16, :16])
        yield from signals if number <= _WITH_MIRROR else islice(signals, 1)


def _pdq_of(panels: Sequence[Floats]) -> Iterator[tuple[str, Signal]]:
    """PDQ of the likeliest panels, about 10 bits from that of the panel cut out."""
    for number, panel in enumerate(panels[:_WITH_PDQ], 1):
        yield f"panel-{number}", pdq_signal(panel[1:17, 1:17])


def _flat(grey: Floats) -> list[Floats]:
    """The coefficients of what lies tilted on a plain ground, and of its panels: a screen has a dark edge."""
    flat = flatten(grey)
    if flat is None:
        return []
    boxes = find_panels(np.rint(flat).astype(np.uint8))[:_INSIDE_FLAT]
    parts = [flat, *(flat[box.top : box.bottom, box.left : box.right] for box in boxes)]
    return [coefficients(part, WHOLE, DETAILED) for part in parts]


def _flat_phash256(flat: Sequence[Floats]) -> Iterator[tuple[str, Signal]]:
    for part in flat:
        yield "flat", phash256_signal(part[:16, :16])
    for part in flat[:1]:
        for name, oriented in orientations(part[:16, :16], 0):
            if name in _TURNED_FLAT:
                yield f"flat-{name}", phash256_signal(oriented)


def _flat_pdq(flat: Sequence[Floats]) -> Iterator[tuple[str, Signal]]:
    for part in flat:
        yield "flat", pdq_signal(part[1:17, 1:17])


def pdq_orientations(picture: Picture) -> Iterator[tuple[str, Signal]]:
    """The name and the PDQ signal of each orientation but the picture's own; each side must have 5 pixels or more."""
    for name, oriented in orientations(pdq_coefficients(picture.sampled), 1):
        yield name, pdq_signal(oriented)


def mirrored(picture: Picture, algorithms: Sequence[Algorithm]) -> Iterator[Signal]:
    """The signals of the mirrored picture by PDQ and phash256; each side must have 5 pixels or more."""
    for algorithm in algorithms:
        if algorithm is Algorithm.PDQ:
            yield from (signal for name, signal in pdq_orientations(picture) if name == MIRROR)
        elif algorithm is Algorithm.PHASH256:
            oriented = orientations(whole_coefficients(picture), 0)
            yield from (phash256_signal(each) for name, each in oriented if name == MIRROR)


MIRROR: Final = "mirror"
NAMES: Final = (MIRROR, "flip", "rotate-180", "transpose", "rotate-90", "rotate-270", "transverse")
"""The orientations. Rotations are counter-clockwise; transposed ones are mirrored and rotated."""


_TURNED_FLAT = (MIRROR, "rotate-90", "rotate-270")
"""A picture that is tilted by 45 degrees may be either way up."""


def orientations(coefficients: Floats, first: int) -> Iterator[tuple[str, Floats]]:
    """The name and the coefficients of each orientation but the picture's own. `first` is the lowest frequency."""
    signs = np.where((np.arange(len(coefficients)) + first) % 2, -1, 1).astype(np.float32)
    across, down = signs[None], signs[:, None]
    swapped = coefficients.T
    oriented = (
        coefficients * across,
        coefficients * down,
        coefficients * across * down,
        swapped,
        swapped * down,
        swapped * across,
        swapped * across * down,
    )
    yield from zip(NAMES, oriented, strict=True)
