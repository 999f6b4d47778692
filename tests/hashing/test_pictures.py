"""Pictures of supported formats are read. All other bytes are rejected with a clear error."""

from __future__ import annotations

import struct
import time
import tracemalloc
import warnings
import zlib
from functools import cache
from io import BytesIO
from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from hashdb.errors import UnreadablePicture
from hashdb.hashing.pictures import FORMATS, IGNORING_WARNINGS, LONGEST_SIDE, Limits, Picture, read_picture
from tests.hashing.samples import draw_picture, encode_picture

LIMITS = Limits(max_bytes=2_000_000, max_pixels=1_000_000)


@cache
def _sample(format: str) -> bytes:
    options = {"compression": "tiff_lzw"} if format == "TIFF" else {}
    return encode_picture(draw_picture(120, 90), format, **options)


def _rejection(octets: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(UnreadablePicture) as error:
        read_picture(octets, limits)
    assert error.value.__context__ is None
    return str(error.value)


def _read_or_none(octets: bytes) -> Picture | None:
    """The picture, or None if it is rejected. Any other exception fails the test."""
    try:
        return read_picture(octets, LIMITS)
    except UnreadablePicture:
        return None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    """A black PNG of this size, with further chunks before its pixels."""
    header = _chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width + 1) * min(height, 1000)), 1)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\0;"


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read(format: str) -> None:
    assert read_picture(_sample(format), LIMITS).colour.size == (120, 90)


@pytest.mark.parametrize("format", ["EPS", "PDF", "ICO", "ICNS", "TGA", "SPIDER"])
def test_other_formats_are_rejected(format: str) -> None:
    image = draw_picture(128, 128).convert("F" if format == "SPIDER" else "RGB")
    assert _rejection(encode_picture(image, format)).startswith(
        "not a picture, video or document in a supported format (JPEG, PNG,"
    )


@pytest.mark.parametrize("octets", [b"\0", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe", b"BM", b"P6"])
def test_bytes_that_are_not_a_picture_are_rejected(octets: bytes) -> None:
    assert _rejection(octets).startswith("not a picture")


def test_an_empty_file_is_reported_as_empty() -> None:
    assert _rejection(b"") == "the file is empty"


@pytest.mark.parametrize(
    ("format", "mode"), [("GIF", "P"), ("WEBP", "RGB"), ("PNG", "RGB"), ("TIFF", "RGB"), ("AVIF", "RGB")]
)
def test_the_first_frame_of_an_animation_is_read(format: str, mode: str) -> None:
    first, *others = (draw_picture(seed=seed).convert(mode) for seed in range(3))
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "AVIF" else {}
    octets = encode_picture(first, format, save_all=True, append_images=others, **options)
    with Image.open(BytesIO(octets)) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    pixels = np.asarray(read_picture(octets, LIMITS).colour).astype(int)
    assert np.abs(pixels - np.asarray(first.convert("RGB"))).mean() < 4


@pytest.mark.parametrize("format", FORMATS)
def test_a_truncated_picture_is_rejected_or_complete(format: str) -> None:
    octets = _sample(format)
    whole = np.asarray(read_picture(octets, LIMITS).colour)
    rejected = 0
    for cut in [*range(64), *np.linspace(64, len(octets) - 1, 60, dtype=int).tolist()]:
        picture = _read_or_none(octets[:cut])
        rejected += picture is None
        assert picture is None or np.array_equal(np.asarray(picture.colour), whole), cut
    assert rejected > 110


@pytest.mark.parametrize("octets", [_png(60_000, 60_000), _png(1_001, 1_000), _gif((60_000, 60_000), (1, 1)),
    _gif((1, 1), (60_000, 60_000)), b"P6 60000 60000 255\n",
    b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\x0f\0\0\0\0\0\0\0\0",
    b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 60_000, -60_000, 1, 24, 0, 0, 0, 0, 0, 0) + b"0000"],
)  # fmt: skip
def test_too_many_pixels_are_rejected_before_decoding(octets: bytes) -> None:
    tracemalloc.start()
    started = time.monotonic()
    try:
        assert "pixels" in _rejection(octets)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "octets", [_png(LONGEST_SIDE + 1, 1), _png(1, LONGEST_SIDE + 1), b"P5 70000 1 255\n" + bytes(70_000)]
)
def test_a_side_that_is_too_long_is_rejected(octets: bytes) -> None:
    assert _rejection(octets) == "a side of the picture has more than 65535 pixels"


