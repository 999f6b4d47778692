"""Builders of documents of every type for the tests."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from random import Random
from zipfile import ZIP_DEFLATED, ZipFile

from PIL import Image, ImageDraw

_SYLLABLES = re.findall("..", "kalomirensavornedalpigrateshanolberismakufenda")
DEFLATED = ZIP_DEFLATED
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def prose(seed: int = 1, words: int = 300) -> str:
    """A text of `words` words. Each seed gives another text."""
    random = Random(seed)
    generated = ["".join(random.choices(_SYLLABLES, k=random.randint(1, 4))) for _ in range(words)]
    return " ".join(word + ("." if place % 11 == 10 else "") for place, word in enumerate(generated))


@cache
def page(seed: int = 1) -> Image.Image:
    """The picture of a page with lines of different lengths, whose words are black bars."""
    random = Random(seed)
    image = Image.new("RGB", (707, 1000), "white")
    draw, y = ImageDraw.Draw(image), 80
    while y < 900:
        x, end = 85, 610 if random.random() < 0.8 else random.randint(150, 600)
        while x < end:
            width = random.randint(10, 60)
            draw.rectangle((x, y, min(x + width, 610), y + 8), "black")
            x += width + 8
        y += 18 if random.random() < 0.85 else 40
    return image


def pdf(
    texts: Sequence[str] = (), *, pictures: Iterable[Image.Image] = (), extra: str = "", box: str = "0 0 595 842"
) -> bytes:
    """A PDF with a page for each text, in lines, then a page for each picture. `extra` is added to its catalog."""
    objects: list[bytes] = [b"", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>"]
    kids: list[int] = []

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    def add_page(content: bytes, resources: str) -> None:
        number = add(stream(content))
        kids.append(
            add(
                f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents {number} 0 R "
                f"/Resources << {resources} >> >>".encode()
            )
        )

    for text in texts:
        words = text.split()
        lines = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        add_page(f"BT /F1 10 Tf 14 TL 60 780 Td {shown} ET".encode(), "/Font << /F1 3 0 R >>")
    for picture in pictures:
        raw = zlib.compress(picture.convert("L").tobytes())
        head = f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height}"
        number = add(stream(raw, f"{head} /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode"))
        add_page(b"595 0 0 842 0 0 cm /I Do", f"/XObject << /I {number} 0 R >>")
    objects[0] = f"<< /Type /Catalog /Pages 2 0 R {extra} >>".encode()
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] /Count {len(kids)} >>".encode()
    return with_objects(objects)


def stream(content: bytes, entries: str = "") -> bytes:
    """A stream object of a PDF."""
    return f"<< /Length {len(content)} {entries} >>\nstream\n".encode() + content + b"\nendstream"


def with_objects(objects: Sequence[bytes], trailer: str = "") -> bytes:
    """A PDF of these objects, numbered from 1; the first one is the catalog."""
    file = BytesIO()
    file.write(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(file.tell())
        file.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    start = file.tell()
    file.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    file.writelines(f"{place:010} 00000 n \n".encode() for place in places)
    file.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode())
    return file.getvalue()


def archive(parts: Mapping[str, str | bytes], method: int = DEFLATED) -> bytes:
    """A ZIP of these files."""
    file = BytesIO()
    with ZipFile(file, "w", method) as zip_file:
        for name, content in parts.items():
            zip_file.writestr(name, content)
    return file.getvalue()


def docx(body: str, notes: str = "", further: Mapping[str, str | bytes] | None = None, head: str = "") -> bytes:
    """A DOCX with this XML as its body, and as the body of its footnotes."""
    kind = f"{_RELATIONS}/footnotes"
    return archive(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": f'<Relationships><Relationship Id="r" Type="{_RELATIONS}/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships><Relationship Id="n" Type="{kind}" '
            'Target="footnotes.xml"/></Relationships>',
            "word/footnotes.xml": f'<w:footnotes xmlns:w="{W}">{notes}</w:footnotes>',
            "word/document.xml": f'{head}<w:document xmlns:w="{W}" xmlns:mc="m"><w:body>{body}</w:body></w:document>',
            **(further or {}),
        }
    )


def paragraph(text: str) -> str:
    """A paragraph of DOCX."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def odt(body: str, further: Mapping[str, str | bytes] | None = None) -> bytes:
    """An ODT with this XML as its text."""
    text = f"<office:text>{body}</office:text>"
    content = f'<office:document-content xmlns:office="o" xmlns:text="t">{text}</office:document-content>'
    return archive({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content, **(further or {})})


def epub(chapters: Sequence[str], further: Mapping[str, str | bytes] | None = None) -> bytes:
    """An EPUB with a file of XHTML for each of these bodies, in order."""
    items = "".join(
        f'<item id="c{n}" href="text%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    container = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    parts: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OEBPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for number, body in enumerate(chapters):
        parts[f"OEBPS/text {number}.xhtml"] = (
            f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{body}</body></html>'
        )
    return archive(parts | dict(further or {}))
