"""Decode a picture once, for every algorithm: formats, limits, orientation, background."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from threading import Lock
from typing import Final

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
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
from hashdb.hashing.reductions import Floats, Octets, reduce_greys, sample

LONGEST_SIDE: Final = 65_535
"""In pixels: the limit of JPEG, the format of nearly all photographs."""
SHORTEST_SIDE: Final = 5
"""Pixels of a side that PDQ needs; a picture with a shorter side has no parts that are hashed."""
REDUCED: Final = 320
"""Longest side of a reduced picture, in pixels."""

# Excluded on purpose: formats that run another program (EPS), that hold pictures of a size that the header does not
# state (ICO, ICNS, BLP, MIC), or that people do not upload.
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
"""Pillow's names of the accepted formats."""


def out_of_memory(what: str) -> str:
    """The reason of the error for a file (`picture`, `video` or `document`) that takes too much memory."""
    return f"hashing the {what} needs more memory than is allowed"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a picture may be: the bytes of its file, and its pixels (width times height)."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000

    def check_bytes(self, count: int) -> None:
        """Raise UnreadablePicture if a file of `count` bytes is too large."""
        if count > self.max_bytes:
            raise UnreadablePicture(f"the picture has more than {self.max_bytes} bytes")

    def check_size(self, width: int, height: int) -> None:
        """Raise UnreadablePicture if a picture of this size is too large or has no pixels."""
        if min(width, height) < 1:
            raise UnreadablePicture("the picture has no pixels")
        if max(width, height) > LONGEST_SIDE:
            raise UnreadablePicture(f"a side of the picture has more than {LONGEST_SIDE} pixels")
        if width * height > self.max_pixels:
            raise UnreadablePicture(f"the picture has more than {self.max_pixels} pixels")


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture as a person sees it: upright, on white, 8 bits each of red, green and blue."""

    colour: Image.Image

    @property
    def is_tiny(self) -> bool:
        """Whether a side has less than 5 pixels."""
        return min(self.colour.size) < SHORTEST_SIDE

    @cached_property
    def grey(self) -> Image.Image:
        """Pillow's 8-bit luminance, from which the algorithms of imagehash start."""
        return self.colour.convert("L")

    @cached_property
    def reduced(self) -> Floats:
        """The luminance (h x w, 0 to 255) of the picture, by box filter at most 320 pixels on its longer side."""
        return np.asarray(self.at_most(REDUCED), np.float32)

    def at_most(self, longest: int) -> Image.Image:
        """The grey picture, its longer side reduced to at most `longest` pixels by box filter."""
        grey = self.grey
        scale = longest / max(grey.size)
        if scale >= 1:
            return grey
        return grey.resize(scaled(grey.size, scale), Image.Resampling.BOX)

    @property
    def grey_64(self) -> Octets:
        """The grey picture at 64 x 64 pixels, from which phash256 starts."""
        return self._small_greys[0]

    @property
    def grey_32(self) -> Octets:
        """The grey picture at 32 x 32 pixels, from which phash starts."""
        return self._small_greys[1]

    @cached_property
    def _small_greys(self) -> tuple[Octets, ...]:
        """Both of these: they are reduced together, in one pass over the pixels."""
        return reduce_greys(self.colour, 64, 32)

    @cached_property
    def sampled(self) -> Floats:
        """The blurred luminance at 64 x 64 places, from which PDQ starts; each side must have 5 pixels or more."""
        return sample(self.colour)


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The width and the height of a picture of this size, scaled, in whole pixels."""
    width, height = size
    return max(1, round(width * scale)), max(1, round(height * scale))


def read_picture(octets: bytes, limits: Limits) -> Picture:
    """The picture in these bytes: the first frame of an animation, turned upright by its EXIF tags, on white.

    Samples of more than 8 bits are scaled by their range. The range is 0 to the smallest of 1, 3, 15, 255, 1,023,
    4,095, 16,383, 65,535 and 2^24-1 that holds the greatest sample; above, 0 to the greatest sample; with negative
    samples, the least to the greatest. It becomes 0 to 255. Colour profiles are ignored, and so is an orientation
    that is unreadable or in XMP only, as in browsers. Raises only UnreadablePicture; its text quotes nothing of the
    file.
    """
    limits.check_bytes(len(octets))
    with IGNORING_WARNINGS:
        image = _open(octets)
        limits.check_size(*image.size)
        return Picture(_decode(image, limits))


_VIDEOS = ("MP4", "MOV", "WEBM", "MKV", "AVI", "MPEG", "FLV", "WMV", "OGG")
"""How people call the containers of videos that are read."""
_DOCUMENTS = ("PDF", "DOCX", "ODT", "EPUB", "HTML", "text")


def _open(octets: bytes) -> Image.Image:
    """Read the header of the picture, not its pixels."""
    if not octets:
        raise UnreadablePicture("the file is empty")
    try:
        return Image.open(BytesIO(octets), formats=FORMATS)
    except Image.DecompressionBombError:
        reason = "the picture has too many pixels"
    except MemoryError:
        reason = out_of_memory("picture")
    except Exception:
        known = ", ".join((*FORMATS, *_VIDEOS, *_DOCUMENTS))
        reason = f"not a picture, video or document in a supported format ({known})"
    raise UnreadablePicture(reason)


def _decode(image: Image.Image, limits: Limits) -> Image.Image:
    try:
        image.load()
        limits.check_size(*image.size)
        return upright(on_white(image), image.info.get("exif", b""))
    except UnreadablePicture:
        raise
    except MemoryError:
        reason = out_of_memory("picture")
    except Exception:
        reason = "the picture is damaged or cut short"
    raise UnreadablePicture(reason)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16, 24)  # bits of a sample


def upright(image: Image.Image, tags: bytes) -> Image.Image:
    """The image, turned and mirrored by the orientation in its EXIF tags; unchanged if they cannot be read."""
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
        return _to_8_bits(image).convert("RGB")
    if not image.has_transparency_data:
        # convert() would copy an image that is RGB already.
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(layer, mask=layer)
    return white


def _to_8_bits(image: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits, scaled to 8 as `read_picture` says."""
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


class _WarningsFilter:
    """Ignores Pillow's warnings while any thread reads a picture.

    `warnings.catch_warnings` alone is not enough: of two overlapping threads, the one that leaves last would restore
    the filters of the other for good.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._saved.__exit__(None, None, None)


IGNORING_WARNINGS = _WarningsFilter()
"""The filter that every reader enters, in any thread."""
