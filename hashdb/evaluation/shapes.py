"""Alterations of a picture's outline: crops, proportions, mirrorings, turns and tilts."""

from __future__ import annotations

import math

from PIL import Image

from hashdb.evaluation.scenes import BLACK, WHITE, Scene, resized


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


def stretched(scene: Scene, *, factor: float) -> Image.Image:
    """As high as before, and that many times as wide."""
    return resized(scene.picture, scene.picture.width * factor, scene.picture.height)


def turned(scene: Scene, *, how: Image.Transpose) -> Image.Image:
    """Mirrored, flipped or rotated by quarters."""
    return scene.picture.transpose(how)


def tilted(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated one way or the other about its middle at the same size: corners are lost, and black or white comes in."""
    fill = scene.random.choice((BLACK, WHITE))
    return _rotated(scene, degrees, fill)


def straightened(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated likewise, then cut to the largest upright rectangle that holds nothing but picture."""
    rotated = _rotated(scene, degrees, BLACK)
    width, height = largest_inside(*rotated.size, degrees)
    left, top = (rotated.width - width) / 2, (rotated.height - height) / 2
    # A pixel each way: the edge is mixed with what lies outside.
    return rotated.crop((math.ceil(left) + 1, math.ceil(top) + 1, int(left + width) - 1, int(top + height) - 1))


def largest_inside(width: float, height: float, degrees: float) -> tuple[float, float]:
    """Width and height of the largest upright rectangle inside one that is rotated by up to 45 degrees.

    Its corners lie on all four sides, or, where the rotated one is too slender for that, two of them on a long side
    each, half-way along the short one.
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    long, short = max(width, height), min(width, height)
    if short <= 2 * sine * cosine * long:
        most = (short / 2 / sine, short / 2 / cosine)
        return most if width >= height else (most[1], most[0])
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale


def _rotated(scene: Scene, degrees: float, fill: tuple[int, int, int]) -> Image.Image:
    way = scene.random.choice((-1, 1))
    return scene.picture.rotate(way * degrees, Image.Resampling.BICUBIC, fillcolor=fill)


def _without(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The picture without these shares of its width and height."""
    width, height = picture.size
    return picture.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )
