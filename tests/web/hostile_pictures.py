"""Malicious pictures, generated here: the name and the bytes of each."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from hashdb.hashing.pictures import FORMATS
from tests.hashing.samples import draw_picture, encode_picture

MANY = 2_000
BIG = 60_000
_PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))


def png(
    width: int,
    height: int,
    *chunks: bytes,
    depth: int = 8,
    kind: int = 0,
    interlaced: int = 0,
    rows: bytes | None = None,
) -> bytes:
    """A PNG that declares this size, with chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, depth, kind, 0, 0, interlaced))
    pixels = zlib.compress(bytes((width + 1) * min(height, 1000)) if rows is None else rows)
    return _PNG + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(*directories: bytes, first: int = 8) -> bytes:
    """A TIFF with these directories, the first at an offset."""
    return b"II*\0" + struct.pack("<I", first) + b"".join(directories)


def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    """A directory of a TIFF: tag, type, count and value of each entry, and the offset of the next directory."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def _grey(
    width: int, height: int, compression: int = 1, strip: int = 0, length: int = 0
) -> list[tuple[int, int, int, int]]:
    return [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, strip),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, length),
    ]


def _jpeg(*segments: bytes, after: bytes = b"", **options: object) -> bytes:
    octets = encode_picture(draw_picture(64, 48), "JPEG", **options)
    return octets[:2] + b"".join(segments) + octets[2:] + after


def _segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack("!H", len(content) + 2) + content


def _resized_jpeg(width: int, height: int) -> bytes:
    octets = encode_picture(draw_picture(64, 48), "JPEG")
    at = octets.index(b"\xff\xc0") + 5
    return octets[:at] + struct.pack("!HH", height, width) + octets[at + 4 :]


def _resized(format: str, tag: bytes, skip: int, width: int, height: int) -> bytes:
    octets = encode_picture(draw_picture(64, 48), format)
    at = octets.index(tag) + len(tag) + skip
    return octets[:at] + struct.pack("!II", width, height) + octets[at + 8 :]


def _gif(frame: bytes, count: int, end: bytes = b";") -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    looped = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    return head + looped + frame * count + end


_COMMENT = b"!\xfe\x1d*/=1;alert(document.cookie)/*\0"
_FRAME = b"," + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x02\x02\x44\x01\0"


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(1_000_000))
    return out.getvalue()


def _many_scans() -> bytes:
    """A progressive JPEG with 500,000 empty scans: the decoder goes over the whole picture for each."""
    octets = encode_picture(draw_picture(1400, 1400), "JPEG", progressive=True)
    last = octets.rindex(b"\xff\xda")
    (length,) = struct.unpack("!H", octets[last + 2 : last + 4])
    return octets[:-2] + octets[last : last + 2 + length] * 500_000 + b"\xff\xd9"


def _frames(format: str, count: int, **options: object) -> bytes:
    frames = [Image.new("RGB", (4, 4), (n % 256, n // 256, 0)) for n in range(count)]
    return encode_picture(frames[0], format, save_all=True, append_images=frames[1:], **options)


def _bombs() -> Iterator[tuple[str, bytes]]:
    inflating = zlib.compress(bytes(200_000_000), 9)
    yield "a PNG of too many pixels", png(BIG, BIG)
    yield "a PNG with more pixels than it declares", png(100, 100, rows=bytes(100_000_000))
    yield "a TIFF of too many pixels", tiff(directory(_grey(BIG, BIG), 0))
    deflated = directory(_grey(100, 100, 8, 200, len(inflating)), 0)
    yield "a TIFF with more pixels than it declares", tiff(deflated).ljust(200, b"\0") + inflating
    yield "a WebP of too many pixels", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\x0f\0\0\0\0\0\0\0\0"
    yield "a GIF of too many pixels", b"GIF89a" + struct.pack("<HHBBB", BIG, BIG, 0, 0, 0) + _FRAME + b";"
    yield "a JPEG 2000 of too many pixels", _resized("JPEG2000", b"\xff\x51", 4, BIG, BIG)
    yield "a JPEG of too many pixels", _resized_jpeg(BIG, BIG)
    yield "an AVIF of too many pixels", _resized("AVIF", b"ispe", 4, BIG, BIG)
    yield (
        "a BMP of too many pixels",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, BIG, BIG, 1, 24, *[0] * 6),
    )
    yield "a PPM of too many pixels", b"P6 99999 99999 255\n"
    yield "compressed text of 200 megabytes", png(8, 8, chunk(b"zTXt", b"a\0\0" + inflating))
    yield "compressed international text of 200 megabytes", png(8, 8, chunk(b"iTXt", b"a\0\x01\0\0\0" + inflating))
    yield "a compressed profile of 200 megabytes", png(8, 8, chunk(b"iCCP", b"a\0\0" + inflating))
    yield "many text chunks", png(8, 8, chunk(b"tEXt", b"a\0b") * 50_000)


def _metadata() -> Iterator[tuple[str, bytes]]:
    profile = b"".join(_segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(60_000)) for n in range(1, 256))
    yield "a profile of 15 megabytes", _jpeg(profile)
    entries = directory([(0x0112, 4, 2**31, 2**31)] * 5_000, 8)
    yield "EXIF with invalid entries", _jpeg(_segment(0xE1, b"Exif\0\0" + tiff(entries)))
    yield "EXIF that refers to itself", _jpeg(_segment(0xE1, b"Exif\0\0" + tiff(directory([(0x8769, 4, 1, 8)], 8))))
    yield "EXIF in every segment", _jpeg(_segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 200)
    yield (
        "an invalid orientation",
        _jpeg(_segment(0xE1, b"Exif\0\0" + tiff(directory([(0x0112, 3, 1, 65_535)], 0)))),
    )
    yield "a TIFF whose next directory is itself", tiff(directory(_grey(8, 8), 8))
    yield "a TIFF whose directory contains itself", tiff(directory([(330, 4, 1, 8), *_grey(8, 8)], 0))
    length = len(directory(_grey(8, 8), 0))
    many = [directory(_grey(8, 8), 8 + (n + 1) * length) for n in range(MANY)]
    yield "a TIFF with many directories", tiff(*many, directory(_grey(8, 8), 0))
    yield "a TIFF with a truncated directory", tiff(struct.pack("<H", 65_535) + bytes(100))
    yield "a TIFF whose first directory is past its end", tiff(first=2**32 - 1)
    yield "comments in every segment", _jpeg(_segment(0xFE, b"\r\nX: y" * 9_000) * 200)


def _animations() -> Iterator[tuple[str, bytes]]:
    yield "a GIF that never ends", _gif(_FRAME, 100_000, end=b"")
    yield "a GIF with an unterminated block", _gif(_FRAME[:10] + b"\x02" + b"\xff" * 500_000, 1)
    yield "a GIF with extensions only", _gif(b"!\xfe\x01a\0", 200_000)
    control = PngImagePlugin.PngInfo()
    control.add(b"acTL", struct.pack("!II", 2**31 - 1, 0))
    yield "a PNG that declares two billion frames", encode_picture(draw_picture(), "PNG", pnginfo=control)
    frames = b"".join(chunk(b"fcTL", struct.pack("!IIIIIHHBB", n, 8, 8, 0, 0, 1, 1, 0, 0)) for n in range(MANY * 10))
    yield "a PNG with many frames", png(8, 8, chunk(b"acTL", struct.pack("!II", MANY * 10, 0)), frames)
    yield "a WebP with many frames", _frames("WEBP", 300)
    yield "an AVIF with many frames", _frames("AVIF", 60, speed=10)


def _types() -> Iterator[tuple[str, bytes]]:
    yield "an empty file", b""
    yield "an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield (
        "an SVG with an external entity",
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><svg>&b;</svg>",
    )
    yield "an HTML page", b"<!doctype html><script>alert(1)</script>"
    yield "a PDF", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj"
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%id) (w) file"
    yield "a ZIP archive", _zip()
    yield "a compressed picture", gzip.compress(encode_picture(draw_picture()))
    yield "a program", b"\x7fELF" + bytes(200)
    yield "a video", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100)
    yield "a drawing script that loads an address", b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x'\n"
    yield "a JPEG that is also a PDF", _jpeg(_segment(0xFE, b"%PDF-1.7\n%%EOF"), after=b"%PDF-1.7\n%%EOF")
    yield "a PNG that is also a ZIP archive", encode_picture(draw_picture()) + _zip()
    yield "a GIF that is also a script", _gif(_COMMENT + _FRAME, 1)
    yield "a JPEG with PHP code", _jpeg(_segment(0xE1, b"Exif\0\0<?php system($_GET[0]); ?>"))
    yield "two pictures", encode_picture(draw_picture()) + encode_picture(draw_picture(), "JPEG")


def _shapes() -> Iterator[tuple[str, bytes]]:
    yield "a PNG without width", png(0, 5)
    yield "a PNG without height", png(5, 0)
    yield "a JPEG without height", _resized_jpeg(64, 0)
    yield (
        "a BMP with a negative width",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, -5, 5, 1, 24, *[0] * 6),
    )
    yield "one pixel", png(1, 1)
    yield "the largest width", png(65_535, 1)
    yield "a JPEG in CMYK", encode_picture(draw_picture().convert("CMYK"), "JPEG")
    yield "16 bits a pixel", png(16, 16, depth=16, rows=bytes(16 * 33))
    yield "a bit depth that does not exist", png(16, 16, depth=7)
    yield "a palette without colours", png(16, 16, kind=3)
    yield "interlaced", png(64, 64, interlaced=1, rows=bytes(64 * 70))
    yield "an unknown interlace method", png(64, 64, interlaced=9)
    not_numbers = Image.fromarray(np.full((64, 64), np.nan, np.float32))
    yield "pixels that are not numbers", encode_picture(not_numbers, "TIFF")
    yield (
        "pixels that are infinite",
        encode_picture(Image.fromarray(np.full((64, 64), np.inf, np.float32)), "TIFF"),
    )
    yield "pixels of 32-bit integers", encode_picture(Image.fromarray(np.full((64, 64), 2**31 - 1, np.int32)), "TIFF")
    yield "many scans", _many_scans()


def _truncated() -> Iterator[tuple[str, bytes]]:
    for format in FORMATS:
        octets = encode_picture(draw_picture(), format)
        for part in (0.02, 0.5, 0.98):
            yield f"{part:.0%} of a {format}", octets[: int(part * len(octets))]


KINDS: tuple[Callable[[], Iterator[tuple[str, bytes]]], ...] = (
    _bombs,
    _metadata,
    _animations,
    _types,
    _shapes,
    _truncated,
)
"""The functions that generate the pictures, by kind."""


def corpus() -> dict[str, bytes]:
    """All malicious pictures, by name."""
    return {name: octets for kind in KINDS for name, octets in kind()}
