"""Pictures that hashes confuse, drawn by rule: cards of text, memes of one template, posts, chats, desktops and flags.

Two pictures of a kind share a layout and differ in what they say or in their colours. Each pair is of different
pictures, so each match among them is a false one. The same kind, number and seed give the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from PIL import Image, ImageDraw, ImageFont

import hashdb
from hashdb.evaluation.edits import BLACK, WHITE, Colour

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

TEMPLATE: Final = Path(hashdb.__file__).parent / "photos" / "oakland-zoo-otters.jpg"
"""The photograph under the words of every meme."""
_LATIN = (
    "the new one came back again and nobody said why it was gone from here people ask what happened to our street in "
    "the morning they walked along a river without bread or water some had seen fire over old houses others only heard "
    "about it later when children told stories of horses wind and snow above seven hills"
)
_OTHERS = {
    "Cyrillic": "мы не знаем кто это сделал утром люди вышли на улицу и увидели дым над старым домом потом все ушли",
    "Arabic": "لا احد يعرف من فعل هذا في الصباح خرج الناس الى الشارع وراوا دخانا فوق البيت القديم ثم ذهب الجميع",
}
_LARGE_FONT = "DejaVuSans.ttf"  # it has the letters of all these scripts
_COLOURS: tuple[Colour, ...] = (
    (200, 16, 46),
    (0, 57, 166),
    (0, 122, 61),
    (255, 205, 0),
    (255, 255, 255),
    (0, 0, 0),
    (255, 130, 0),
    (108, 172, 228),
    (110, 20, 40),
)


def draw(kind: str, number: int, seed: int = 0) -> Image.Image:
    """The picture with this number of a kind of `KINDS`, RGB."""
    return KINDS[kind](Random(f"{seed} {kind} {number}"), number)


def write(folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` pictures of each kind, as PNG, into a folder for each kind."""
    for kind in KINDS:
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(kind, number, seed).save(place / f"{number:04}.png")


def _card(random: Random, number: int) -> Image.Image:
    """A card of text of one app: its name above, the words in the middle."""
    card = Image.new("RGB", (720, 720), (26, 32, 44))
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, 720, 84), (190, 30, 45))
    draw.text((36, 42), "THE DAILY WORD", WHITE, _font(34), anchor="lm")
    lines = _sentences(random, random.randint(3, 8), 24)
    draw.multiline_text((360, 400), lines, WHITE, _font(44), anchor="mm", align="center", spacing=14)
    draw.text((360, 690), "thedailyword.example", (150, 160, 180), _font(20), anchor="mm")
    return card


def _meme(random: Random, number: int) -> Image.Image:
    """White words with a black edge over the top and the bottom of one photograph."""
    meme = _template().copy()
    draw = ImageDraw.Draw(meme)
    for middle in (0.1, 0.9):
        words = _sentences(random, 1, 22).upper()
        place = meme.width / 2, meme.height * middle
        draw.text(place, words, WHITE, _font(meme.width / 17), anchor="mm", stroke_width=3, stroke_fill=BLACK)
    return meme


def _post(random: Random, number: int) -> Image.Image:
    """A post of words alone, of a dark app."""
    lines = random.randint(3, 9)
    post = Image.new("RGB", (600, 200 + 34 * lines), (21, 32, 43))
    draw = ImageDraw.Draw(post)
    draw.ellipse((20, 20, 76, 76), random.choice(_COLOURS))
    draw.text((92, 38), random.choice(_LATIN.split()).title(), (231, 233, 234), _font(22), anchor="lm")
    draw.text((92, 62), f"@{random.choice(_LATIN.split())}", (113, 128, 140), _font(18), anchor="lm")
    draw.multiline_text((20, 96), _sentences(random, lines, 44), (231, 233, 234), _font(24), spacing=8)
    for place in range(4):
        draw.ellipse((24 + 140 * place, post.height - 52, 48 + 140 * place, post.height - 28), outline=(113, 128, 140))
        count = str(random.randint(1, 9_999))
        draw.text((58 + 140 * place, post.height - 40), count, (113, 128, 140), _font(18), anchor="lm")
    return post


def _chat(random: Random, number: int) -> Image.Image:
    """A screen of a chat."""
    chat = Image.new("RGB", (540, 1080), (229, 221, 213))
    draw = ImageDraw.Draw(chat)
    draw.rectangle((0, 0, 540, 84), (0, 128, 105))
    draw.ellipse((16, 20, 60, 64), random.choice(_COLOURS))
    draw.text((76, 42), random.choice(_LATIN.split()).title(), WHITE, _font(26), anchor="lm")
    top = 104
    while top < 980:
        lines, own = random.randint(1, 4), random.random() < 0.5
        text = _sentences(random, lines, 30)
        box = draw.multiline_textbbox((0, 0), text, _font(21), spacing=6)
        left = 516 - round(box[2]) - 28 if own else 14
        draw.rounded_rectangle(
            (left, top, left + box[2] + 28, top + box[3] + 26), 12, (217, 253, 211) if own else WHITE
        )
        draw.multiline_text((left + 14, top + 10), text, (20, 20, 20), _font(21), spacing=6)
        top += round(box[3]) + 40
    draw.rounded_rectangle((14, 1020, 526, 1066), 22, WHITE)
    return chat


