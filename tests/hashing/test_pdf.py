"""PDF, and hostile documents of each type, in the confined process: each ends with hashes or with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from tempfile import TemporaryFile

import pytest

from hashdb.domain.signals import OF_PICTURES
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Limits, Mode
from hashdb.hashing.documents import HashedDocument, hash_document
from hashdb.hashing.pdf import is_pdf
from hashdb.hashing.reading import DocumentLimits
from hashdb.hashing.workers import Worker
from tests import hostile_documents as hostile
from tests.documents import docx, epub, odt, page, paragraph, pdf, prose
from tests.hashing.samples import draw_picture, encode_picture

MEMORY = 600 * 2**20
LIMITS = DocumentLimits(processing_seconds=5)
TEXT = prose(3, 250)
USUAL = {
    "pdf": pdf([TEXT], pictures=[page(4)]),
    "docx": docx(paragraph(TEXT)),
    "odt": odt(f"<text:p>{TEXT}</text:p>"),
    "epub": epub([f"<p>{TEXT}</p>"]),
    "html": f"<!doctype html><p>{TEXT}".encode(),
    "utf16": TEXT.encode("utf-16"),
    "cp1251": " что ".join(TEXT.translate(str.maketrans("abdefghiklmnoprstuv", "абдефгхиклмнопрстув")).split()).encode(
        "cp1251"
    ),
    "gb18030": ("我们的人民是在这个国家里。不会有他们说的大地上为大和。" * 20).encode("gb18030"),
}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One for all, for its process takes its time to start."""
    made = Worker(30, MEMORY, Limits())
    yield made
    made.stop()


def hashed(
    worker: Worker, octets: bytes, limits: DocumentLimits = LIMITS, mode: Mode = Mode.BALANCED
) -> HashedDocument:
    with TemporaryFile() as file:
        file.write(octets)
        file.seek(0)
        return worker.hash_document(file, OF_PICTURES, mode, limits)


@pytest.mark.parametrize("kind", USUAL)
def test_the_confined_process_reads_what_this_one_reads(kind: str, worker: Worker) -> None:
    """It can open no font, module or encoding; the PDF's font is not embedded, and the machine may have it."""
    with TemporaryFile() as file:
        file.write(USUAL[kind])
        file.seek(0)
        here = hash_document(file, OF_PICTURES, Mode.BALANCED)
    assert hashed(worker, USUAL[kind]) == here
    assert here.words >= 200


def _limits_of(make: Callable[[], bytes]) -> DocumentLimits:
    return replace(LIMITS, processing_seconds=1) if make in hostile.ENDLESS else LIMITS


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_a_hostile_document_ends_with_hashes_or_a_sentence(name: str, worker: Worker) -> None:
    make = hostile.HOSTILE[name]
    with suppress(UnreadablePicture):
        assert hashed(worker, make(), _limits_of(make)).frames
    assert worker.hash(encode_picture(draw_picture()), OF_PICTURES[:1]).signals


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (hostile.encrypted_pdf, "the PDF is encrypted and needs a password"),
        (hostile.billion_laughs, "declares entities of XML, which are not expanded"),
        (hostile.external_entity, "declares entities of XML, which are not expanded"),
        (hostile.packed_xml, "the document unpacks to more than 100000000 bytes"),
        (hostile.nested_xml, "the document has more than 1000 elements within one another"),
        (hostile.locked_archive, "the document is encrypted"),
        (hostile.forms_in_forms, "the document "),
        (hostile.packed_stream, "the document brings down what reads it"),
        (hostile.many_operators, "the document "),
    ],
)
def test_each_limit_says_what_it_is(make: Callable[[], bytes], reason: str, worker: Worker) -> None:
    with pytest.raises(UnreadablePicture) as raised:
        hashed(worker, make(), _limits_of(make))
    assert reason in raised.value.reason


@pytest.mark.parametrize(
    "text",
    [
        f"soft-{chr(10) * 1_000_000}. {prose(1, 200)}",
        f"so{chr(0x316) + chr(0x300)}ft{(chr(0x316) + chr(0x300)) * 500_000} {prose(1, 200)}",
        f"<p>{prose(1, 200)}</p><{'a' * 1_000_000}",
    ],
    ids=["line breaks", "marks", "an open tag"],
)
def test_what_is_long_takes_no_square_of_the_time(text: str, worker: Worker) -> None:
    assert hashed(worker, text.encode(), DocumentLimits(processing_seconds=20)).words >= 200


def test_of_very_many_pages_the_first_are_hashed(worker: Worker) -> None:
    limits = DocumentLimits(max_pages=20, processing_seconds=30)
    document = hashed(worker, hostile.many_pages(), limits)
    assert document.pages == 100_000
    assert "only the first 20 were hashed" in str(document.incomplete)


def test_scripts_and_macros_are_not_run_and_the_text_is_read(worker: Worker) -> None:
    plain = hashed(worker, pdf([prose(1, 200)]))
    assert hashed(worker, hostile.active_pdf()).frames == plain.frames
    assert hashed(worker, hostile.macros()).words == 200


def test_progress_is_told(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    with TemporaryFile() as file:
        file.write(pdf(pictures=[page(number) for number in range(60)]))
        file.seek(0)
        worker.hash_document(file, OF_PICTURES, Mode.BALANCED, DocumentLimits(), advance=shares.append)
    assert shares == sorted(shares)


@pytest.mark.parametrize("before", [b"", b"\n", b"\xef\xbb\xbf", b"junk of a mail\n\n"])
def test_a_pdf_is_known_by_one_of_its_first_lines(before: bytes) -> None:
    assert is_pdf(before + pdf([TEXT]))


def test_a_text_that_speaks_of_pdf_is_none() -> None:
    assert not is_pdf(b"A file that begins with %PDF-1.7 is a PDF.")
    assert not is_pdf(b" " * 2_000 + pdf([TEXT]))
