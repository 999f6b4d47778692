"""Edits that make a picture a part of something else: a frame, a caption, a collage, a post, a photographed screen."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from hashdb.evaluation.covers import SENTENCES, draw_text
from hashdb.evaluation.edits import BLACK, WHITE, Colour, Scene, resized, shorter_side

_BORDERS: tuple[Colour, ...] = (WHITE, BLACK, (128, 128, 128), (200, 30, 45), (250, 240, 220))
_MESSAGES = (
    "did you see this one",
    "no way",
    "ask him, he was there",
    "it was on the news this morning",
    "please do not send me things like that",
    "ok see you at eight then",
    "Why does nobody talk about this?",
    "They took the first one down.",
)
_NIGHT: Colour = (21, 32, 43)
_INK: Colour = (231, 233, 234)


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


def squared_on_its_blur(scene: Scene) -> Image.Image:
    """Made square, on a ground of the picture itself, enlarged and blurred."""
    side = max(scene.picture.size)
    return _laid_on_blur(scene.picture, (side, side))


def upright_on_its_blur(scene: Scene) -> Image.Image:
    """In the middle of an upright frame, 9:16, as wide as the picture, on the picture itself, enlarged and blurred."""
    width = scene.picture.width
    return _laid_on_blur(scene.picture, (width, round(width * 16 / 9)))


def _laid_on_blur(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in the middle of a ground of this size: the picture itself, enlarged and blurred."""
    ground = ImageOps.fit(picture, size).filter(ImageFilter.GaussianBlur(size[0] / 25))
    ground.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
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
    text = "\n".join(scene.random.sample(SENTENCES, lines))
    draw_text(ImageDraw.Draw(framed), middle, text, ink, picture.width * 0.94, bar * 0.8)
    return framed


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
        text = SENTENCES[line % len(SENTENCES)]
        draw.text((24, height), text, ink, ImageFont.load_default(19), anchor="lm")
    return screen


def in_a_collage_of_two(scene: Scene) -> Image.Image:
    """The picture and another one side by side, or one above the other, in halves of equal size."""
    pictures = [scene.picture, scene.beside]
    scene.random.shuffle(pictures)
    width, height = scene.picture.size
    across = scene.random.random() < 0.5
    board = Image.new("RGB", (2 * width, height) if across else (width, 2 * height))
    for place, picture in enumerate(pictures):
        board.paste(ImageOps.fit(picture, (width, height)), (place * width, 0) if across else (0, place * height))
    return board


def in_a_collage(scene: Scene, *, count: int) -> Image.Image:
    """One of three or of four pictures in their shape: two by two, or a large one beside two small ones."""
    width, height = scene.picture.size
    gap = scene.random.choice((0, round(min(width, height) * 0.02)))
    if count == 4:
        boxes = [(x * (width + gap), y * (height + gap), width, height) for y in (0, 1) for x in (0, 1)]
        size = 2 * width + gap, 2 * height + gap
    else:
        small = width - width // 2, (height - gap) // 2
        boxes = [(0, 0, width, height)]
        boxes += [(width + gap, y * (small[1] + gap), small[0], small[1]) for y in (0, 1)]
        size = width + gap + small[0], height
    board = Image.new("RGB", size, scene.random.choice((WHITE, (0, 0, 0), (200, 200, 200))))
    own = scene.random.randrange(count)
    others = _others(scene.beside)
    for place, (left, top, across, down) in enumerate(boxes):
        picture = scene.picture if place == own else next(others)
        board.paste(ImageOps.fit(picture, (across, down)), (left, top))
    return board


def _others(beside: Image.Image) -> Iterator[Image.Image]:
    """Pictures that differ from each other, made of one."""
    yield beside
    yield beside.rotate(180)
    yield beside.crop((0, 0, ceil(beside.width / 2), ceil(beside.height / 2)))


