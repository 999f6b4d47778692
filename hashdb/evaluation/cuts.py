"""Edits that show less of a picture: crops to another shape or to a place, and large tilts."""

from __future__ import annotations

from math import sqrt

from PIL import Image

from hashdb.evaluation.edits import BLACK, WHITE, Colour, Scene

_GROUNDS: tuple[Colour, ...] = (WHITE, BLACK, (128, 128, 128), (24, 32, 44), (236, 229, 214))


def cropped_to_shape(scene: Scene, *, shape: float) -> Image.Image:
    """The middle of the picture, as large as fits, with this width divided by height, as apps crop."""
    width, height = scene.picture.size
    return _placed(scene.picture, min(width, height * shape), min(height, width / shape), 0.5, 0.5)


def cropped_to_area(scene: Scene, *, share: float) -> Image.Image:
    """The middle of the picture with this share of its area, in its own shape."""
    width, height = scene.picture.size
    return _placed(scene.picture, width * sqrt(share), height * sqrt(share), 0.5, 0.5)


def cropped_anywhere(scene: Scene, *, share: float, reshaped: bool = False) -> Image.Image:
    """A part with this share of the area, at any place.

    `reshaped`: its width divided by its height is up to 1.6 times larger or smaller than that of the picture.
    """
    factor = sqrt(scene.random.uniform(1.2, 1.6)) ** scene.random.choice((-1, 1)) if reshaped else 1.0
    across, down = sqrt(share) * factor, sqrt(share) / factor
    width, height = scene.picture.size
    place = scene.random.random(), scene.random.random()
    return _placed(scene.picture, width * min(1.0, across), height * min(1.0, down), *place)


def tilted_whole(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated about its centre and not cut, on a ground of one colour."""
    sign, ground = scene.random.choice((-1, 1)), scene.random.choice(_GROUNDS)
    return scene.picture.rotate(sign * degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)


def _placed(picture: Image.Image, width: float, height: float, across: float, down: float) -> Image.Image:
    """A part of that size; `across` and `down` share out what is cut: 0 cuts nothing at the left and at the top."""
    size = max(1, round(width)), max(1, round(height))
    left, top = round((picture.width - size[0]) * across), round((picture.height - size[1]) * down)
    return picture.crop((left, top, left + size[0], top + size[1]))
