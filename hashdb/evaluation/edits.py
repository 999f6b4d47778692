"""Edits of the pixels of a picture, as people make them before they upload it again: functions of a scene."""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Colour: TypeAlias = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)


class Scene(NamedTuple):
    """A picture (RGB) to alter, the source of all randomness, and another picture to put beside it."""

    picture: Image.Image
    random: Random
    beside: Image.Image

    def with_picture(self, picture: Image.Image) -> Scene:
        """The same scene with another picture in it."""
        return self._replace(picture=picture)


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
    """The inverse, except for what compression lost."""
    with Image.open(BytesIO(octets)) as picture:
        return picture.convert("RGB")


def shorter_side(picture: Image.Image) -> int:
    """The length in pixels by which marks and frames are scaled."""
    return min(picture.size)


def resized(picture: Image.Image, width: float, height: float) -> Image.Image:
    """The picture at that size, at least one pixel wide and high."""
    return picture.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.BICUBIC)


# Edits that move no part of the picture: size, colour, sharpness, noise, encoding


def unaltered(scene: Scene) -> Image.Image:
    """The picture unchanged; only the encoding of the upload alters it."""
    return scene.picture


def scaled(scene: Scene, *, share: float) -> Image.Image:
    """The picture at a share of its width and height."""
    return resized(scene.picture, scene.picture.width * share, scene.picture.height * share)


def reduced(scene: Scene, *, pixels: int) -> Image.Image:
    """The picture with a longer side of that many pixels."""
    return scaled(scene, share=pixels / max(scene.picture.size))


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


def stretched(scene: Scene, *, factor: float) -> Image.Image:
    """As high as before, and that many times as wide."""
    return resized(scene.picture, scene.picture.width * factor, scene.picture.height)


def turned(scene: Scene, *, how: Image.Transpose) -> Image.Image:
    """Mirrored, flipped or rotated by quarters."""
    return scene.picture.transpose(how)


