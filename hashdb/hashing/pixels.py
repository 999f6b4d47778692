"""Pixels of any mode, brought to upright 8-bit red, green and blue."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16, 24)


def upright(image: Image.Image, tags: bytes) -> Image.Image:
    """Turned and mirrored as the EXIF tags say; as it is where they cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(tags)
        turn = _TURNS.get(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:
        return image
    return image if turn is None else image.transpose(turn)


def on_white(image: Image.Image) -> Image.Image:
    """8-bit red, green and blue of a picture of any mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _narrowed(image).convert("RGB")
    if not image.has_transparency_data:
        # To convert what is so already would copy it.
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(layer, mask=layer)
    return white


def _narrowed(image: Image.Image) -> Image.Image:
    """8 bits of a grey picture of more, its range kept as `read_picture` says."""
    values = np.array(image, np.float32)
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=0))
    high = float(values.max(where=finite, initial=0))
    whites = [2**depth - 1 for depth in _DEPTHS if high <= 2**depth - 1]
    white = whites[0] if whites and low >= 0 else high
    with np.errstate(all="ignore"):
        values -= np.float32(low)
        values *= np.float32(255 / (white - low))
    np.nan_to_num(values, copy=False, nan=0, posinf=255, neginf=0)
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))