def in_picture(scene: Scene, *, share: float) -> Image.Image:
    """Laid on the other picture, anywhere, and as wide as this share of it: picture in picture."""
    ground = scene.beside.copy()
    width = ground.width * share
    height = width * scene.picture.height / scene.picture.width
    if height > ground.height * 0.95:
        width, height = width * ground.height * 0.95 / height, ground.height * 0.95
    picture = resized(scene.picture, width, height)
    _paste(ground, picture, scene.random.random(), scene.random.random())
    return ground


def on_its_blur(scene: Scene, *, shape: float) -> Image.Image:
    """Whole, in the middle of a frame with this width divided by height, on itself, enlarged and blurred."""
    picture = scene.picture
    width = max(picture.width, round(picture.height * shape))
    height = max(picture.height, round(picture.width / shape))
    ground = ImageOps.fit(picture, (width, height)).filter(ImageFilter.GaussianBlur(max(width, height) / 25))
    ground = ImageEnhance.Brightness(ground).enhance(scene.random.choice((0.7, 1)))
    _paste(ground, picture, 0.5, 0.5)
    return ground


def in_a_dark_app(scene: Scene) -> Image.Image:
    """A post of a dark app: author, some words, the picture with round corners, and the buttons below."""
    width, margin = 540, scene.random.choice((14, 76))
    inner = width - margin - 14
    picture = resized(scene.picture, inner, min(900, inner * scene.picture.height / scene.picture.width))
    lines = scene.random.randint(1, 4)
    top = 84 + 30 * lines
    screen = Image.new("RGB", (width, top + picture.height + scene.random.choice((70, 260))), _NIGHT)
    draw = ImageDraw.Draw(screen)
    draw.ellipse((14, 16, 62, 64), scene.random.choice(((29, 155, 240), (120, 90, 200), (200, 90, 60))))
    draw.text((76, 30), "somebody", _INK, ImageFont.load_default(20), anchor="lm")
    draw.text((76, 52), f"@some · {scene.random.randint(1, 23)} h", (113, 128, 140), ImageFont.load_default(16), "lm")
    _lines(draw, scene.random, (margin, 84), lines, 30, 20, _INK)
    _rounded(screen, picture, (margin, top), 16)
    below = top + picture.height
    for place in range(4):
        left = margin + place * inner // 4
        draw.ellipse((left, below + 20, left + 22, below + 42), outline=(113, 128, 140), width=2)
        number = str(scene.random.randint(3, 999))
        draw.text((left + 30, below + 31), number, (113, 128, 140), ImageFont.load_default(16), anchor="lm")
    _lines(draw, scene.random, (76, below + 90), max(0, (screen.height - below - 100) // 30), 30, 19, _INK)
    return screen


def in_a_chat(scene: Scene) -> Image.Image:
    """A message of a chat, between others on a wallpaper."""
    width, height = 540, 1170
    dark = scene.random.random() < 0.5
    paper, ink = ((11, 20, 26), _INK) if dark else ((229, 221, 213), (20, 20, 20))
    their_colour, own_colour = ((32, 44, 51), (0, 92, 75)) if dark else (WHITE, (217, 253, 211))
    screen = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, width, 78), (32, 44, 51) if dark else (0, 128, 105))
    draw.ellipse((16, 18, 58, 60), (150, 150, 160))
    draw.text((74, 40), "Family", WHITE, ImageFont.load_default(24), anchor="lm")
    inner = round(width * scene.random.uniform(0.55, 0.75))
    picture = resized(scene.picture, inner, min(700, inner * scene.picture.height / scene.picture.width))
    top, shown = 100 - scene.random.randint(0, 40), False
    while top < height - 40:
        own = scene.random.random() < 0.5
        if not shown and (top > 200 or scene.random.random() < 0.3):
            left = width - picture.width - 22 if own else 14
            box = (left, top, left + picture.width + 8, top + picture.height + 30)
            draw.rounded_rectangle(box, 12, own_colour if own else their_colour)
            _rounded(screen, picture, (left + 4, top + 4), 10)
            draw.text((box[2] - 10, box[3] - 12), "20:14", ink, ImageFont.load_default(13), anchor="rm")
            top, shown = box[3] + 14, True
            continue
        text = scene.random.choice(_MESSAGES)
        across = draw.textlength(text, ImageFont.load_default(19)) + 28
        left = round(width - across - 14) if own else 14
        draw.rounded_rectangle((left, top, left + across, top + 42), 12, own_colour if own else their_colour)
        draw.text((left + 14, top + 21), text, ink, ImageFont.load_default(19), anchor="lm")
        top += 56
    return screen