def tilted(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated about its centre at the same size: the corners are lost, and the gaps are black or white."""
    fill = scene.random.choice((BLACK, WHITE))
    return _rotated(scene, degrees, fill)


def straightened(scene: Scene, *, degrees: float) -> Image.Image:
    """Rotated likewise, then cropped to the largest upright rectangle within the picture."""
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


def _rotated(scene: Scene, degrees: float, fill: tuple[int, int, int]) -> Image.Image:
    sign = scene.random.choice((-1, 1))
    return scene.picture.rotate(sign * degrees, Image.Resampling.BICUBIC, fillcolor=fill)


def _without(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The picture without these shares of its width and height."""
    width, height = picture.size
    return picture.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


# Edits that cover a part of the picture


_STICKERS = ((230, 57, 70), (255, 183, 3), (58, 134, 255), (56, 176, 0))
_YELLOW = (255, 204, 77)


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


def faced(scene: Scene, *, many: int) -> Image.Image:
    """That many yellow faces, each 15 % of the shorter side wide, anywhere."""
    altered = scene.picture.copy()
    side = shorter_side(altered) * 0.15
    for _ in range(many):
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


def _place(picture: Image.Image, side: float, random: Random) -> tuple[float, float]:
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


# Edits that add something around the picture


_SENTENCES = (
    "When nobody told you about it",
    "They do not want you to see this",
    "Share before it is gone again",
    "Me on a Monday",
    "Remember this one?",
    "You will not believe what happened next to these people",
)
_BORDERS: tuple[Colour, ...] = (WHITE, BLACK, (128, 128, 128), (200, 30, 45), (250, 240, 220))


def bordered(scene: Scene, *, share: float) -> Image.Image:
    """A border of one colour all around, that share of the shorter side wide."""
    width = max(1, round(shorter_side(scene.picture) * share))
    return ImageOps.expand(scene.picture, width, scene.random.choice(_BORDERS))


def letterboxed(scene: Scene) -> Image.Image:
    """Black bars above and below, each 8 to 25 % of the picture's height."""
    height = round(scene.picture.height * scene.random.uniform(0.08, 0.25))
    return ImageOps.expand(scene.picture, (0, height), BLACK)


def pillarboxed(scene: Scene) -> Image.Image:
    """Black bars at the left and right, each 8 to 25 % of the picture's width."""
    width = round(scene.picture.width * scene.random.uniform(0.08, 0.25))
    return ImageOps.expand(scene.picture, (width, 0), BLACK)


def on_its_blur(scene: Scene) -> Image.Image:
    """Made square, on a ground of the picture itself, enlarged and blurred."""
    picture = scene.picture
    side = max(picture.size)
    ground = ImageOps.fit(picture, (side, side)).filter(ImageFilter.GaussianBlur(side / 25))
    ground.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return ground


def captioned(scene: Scene, *, above: bool) -> Image.Image:
    """A bar with one or two lines of text above or below: black on white, or white on black."""
    picture = scene.picture
    lines = scene.random.choice((1, 2))
    paper, ink = scene.random.choice(((WHITE, BLACK), (BLACK, WHITE)))
    bar = max(8, round(picture.height * (0.12 if lines == 1 else 0.2)))
    framed = Image.new("RGB", (picture.width, picture.height + bar), paper)
    framed.paste(picture, (0, bar if above else 0))
    middle = (picture.width / 2, bar / 2 if above else picture.height + bar / 2)
    _write(ImageDraw.Draw(framed), middle, _text(scene.random, lines), ink, picture.width * 0.94, bar * 0.8)
    return framed


def written_over(scene: Scene) -> Image.Image:
    """White text with a black edge over the top and the bottom of the picture."""
    altered = scene.picture.copy()
    draw = ImageDraw.Draw(altered)
    for height in (0.09, 0.91):
        place = (altered.width / 2, altered.height * height)
        text = scene.random.choice(_SENTENCES).upper()
        _write(draw, place, text, WHITE, altered.width * 0.94, altered.height * 0.12, edge=True)
    return altered


def on_a_phone(scene: Scene) -> Image.Image:
    """A screenshot of an app that shows the picture: status bar, author, buttons and comments."""
    paper, ink = scene.random.choice(((WHITE, (30, 30, 30)), (BLACK, (225, 225, 225))))
    width = 540
    picture = resized(scene.picture, width, scene.picture.height * width / scene.picture.width)
    screen = Image.new("RGB", (width, max(1170, picture.height + 260)), paper)
    draw = ImageDraw.Draw(screen)
    top = scene.random.randint(130, screen.height - picture.height - 130)
    _draw_status(draw, width, ink, scene.random)
    draw.ellipse((18, top - 62, 66, top - 14), (120, 140, 190))
    draw.text((80, top - 38), "somebody", ink, ImageFont.load_default(22), anchor="lm")
    screen.paste(picture, (0, top))
    below = top + picture.height
    for place in (24, 84, 144):
        draw.ellipse((place, below + 18, place + 34, below + 52), outline=ink, width=3)
    for line, height in enumerate(range(below + 84, screen.height - 30, 34)):
        text = _SENTENCES[line % len(_SENTENCES)]
        draw.text((24, height), text, ink, ImageFont.load_default(19), anchor="lm")
    return screen


def in_a_collage(scene: Scene) -> Image.Image:
    """The picture and another one side by side, or one above the other, in halves of equal size."""
    pictures = [scene.picture, scene.beside]
    scene.random.shuffle(pictures)
    width, height = scene.picture.size
    across = scene.random.random() < 0.5
    board = Image.new("RGB", (2 * width, height) if across else (width, 2 * height))
    for place, picture in enumerate(pictures):
        board.paste(ImageOps.fit(picture, (width, height)), (place * width, 0) if across else (0, place * height))
    return board


def _draw_status(draw: ImageDraw.ImageDraw, width: int, ink: Colour, random: Random) -> None:
    clock = f"{random.randint(0, 23)}:{random.randint(0, 59):02}"
    draw.text((30, 26), clock, ink, ImageFont.load_default(24), anchor="lm")
    draw.rectangle((width - 70, 16, width - 30, 36), outline=ink, width=2)
    draw.rectangle((width - 67, 19, width - random.randint(40, 60), 33), fill=ink)
    for bar in range(4):
        draw.rectangle((width - 130 + 10 * bar, 32 - 5 * bar, width - 124 + 10 * bar, 36), fill=ink)


def _text(random: Random, lines: int) -> str:
    return "\n".join(random.sample(_SENTENCES, lines))


def _write(
    draw: ImageDraw.ImageDraw,
    middle: tuple[float, float],
    text: str,
    ink: Colour,
    width: float,
    height: float,
    edge: bool = False,
) -> None:
    """Draw text centred on a point, as large as fits."""
    size = height / (1 + text.count("\n")) * 0.8
    left, _, right, _ = draw.multiline_textbbox((0, 0), text, ImageFont.load_default(max(4, size)))
    size = max(4, size * min(1, width / max(1, right - left)))
    font = ImageFont.load_default(size)
    stroke = max(1, round(size / 14)) if edge else 0
    draw.multiline_text(middle, text, ink, font, anchor="mm", align="center", stroke_width=stroke, stroke_fill=BLACK)
