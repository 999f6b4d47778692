"""Transforms of a query: signals of the picture with possible alterations undone.

It may have been mirrored, turned, tilted, inverted or framed, put inside something else, or photographed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.hashing.borders import MIN_DIFFERENCE, find_borders
from hashdb.hashing.corners import straighten
from hashdb.hashing.panels import find_panels, reduce_for_panels
from hashdb.hashing.pdq import pdq_coefficients, pdq_signal, sample_changes
from hashdb.hashing.pictures import SHORTEST_SIDE, Picture
from hashdb.hashing.reductions import Floats, sample
from hashdb.hashing.variants import part_quality
from hashdb.hashing.windows import WHOLE, Window, coefficients, crop, phash256_signal, rotate, whole_coefficients

WITHOUT_EDGES: Final = Window(0.14, 0.14, 0.86, 0.86)
"""One of the parts that contributions store; as a query it finds a picture whose edges were written over."""
TILT_DEGREES = 3.5
TILTS: Final = (("tilt-left", TILT_DEGREES), ("tilt-right", -TILT_DEGREES))
"""The names and the degrees of the turns that undo a tilt."""

_PANELS_WITH_PDQ = 8
"""How many panels, the likeliest, have PDQ too: contributions from elsewhere may have no other hash."""
_PANELS_WITH_MIRROR = 4
"""How many panels, the likeliest, are also mirrored."""
_STRAIGHTENED_PANELS = 2
"""The most panels of a straightened picture."""
DETAIL_FREQUENCIES: Final = 32
"""How many of the lowest frequencies, down and across, a signature of the kind `detail` has."""

Parts: TypeAlias = Sequence[tuple[str, Window]]
"""The name of the transform of each part, and the part."""
Transform: TypeAlias = tuple[str, tuple[Signal, ...]]
"""The name of a transform, like `mirror`, and the signals of the transformed picture."""


class Inside(NamedTuple):
    """What is inside a picture, and may be what it was made of; found once for hashes and signatures."""

    parts: Parts
    """The inside of each frame that was found around the picture."""
    panels: Sequence[tuple[Window, Floats]] = ()
    """Each panel, and its 32 x 32 coefficients."""
    straightened: Sequence[Floats] = ()
    """The 32 x 32 coefficients of a picture that lay tilted on a plain background, laid straight, and of its panels.

    Their transforms are called `flat`.
    """


def look_inside(picture: Picture, *, is_video_frame: bool = False) -> Inside:
    """What may be inside a picture that has detail. A frame of a video has parts only."""
    parts = find_borders(picture.reduced)
    return Inside(parts) if is_video_frame else Inside(parts, _panels(picture, parts), _straighten(picture.reduced))


def transforms(picture: Picture, algorithms: Sequence[Algorithm], inside: Inside) -> Iterator[Transform]:
    """The name and the signals of each transform, by PDQ and phash256 only: 64 bits are too few for so many queries.

    The picture has detail, and `inside` is what `look_inside` found. A signal with a fault is left out.
    """
    by_algorithm = {Algorithm.PDQ: _pdq_transforms, Algorithm.PHASH256: _phash256_transforms}
    signals_by_name: dict[str, list[Signal]] = {}
    for algorithm in algorithms:
        for name, signal in by_algorithm[algorithm](picture, inside) if algorithm in by_algorithm else ():
            if signal.fault() is None:
                signals_by_name.setdefault(name, []).append(signal)
    yield from ((name, tuple(signals)) for name, signals in signals_by_name.items())


def _phash256_transforms(picture: Picture, inside: Inside) -> Iterator[tuple[str, Signal]]:
    grey, whole = picture.reduced, whole_coefficients(picture)
    for name, oriented in orientations(whole):
        yield name, phash256_signal(oriented)
    for name, window in inside.parts:
        part = coefficients(grey, window)
        yield name, phash256_signal(part)
        yield f"{name}-{MIRROR}", phash256_signal(mirror(part))
    for name, degrees in TILTS:
        yield name, phash256_signal(coefficients(*rotate(grey, degrees)))
    yield "middle", phash256_signal(coefficients(grey, WITHOUT_EDGES))
    yield "invert", phash256_signal(-whole)
    for number, (_, panel) in enumerate(inside.panels, 1):
        yield f"panel-{number}", phash256_signal(panel[:16, :16])  # the frequencies 0 to 15
        if number <= _PANELS_WITH_MIRROR:
            yield f"panel-{number}-{MIRROR}", phash256_signal(mirror(panel[:16, :16]))
    for part in inside.straightened:
        yield "flat", phash256_signal(part[:16, :16])
    # The first one is the whole straightened picture.
    for part in inside.straightened[:1]:
        for name, oriented in orientations(part[:16, :16]):
            if name in _ORIENTATIONS_OF_STRAIGHTENED:
                yield f"flat-{name}", phash256_signal(oriented)


def _pdq_transforms(picture: Picture, inside: Inside) -> Iterator[tuple[str, Signal]]:
    """PDQ of the orientations and of what is inside the picture only: variants have no PDQ.

    Parts of the same kind of frame share a name, with a signal each. PDQ of a panel is about 10 bits from that of the
    panel cut out.
    """
    whole = pdq_coefficients(picture.sampled)
    for name, oriented in orientations(whole, lowest=1):
        yield name, pdq_signal(oriented)
    yield "invert", pdq_signal(-whole)
    for name, window in inside.parts:
        cropped = crop(picture.colour, window)
        if min(cropped.size) >= SHORTEST_SIDE:
            yield name, pdq_signal(pdq_coefficients(sample(cropped)))
    for number, (_, panel) in enumerate(inside.panels[:_PANELS_WITH_PDQ], 1):
        yield f"panel-{number}", pdq_signal(panel[1:17, 1:17])  # the frequencies 1 to 16
    for part in inside.straightened:
        yield "flat", pdq_signal(part[1:17, 1:17])


def _panels(picture: Picture, parts: Parts) -> list[tuple[Window, Floats]]:
    """Each panel that is neither plain nor one of the parts, with its coefficients."""
    grey, changes = reduce_for_panels(picture), sample_changes(picture.sampled)
    height, width = grey.shape
    panels = []
    for box in find_panels(grey):
        window = box.window(width, height)
        is_part = any(window.distance(part) <= MIN_DIFFERENCE for _, part in parts)
        if not is_part and part_quality(changes, window) >= MINIMUM_QUALITY:
            pixels = grey[box.top : box.bottom, box.left : box.right].astype(np.float32)
            # Of the whole of these pixels, the matrices depend only on the length of a side, and are often cached.
            panels.append((window, coefficients(pixels, WHOLE, DETAIL_FREQUENCIES)))
    return panels


def _straighten(grey: Floats) -> list[Floats]:
    """The coefficients of what lies tilted on a plain background, and of its panels: a screen has a dark edge."""
    straight = straighten(grey)
    if straight is None:
        return []
    boxes = find_panels(np.rint(straight).astype(np.uint8))[:_STRAIGHTENED_PANELS]
    parts = [straight, *(straight[box.top : box.bottom, box.left : box.right] for box in boxes)]
    return [coefficients(part, WHOLE, DETAIL_FREQUENCIES) for part in parts]


def mirrored(picture: Picture, algorithms: Sequence[Algorithm]) -> Iterator[Signal]:
    """The signals of the mirrored picture by PDQ and phash256; each side must have 5 pixels or more."""
    for algorithm in algorithms:
        if algorithm is Algorithm.PDQ:
            yield pdq_signal(mirror(pdq_coefficients(picture.sampled), lowest=1))
        elif algorithm is Algorithm.PHASH256:
            yield phash256_signal(mirror(whole_coefficients(picture)))


MIRROR: Final = "mirror"
ORIENTATION_NAMES: Final = (MIRROR, "flip", "rotate-180", "transpose", "rotate-90", "rotate-270", "transverse")
"""The orientations. Rotations are counter-clockwise; transposed ones are mirrored and rotated."""
_ORIENTATIONS_OF_STRAIGHTENED = (MIRROR, "rotate-90", "rotate-270")
"""Of a picture that is tilted by about 45 degrees, any of two sides may be the top."""


def orientations(coefficients: Floats, lowest: int = 0) -> Iterator[tuple[str, Floats]]:
    """The name and the coefficients of each orientation but the picture's own; `lowest` is the lowest frequency."""
    # The factors of the columns, which mirror the picture, and of the rows, which flip it.
    across = _signs(coefficients, lowest)
    down, swapped = across[:, None], coefficients.T
    oriented = (
        mirror(coefficients, lowest),
        coefficients * down,
        coefficients * across * down,
        swapped,
        swapped * down,
        swapped * across,
        swapped * across * down,
    )
    yield from zip(ORIENTATION_NAMES, oriented, strict=True)


def mirror(coefficients: Floats, lowest: int = 0) -> Floats:
    """The coefficients of the mirrored picture; `lowest` is the lowest frequency."""
    mirrored: Floats = coefficients * _signs(coefficients, lowest)
    return mirrored


def _signs(coefficients: Floats, lowest: int) -> Floats:
    """1 for each even frequency and -1 for each odd one, of which mirroring changes the sign."""
    return np.where((np.arange(len(coefficients)) + lowest) % 2, -1, 1).astype(np.float32)
