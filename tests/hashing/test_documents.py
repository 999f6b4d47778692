"""Documents are recognised, each type is read, and hostile ones get a clear error."""

from __future__ import annotations

import codecs
from io import BytesIO

import pytest
from PIL import Image

from hashdb.domain.frames import Unit
from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import UnreadablePicture, VideoTooLarge
from hashdb.hashing import Mode
from hashdb.hashing.documents import (
    MIN_PAGE_WORDS,
    HashedDocument,
    begins_as_document,
    hash_document,
    is_document,
)
from hashdb.hashing.reading import DOCUMENT_LIMITS, DocumentLimits
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP, WINDOW, hash_text, window_starts
from tests import films
from tests.documents import archive, docx, epub, odt, page, paragraph, pdf, prose
from tests.hashing.samples import draw_picture, encode_picture

TEXT = prose(1, 400)
SMALL_LIMITS = DocumentLimits(max_bytes=500_000, max_unpacked=1_000_000, max_pages=3, max_words=1_000)


def hash_bytes(octets: bytes, limits: DocumentLimits = SMALL_LIMITS, mode: Mode = Mode.PLAIN) -> HashedDocument:
    return hash_document(BytesIO(octets), OF_PICTURES, mode, limits)


def rejection_reason(octets: bytes, limits: DocumentLimits = SMALL_LIMITS) -> str:
    with pytest.raises(UnreadablePicture) as raised:
        hash_bytes(octets, limits)
    return raised.value.reason


@pytest.mark.parametrize(
    "octets",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        b"<!DOCTYPE html><p>" + TEXT.encode(),
        f"<html><body><p>{TEXT}</body></html>".encode("utf-16"),
        docx(paragraph(TEXT)),
        odt(f"<text:p>{TEXT}</text:p>"),
        epub([f"<p>{TEXT}</p>"]),
        pdf([TEXT]),
    ],
    ids=["utf8", "bom", "utf16", "le", "be", "utf32", "html", "html16", "docx", "odt", "epub", "pdf"],
)
def test_every_type_gives_the_same_windows_for_the_same_text(octets: bytes) -> None:
    assert begins_as_document(octets[:4_096])
    document = hash_bytes(octets)
    windows = [(frame.at, frame.length, frame.signals) for frame in document.frames if frame.unit is Unit.WORDS]
    assert windows == [(frame.at, frame.length, frame.signals) for frame in hash_text(TEXT)]
    assert document.words == 400
    assert document.incomplete is None


def test_page_frames_come_before_word_frames_and_have_picture_hashes() -> None:
    document = hash_bytes(pdf([TEXT, prose(2)]), mode=Mode.BALANCED)
    first, second, *windows = document.frames
    assert [(frame.unit, frame.at) for frame in (first, second)] == [(Unit.PAGES, 1), (Unit.PAGES, 2)]
    assert first.signals[0].algorithm is Algorithm.PDQ
    assert first.quality is not None
    assert len(first.signals) > 10
    assert {frame.unit for frame in windows} == {Unit.WORDS}
    assert document.pages == 2


def test_windows_of_a_listed_document_start_and_end_at_page_borders() -> None:
    """A page that is uploaded alone then matches windows that have no words of other pages."""
    lengths = (130, 99, 230, 100)
    octets = pdf([prose(seed, count) for seed, count in enumerate(lengths)])
    starts, first = set(window_starts(sum(lengths), LISTED_STEP)), 0
    for length in lengths:
        if length >= MIN_PAGE_WORDS:
            starts |= {min(first, sum(lengths) - WINDOW), max(0, first + length - WINDOW)}
        first += length
    for step, expected in (
        (LISTED_STEP, sorted(starts)),
        (2 * LISTED_STEP, sorted(starts - set(range(50, 400, 100)) | {229})),
        (QUERY_STEP, window_starts(sum(lengths), QUERY_STEP)),
    ):
        document = hash_document(BytesIO(octets), OF_PICTURES, Mode.PLAIN, DOCUMENT_LIMITS, step=step)
        windows = [frame for frame in document.frames if frame.unit is Unit.WORDS]
        assert [frame.at for frame in windows] == expected
        assert {frame.length for frame in windows} == {WINDOW}


def test_a_word_does_not_continue_across_pages() -> None:
    """The text after a hyphen at the end of a page is a page number, or a heading of the next page."""
    assert hash_bytes(pdf([f"{prose(1, 40)} ex-", f"7 {prose(2, 40)}"])).words == 82


