"""PDF, and hostile documents of each type, in the sandboxed process: each gives hashes or a clear error."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from tempfile import TemporaryFile
from threading import Timer

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
from tests.hashing.processes import worker_processes
from tests.hashing.samples import draw_picture, encode_picture

MEMORY = 600 * 2**20
LIMITS = DocumentLimits(processing_seconds=5)
TEXT = prose(3, 250)
DOCUMENTS = {
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
    """One worker for all tests: its process starts slowly."""
    worker = Worker(30, MEMORY, Limits())
    yield worker
    worker.stop()


def hash_bytes(
    worker: Worker, octets: bytes, limits: DocumentLimits = LIMITS, mode: Mode = Mode.BALANCED
) -> HashedDocument:
    with TemporaryFile() as file:
        file.write(octets)
        file.seek(0)
        return worker.hash_document(file, OF_PICTURES, mode, limits)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_has_the_same_hashes_inside_and_outside_the_sandbox(kind: str, worker: Worker) -> None:
    """The sandbox can open no font, module or encoding. The PDF does not embed its font; the machine may have it."""
    with TemporaryFile() as file:
        file.write(DOCUMENTS[kind])
        file.seek(0)
        outside = hash_document(file, OF_PICTURES, Mode.BALANCED)
    assert hash_bytes(worker, DOCUMENTS[kind]) == outside
    assert outside.words >= 200


def _limits_for(make: Callable[[], bytes]) -> DocumentLimits:
    return replace(LIMITS, processing_seconds=1) if make in hostile.ENDLESS else LIMITS


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_a_hostile_document_gives_hashes_or_an_error_and_the_worker_survives(name: str, worker: Worker) -> None:
    make = hostile.HOSTILE[name]
    with suppress(UnreadablePicture):
        assert hash_bytes(worker, make(), _limits_for(make)).frames
    assert worker.hash(encode_picture(draw_picture()), OF_PICTURES[:1]).signals


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (hostile.encrypted_pdf, "the PDF is encrypted and needs a password"),
        (hostile.billion_laughs, "declares entities of XML, which are not expanded"),
        (hostile.external_entity, "declares entities of XML, which are not expanded"),
        (hostile.packed_xml, "the document unpacks to more than 100000000 bytes"),
        (hostile.nested_xml, "the document has elements nested more than 1000 deep"),
        (hostile.locked_archive, "the document is encrypted"),
        (hostile.forms_in_forms, "the document "),
        (hostile.packed_stream, "the document crashed the process that read it"),
        (hostile.many_operators, "the document "),
    ],
)
def test_each_exceeded_limit_has_its_own_error(make: Callable[[], bytes], reason: str, worker: Worker) -> None:
    with pytest.raises(UnreadablePicture) as raised:
        hash_bytes(worker, make(), _limits_for(make))
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
def test_hashing_time_is_not_quadratic_in_the_length(text: str, worker: Worker) -> None:
    assert hash_bytes(worker, text.encode(), DocumentLimits(processing_seconds=20)).words >= 200


def test_only_the_first_pages_of_a_very_long_document_are_hashed(worker: Worker) -> None:
    limits = DocumentLimits(max_pages=20, processing_seconds=30)
    document = hash_bytes(worker, hostile.many_pages(), limits)
    assert document.pages == 100_000
    assert "only the first 20 were hashed" in str(document.incomplete)


def _without_first_page(octets: bytes) -> bytes:
    """A PDF whose first page cannot be read."""
    return octets.replace(b"/Type /Page /Parent", b"/Type /Nope /Parent", 1)


def test_a_pdf_with_a_damaged_page_is_hashed_in_part(worker: Worker) -> None:
    document = hash_bytes(worker, _without_first_page(pdf([prose(1, 200), prose(2, 200)])))
    assert (document.pages, document.words) == (2, 200)
    assert document.incomplete == "the document was read in part: 1 of its 2 pages could not be read"


@pytest.mark.parametrize("limits", [LIMITS, replace(LIMITS, max_pages=1)], ids=["one page", "the first of two"])
def test_a_pdf_of_which_no_page_can_be_read_is_damaged(limits: DocumentLimits, worker: Worker) -> None:
    octets = _without_first_page(pdf([TEXT] * (1 if limits == LIMITS else 2)))
    with pytest.raises(UnreadablePicture, match="the PDF cannot be read: it is damaged or cut short"):
        hash_bytes(worker, octets, limits)


def test_text_is_read_and_scripts_and_macros_are_not_run(worker: Worker) -> None:
    plain = hash_bytes(worker, pdf([prose(1, 200)]))
    assert hash_bytes(worker, hostile.active_pdf()).frames == plain.frames
    assert hash_bytes(worker, hostile.macros()).words == 200


def test_the_progress_of_a_document_is_reported(worker: Worker) -> None:
    assert hash_bytes(worker, DOCUMENTS["html"]).frames
    processes = worker_processes()
    shares: list[float] = []

    def pause() -> None:
        """Pause hashing for longer than a second: then the next page reports progress, also on a fast machine."""
        for number, seconds in ((signal.SIGSTOP, 1.2), (signal.SIGCONT, 0.0)):
            for process in processes:
                os.kill(process, number)
            time.sleep(seconds)

    pausing = Timer(0.05, pause)
    with TemporaryFile() as file:
        file.write(pdf(pictures=[page(number) for number in range(60)]))
        file.seek(0)
        pausing.start()
        worker.hash_document(file, OF_PICTURES, Mode.BALANCED, DocumentLimits(), advance=shares.append)
    pausing.join()
    assert shares
    assert shares == sorted(shares)


@pytest.mark.parametrize("prefix", [b"", b"\n", b"\xef\xbb\xbf", b"junk of a mail\n\n"])
def test_a_pdf_is_recognised_even_after_some_other_bytes(prefix: bytes) -> None:
    assert is_pdf(prefix + pdf([TEXT]))


def test_a_text_that_mentions_the_pdf_header_is_not_a_pdf() -> None:
    assert not is_pdf(b"A file that begins with %PDF-1.7 is a PDF.")
    assert not is_pdf(b" " * 2_000 + pdf([TEXT]))
