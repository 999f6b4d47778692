"""Draw the test picture and print its signals: `python -m scripts.test_picture`. Each run writes the same bytes."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import hashdb
from hashdb.domain.signals import OF_PICTURES
from hashdb.hashing import hash_file

PICTURE = Path(hashdb.__file__).parent / "test.png"
_SIZE = (640, 480)
_SEED = 20_261


def draw() -> Image.Image:
    """Draw plain shapes from a seed and a line of text, unlike any photograph or removed content."""
    chance, picture = random.Random(_SEED), Image.new("RGB", _SIZE, "#20506a")
    pen = ImageDraw.Draw(picture)
    for _ in range(60):
        left, top = chance.randrange(-60, _SIZE[0]), chance.randrange(-60, _SIZE[1])
        box = left, top, left + chance.randrange(40, 220), top + chance.randrange(40, 220)
        shade = tuple(chance.randrange(256) for _ in range(3))
        chance.choice((pen.ellipse, pen.rectangle))(box, fill=shade)
    pen.rectangle((0, 210, _SIZE[0], 270), fill="white")
    pen.text((_SIZE[0] // 2, 240), "hashdb test picture", "black", ImageFont.load_default(36), anchor="mm")
    return picture


if __name__ == "__main__":
    draw().quantize(64, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    hashed = hash_file(PICTURE, OF_PICTURES)
    print(f"{PICTURE.stat().st_size:,} bytes, quality {hashed.quality}")
    for signal in hashed.signals:
        print(signal, signal.fault() or "")