@pytest.mark.parametrize(
    "octets",
    [
        *(
            encode_picture(draw_picture()),
            films.film(),
            b"",
            b"  \n",
            bytes(500),
            b"P2 2 2 255 0 1 2 3",
            encode_picture(draw_picture()) + pdf([TEXT]),
        ),
        b"P6\n# " + TEXT.encode()[:3_000] + b"\n64000 64000\n255\n",
        # A comment longer than the part of the file that is inspected.
        b"\xff\xd8\xff\xfe\xd2\xf2" + b"and the other words of the same text\r\n" * 200,
    ],
    ids=["picture", "video", "empty", "blank", "zeros", "pgm", "polyglot", "ppm", "comment"],
)
def test_pictures_videos_and_empty_files_are_not_documents(octets: bytes) -> None:
    assert not is_document(BytesIO(octets))


@pytest.mark.parametrize("start", ["BM is not a bitmap", "ID3 and OggS are words", "G\n"])
def test_a_text_can_start_like_another_file_type(start: str) -> None:
    assert is_document(BytesIO(f"{start} {TEXT}".encode()))


def test_the_start_of_a_file_decides_between_pdf_and_archive() -> None:
    assert hash_bytes(pdf([TEXT]) + docx(paragraph(prose(2)))).pages == 1
    assert hash_bytes(docx(paragraph(TEXT)) + pdf([prose(2)])).pages is None


def test_the_result_reports_what_was_not_read() -> None:
    assert hash_bytes(pdf([TEXT] * 5)).incomplete == (
        "the document was read in part: of its 5 pages, only the first 3 were hashed; "
        "of its 1200 words, only the first 1000 were hashed"
    )
    scanned = hash_bytes(pdf(pictures=[page(1)]))
    assert scanned.incomplete == "the document was read in part: it has no text, only pictures of its pages"
    assert [frame.unit for frame in scanned.frames] == [Unit.PAGES]
    illustrated = hash_bytes(docx(paragraph(TEXT), further={"word/media/image1.png": b"x"}))
    assert "its pictures were not hashed (1): save it as PDF to hash them, too" in str(illustrated.incomplete)
    assert "its text is too short to be hashed: 5 words" in str(hash_bytes(pdf(["only five words of text"])).incomplete)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"{\\rtf1 text}", "RTF is not supported: save the document as PDF, DOCX or plain text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old files of Office (DOC, XLS, PPT) and encrypted ones"),
        (archive({"a.txt": TEXT}), "an archive that is not a supported document (DOCX, ODT, EPUB)"),
        (b"one", "the document has too little text to be hashed: 1 word, and no pictures"),
        (b"five words are too few", "the document has too little text to be hashed: 5 words, and no pictures"),
        (docx("", further={"word/media/a.png": b"x"}), "its pictures are not supported: save it as PDF"),
        (pdf([TEXT])[:300], "the PDF cannot be read: it is damaged or cut short"),
        (pdf([TEXT]).replace(b"Kids [", b"Kids [] %"), "the PDF cannot be read: it is damaged or cut short"),
        (docx(paragraph(TEXT))[:400], "the document cannot be read: it is damaged or cut short"),
        (b"\xe9\x80 \xff\xfe\xfd" * 50, "the encoding of the text is unknown: save it as UTF-8"),
    ],
)
def test_an_unreadable_document_is_rejected_with_a_reason(octets: bytes, reason: str) -> None:
    assert reason in rejection_reason(octets)


def test_the_error_for_a_document_that_is_too_large_suggests_hashing_it_locally() -> None:
    with pytest.raises(VideoTooLarge, match="the document has more than 500000 bytes: hash it on your machine"):
        hash_bytes(bytes(500_001))
    with pytest.raises(VideoTooLarge, match="the document unpacks to more than 1000000 bytes"):
        hash_bytes(docx(paragraph("a " * 600_000)))


def test_windows_of_a_very_long_text_are_further_apart_and_this_is_reported() -> None:
    limits = DocumentLimits(max_words=400_000)
    document = hash_bytes(("some words " * 199_000 + TEXT).encode(), limits)
    assert len(document.frames) <= 7_200
    assert document.incomplete == (
        "the document was read in part: one window begins every 100 words, not every 50, "
        "so short passages may be missed"
    )


def test_a_blank_page_cannot_match() -> None:
    blank, printed = hash_bytes(pdf(pictures=[Image.new("L", (70, 100), "white"), page(1)]), mode=Mode.BALANCED).frames
    assert (blank.at, blank.matches, len(blank.signals)) == (1, False, 1)
    assert printed.matches
