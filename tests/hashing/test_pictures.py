"""What is read, and what is refused with a sentence whatever the bytes."""

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


def _refusal(octets: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(UnreadablePicture) as refused:
        read_picture(octets, limits)
    assert refused.value.__context__ is None
    return str(refused.value)


def _read(octets: bytes) -> Picture | None:
    """The picture, or None where it is refused; anything else that is raised fails the test."""
    try:
        return read_picture(octets, LIMITS)
    except UnreadablePicture:
        return None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    """A grey PNG of the size it declares, its rows all zero, with further chunks before its pixels."""
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
def test_other_formats_are_refused(format: str) -> None:
    image = draw_picture(128, 128).convert("F" if format == "SPIDER" else "RGB")
    assert _refusal(encode_picture(image, format)).startswith(
        "not a picture, video or document of a format that is read (JPEG, PNG,"
    )


@pytest.mark.parametrize("octets", [b"\0", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe", b"BM", b"P6"])
def test_what_is_no_picture_is_refused(octets: bytes) -> None:
    assert _refusal(octets).startswith("not a picture")


def test_an_empty_file_is_said_to_be_empty() -> None:
    assert _refusal(b"") == "the file is empty"


@pytest.mark.parametrize(
    ("format", "mode"), [("GIF", "P"), ("WEBP", "RGB"), ("PNG", "RGB"), ("TIFF", "RGB"), ("AVIF", "RGB")]
)
def test_of_an_animation_the_first_frame_is_read(format: str, mode: str) -> None:
    first, *others = (draw_picture(seed=seed).convert(mode) for seed in range(3))
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "AVIF" else {}
    octets = encode_picture(first, format, save_all=True, append_images=others, **options)
    with Image.open(BytesIO(octets)) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    pixels = np.asarray(read_picture(octets, LIMITS).colour).astype(int)
    assert np.abs(pixels - np.asarray(first.convert("RGB"))).mean() < 4


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_cut_short_is_refused_or_whole(format: str) -> None:
    octets = _sample(format)
    whole = np.asarray(read_picture(octets, LIMITS).colour)
    refused = 0
    for cut in [*range(64), *np.linspace(64, len(octets) - 1, 60, dtype=int).tolist()]:
        picture = _read(octets[:cut])
        refused += picture is None
        assert picture is None or np.array_equal(np.asarray(picture.colour), whole), cut
    assert refused > 110


@pytest.mark.parametrize("octets", [_png(60_000, 60_000), _png(1_001, 1_000), _gif((60_000, 60_000), (1, 1)),
    _gif((1, 1), (60_000, 60_000)), b"P6 60000 60000 255\n",
    b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\x0f\0\0\0\0\0\0\0\0",
    b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 60_000, -60_000, 1, 24, 0, 0, 0, 0, 0, 0) + b"0000"],
)  # fmt: skip
def test_too_many_pixels_are_refused_before_they_are_decoded(octets: bytes) -> None:
    tracemalloc.start()
    started = time.monotonic()
    try:
        assert "pixels" in _refusal(octets)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "octets", [_png(LONGEST_SIDE + 1, 1), _png(1, LONGEST_SIDE + 1), b"P5 70000 1 255\n" + bytes(70_000)]
)
def test_a_side_too_long_is_refused(octets: bytes) -> None:
    assert _refusal(octets) == "a side of the picture has more than 65535 pixels"


@pytest.mark.parametrize("octets", [_png(0, 5), _png(5, 0), _png(0, 0), b"P5 0 5 255\n", _gif((0, 0), (0, 0))])
def test_a_picture_without_pixels_is_refused(octets: bytes) -> None:
    assert _read(octets) is None


def test_a_side_as_long_as_can_be_is_read() -> None:
    assert read_picture(_png(LONGEST_SIDE, 1), LIMITS).colour.size == (LONGEST_SIDE, 1)


def test_too_many_bytes_are_refused() -> None:
    assert _refusal(_sample("BMP"), Limits(max_bytes=1000)) == "the picture has more than 1000 bytes"


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
@pytest.mark.parametrize("count", [1, 100])
def test_text_that_inflates_takes_no_memory(kind: bytes, count: int) -> None:
    inflating = zlib.compress(bytes(100_000_000 if count == 1 else 900_000))
    between = b"name\0\x01\0\0\0" if kind == b"iTXt" else b"name\0\0"
    octets = _png(8, 8, *[_chunk(kind, between + inflating)] * count)
    tracemalloc.start()
    try:
        _read(octets)
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


def _noisy() -> list[bytes]:
    """Pictures of which Pillow warns."""
    tags = PngImagePlugin.PngInfo()
    tags.add(b"acTL", bytes(8))
    return [encode_picture(draw_picture(), "PNG", pnginfo=tags), _png(12_000, 10_000)]


@pytest.mark.parametrize("octets", _noisy())
def test_warnings_stay_inside(octets: bytes) -> None:
    with pytest.warns(), Image.open(BytesIO(octets)):
        pass
    with warnings.catch_warnings(record=True, action="always") as caught:
        _read(octets)
    assert caught == []


@given(st.binary(max_size=300), st.just(b"") | st.sampled_from(FORMATS).map(lambda format: _sample(format)[:12]))
@example(b"\0", b"II*\0\x08\0\0\0\xff\xff")
def test_random_bytes_are_read_or_refused(octets: bytes, start: bytes) -> None:
    _read(start + octets)


@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_picture_is_read_or_refused(format: str, damages: list[tuple[float, int]]) -> None:
    octets = bytearray(_sample(format))
    for place, value in damages:
        # Squared, as most of what a decoder can trip over stands at the start.
        octets[int(place**2 * (len(octets) - 1))] = value
    _read(bytes(octets))


@given(st.sampled_from(FORMATS), st.floats(0, 1), st.floats(0, 1))
def test_a_picture_with_a_piece_missing_is_read_or_refused(format: str, one: float, other: float) -> None:
    octets = _sample(format)
    start, stop = (int(place * len(octets)) for place in sorted((one, other)))
    _read(octets[:start] + octets[stop:])


def test_other_warnings_are_still_heard() -> None:
    with IGNORING_WARNINGS, pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)


def test_the_filters_are_as_before_when_the_last_thread_has_left() -> None:
    before = list(warnings.filters)
    together = Barrier(4)

    def read(last: int) -> None:
        with IGNORING_WARNINGS:
            together.wait()
            warnings.warn_explicit("a warning of Pillow's", UserWarning, "Image.py", last, "PIL.Image")

    threads = [Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
