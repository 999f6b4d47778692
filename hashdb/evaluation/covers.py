"""Edits that cover a part of a picture: marks, stickers, words, black boxes."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hashdb.evaluation.edits import BLACK, WHITE, Colour, Scene, shorter_side

_STICKERS = ((230, 57, 70), (255, 183, 3), (58, 134, 255), (56, 176, 0))
_YELLOW = (255, 204, 77)
SENTENCES = (
    "When nobody told you about it",
    "They do not want you to see this",
    "Share before it is gone again",
    "Me on a Monday",
    "Remember this one?",
    "You will not believe what happened next to these people",
)
_TEXT = "SHARE THIS BEFORE THEY TAKE IT DOWN AGAIN, EVERYBODY MUST SEE WHAT HAPPENED HERE TODAY. "


def watermarked(scene: Scene) -> Image.Image:
    """A line of half-transparent white text across the lower part."""
    picture = scene.picture
    shine = Image.new("L", picture.size)
    place = (picture.width * 0.08, picture.height * 0.8)
    text = "uploaded again by somebody"
    ImageDraw.Draw(shine).text(place, text, fill=160, font_size=max(4, picture.width // 18))
    return _whitened(picture, shine)


def tiled(scene: Scene) -> Image.Image:
    """A faint line of text repeated over the picture at an angle, as agencies do."""
    picture = scene.picture
    size = max(4, picture.width // 20)
    side = math.ceil(math.hypot(*picture.size))
    shine = Image.new("L", (side, side))
    draw = ImageDraw.Draw(shine)
    for row, top in enumerate(range(0, side, size * 4)):
        for left in range(-(row % 2) * size * 5, side, size * 10):
            draw.text((left, top), "copy · preview", fill=90, font_size=size)
    shine = shine.rotate(30, Image.Resampling.BICUBIC)
    left, top = (side - picture.width) // 2, (side - picture.height) // 2
    return _whitened(picture, shine.crop((left, top, left + picture.width, top + picture.height)))


def branded(scene: Scene) -> Image.Image:
    """An opaque box with a name in it, 22 % of the width, in one of the corners."""
    picture = scene.picture
    width = max(8, round(picture.width * 0.22))
    height = max(4, round(width * 0.4))
    margin = round(shorter_side(picture) * 0.03)
    left = scene.random.choice((margin, picture.width - width - margin))
    top = scene.random.choice((margin, picture.height - height - margin))
    box = Image.new("RGB", (width, height), scene.random.choice(_STICKERS))
    font = ImageFont.load_default(max(4, height * 0.45))
    ImageDraw.Draw(box).text((width / 2, height / 2), "NEWS 24", WHITE, font, anchor="mm")
    altered = picture.copy()
    altered.paste(box, (left, top))
    return altered


def stickered(scene: Scene) -> Image.Image:
    """One opaque star, 25 % of the shorter side wide, anywhere."""
    altered = scene.picture.copy()
    side = shorter_side(altered) * 0.25
    left, top = _place(altered, side, scene.random)
    centre, turn = (left + side / 2, top + side / 2), scene.random.uniform(0, math.tau)
    points = []
    for corner in range(20):
        radius = side / 2 if corner % 2 else side / 2 * 0.75
        angle = turn + corner * math.tau / 20
        points.append((centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)))
    draw = ImageDraw.Draw(altered)
    draw.polygon(points, scene.random.choice(_STICKERS), WHITE, max(1, round(side / 40)))
    font = ImageFont.load_default(max(4, side * 0.22))
    draw.text(centre, "WOW!", WHITE, font, anchor="mm")
    return altered


def faced(scene: Scene, *, count: int) -> Image.Image:
    """`count` yellow faces, each 15 % of the shorter side wide, anywhere."""
    altered = scene.picture.copy()
    side = shorter_side(altered) * 0.15
    for _ in range(count):
        left, top = _place(altered, side, scene.random)
        _draw_face(ImageDraw.Draw(altered), left, top, side)
    return altered


def hidden(scene: Scene) -> Image.Image:
    """A region of 25 % of each side, blurred as a face is hidden."""
    picture = scene.picture
    width, height = max(1, round(picture.width * 0.25)), max(1, round(picture.height * 0.25))
    left = scene.random.randint(0, picture.width - width)
    top = scene.random.randint(0, picture.height - height)
    region = picture.crop((left, top, left + width, top + height))
    altered = picture.copy()
    altered.paste(region.filter(ImageFilter.GaussianBlur(max(width, height) / 6)), (left, top))
    return altered


def boxed(scene: Scene, *, share: float) -> Image.Image:
    """A black box over this share of the area, anywhere.

    Its width divided by its height is 0.5 to 2 times that of the picture.
    """
    altered = scene.picture.copy()
    factor = math.sqrt(scene.random.uniform(0.5, 2))
    width = min(altered.width, round(altered.width * math.sqrt(share) * factor))
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
        # About as many characters as fill the line.
        start = scene.random.randrange(len(_TEXT))
        text = (_TEXT[start:] + _TEXT * 8)[: 2 + round(altered.width / line * 1.6)]
        middle = altered.width / 2, top + line * (number + 0.5)
        draw.text(middle, text, WHITE, font, anchor="mm", stroke_width=max(1, round(line / 10)), stroke_fill=BLACK)
    return altered


def written_over(scene: Scene) -> Image.Image:
    """White text with a black edge over the top and the bottom of the picture."""
    altered = scene.picture.copy()
    draw = ImageDraw.Draw(altered)
    for height in (0.09, 0.91):
        place = (altered.width / 2, altered.height * height)
        text = scene.random.choice(SENTENCES).upper()
        draw_text(draw, place, text, WHITE, altered.width * 0.94, altered.height * 0.12, edge=True)
    return altered


def _place(picture: Image.Image, side: float, random: Random) -> tuple[float, float]:
    """The left and the top of a square with this side in pixels, anywhere in the picture."""
    return random.uniform(0, picture.width - side), random.uniform(0, picture.height - side)


def _draw_face(draw: ImageDraw.ImageDraw, left: float, top: float, side: float) -> None:
    def box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        return left + x * side, top + y * side, left + (x + width) * side, top + (y + height) * side

    draw.ellipse(box(0, 0, 1, 1), _YELLOW)
    for x in (0.25, 0.62):
        draw.ellipse(box(x, 0.28, 0.13, 0.2), BLACK)
    draw.arc(box(0.22, 0.3, 0.56, 0.5), 20, 160, BLACK, max(1, round(side / 16)))


def _whitened(picture: Image.Image, shine: Image.Image) -> Image.Image:
    """The picture with white over it; `shine` (8-bit grey) is its opacity."""
    altered = picture.copy()
    altered.paste(WHITE, mask=shine)
    return altered


def draw_text(
    draw: ImageDraw.ImageDraw,
    middle: tuple[float, float],
    text: str,
    ink: Colour,
    width: float,
    height: float,
    edge: bool = False,
) -> None:
    """Draw text centred on a point, as large as fits into this width and height in pixels; `edge` adds a black edge."""
    size = height / (1 + text.count("\n")) * 0.8
    left, _, right, _ = draw.multiline_textbbox((0, 0), text, ImageFont.load_default(max(4, size)))
    size = max(4, size * min(1, width / max(1, right - left)))
    font = ImageFont.load_default(size)
    stroke = max(1, round(size / 14)) if edge else 0
    draw.multiline_text(middle, text, ink, font, anchor="mm", align="center", stroke_width=stroke, stroke_fill=BLACK)