@pytest.mark.parametrize("octets", [_png(0, 5), _png(5, 0), _png(0, 0), b"P5 0 5 255\n", _gif((0, 0), (0, 0))])
def test_a_picture_without_pixels_is_rejected(octets: bytes) -> None:
    assert _read_or_none(octets) is None


def test_the_longest_allowed_side_is_read() -> None:
    assert read_picture(_png(LONGEST_SIDE, 1), LIMITS).colour.size == (LONGEST_SIDE, 1)


def test_too_many_bytes_are_rejected() -> None:
    assert _rejection(_sample("BMP"), Limits(max_bytes=1000)) == "the picture has more than 1000 bytes"


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
@pytest.mark.parametrize("count", [1, 100])
def test_a_compression_bomb_in_the_metadata_uses_little_memory(kind: bytes, count: int) -> None:
    compressed = zlib.compress(bytes(100_000_000 if count == 1 else 900_000))
    keyword = b"name\0\x01\0\0\0" if kind == b"iTXt" else b"name\0\0"
    octets = _png(8, 8, *[_chunk(kind, keyword + compressed)] * count)
    tracemalloc.start()
    try:
        _read_or_none(octets)
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


def _pictures_with_warnings() -> list[bytes]:
    """Pictures that make Pillow warn."""
    tags = PngImagePlugin.PngInfo()
    tags.add(b"acTL", bytes(8))
    return [encode_picture(draw_picture(), "PNG", pnginfo=tags), _png(12_000, 10_000)]


@pytest.mark.parametrize("octets", _pictures_with_warnings())
def test_warnings_of_pillow_are_suppressed(octets: bytes) -> None:
    with pytest.warns(), Image.open(BytesIO(octets)):
        pass
    with warnings.catch_warnings(record=True, action="always") as caught:
        _read_or_none(octets)
    assert caught == []


@given(st.binary(max_size=300), st.just(b"") | st.sampled_from(FORMATS).map(lambda format: _sample(format)[:12]))
@example(b"\0", b"II*\0\x08\0\0\0\xff\xff")
def test_random_bytes_are_read_or_rejected(octets: bytes, start: bytes) -> None:
    _read_or_none(start + octets)


@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_picture_is_read_or_rejected(format: str, damages: list[tuple[float, int]]) -> None:
    octets = bytearray(_sample(format))
    for place, value in damages:
        # Squared, because most data that a decoder can fail on is at the start.
        octets[int(place**2 * (len(octets) - 1))] = value
    _read_or_none(bytes(octets))


@given(st.sampled_from(FORMATS), st.floats(0, 1), st.floats(0, 1))
def test_a_picture_with_a_missing_piece_is_read_or_rejected(format: str, first: float, second: float) -> None:
    octets = _sample(format)
    start, stop = (int(place * len(octets)) for place in sorted((first, second)))
    _read_or_none(octets[:start] + octets[stop:])


def test_warnings_of_other_modules_are_not_suppressed() -> None:
    with IGNORING_WARNINGS, pytest.warns(UserWarning, match="other warning"):
        warnings.warn("other warning", stacklevel=1)


def test_the_warning_filters_are_restored_after_the_last_thread() -> None:
    before = list(warnings.filters)
    barrier = Barrier(4)

    def read(last: int) -> None:
        with IGNORING_WARNINGS:
            barrier.wait()
            warnings.warn_explicit("a warning of Pillow's", UserWarning, "Image.py", last, "PIL.Image")

    threads = [Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
