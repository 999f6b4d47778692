"""Alterations that put a picture into something: borders, bars, captions, a screenshot, a collage."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from hashdb.evaluation.scenes import BLACK, WHITE, Colour, Scene, resized, shorter_side

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
    """Made square by bars that show the picture itself, enlarged and blurred."""
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
    """A screenshot of an app that shows the picture: status bar, whose post it is, buttons and comments."""
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
    """The picture and another one side by side, or one above the other, each with half of the place."""
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
    """Text about a point, as large as fits."""
    size = height / (1 + text.count("\n")) * 0.8
    left, _, right, _ = draw.multiline_textbbox((0, 0), text, ImageFont.load_default(max(4, size)))
    size = max(4, size * min(1, width / max(1, right - left)))
    font = ImageFont.load_default(size)
    stroke = max(1, round(size / 14)) if edge else 0
    draw.multiline_text(middle, text, ink, font, anchor="mm", align="center", stroke_width=stroke, stroke_fill=BLACK)
