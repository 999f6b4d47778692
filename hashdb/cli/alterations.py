"""What the demonstration does to photographs, as people do before they upload them again."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageDraw, ImageEnhance

Alteration = Callable[[Image.Image], bytes]


def recompressed(photo: Image.Image) -> bytes:
    """JPEG of quality 30."""
    return _jpeg(photo, 30)


def halved(photo: Image.Image) -> bytes:
    """Half as wide and half as high."""
    return _jpeg(photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.BICUBIC))


def brightened(photo: Image.Image) -> bytes:
    """Brightness × 1.3."""
    return _jpeg(ImageEnhance.Brightness(photo).enhance(1.3))


def watermarked(photo: Image.Image) -> bytes:
    """A line of half-transparent text across the lower part."""
    layer = Image.new("RGBA", photo.size)
    draw = ImageDraw.Draw(layer)
    place = (photo.width * 0.08, photo.height * 0.8)
    draw.text(place, "uploaded again by somebody", fill=(255, 255, 255, 160), font_size=photo.width // 18)
    return _jpeg(Image.alpha_composite(photo.convert("RGBA"), layer).convert("RGB"))


ALTERATIONS: dict[str, Alteration] = {
    "JPEG quality 30": recompressed,
    "half size": halved,
    "brightness × 1.3": brightened,
    "watermark": watermarked,
}


def _jpeg(photo: Image.Image, quality: int = 90) -> bytes:
    out = BytesIO()
    photo.save(out, "JPEG", quality=quality)
    return out.getvalue()
