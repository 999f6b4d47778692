"""A picture of any colour mode and orientation is read as a person sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Hashed, Limits, hash_file, hash_picture
from hashdb.hashing.pictures import Picture, on_white, read_picture, upright
from tests.hashing.samples import NO_REFERENCE, REFERENCE, draw_picture, encode_picture

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
MAX_DISTANCES = (10, 10, 4)
MODES = REFERENCE / "misc-images" / "modes"
MODE_PICTURES = sorted(path.name for path in MODES.glob("*.*g*") if path.suffix != ".md") + sorted(
    path.name for path in MODES.glob("*.webp")
)
INVERSE_ROTATIONS = {  # for each EXIF orientation, the transposition that it undoes
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _distances(first: Hashed, second: Hashed) -> tuple[int, ...]:
    return tuple(a.distance(b) for a, b in zip(first.signals, second.signals, strict=True))


def _is_close(octets: bytes, original: Image.Image) -> bool:
    limits = Limits()
    distances = _distances(
        hash_picture(octets, ALGORITHMS, limits), hash_picture(encode_picture(original), ALGORITHMS, limits)
    )
    return all(distance <= most for distance, most in zip(distances, MAX_DISTANCES, strict=True))


def _grey(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(picture.colour)[:, :, 0]


def _read(image: Image.Image, format: str = "TIFF") -> Picture:
    return read_picture(encode_picture(image, format), Limits())


@pytest.mark.parametrize("name", MODE_PICTURES or [pytest.param("", marks=pytest.mark.skip(NO_REFERENCE))])
def test_the_reference_picture_has_similar_hashes_in_every_colour_mode(name: str) -> None:
    original = hash_file(MODES / "original.jpg", ALGORITHMS, Limits())
    distances = _distances(hash_file(MODES / name, ALGORITHMS, Limits()), original)
    assert all(distance <= most for distance, most in zip(distances, MAX_DISTANCES, strict=True))


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("1", "PNG"), ("1", "TIFF"), ("L", "JPEG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("P", "GIF"),
        ("P", "BMP"), ("PA", "TIFF"), ("RGB", "BMP"), ("RGB", "PPM"), ("RGB", "AVIF"), ("RGB", "JPEG2000"),
        ("RGB", "WEBP"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP"), ("RGBA", "AVIF"), ("RGBX", "TIFF"),
        ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "JPEG"), ("YCbCr", "TIFF"), ("LAB", "TIFF"), ("I", "TIFF"),
        ("I;16", "PNG"), ("I;16", "TIFF"), ("I;16", "PPM"), ("F", "TIFF"), ("F", "PPM"),
    ],
)  # fmt: skip
def test_a_picture_has_similar_hashes_in_every_colour_mode_and_format(mode: str, format: str) -> None:
    image = draw_picture(640, 480)
    if mode == "PA":
        converted = image.convert("P").convert("PA")
    elif mode == "LAB":
        converted = _to_lab(image)
    elif mode == "I;16":
        converted = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        converted = image.convert(mode)
    assert _is_close(encode_picture(converted, format), image)


def _to_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB")) or image


def test_hsv_is_converted_to_the_same_colours() -> None:
    image = draw_picture()
    assert np.abs(np.asarray(on_white(image.convert("HSV"))).astype(int) - np.asarray(image)).max() <= 6


@pytest.mark.parametrize("top", [1, 3, 15, 255, 1023, 4095, 16_383, 65_535, 2**24 - 1, 2**31 - 1])
def test_integers_of_any_usual_bit_depth_are_scaled_to_8_bits(top: int) -> None:
    ramp = np.linspace(0, top, 256).astype(np.int32).reshape(16, 16)
    read = _grey(_read(Image.fromarray(ramp))).astype(float)
    assert np.abs(read - ramp * (255 / top)).max() <= 0.51


def test_a_dark_16_bit_picture_stays_dark() -> None:
    image = Image.fromarray(np.full((8, 8), 30_000, np.uint16))
    assert _grey(_read(image, "PNG")).max() == 117


def test_8_bit_grey_stored_as_16_bit_is_unchanged() -> None:
    grey = draw_picture().convert("L")
    stored = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert np.array_equal(_grey(_read(stored, "PNG")), np.asarray(grey))


@pytest.mark.parametrize("scale", [1, 255, 65_535, 1e12, 1e37])
def test_floats_of_any_scale_are_scaled_to_8_bits(scale: float) -> None:
    grey = np.asarray(draw_picture().convert("L")).astype(np.float32)
    stretched = (grey - grey.min()) / (grey.max() - grey.min())
    read = _grey(_read(Image.fromarray(np.float32(stretched * scale))))
    assert np.abs(read - stretched * 255).max() <= 0.51


def test_negative_floats_are_scaled_from_the_least_to_the_greatest() -> None:
    ramp = np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)
    assert np.array_equal(_grey(_read(Image.fromarray(ramp))).ravel(), np.arange(256))


def test_nan_and_infinity_do_not_change_the_other_pixels() -> None:
    numbers = np.array([[np.nan, 0.5, np.inf, -np.inf, 1.0, 0.0]], np.float32)
    assert _grey(_read(Image.fromarray(numbers))).tolist() == [[0, 128, 255, 0, 255, 0]]


@pytest.mark.parametrize("extreme", [-3.4e38, 3.4e38])
def test_floats_near_the_limit_of_their_range_are_read(extreme: float) -> None:
    assert _grey(_read(Image.fromarray(np.array([[extreme, 0, 1]], np.float32)))).shape == (1, 3)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_transparent_pixels_are_white(format: str) -> None:
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    image = draw_picture().convert("RGBA")
    image.paste((200, 0, 0, 0), (0, 0, 160, 240))
    pixels = np.asarray(read_picture(encode_picture(image, format, **options), Limits()).colour)
    assert (pixels[:, :160] == 255).all()
    assert np.array_equal(pixels[:, 160:], np.asarray(image)[:, 160:, :3])


def test_half_transparent_black_is_grey() -> None:
    octets = encode_picture(Image.new("RGBA", (9, 9), (0, 0, 0, 128)))
    pixel = read_picture(octets, Limits()).colour.getpixel((4, 4))
    assert pixel in ((127, 127, 127), (128, 128, 128))


@pytest.mark.parametrize(("mode", "colour"), [("L", 9), ("RGB", (9, 9, 9)), ("P", 0), ("1", 0)])
def test_a_colour_declared_transparent_is_white(mode: str, colour: int | tuple[int, ...]) -> None:
    octets = encode_picture(Image.new(mode, (9, 9), colour), transparency=colour)
    assert read_picture(octets, Limits()).colour.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", INVERSE_ROTATIONS)
def test_a_picture_is_rotated_by_its_exif_orientation(orientation: int, format: str) -> None:
    image = draw_picture()
    rotation = INVERSE_ROTATIONS[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    octets = encode_picture(image if rotation is None else image.transpose(rotation), format, exif=exif, quality=95)
    assert read_picture(octets, Limits()).colour.size == image.size
    assert _is_close(octets, image)


@pytest.mark.parametrize(
    "tags", [b"", b"\0", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"]
)
@pytest.mark.parametrize("orientation", [b"", b"\x12\x01\x03\0\1\0\0\0\x09\0\0\0"])
def test_unreadable_exif_tags_do_not_rotate_the_picture(tags: bytes, orientation: bytes) -> None:
    image = draw_picture()
    assert upright(image, tags + orientation) is image


def test_a_picture_with_broken_exif_tags_is_read_unrotated(tmp_path: Path) -> None:
    octets = encode_picture(draw_picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(range(200)))
    assert read_picture(octets, Limits()).colour.size == (320, 240)


def test_an_orientation_only_in_xmp_does_not_rotate_the_picture() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert read_picture(encode_picture(draw_picture(), "JPEG", xmp=xmp), Limits()).colour.size == (320, 240)
