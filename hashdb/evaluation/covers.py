"""Edits that hide much of a picture: black boxes, heavy text; and its negative."""

from __future__ import annotations

from math import sqrt

from PIL import Image, ImageDraw, ImageFont, ImageOps

from hashdb.evaluation.edits import BLACK, WHITE, Scene

_TEXT = "SHARE THIS BEFORE THEY TAKE IT DOWN AGAIN, EVERYBODY MUST SEE WHAT HAPPENED HERE TODAY. "


def boxed(scene: Scene, *, share: float) -> Image.Image:
    """A black box over this share of the area, up to twice as wide or as high as the picture's shape, anywhere."""
    altered = scene.picture.copy()
    factor = sqrt(scene.random.uniform(0.5, 2))
    width = min(altered.width, round(altered.width * sqrt(share) * factor))
    height = min(altered.height, round(altered.width * altered.height * share / max(1, width)))
    left = scene.random.randint(0, altered.width - width)
    top = scene.random.randint(0, altered.height - height)
    altered.paste(BLACK, (left, top, left + width, top + height))
    return altered


def written_heavily(scene: Scene, *, share: float) -> Image.Image:
    """Lines of large white text with a black edge, over this share of the height, anywhere."""
    altered = scene.picture.copy()
    band = altered.height * share
    lines = max(1, round(share * 10))
    line = band / lines
    top = scene.random.uniform(0, altered.height - band)
    font = ImageFont.load_default(max(4, line * 0.8))
    draw = ImageDraw.Draw(altered)
    for number in range(lines):
        start = scene.random.randrange(len(_TEXT))
        text = (_TEXT[start:] + _TEXT * 8)[: 2 + round(altered.width / line * 1.6)]
        middle = altered.width / 2, top + line * (number + 0.5)
        draw.text(middle, text, WHITE, font, anchor="mm", stroke_width=max(1, round(line / 10)), stroke_fill=BLACK)
    return altered


def inverted(scene: Scene) -> Image.Image:
    """The negative."""
    return ImageOps.invert(scene.picture)