def on_a_desktop(scene: Scene) -> Image.Image:
    """In a window of a desktop, 35 to 55 % of its width, beside and over other windows."""
    width, height = 1280, 720
    ground = ImageOps.fit(scene.beside, (width, height)).filter(ImageFilter.GaussianBlur(scene.random.choice((0, 30))))
    draw = ImageDraw.Draw(ground)
    for _ in range(scene.random.randint(1, 3)):
        left, top = scene.random.randint(0, 640), scene.random.randint(0, 300)
        _window(draw, (left, top, left + scene.random.randint(400, 640), top + scene.random.randint(250, 400)))
        _lines(draw, scene.random, (left + 20, top + 50), 7, 26, 17, (40, 40, 40))
    share = scene.random.uniform(0.35, 0.55)
    across, down = width * share, width * share * scene.picture.height / scene.picture.width
    scale = min(1.0, (height - 90) / down)
    picture = resized(scene.picture, across * scale, down * scale)
    left = scene.random.randint(0, width - picture.width)
    top = scene.random.randint(30, height - 44 - picture.height)
    _window(draw, (left, top - 30, left + picture.width, top + picture.height))
    ground.paste(picture, (left, top))
    draw.rectangle((0, height - 40, width, height), (32, 32, 36))
    for place in range(8):
        draw.rounded_rectangle(
            (20 + 52 * place, height - 34, 48 + 52 * place, height - 6), 6, (90, 110 + 15 * place, 190)
        )
    draw.text((width - 20, height - 20), "14:32", WHITE, ImageFont.load_default(16), anchor="rm")
    return ground


def photographed(scene: Scene) -> Image.Image:
    """On a screen, as a camera held by hand sees it: from the side, tilted, with glare, stripes and noise."""
    picture = scene.picture
    width, height = picture.size
    screen = ImageOps.expand(picture, round(shorter_side(picture) * 0.03), (16, 16, 18))
    room = ImageOps.expand(screen, round(max(screen.size) * 0.18), (58, 54, 50)).filter(
        ImageFilter.GaussianBlur(max(width, height) / 500)
    )
    # The corners of what the camera sees, each moved by up to 12 %: upper left, lower left, lower right, upper right.
    corners = []
    for x, y in ((0, 0), (0, room.height), (room.width, room.height), (room.width, 0)):
        move_x, move_y = (scene.random.uniform(0, 0.12) * side for side in room.size)
        corners += [x + (-1 if x else 1) * move_x, y + (-1 if y else 1) * move_y]
    seen = room.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    dull = ImageEnhance.Color(ImageEnhance.Contrast(seen).enhance(0.75)).enhance(0.8)
    down, across = np.mgrid[0:height, 0:width] / max(width, height)
    pitch = scene.random.uniform(60, 140)
    stripes = 1 + 0.05 * np.sin(pitch * (across + scene.random.uniform(-0.3, 0.3) * down))
    middle = scene.random.random() * width / max(width, height), scene.random.random() * height / max(width, height)
    glare = 70 * np.exp(-((across - middle[0]) ** 2 + (down - middle[1]) ** 2) / 0.02)
    noise = np.random.default_rng(scene.random.getrandbits(64)).normal(0, 6, (height, width, 3))
    samples = np.asarray(dull, np.float32) * stripes[..., None] + glare[..., None] + noise
    return Image.fromarray(np.clip(samples, 0, 255).astype(np.uint8))


