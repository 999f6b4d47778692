"""What the readers of documents return, and how large a document may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hashdb.domain.frames import Frame
from hashdb.errors import ExtraMissing, VideoTooLarge

NO_EXTRA: Final = str(ExtraMissing("a document", "documents"))


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How large a document may be.

    A file of more than `max_bytes` is refused, and an archive (DOCX, ODT, EPUB) of which more than `max_unpacked` bytes
    would have to be unpacked. Of a document with more pages than `max_pages` or more words than `max_words`, the first
    ones are hashed. `processing_seconds` is how long hashing may take.
    """

    max_bytes: int = 100_000_000
    max_unpacked: int = 100_000_000
    max_pages: int = 1_000
    max_words: int = 600_000
    processing_seconds: float = 120

    def check_bytes(self, count: int) -> None:
        """Raise VideoTooLarge if a file of `count` bytes is too large."""
        if count > self.max_bytes:
            raise VideoTooLarge(f"the document has more than {self.max_bytes} bytes")


DOCUMENT_LIMITS: Final = DocumentLimits()
"""100 MB, as much unpacked, 1,000 pages, 600,000 words, 2 minutes of processing."""


@dataclass(frozen=True, slots=True)
class Content:
    """What was read of a document: its text, and its pages that were hashed as pictures."""

    texts: tuple[str, ...]
    """The text of each page in order, or one text if the document has no pages."""
    frames: tuple[Frame, ...] = ()
    """The hashes of its pages; a plain page has none."""
    pages: int | None = None
    """How many pages it has; None for a document without pages, such as a DOCX or a plain text."""
    incomplete: tuple[str, ...] = ()
    """For each thing that was not read, a part of a sentence that says so."""
    pictures: int = 0
    """How many pictures it has that were not hashed."""
