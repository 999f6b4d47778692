"""Transforms of a query: signals of the picture with possible alterations undone (mirrored, turned, framed, tilted)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.borders import find_borders
from hashdb.hashing.pdq import SHORTEST_SIDE, pdq_coefficients, pdq_signal, quality
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, sample
from hashdb.hashing.windows import (
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
_TILT_DEGREES = 3.5

Parts: TypeAlias = Sequence[tuple[str, Window]]


def transforms(picture: Picture, algorithms: Sequence[Algorithm]) -> Iterator[tuple[str, tuple[Signal, ...]]]:
    """The name and the signals of each transform, by PDQ and phash256 only.

    64 bits are too few for so many queries. A signal with a fault is left out. A flat picture has no transforms,
    since the bits of its hashes are rounding noise.
    """
    if min(picture.colour.size) < SHORTEST_SIDE or not quality(picture.sampled):
        return
    grey = reduce_picture(picture)
    parts = find_borders(grey)
    hashers = {
        Algorithm.PDQ: lambda: _pdq_transforms(picture, parts),
        Algorithm.PHASH256: lambda: _phash256_transforms(picture, grey, parts),
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
    for name, degrees in (("tilt-left", _TILT_DEGREES), ("tilt-right", -_TILT_DEGREES)):
        yield name, phash256_signal(coefficients(*rotate(grey, degrees)))
    yield "middle", phash256_signal(coefficients(grey, MIDDLE))


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
    for name, window in parts:
        cropped = crop(picture.colour, window)
        if min(cropped.size) >= SHORTEST_SIDE:
            yield name, pdq_signal(pdq_coefficients(sample(cropped)))


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
