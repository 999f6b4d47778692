"""Hostile documents for the tests. Each is small until a parser reads it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from typing import Final
from zipfile import ZIP_BZIP2, ZIP_LZMA, ZIP_STORED, ZipFile

from tests.documents import archive, docx, epub, odt, paragraph, pdf, prose, stream, with_objects

_PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
_CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def _page(further: str = "", box: str = "0 0 595 842") -> bytes:
    return f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents 4 0 R {further} >>".encode()


def many_pages(count: int = 100_000) -> bytes:
    """A PDF that shows the same page `count` times."""
    kids = f"<< /Type /Pages /Kids [{'3 0 R ' * count}] /Count {count} >>".encode()
    return with_objects([_CATALOG, kids, _page(), stream(b"0 0 m 300 500 l S")])


def cyclic_pages() -> bytes:
    """A PDF whose page tree contains itself, and declares many pages."""
    tree = b"<< /Type /Pages /Kids [2 0 R 3 0 R 2 0 R] /Count 1000000 >>"
    return with_objects([_CATALOG, tree, _page(), stream(b"0 0 m 300 500 l S")])


def forms_in_forms(depth: int = 12) -> bytes:
    """A PDF whose page draws a form ten times. That form draws another form ten times, and so on."""
    objects = [_CATALOG, _PAGES, _page("/Resources << /XObject << /F 5 0 R >> >>"), stream(b"/F Do " * 10)]
    for level in range(depth):
        inner = f"/Resources << /XObject << /F {6 + level} 0 R >> >>" if level + 1 < depth else ""
        drawn = b"/F Do " * 10 if inner else b"0 0 m 9 9 l S "
        objects.append(stream(drawn, f"/Type /XObject /Subtype /Form /BBox [0 0 595 842] {inner}"))
    return with_objects(objects)


def form_in_itself() -> bytes:
    """A PDF whose form draws itself."""
    form = stream(
        b"/F Do " * 10, "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 5 0 R >> >>"
    )
    page = _page("/Resources << /XObject << /F 5 0 R >> >>")
    return with_objects([_CATALOG, _PAGES, page, stream(b"/F Do"), form])


def packed_stream(megabytes: int = 2_000) -> bytes:
    """A PDF whose page unpacks to this size. It is packed twice."""
    packer, size = zlib.compressobj(9), megabytes << 20
    # After a full flush, equal input is packed to equal output: pack it once, and repeat the output.
    first, other = (packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    end = b"\x03\0" + struct.pack(">HH", (size + 16 * size * (size + 1)) % 65_521, (1 + 32 * size) % 65_521)
    twice = zlib.compress(first + other * (megabytes - 1) + end, 9)
    content = stream(twice, "/Filter [/FlateDecode /FlateDecode]")
    return with_objects([_CATALOG, _PAGES, _page(), content])


def stated_stream() -> bytes:
    """A PDF whose page declares 1 GB of content, and has almost none."""
    content = b"<< /Length 1073741824 >>\nstream\n0 0 m 300 500 l S\nendstream"
    return with_objects([_CATALOG, _PAGES, _page(), content])


def large_image(side: int = 60_000) -> bytes:
    """A PDF with a picture that declares `side` × `side` pixels, and has one row."""
    image = stream(
        zlib.compress(bytes(side)),
        f"/Type /XObject /Subtype /Image /Width {side} /Height {side} /ColorSpace /DeviceRGB /BitsPerComponent 8 "
        "/Filter /FlateDecode",
    )
    page = _page("/Resources << /XObject << /I 5 0 R >> >>")
    return with_objects([_CATALOG, _PAGES, page, stream(b"595 0 0 842 0 0 cm /I Do"), image])


def nested_arrays(depth: int = 200_000) -> bytes:
    """A PDF with arrays within one another."""
    return with_objects([_CATALOG, _PAGES, _page(f"/X {'[' * depth}{']' * depth}"), stream(b"0 0 m 300 500 l S")])


def many_operators(count: int = 3_000_000) -> bytes:
    """A PDF whose page draws very many lines."""
    content = stream(zlib.compress(b"0 0 m 590 800 l S " * count), "/Filter /FlateDecode")
    return with_objects([_CATALOG, _PAGES, _page(), content])


def many_letters(count: int = 1_000_000) -> bytes:
    """A PDF whose page shows `count` letters, all at one place."""
    shown = b"BT /F 1 Tf " + b"(word word ) Tj " * (count // 10) + b"ET"
    page = _page("/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>")
    return with_objects([_CATALOG, _PAGES, page, stream(zlib.compress(shown), "/Filter /FlateDecode")])


def endless_pattern() -> bytes:
    """A PDF whose page is filled with a pattern of tiny tiles."""
    pattern = stream(
        b"0 0 1 1 re f",
        "/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 1 1] /XStep 0.0001 /YStep 0.0001 "
        "/Resources << >>",
    )
    page = _page("/Resources << /Pattern << /P 5 0 R >> >>")
    return with_objects([_CATALOG, _PAGES, page, stream(b"/Pattern cs /P scn 0 0 595 842 re f"), pattern])


def damaged_font() -> bytes:
    """A PDF whose embedded font is not a font."""
    font = (
        b"<< /Type /Font /Subtype /TrueType /BaseFont /A /FontDescriptor 6 0 R /FirstChar 0 /LastChar 0 /Widths [9] >>"
    )
    descriptor = b"<< /Type /FontDescriptor /FontName /A /Flags 4 /FontFile2 7 0 R >>"
    content = stream(b"BT /F 20 Tf 50 500 Td (Some words of text) Tj ET")
    page = _page("/Resources << /Font << /F 5 0 R >> >>")
    return with_objects(
        [_CATALOG, _PAGES, page, content, font, descriptor, stream(b"\0\1\0\0\xff\xff" + b"\xff" * 5_000)]
    )


def encrypted_pdf() -> bytes:
    """A PDF that needs a password."""
    handler = f"/Filter /Standard /V 1 /R 2 /P -44 /O <{'11' * 32}> /U <{'22' * 32}>"
    body = [_CATALOG, _PAGES, _page(), stream(b"0 0 m 300 500 l S")]
    return with_objects(body, f"/Encrypt << {handler} >> /ID [<{'00' * 16}> <{'00' * 16}>]")


def active_pdf() -> bytes:
    """A PDF with scripts, a program to start, an address to open, and an embedded file."""
    action = "<< /S /JavaScript /JS (while (true) app.launchURL('http://127.0.0.1/')) >>"
    actions = f"/OpenAction {action} /AA << /WC {action} /O << /S /Launch /F (/bin/true) >> >>"
    files = "/Names << /EmbeddedFiles << /Names [(a.exe) << /F (a.exe) /EF << /F 4 0 R >> >>] >> >>"
    return pdf([prose(1, 200)], extra=f"{actions} {files} /URI << /Base (http://127.0.0.1/) >>")


def boxed(box: str) -> bytes:
    """A PDF whose page has this box."""
    return pdf([prose(1, 200)], box=box)


def _with_entity(declaration: str) -> bytes:
    return docx(paragraph("&e;"), head=f'<?xml version="1.0"?><!DOCTYPE d [{declaration}]>')


def billion_laughs() -> bytes:
    """A DOCX whose entities expand to gigabytes."""
    levels = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 12))
    return _with_entity(f'<!ENTITY a0 "laughs">{levels}<!ENTITY e "&a11;">')


def external_entity() -> bytes:
    """A DOCX with an entity that includes a file of the machine."""
    return _with_entity('<!ENTITY e SYSTEM "file:///etc/passwd">')


@cache
def packed_xml(megabytes: int = 200) -> bytes:
    """A DOCX that unpacks to this size."""
    return docx(paragraph(" " * (megabytes * 2**20)))


def nested_xml(depth: int = 500_000) -> bytes:
    """An ODT with elements within one another."""
    return odt("<text:span>" * depth + "</text:span>" * depth)


def with_method(method: int) -> bytes:
    """An archive with another compression method. To unpack it may take as much memory as the archive declares."""
    return archive({"mimetype": "a", "content.xml": "<a/>"}, method)


def locked_archive() -> bytes:
    """A DOCX whose files are marked as encrypted."""
    octets = bytearray(docx(paragraph(prose())))
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = octets.find(mark)
        while at >= 0:
            octets[at + place] |= 1
            at = octets.find(mark, at + 4)
    return bytes(octets)


def overlapping_archive() -> bytes:
    """An archive with many names for the same bytes."""
    file = BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as zip_file:
        zip_file.writestr("content.xml", b"<a/>" + b" " * 100_000)
        (entry,) = zip_file.infolist()
        for number in range(1_000):
            copy = type(entry)(f"part{number}.xml")
            copy.header_offset, copy.file_size, copy.compress_size = 0, entry.file_size, entry.compress_size
            copy.CRC = entry.CRC
            zip_file.filelist.append(copy)
    return file.getvalue()


def climbing_epub() -> bytes:
    """An EPUB that refers to files outside of it, and lists them again and again."""
    spine = '<itemref idref="a"/><itemref idref="b"/>' * 10_000
    items = (
        '<item id="a" href="../../../../etc/passwd" media-type="application/xhtml+xml"/>'
        '<item id="b" href="file:///etc/passwd" media-type="text/html"/>'
    )
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    return epub([], {"OEBPS/book.opf": package})


def claimed_size() -> bytes:
    """A DOCX whose directory declares sizes of gigabytes."""
    octets = bytearray(docx(paragraph(prose())))
    at = octets.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<II", octets, at + 20, 0xFFFFFFF0, 0xFFFFFFF0)
        at = octets.find(b"PK\x01\x02", at + 4)
    return bytes(octets)


def macros() -> bytes:
    """A DOCX with macros. hashdb reads the text and ignores the macros."""
    return docx(paragraph(prose(1, 200)), further={"word/vbaProject.bin": b"\xd0\xcf\x11\xe0" + bytes(5_000)})


HOSTILE: Final[Mapping[str, Callable[[], bytes]]] = {
    "cyclic pages": cyclic_pages,
    "a form in itself": form_in_itself,
    "a stream with a false length": stated_stream,
    "a large image": large_image,
    "nested arrays": nested_arrays,
    "an endless pattern": endless_pattern,
    "a damaged font": damaged_font,
    "an encrypted PDF": encrypted_pdf,
    "many letters": many_letters,
    "a large box": lambda: boxed("0 0 1e9 1e9"),
    "a long box": lambda: boxed("0 0 100000000 1"),
    "an invalid box": lambda: boxed("0 0 -5 NaN"),
    "billion laughs": billion_laughs,
    "an external entity": external_entity,
    "packed XML": packed_xml,
    "nested XML": nested_xml,
    "lzma": lambda: with_method(ZIP_LZMA),
    "bzip2": lambda: with_method(ZIP_BZIP2),
    "an encrypted archive": locked_archive,
    "an overlapping archive": overlapping_archive,
    "a climbing EPUB": climbing_epub,
    "false sizes": claimed_size,
    "deep HTML": lambda: b"<html>" + b"<div>" * 500_000,
    "HTML with attributes": lambda: b"<p " + b" ".join(b"a%d=1" % number for number in range(200_000)) + b">x",
    "unclosed comments": lambda: b"<!--" * 500_000,
    "one word": lambda: b"a" * 5_000_000,
}
"""Documents that hashdb rejects with a clear error, or hashes to few hashes, within a short time."""
ENDLESS: Final = frozenset({forms_in_forms, endless_pattern})
"""Documents whose reading only the time limit ends."""
