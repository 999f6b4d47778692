"""Pictures to hash: the photographs of the package, and pictures that `draw_picture` draws."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

_ROOT = Path(__file__).parents[2]

PHOTOS = tuple(sorted((_ROOT / "hashdb" / "photos").glob("*.jpg")))
REFERENCE = _ROOT.parent / "shared" / "data" / "pdq"
ORIENTATIONS = {
    "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
    "flip": Image.Transpose.FLIP_TOP_BOTTOM,
    "rotate-180": Image.Transpose.ROTATE_180,
    "transpose": Image.Transpose.TRANSPOSE,
    "rotate-90": Image.Transpose.ROTATE_90,
    "rotate-270": Image.Transpose.ROTATE_270,
    "transverse": Image.Transpose.TRANSVERSE,
}
"""The transposition of Pillow for each orientation."""
NO_REFERENCE = "the reference pictures of PDQ are not beside the repository (../shared/data/pdq)"


def draw_picture(width: int = 320, height: int = 240, seed: int = 7) -> Image.Image:
    """Draw a picture without symmetry and with as much detail as a photograph: ellipses on a smooth background."""
    rng = np.random.default_rng(seed)
    background = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    image = background.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        (left, right), (top, bottom) = (sorted(rng.integers(0, side + 1, 2).tolist()) for side in (width, height))
        pen.ellipse((left, top, right, bottom), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def encode_picture(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The bytes of a file of the picture."""
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
