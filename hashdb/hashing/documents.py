"""Hash documents: each page of a PDF as a picture, and the words of documents and texts in windows.

Only a sandboxed process calls `hash_document`: what it reads may be hostile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Final

from hashdb.domain.frames import FRAMES_AN_ITEM, Frame
from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Mode
from hashdb.hashing.encodings import begins_as_text, decode, load_encodings
from hashdb.hashing.markup import is_html, load_html_reader, read_html
from hashdb.hashing.offices import ARCHIVE, load_archives, read_office
from hashdb.hashing.pdf import is_pdf, load_pdfium, read_pdf
from hashdb.hashing.reading import DOCUMENT_LIMITS, Content, DocumentLimits
from hashdb.hashing.texts import LISTED_STEP, WINDOW, split_words, window_starts, windows_at
from hashdb.hashing.videos import PICTURE, begins_as_video

_MAY_BE_TEXT: Final = re.compile(rb"(?!GIF8)(?:BM|P[1-6f]\s+(?!#|[0-9])|ID3|OggS|G)")
"""Letters with which a text may begin, although a bitmap, a Netpbm picture, sound or a video begins with them, too.

All other pictures and videos begin with bytes that no text has.
"""
MIN_PAGE_WORDS: Final = 100
"""A listed page of at least so many words has two windows of its own: one at its start, and one at its end."""
DOCUMENT_HEAD: Final = 4_096
"""The first bytes of a file, by which a document is recognised."""
_REFUSED: Final = {
    b"{\\rtf": "RTF is not supported: save the document as PDF, DOCX or plain text",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "old files of Office (DOC, XLS, PPT) and encrypted ones are not read: "
    "save the document as PDF or DOCX, without a password",
}
"""How files of the formats that are refused begin, and the reason that is given."""


@dataclass(frozen=True, slots=True)
class HashedDocument:
    """The hashes of a document: its pages in order, then the windows of its words.

    `pages` and `words` are how many it has; `pages` is None for a document without pages, as plain text. `incomplete`
    is a sentence that says what was not read, if something was not.
    """

    frames: tuple[Frame, ...]
    pages: int | None
    words: int
    incomplete: str | None = None


def is_document(file: IO[bytes]) -> bool:
    """Whether a file begins as a document or a text does. Leaves the file at its start."""
    head = file.read(DOCUMENT_HEAD)
    file.seek(0)
    return begins_as_document(head)


def begins_as_document(head: bytes) -> bool:
    """Whether a file with these first `DOCUMENT_HEAD` bytes is read as a document or a text.

    A file that begins as a picture or a video is read as that, even if a text, a PDF or an archive follows: a picture
    with a long comment must be hashed as a picture.
    """
    if PICTURE.match(head) or begins_as_video(head):
        return bool(_MAY_BE_TEXT.match(head)) and begins_as_text(head)
    return begins_as_text(head) or head.startswith((ARCHIVE, *_REFUSED)) or is_pdf(head)


def hash_document(
    file: IO[bytes],
    algorithms: Sequence[Algorithm],
    mode: Mode = Mode.PLAIN,
    limits: DocumentLimits = DOCUMENT_LIMITS,
    *,
    step: int = LISTED_STEP,
    advance: Callable[[float], None] = lambda share: None,
) -> HashedDocument:
    """The hashes of a document, with a window of words every `step` words.

    `algorithms` are those for pages; windows of words are always hashed by `simhash256`. Pages have the variants or
    the transforms of `mode`. With a smaller `step` than `LISTED_STEP`, the document is hashed for a query.
    `advance` is called with the share that is done, 0 to 1. Raises UnreadablePicture, VideoTooLarge, and MemoryError.
    """
    octets = file.read(limits.max_bytes + 1)
    limits.check_bytes(len(octets))
    if is_pdf(octets) and not octets.startswith(ARCHIVE):
        content = read_pdf(octets, algorithms, mode, limits, advance)
    else:
        content = _read_words(octets, limits)
    return _with_windows(content, limits, step)


def load_readers() -> None:
    """Load what reads documents, as far as it is installed, for a process that can open no file later."""
    load_encodings()
    load_pdfium()
    load_html_reader()
    load_archives()


def _read_words(octets: bytes, limits: DocumentLimits) -> Content:
    """The text of a document other than PDF, or of a text. Raises UnreadablePicture, VideoTooLarge."""
    for head, reason in _REFUSED.items():
        if octets.startswith(head):
            raise UnreadablePicture(reason)
    if octets.startswith(ARCHIVE):
        return read_office(octets, limits)
    if is_html(octets):
        return read_html(octets)
    return Content((decode(octets),))


def _with_windows(content: Content, limits: DocumentLimits, step: int) -> HashedDocument:
    """The pages of the content and the windows of its words, one every `step` words. Raises UnreadablePicture."""
    texts = [split_words(text) for text in content.texts]
    all_words = list(chain(*texts))
    words = all_words[: limits.max_words]
    max_windows = FRAMES_AN_ITEM - len(content.frames)
    used_step = _widen_step(len(words), step, max_windows)
    starts: Sequence[int] = window_starts(len(words), used_step)
    if content.pages is not None and step >= LISTED_STEP:
        starts = _with_page_windows(starts, [*map(len, texts)], max_windows)
    windows = windows_at(words, starts)
    if not content.frames and not windows:
        reason = f"the document has too little text to be hashed: {_word_count(words)}, and {_picture_clause(content)}"
        raise UnreadablePicture(reason)
    incomplete = list(content.incomplete)
    if len(all_words) > len(words):
        incomplete.append(f"of its {len(all_words)} words, only the first {limits.max_words} were hashed")
    if used_step > step:
        incomplete.append(
            f"one window begins every {used_step} words, not every {step}, so short passages may be missed"
        )
    if content.pictures:
        incomplete.append(f"its pictures were not hashed ({content.pictures}): save it as PDF to hash them, too")
    if content.pages is not None and not words:
        incomplete.append("it has no text, only pictures of its pages")
    elif not windows:
        incomplete.append(f"its text is too short to be hashed: {_word_count(words)}")
    sentence = f"the document was read in part: {'; '.join(incomplete)}" if incomplete else None
    return HashedDocument((*content.frames, *windows), content.pages, len(words), sentence)


def _word_count(words: Sequence[str]) -> str:
    return "1 word" if len(words) == 1 else f"{len(words)} words"


def _picture_clause(content: Content) -> str:
    """What there was to hash of a document beside its words, as a part of a sentence."""
    if content.pages is not None:
        return "all its pages are plain"
    return "its pictures are not supported: save it as PDF" if content.pictures else "no pictures"


def _widen_step(count: int, step: int, max_windows: int) -> int:
    """The step with which `count` words have at most `max_windows` windows: `step`, or twice, four times … as much."""
    while len(window_starts(count, step)) > max_windows:
        step *= 2
    return step


def _with_page_windows(starts: Sequence[int], page_lengths: Sequence[int], max_windows: int) -> Sequence[int]:
    """The starts of windows and of those that begin or end with a long page; `starts` alone if they are too many.

    A start is the number of the first word of a window. `page_lengths` is how many words each page has.
    """
    all_starts, page_start, last_start = set(starts), 0, starts[-1]
    for length in page_lengths:
        if length >= MIN_PAGE_WORDS:
            last_of_page = max(0, page_start + length - WINDOW)
            # Not after the last window, which ends with the text.
            all_starts.update((min(page_start, last_start), min(last_of_page, last_start)))
        page_start += length
    return sorted(all_starts) if len(all_starts) <= max_windows else starts
