"""Bytes into pixels: one reading of a picture, for every algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Final

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from hashdb.errors import UnreadablePicture
from hashdb.hashing.pdq import Floats, sample
from hashdb.hashing.pixels import on_white, upright
from hashdb.hashing.quiet import QUIET
from hashdb.hashing.reductions import reduce_grey

LONGEST_SIDE: Final = 65_535
"""In pixels; what JPEG, the format of nearly all photographs, can say."""

# Left out on purpose: what runs another program (EPS), holds pictures of a size that its header does not tell (ICO,
# ICNS, BLP, MIC) or is no format that people upload.
_READERS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    GifImagePlugin.GifImageFile,
    AvifImagePlugin.AvifImageFile,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    PpmImagePlugin.PpmImageFile,
)
FORMATS: Final = tuple(str(reader.format) for reader in _READERS)
"""Pillow's names of the formats that are read."""

OUT_OF_MEMORY: Final = "the picture takes more memory to hash than is allowed"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a picture may be: the bytes of its file, and its width times its height."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000

    def check_bytes(self, count: int) -> None:
        """Raises UnreadablePicture where a file of `count` bytes is too large."""
        if count > self.max_bytes:
            raise UnreadablePicture(f"the picture has more than {self.max_bytes:,} bytes")

    def check_size(self, width: int, height: int) -> None:
        """Raises UnreadablePicture where a picture of this size is too large, or none at all."""
        if min(width, height) < 1:
            raise UnreadablePicture("the picture has no pixels")
        if max(width, height) > LONGEST_SIDE:
            raise UnreadablePicture(f"a side of the picture has more than {LONGEST_SIDE:,} pixels")
        if width * height > self.max_pixels:
            raise UnreadablePicture(f"the picture has more than {self.max_pixels:,} pixels")


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels as a person sees them: upright, on white, 8 bits each of red, green and blue."""

    colour: Image.Image

    @cached_property
    def grey(self) -> Image.Image:
        """Pillow's 8-bit luminance, which the algorithms of imagehash start from."""
        return self.colour.convert("L")

    @cached_property
    def small(self) -> Image.Image:
        """That at 64 x 64, which phash256 starts from."""
        return reduce_grey(self.grey, 64)

    @cached_property
    def tiny(self) -> Image.Image:
        """That at 32 x 32, which phash starts from."""
        return reduce_grey(self.grey, 32)

    @cached_property
    def sampled(self) -> Floats:
        """The blurred luminance at 64 x 64 places, which PDQ starts from; for sides of 5 pixels or more."""
        return sample(self.colour)


def read_picture(octets: bytes, limits: Limits) -> Picture:
    """The picture in these bytes: the first frame of an animation, upright as EXIF says, laid on white.

    Samples of more than 8 bits keep their range: 0 to 1, 3, 15, 255, 1,023, 4,095, 16,383, 65,535 or 2^24-1, the
    least of these that holds the greatest sample, becomes 0 to 255 (beyond, 0 to the greatest; where some are below
    zero, the least to the greatest). A colour profile is ignored, as is an orientation that cannot be read or stands
    in XMP only: browsers do so too. Raises UnreadablePicture, with a sentence that quotes nothing of the file, and
    nothing else.
    """
    limits.check_bytes(len(octets))
    with QUIET:
        image = _open(octets)
        limits.check_size(*image.size)
        return Picture(_decode(image, limits))


def _open(octets: bytes) -> Image.Image:
    """The picture's header, read; its pixels are not yet."""
    try:
        return Image.open(BytesIO(octets), formats=FORMATS)
    except Image.DecompressionBombError:
        reason = "the picture has too many pixels"
    except MemoryError:
        reason = OUT_OF_MEMORY
    except Exception:
        reason = f"not a picture of a format that is read ({', '.join(FORMATS)})"
    raise UnreadablePicture(reason)


def _decode(image: Image.Image, limits: Limits) -> Image.Image:
    try:
        image.load()
        limits.check_size(*image.size)
        return upright(on_white(image), image.info.get("exif", b""))
    except UnreadablePicture:
        raise
    except MemoryError:
        reason = OUT_OF_MEMORY
    except Exception:
        reason = "the picture is damaged or cut short"
    raise UnreadablePicture(reason)
