"""What an alteration starts from, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import NamedTuple, TypeAlias

from PIL import Image

Colour: TypeAlias = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)


class Scene(NamedTuple):
    """A picture (RGB) to alter, what decides all that is left to chance, and another picture to put beside it."""

    picture: Image.Image
    random: Random
    beside: Image.Image

    def with_picture(self, picture: Image.Image) -> Scene:
        """The same scene with another picture in it."""
        return self._replace(picture=picture)


Draw: TypeAlias = Callable[[Scene], Image.Image]
"""An alteration: RGB pixels to RGB pixels, the same for the same scene."""


def encoded(picture: Image.Image, format: str, quality: int) -> bytes:
    """The picture as a file: `JPEG` or `WEBP` of a quality of 1 to 100."""
    out = BytesIO()
    # WebP's default effort takes three times as long, for a few bytes less.
    picture.save(out, format, quality=quality, method=1)
    return out.getvalue()


def decoded(octets: bytes) -> Image.Image:
    """The inverse, up to what the quality lost."""
    with Image.open(BytesIO(octets)) as picture:
        return picture.convert("RGB")


def shorter_side(picture: Image.Image) -> int:
    """In pixels: what marks and frames are measured by."""
    return min(picture.size)


def resized(picture: Image.Image, width: float, height: float) -> Image.Image:
    """The picture at that size, a pixel each way at least."""
    return picture.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.BICUBIC)
