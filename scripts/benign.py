"""Generate harmless pictures that every platform has, and write their hashes to hashdb/benign.toml.

The pictures and the file are the same for each run; a test generates them again.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hashdb.domain.matching.benign import can_be_contributed_near
from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.hashing import hash_picture

FILE = Path(__file__).resolve().parent.parent / "hashdb" / "benign.toml"
SIDE = 512
Grey = NDArray[np.float64]
"""Shape (SIDE, SIDE), 0 (black) to 1 (white)."""

ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE] / SIDE
TONES = ((0.0, 1.0), (0.25, 0.75), (0.0, 0.5), (0.5, 1.0))
COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32)
BARS = ("#ffffff", "#ffff00", "#00ffff", "#00ff00", "#ff00ff", "#ff0000", "#0000ff", "#000000")
WIDE = (Algorithm.PDQ, Algorithm.PHASH256)
"""The algorithms for shapes and bands: 64 bits cannot tell a disc or a stripe on a dark background from a flag."""


def gradients() -> Iterator[Image.Image]:
    """Gradients from light to dark: in eight directions, from the middle and to it, and around it."""
    yield from (grey(np.full((SIDE, SIDE), tone)) for tone in (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0))
    distance = np.hypot(ROWS - 0.5, COLUMNS - 0.5) * np.sqrt(2)
    around = (np.arctan2(ROWS - 0.5, COLUMNS - 0.5) / np.pi + 1) / 2
    for slope in (
        ROWS,
        COLUMNS,
        (ROWS + COLUMNS) / 2,
        (ROWS - COLUMNS + 1) / 2,
        distance,
        around,
        np.abs(2 * COLUMNS - 1),
    ):
        yield from (grey(slope), grey(1 - slope), grey(0.25 + slope / 2), grey(np.sqrt(slope)), grey(slope**2))


def checkerboards() -> Iterator[Image.Image]:
    """Checkerboards of two tones, in both orders."""
    for across in COUNTS:
        for down in {across, max(2, across * 9 // 16)}:
            fields = (np.floor(ROWS * down) + np.floor(COLUMNS * across)) % 2
            for dark, light in TONES[:2]:
                yield from (grey(dark + (light - dark) * tones) for tones in (fields, 1 - fields))


def stripes() -> Iterator[Image.Image]:
    """Stripes of two tones and of many tones: vertical, horizontal and diagonal."""
    for count in COUNTS:
        for slope in (ROWS, COLUMNS, (ROWS + COLUMNS) / 2, (ROWS - COLUMNS + 1) / 2):
            two = np.floor(slope * count * 0.999) % 2
            yield from (grey(two), grey(1 - two), grey(np.floor(slope * count * 0.999) / (count - 1)))


def grids() -> Iterator[Image.Image]:
    """Lines and dots on a plain background."""
    for count in COUNTS:
        for width in (0.05, 0.2):
            horizontal, vertical = ROWS * count % 1 < width, COLUMNS * count % 1 < width
            for lines in (horizontal | vertical, horizontal & vertical):
                yield from (grey(lines.astype(float)), grey(1.0 - lines))


def test_cards() -> Iterator[Image.Image]:
    """Colour bars like those of SMPTE and EBU, and a circle with bars in a grid."""
    for dim in (255, 191):
        for colours in (BARS[:7], BARS, BARS[::-1]):
            yield bars(colours, dim)
            yield _with_steps(bars(colours, dim), 0.67)
            yield _with_steps(bars(colours, dim), 0.75)
    for ground in ("#000000", "#808080", "#ffffff"):
        yield _circle_card(ground)


def bands() -> Iterator[Image.Image]:
    """Two or three flat fields beside or above each other, and a field between bars or in a frame."""
    for tones in ((0, 1), (0, 1, 0), (0, 0.5, 1), (0.5, 0, 1), (0, 1, 0.5), (0.3, 0.6), (0.3, 0.6, 0.3)):
        each = np.array(tones)
        for slope in (ROWS, COLUMNS):
            chosen = each[np.minimum((slope * len(each)).astype(int), len(each) - 1)]
            yield from (grey(chosen), grey(1 - chosen))
    for share in (0.05, 0.1, 0.125, 0.2, 0.25, 0.33):
        horizontal, vertical = np.abs(ROWS - 0.5) > 0.5 - share, np.abs(COLUMNS - 0.5) > 0.5 - share
        for edge in (horizontal, vertical, horizontal | vertical):
            yield from (grey(edge.astype(float)), grey(1.0 - edge), grey(0.5 + edge / 2))


def shapes() -> Iterator[Image.Image]:
    """Splash screens of applications: one plain shape in the middle of a plain background."""
    for ground, ink in (("black", "white"), ("white", "black"), ("white", "#3366cc"), ("#3366cc", "white")):
        for size in (0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
            for shape in ("ellipse", "rectangle", "rounded", "ring", "triangle", "play", "bars", "dots"):
                yield _shape(shape, size, ground, ink)


FAMILIES = {
    "gradients": (gradients, OF_PICTURES),
    "checkerboards": (checkerboards, OF_PICTURES),
    "stripes": (stripes, OF_PICTURES),
    "grids": (grids, OF_PICTURES),
    "test cards": (test_cards, OF_PICTURES),
    "bands": (bands, WIDE),
    "shapes": (shapes, WIDE),
}


def grey(tones: Grey) -> Image.Image:
    """A picture of these tones."""
    return Image.fromarray(np.round(np.clip(tones, 0, 1) * 255).astype(np.uint8))


def bars(colours: Sequence[str], dim: int) -> Image.Image:
    """Vertical bars of these colours, with the brightness `dim` of 255."""
    picture = Image.new("RGB", (SIDE, SIDE))
    draw = ImageDraw.Draw(picture)
    for place, colour in enumerate(colours):
        left, right = SIDE * place // len(colours), SIDE * (place + 1) // len(colours)
        draw.rectangle((left, 0, right, SIDE), fill=colour)
    return picture.point(lambda tone: tone * dim // 255)


def _with_steps(picture: Image.Image, start: float) -> Image.Image:
    """Add the castellations and the grey steps at the bottom of SMPTE's bars."""
    draw, top, middle = ImageDraw.Draw(picture), round(SIDE * start), round(SIDE * (start + 0.08))
    for place, colour in enumerate(("#0000bf", "#131313", "#bf00bf", "#131313", "#00bfbf", "#131313", "#bfbfbf")):
        draw.rectangle((SIDE * place // 7, top, SIDE * (place + 1) // 7, middle), fill=colour)
    for place, colour in enumerate(("#00214c", "#ffffff", "#32006a", "#131313", "#090909", "#1d1d1d", "#131313")):
        draw.rectangle((SIDE * place // 7, middle, SIDE * (place + 1) // 7, SIDE), fill=colour)
    return picture


def _circle_card(ground: str) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(picture)
    ink = "white" if ground != "#ffffff" else "black"
    for place in range(0, SIDE, SIDE // 16):
        draw.line((place, 0, place, SIDE), fill=ink, width=2)
        draw.line((0, place, SIDE, place), fill=ink, width=2)
    inside = bars(BARS, 191).resize((SIDE * 3 // 4, SIDE * 3 // 4))
    mask = Image.new("L", inside.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *inside.size), fill=255)
    picture.paste(inside, (SIDE // 8, SIDE // 8), mask)
    return picture


def _shape(name: str, size: float, ground: str, ink: str) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    draw, half = ImageDraw.Draw(picture), SIDE * size
    low, high = SIDE / 2 - half, SIDE / 2 + half
    if name == "ellipse":
        draw.ellipse((low, low, high, high), fill=ink)
    elif name == "rectangle":
        draw.rectangle((low, low, high, high), fill=ink)
    elif name == "rounded":
        draw.rounded_rectangle((low, low, high, high), radius=half * 0.45, fill=ink)
    elif name == "ring":
        draw.ellipse((low, low, high, high), outline=ink, width=max(2, round(half * 0.3)))
    elif name == "triangle":
        draw.polygon(((low, high), (high, high), (SIDE / 2, low)), fill=ink)
    elif name == "play":
        draw.ellipse((low, low, high, high), fill=ink)
        draw.polygon(
            (
                (low + 0.7 * half, low + 0.5 * half),
                (low + 0.7 * half, high - 0.5 * half),
                (low + 1.55 * half, SIDE / 2),
            ),
            fill=ground,
        )
    else:
        for place in range(3):
            left = low + place * half * 0.75
            box = (
                (left, low, left + half * 0.5, high)
                if name == "bars"
                else (left, SIDE / 2 - half / 4, left + half / 2, SIDE / 2 + half / 4)
            )
            (draw.rectangle if name == "bars" else draw.ellipse)(box, fill=ink)
    return picture


def hashed(pictures: Iterable[Image.Image], algorithms: Sequence[Algorithm]) -> list[Signal]:
    """The distinct signals of pictures that are near values that may be contributed, sorted."""
    signals: set[Signal] = set()
    for picture in pictures:
        file = BytesIO()
        picture.save(file, "PNG", compress_level=0)
        signals.update(hash_picture(file.getvalue(), algorithms).signals)
    return sorted(filter(can_be_contributed_near, signals), key=_order)


def _order(signal: Signal) -> tuple[int, int]:
    return list(Algorithm).index(signal.algorithm), signal.value


def text(only: Algorithm | None = None) -> str:
    """The text of the file. With `only`, the file keeps the signals of the other algorithms."""
    existing = tomllib.loads(FILE.read_text("utf-8")) if only else {}
    lines = ["# Hashes of generated pictures, which never match. Written by scripts/benign: do not edit."]
    for name, (generate, algorithms) in FAMILIES.items():
        signals = hashed(generate(), [algorithm for algorithm in algorithms if only in (None, algorithm)])
        others = [Signal.parse(signal) for signal in existing.get(name, {"signals": []})["signals"]]
        signals = sorted([*signals, *(signal for signal in others if signal.algorithm is not only)], key=_order)
        lines += ["", f'["{name}"]', "signals = [", *(f'    "{signal}",' for signal in signals), "]"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/benign", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    parser.add_argument(
        "--only",
        type=Algorithm,
        choices=list(Algorithm),
        help="write only this algorithm; keep the lines of the others",
    )
    arguments = parser.parse_args()
    generated = text(arguments.only)
    if arguments.check and generated != FILE.read_text("utf-8"):
        sys.exit(f"{FILE.name} is not up to date: run scripts/benign")
    FILE.write_text(generated, "utf-8")