def _desktop(random: Random, number: int) -> Image.Image:
    """A desktop with windows full of words."""
    desktop = Image.linear_gradient("L").resize((1280, 720)).convert("RGB")
    desktop = Image.blend(desktop, Image.new("RGB", desktop.size, (30, 90, 140)), 0.75)
    draw = ImageDraw.Draw(desktop)
    for _ in range(random.randint(2, 4)):
        left, top = random.randint(0, 700), random.randint(0, 300)
        right, bottom = left + random.randint(420, 640), top + random.randint(260, 400)
        draw.rectangle((left, top, right, bottom), (250, 250, 250), (120, 120, 120))
        draw.rectangle((left, top, right, top + 30), (222, 222, 226), (120, 120, 120))
        draw.text((left + 12, top + 15), _sentences(random, 1, 20), (60, 60, 60), _font(15), anchor="lm")
        words = _sentences(random, (bottom - top - 60) // 24, (right - left) // 10)
        draw.multiline_text((left + 16, top + 44), words, (40, 40, 40), _font(17), spacing=6)
    draw.rectangle((0, 680, 1280, 720), (32, 32, 36))
    draw.text((1260, 700), f"{random.randint(0, 23)}:{random.randint(0, 59):02}", WHITE, _font(16), anchor="rm")
    return desktop


def _flag(random: Random, number: int) -> Image.Image:
    """Three stripes, a cross or a triangle, or an ensign, in three colours: no two numbers have the same."""
    layout, colours = number % 5, _triples()[number // 5 % len(_triples())]
    flag = Image.new("RGB", (600, 400), colours[0])
    draw = ImageDraw.Draw(flag)
    if layout == 0:
        draw.rectangle((200, 0, 399, 400), colours[1])
        draw.rectangle((400, 0, 600, 400), colours[2])
    elif layout == 1:
        draw.rectangle((0, 133, 600, 266), colours[1])
        draw.rectangle((0, 267, 600, 400), colours[2])
    elif layout == 2:
        for widths, colour in (((80, 60), colours[1]), ((40, 30), colours[2])):
            draw.rectangle((220 - widths[0] // 2, 0, 220 + widths[0] // 2, 400), colour)
            draw.rectangle((0, 200 - widths[1], 600, 200 + widths[1]), colour)
    elif layout == 3:
        draw.rectangle((0, 200, 600, 400), colours[1])
        draw.polygon(((0, 0), (240, 200), (0, 400)), colours[2])
    else:
        draw.rectangle((0, 0, 270, 190), colours[1])
        for _ in range(random.randint(4, 9)):
            x, y = random.randint(330, 570), random.randint(40, 360)
            draw.regular_polygon((x, y, 24), 5, random.randint(0, 71), colours[2])
        draw.line((0, 0, 270, 190), colours[2], 24)
        draw.line((0, 190, 270, 0), colours[2], 24)
    return flag


KINDS: Final[Mapping[str, Callable[[Random, int], Image.Image]]] = {
    "cards": _card,
    "memes": _meme,
    "posts": _post,
    "chats": _chat,
    "desktops": _desktop,
    "flags": _flag,
}
"""What draws the picture with a number, by kind."""


@cache
def _template() -> Image.Image:
    with Image.open(TEMPLATE) as picture:
        return picture.convert("RGB").resize((720, round(720 * picture.height / picture.width)))


@cache
def _triples() -> list[tuple[Colour, ...]]:
    """All ordered triples of different colours, shuffled."""
    triples: list[tuple[Colour, ...]] = [*permutations(_COLOURS, 3)]
    Random(0).shuffle(triples)
    return triples


@cache
def _scripts() -> tuple[tuple[str, ...], ...]:
    """The words of each script that a font of this machine has; Pillow's own font has Latin."""
    texts = [_LATIN, *(_OTHERS.values() if _has_large_font() else ())]
    return tuple(tuple(text.split()) for text in texts)


@cache
def _has_large_font() -> bool:
    try:
        ImageFont.truetype(_LARGE_FONT)
    except OSError:
        return False
    return True


@cache
def _font(size: float) -> Font:
    return ImageFont.truetype(_LARGE_FONT, size) if _has_large_font() else ImageFont.load_default(size)


def _sentences(random: Random, lines: int, width: int) -> str:
    """`lines` lines of words of one script, each up to `width` characters long."""
    words = random.choice(_scripts())
    text = []
    for _ in range(lines):
        line = random.choice(words)
        while len(line) < width:
            line += f" {random.choice(words)}"
        text.append(line[:width].strip().capitalize())
    return "\n".join(text)