def in_a_corner(scene: Scene, *, share: float) -> Image.Image:
    """In a corner of the other picture, that share of its width wide: picture in picture."""
    ground = scene.beside.copy()
    width = ground.width * share
    picture = resized(scene.picture, width, width * scene.picture.height / scene.picture.width)
    margin = round(shorter_side(ground) * 0.04)
    left = scene.random.choice((margin, ground.width - picture.width - margin))
    top = scene.random.choice((margin, ground.height - picture.height - margin))
    ground.paste(picture, (left, top))
    return ground


def filmed_from_a_screen(scene: Scene) -> Image.Image:
    """As a camera sees it on a screen, slightly from the side: its edge, duller colours, blur, stripes and noise."""
    width, height = scene.picture.size
    screen = ImageOps.expand(scene.picture, round(shorter_side(scene.picture) * 0.04), (18, 18, 20))
    x, y = (0.05 * scene.random.uniform(0.4, 1) for _ in range(2))
    right, bottom = screen.size
    # Corners of the part that is seen: upper left, lower left, lower right, upper right.
    corners = (0, 0, 0, bottom, right * (1 + x), bottom * (1 + y), right, -bottom * y)
    seen = screen.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    dull = ImageEnhance.Contrast(seen.filter(ImageFilter.GaussianBlur(width / 500))).enhance(0.8)
    stripes = 1 + 0.04 * np.sin(np.arange(height) * scene.random.uniform(1.3, 2.2))
    noise = np.random.default_rng(scene.random.getrandbits(64)).normal(0, 4, (height, width, 1))
    samples = np.asarray(dull, np.float32) * stripes[:, None, None] + noise
    return Image.fromarray(np.clip(samples, 0, 255).astype(np.uint8))


def _draw_status(draw: ImageDraw.ImageDraw, width: int, ink: Colour, random: Random) -> None:
    clock = f"{random.randint(0, 23)}:{random.randint(0, 59):02}"
    draw.text((30, 26), clock, ink, ImageFont.load_default(24), anchor="lm")
    draw.rectangle((width - 70, 16, width - 30, 36), outline=ink, width=2)
    draw.rectangle((width - 67, 19, width - random.randint(40, 60), 33), fill=ink)
    for bar in range(4):
        draw.rectangle((width - 130 + 10 * bar, 32 - 5 * bar, width - 124 + 10 * bar, 36), fill=ink)


def _paste(ground: Image.Image, picture: Image.Image, across: float, down: float) -> None:
    """Paste a picture with these shares of the free width at its left, and of the free height above it."""
    place = round((ground.width - picture.width) * across), round((ground.height - picture.height) * down)
    ground.paste(picture, place)


def _rounded(screen: Image.Image, picture: Image.Image, place: tuple[int, int], radius: int) -> None:
    """Paste a picture with round corners; `place` is where its upper left corner is."""
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), radius, 255)
    screen.paste(picture, place, mask)


def _window(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """Draw a window with a title bar and three buttons; `box` is its left, top, right and bottom."""
    left, top, right, _ = box
    draw.rectangle(box, (248, 248, 248), (120, 120, 120))
    draw.rectangle((left, top, right, top + 30), (222, 222, 226), (120, 120, 120))
    for place, colour in enumerate(((255, 95, 86), (255, 189, 46), (39, 201, 63))):
        draw.ellipse((left + 10 + 20 * place, top + 9, left + 22 + 20 * place, top + 21), colour)


def _lines(
    draw: ImageDraw.ImageDraw, random: Random, place: tuple[int, int], count: int, step: int, size: int, ink: Colour
) -> None:
    """Draw `count` lines of text, `step` pixels apart, the first one at `place`, in letters of `size` pixels."""
    for line in range(count):
        at = place[0], place[1] + step * line
        draw.text(at, random.choice(_MESSAGES), ink, ImageFont.load_default(size))
