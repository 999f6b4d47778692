"""Read PDF by PDFium (the extra `[documents]`): each page as a picture, and the text of all pages.

Only a sandboxed process calls this. PDFium runs no script, follows no link, and here finds no font of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Mode, hash_page
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reading import NO_EXTRA, Content, DocumentLimits

if TYPE_CHECKING:
    import pypdfium2

_PDF: Final = re.compile(rb"^\W*%PDF-\d", re.MULTILINE)
"""A line with the version of a PDF."""
_HEAD: Final = 1_024
"""The first bytes of a file, in which this line is looked for."""
LONGEST: Final = 1_000
"""The longer side in pixels of the picture that is made of a page."""
_SHORTEST: Final = 16
"""If the shorter side of this picture has fewer pixels, the page is not hashed."""
_NO_PDF: Final = "the PDF cannot be read: it is damaged or cut short"
_LOCKED: Final = "the PDF is encrypted and needs a password: save it without one"
_HYPHENS: Final = {0x02: "-", 0xFFFE: "-"}
"""The codes that PDFium has instead of a hyphen that divides a word at the end of a line."""


def is_pdf(octets: bytes) -> bool:
    """Whether one of the first lines of a file has the version of a PDF; readers skip the lines before it."""
    return _PDF.search(octets[:_HEAD]) is not None


def load_pdfium() -> None:
    """Load PDFium where it is installed, for a process that can open no file later."""
    with suppress(ImportError, OSError):
        _pdfium()


def _pdfium() -> Any:
    """The module pypdfium2, with no fonts of the system: hashes must not depend on the fonts of the machine."""
    import pypdfium2

    _hide_fonts()
    return pypdfium2


@cache
def _hide_fonts() -> object:
    """Give PDFium a structure without any function, by which it asks for fonts of the system.

    Cached: PDFium keeps only the address of the structure, so it must not be freed.
    """
    from pypdfium2 import raw

    no_fonts = raw.FPDF_SYSFONTINFO(version=1)
    raw.FPDF_SetSystemFontInfo(no_fonts)
    return no_fonts


def read_pdf(
    octets: bytes, algorithms: Sequence[Algorithm], mode: Mode, limits: DocumentLimits, advance: Callable[[float], None]
) -> Content:
    """The pages, hashed as `mode` says, and the text of a PDF. Raises UnreadablePicture."""
    with closing(_open(octets)) as document:
        count = len(document)
        frames: list[Frame] = []
        texts: list[str] = []
        damaged = 0
        for number in range(min(count, limits.max_pages)):
            frame, text = _read_page(document, number, algorithms, mode)
            damaged += text is None
            texts.append(text or "")
            if frame is not None:
                frames.append(frame)
            advance((number + 1) / count)
    if damaged == len(texts):
        raise UnreadablePicture(_NO_PDF)
    incomplete: list[str] = []
    if count > limits.max_pages:
        incomplete.append(f"of its {count} pages, only the first {limits.max_pages} were hashed")
    if damaged:
        incomplete.append(f"{damaged} of its {count} pages could not be read")
    return Content(tuple(texts), tuple(frames), count, tuple(incomplete))


def _open(octets: bytes) -> pypdfium2.PdfDocument:
    try:
        pdfium = _pdfium()
    except (ImportError, OSError):
        # Not installed. A sandboxed process, which can open no file, may raise OSError.
        raise UnreadablePicture(NO_EXTRA) from None
    try:
        return pdfium.PdfDocument(octets)
    except pdfium.PdfiumError as error:
        locked = error.err_code == pdfium.raw.FPDF_ERR_PASSWORD
    raise UnreadablePicture(_LOCKED if locked else _NO_PDF)


def _read_page(
    document: pypdfium2.PdfDocument, number: int, algorithms: Sequence[Algorithm], mode: Mode
) -> tuple[Frame | None, str | None]:
    """The frame (None: it has none) and the text of the page with this number, from 0; both None if it is damaged."""
    pdfium = _pdfium()
    try:
        with closing(document[number]) as page:
            return _frame(page, number + 1, algorithms, mode), _text(page)
    except pdfium.PdfiumError:
        return None, None


def _frame(page: Any, number: int, algorithms: Sequence[Algorithm], mode: Mode) -> Frame | None:
    """The frame of a page, whose number counts from 1; None if the page is too narrow or has no usable hash."""
    width, height = page.get_size()
    scale = LONGEST / max(width, height, 1)
    if min(width, height) * scale < _SHORTEST:
        return None
    with closing(page.render(scale=scale, may_draw_forms=False, rev_byteorder=True)) as bitmap:
        picture = Picture(bitmap.to_pil().convert("RGB"))
    hashed = hash_page(picture, algorithms, mode)
    if not hashed.signals:
        return None
    return Frame(number, hashed.signals, hashed.quality, hashed.transforms, Unit.PAGES)


def _text(page: Any) -> str:
    with closing(page.get_textpage()) as text:
        return str(text.get_text_bounded(errors="replace")).translate(_HYPHENS)
