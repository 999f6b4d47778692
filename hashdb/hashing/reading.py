"""The content that is read of a document, and how large a document may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hashdb.domain.frames import Frame
from hashdb.errors import ExtraMissing, VideoTooLarge

NO_EXTRA: Final = str(ExtraMissing("a document", "documents"))
OUT_OF_MEMORY: Final = "the document takes more memory to hash than is allowed"


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How large a document may be.

    A file of more than `max_bytes`, or an archive of which more than `max_unpacked` bytes are read, is refused. Of more
    than `max_pages` or `max_words`, the first ones are hashed. `processing_seconds` is how long hashing may take.
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
    """The content of a document: the text of each page in reading order, or of the whole, and its hashed pages.

    `pages` is how many it has; None if it has no pages. Each of `incomplete` is a clause that says what was not read.
    """

    texts: tuple[str, ...]
    frames: tuple[Frame, ...] = ()
    pages: int | None = None
    incomplete: tuple[str, ...] = ()
    pictures: int = 0
    """How many pictures it has that were not hashed."""
