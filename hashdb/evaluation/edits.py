"""Edits of a picture, as people make them before they upload it again: functions of a scene.

These change its size, colours and outline. `covers` hides parts of it, and `surroundings` adds something around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Colour: TypeAlias = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
_GROUNDS: tuple[Colour, ...] = (WHITE, BLACK, (128, 128, 128), (24, 32, 44), (236, 229, 214))


class Scene(NamedTuple):
    """A picture (RGB) to alter, the source of all randomness, and another picture to put beside it."""

    picture: Image.Image
    random: Random
    beside: Image.Image


Draw: TypeAlias = Callable[[Scene], Image.Image]
"""An alteration: RGB pixels to RGB pixels, the same for the same scene."""

Enhancer: TypeAlias = type[
    ImageEnhance.Brightness | ImageEnhance.Color | ImageEnhance.Contrast | ImageEnhance.Sharpness
]


def encoded(picture: Image.Image, format: str, quality: int) -> bytes:
    """The picture as a file: `JPEG` or `WEBP` of a quality of 1 to 100."""
    out = BytesIO()
    # WebP's default effort takes three times as long, for a few bytes less.
    picture.save(out, format, quality=quality, method=1)
    return out.getvalue()


def decoded(octets: bytes) -> Image.Image:
    """The picture in a file, RGB: the inverse of `encoded`, except for what compression lost."""
    with Image.open(BytesIO(octets)) as picture:
        return picture.convert("RGB")


def shorter_side(picture: Image.Image) -> int:
    """The length in pixels by which marks and frames are scaled."""
    return min(picture.size)


def resized(picture: Image.Image, width: float, height: float) -> Image.Image:
    """The picture at that size, at least one pixel wide and high."""
    return picture.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.BICUBIC)


# Size, colour, sharpness, noise and encoding: no part of the picture moves


def unaltered(scene: Scene) -> Image.Image:
    """The picture unchanged; only the encoding of the upload alters it."""
    return scene.picture


def scaled(scene: Scene, *, share: float) -> Image.Image:
    """The picture at a share of its width and height."""
    return resized(scene.picture, scene.picture.width * share, scene.picture.height * share)


def reduced(scene: Scene, *, longer_side: int) -> Image.Image:
    """The picture with a longer side of `longer_side` pixels."""
    return scaled(scene, share=longer_side / max(scene.picture.size))


def to_height(scene: Scene, *, pixels: int) -> Image.Image:
    """The picture at most `pixels` pixels high."""
    return scaled(scene, share=min(1.0, pixels / scene.picture.height))


def enhanced(scene: Scene, *, by: Enhancer, factor: float) -> Image.Image:
    """Brightness, contrast, colour or sharpness times a factor, as Pillow defines it."""
    return by(scene.picture).enhance(factor)


def gamma(scene: Scene, *, power: float) -> Image.Image:
    """Every sample, from 0 to 1, to that power; above 1 darkens."""
    table = [round(255 * (value / 255) ** power) for value in range(256)]
    return scene.picture.point(table * 3)


def grey(scene: Scene) -> Image.Image:
    """The luminance alone."""
    return scene.picture.convert("L").convert("RGB")


def inverted(scene: Scene) -> Image.Image:
    """The negative."""
    return ImageOps.invert(scene.picture)


def warmed(scene: Scene) -> Image.Image:
    """More red and less blue, like a photo filter."""
    red, green, blue = scene.picture.split()
    return Image.merge("RGB", (red.point(lambda value: value * 1.15), green, blue.point(lambda value: value * 0.8)))


def blurred(scene: Scene, *, radius: float) -> Image.Image:
    """Gaussian blur; the radius is that for a longer side of 512 pixels."""
    return scene.picture.filter(ImageFilter.GaussianBlur(radius * max(scene.picture.size) / 512))


def noisy(scene: Scene, *, deviation: float) -> Image.Image:
    """Gaussian noise of that standard deviation, in levels of 255, on every sample."""
    samples = np.asarray(scene.picture, np.float32)
    noise = np.random.default_rng(scene.random.getrandbits(64)).standard_normal(samples.shape, np.float32)
    return Image.fromarray(np.clip(samples + noise * deviation, 0, 255).astype(np.uint8))


def passed_on(scene: Scene, *, times: int) -> Image.Image:
    """Saved repeatedly, JPEG and WebP in turn, each time a little smaller and with another quality."""
    picture = scene.picture
    for turn in range(times):
        share = scene.random.uniform(0.85, 1)
        picture = resized(picture, picture.width * share, picture.height * share)
        format = ("JPEG", "WEBP")[turn % 2]
        picture = decoded(encoded(picture, format, scene.random.randint(40, 80)))
    return picture


# The outline: crops, proportions, mirrorings, turns and tilts


def cropped(scene: Scene, *, share: float) -> Image.Image:
    """Without that share of the width and of the height, half of it at each side: 0.1 leaves the middle 90 %."""
    return _without(scene.picture, share / 2, share / 2, share / 2, share / 2)


def cropped_at_a_side(scene: Scene, *, share: float) -> Image.Image:
    """Without that share of the width at the left or right, or of the height at the top or bottom."""
    cut = [0.0] * 4
    cut[scene.random.randrange(4)] = share
    return _without(scene.picture, *cut)


def cropped_at_a_corner(scene: Scene, *, more: float, less: float) -> Image.Image:
    """Without one share at one side of a corner, and another share at the corner's other side."""
    across, down = (more, less) if scene.random.random() < 0.5 else (less, more)
    left, top = scene.random.random() < 0.5, scene.random.random() < 0.5
    return _without(scene.picture, across * left, down * top, across * (not left), down * (not top))


