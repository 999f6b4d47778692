"""Alterations that leave every part of the picture where it is: size, colour, sharpness, noise, encoding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from hashdb.evaluation.scenes import Scene, decoded, encoded, resized


def unaltered(scene: Scene) -> Image.Image:
    """The picture as it is: what alters it is the encoding of the upload."""
    return scene.picture


def scaled(scene: Scene, *, share: float) -> Image.Image:
    """The picture at a share of its width and height."""
    return resized(scene.picture, scene.picture.width * share, scene.picture.height * share)


def reduced(scene: Scene, *, pixels: int) -> Image.Image:
    """The picture with a longer side of that many pixels."""
    return scaled(scene, share=pixels / max(scene.picture.size))


def enhanced(scene: Scene, *, by: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Image.Image:
    """Brightness, contrast, colour or sharpness times a factor, as Pillow means it."""
    return by(scene.picture).enhance(factor)


def gamma(scene: Scene, *, power: float) -> Image.Image:
    """Every sample, of 0 to 1, to that power: above 1 darkens."""
    table = [round(255 * (value / 255) ** power) for value in range(256)]
    return scene.picture.point(table * 3)


def grey(scene: Scene) -> Image.Image:
    """The luminance alone."""
    return scene.picture.convert("L").convert("RGB")


def warmed(scene: Scene) -> Image.Image:
    """More red and less blue, as a photo filter has it."""
    red, green, blue = scene.picture.split()
    return Image.merge("RGB", (red.point(lambda value: value * 1.15), green, blue.point(lambda value: value * 0.8)))


def blurred(scene: Scene, *, radius: float) -> Image.Image:
    """Gaussian blur, whose radius is for a picture of 512 pixels on the longer side."""
    return scene.picture.filter(ImageFilter.GaussianBlur(radius * max(scene.picture.size) / 512))


def noisy(scene: Scene, *, deviation: float) -> Image.Image:
    """Gaussian noise of that standard deviation, in levels of 255, on every sample."""
    samples = np.asarray(scene.picture, np.float32)
    noise = np.random.default_rng(scene.random.getrandbits(64)).standard_normal(samples.shape, np.float32)
    return Image.fromarray(np.clip(samples + noise * deviation, 0, 255).astype(np.uint8))


def passed_on(scene: Scene, *, times: int) -> Image.Image:
    """Saved again and again, JPEG and WebP in turn, each time a little smaller and of another quality."""
    picture = scene.picture
    for turn in range(times):
        share = scene.random.uniform(0.85, 1)
        picture = resized(picture, picture.width * share, picture.height * share)
        format = ("JPEG", "WEBP")[turn % 2]
        picture = decoded(encoded(picture, format, scene.random.randint(40, 80)))
    return picture