def cropped_to_shape(scene: Scene, *, shape: float) -> Image.Image:
    """The middle of the picture, as large as fits, with this width divided by height, as apps crop."""
    width, height = scene.picture.size
    return _placed(scene.picture, min(width, height * shape), min(height, width / shape), 0.5, 0.5)


def cropped_to_area(scene: Scene, *, share: float) -> Image.Image:
    """The middle of the picture with this share of its area, in its own shape."""
    width, height = scene.picture.size
    return _placed(scene.picture, width * math.sqrt(share), height * math.sqrt(share), 0.5, 0.5)


def cropped_anywhere(scene: Scene, *, share: float, reshaped: bool = False) -> Image.Image:
    """A part with this share of the area, at any place.

    `reshaped`: its width divided by its height is up to 1.6 times larger or smaller than that of the picture.
    """
    factor = math.sqrt(scene.random.uniform(1.2, 1.6)) ** scene.random.choice((-1, 1)) if reshaped else 1.0
    across, down = math.sqrt(share) * factor, math.sqrt(share) / factor
    width, height = scene.picture.size
    place = scene.random.random(), scene.random.random()
    return _placed(scene.picture, width * min(1.0, across), height * min(1.0, down), *place)


def stretched(scene: Scene, *, factor: float) -> Image.Image:
    """As high as before, and `factor` times as wide."""
    return resized(scene.picture, scene.picture.width * factor, scene.picture.height)


def turned(scene: Scene, *, how: Image.Transpose) -> Image.Image:
    """Mirrored, flipped or rotated by quarters."""
    return scene.picture.transpose(how)


def tilted(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated about its centre at the same size: the corners are lost, and the gaps are black or white."""
    fill = scene.random.choice((BLACK, WHITE))
    return _rotated(scene, degrees, fill)


def tilted_whole(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated about its centre and not cut, on a ground of one colour."""
    sign, ground = scene.random.choice((-1, 1)), scene.random.choice(_GROUNDS)
    return scene.picture.rotate(sign * degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)


def tilted_and_cropped(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated about its centre, then cropped to the largest upright rectangle within the picture."""
    rotated = _rotated(scene, degrees, BLACK)
    width, height = largest_inside(*rotated.size, degrees)
    left, top = (rotated.width - width) / 2, (rotated.height - height) / 2
    # A pixel each way: the edge is mixed with what lies outside.
    return rotated.crop((math.ceil(left) + 1, math.ceil(top) + 1, int(left + width) - 1, int(top + height) - 1))


def largest_inside(width: float, height: float, degrees: float) -> tuple[float, float]:
    """Width and height of the largest upright rectangle inside one that is rotated by up to 45 degrees.

    Its corners lie on all four sides. If the rotated rectangle is too slender for that, two corners lie on the long
    sides, half-way along the short one.
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sine * cosine * long:
        along, across = short / 2 / sine, short / 2 / cosine
        return (along, across) if width >= height else (across, along)
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale


def _rotated(scene: Scene, degrees: float, fill: Colour) -> Image.Image:
    """Rotated about its centre to either side at the same size; `fill` is the colour of the gaps."""
    sign = scene.random.choice((-1, 1))
    return scene.picture.rotate(sign * degrees, Image.Resampling.BICUBIC, fillcolor=fill)


def _without(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The picture without these shares of its width and height."""
    width, height = picture.size
    return picture.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def _placed(picture: Image.Image, width: float, height: float, across: float, down: float) -> Image.Image:
    """A part of that size; `across` and `down` share out what is cut: 0 cuts nothing at the left and at the top."""
    size = max(1, round(width)), max(1, round(height))
    left, top = round((picture.width - size[0]) * across), round((picture.height - size[1]) * down)
    return picture.crop((left, top, left + size[0], top + size[1]))
