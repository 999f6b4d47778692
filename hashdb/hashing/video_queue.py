"""The videos and documents that a process of the service hashes: one at a time; pictures do not wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from hashdb.domain.signals import Algorithm
from hashdb.domain.turns import Turns
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Mode
from hashdb.hashing.documents import DocumentLimits, HashedDocument
from hashdb.hashing.pictures import Limits
from hashdb.hashing.videos import HashedVideo, VideoLimits
from hashdb.hashing.workers import Worker


class VideoQueue:
    """Hashes videos and documents one at a time, in a sandboxed process that starts with the first. Keys take turns.

    A video may take `limits.processing_seconds`, and `memory_bytes` of address space beyond those of an idle process.
    """

    def __init__(self, memory_bytes: int, limits: VideoLimits) -> None:
        """Starts no process yet."""
        self._limits = limits
        self._turns = Turns()
        self._worker = Worker(limits.processing_seconds, memory_bytes, Limits())

    def hash(
        self,
        file: BinaryIO,
        algorithms: Sequence[Algorithm],
        mode: Mode,
        key: str,
        *,
        interval: float,
        advance: Callable[[float], None],
    ) -> HashedVideo:
        """The hashes of a video's frames, once it is the turn of this key; then `advance` is called as by `Worker`.

        An exception that `advance` raises ends the hashing. Raises UnreadablePicture, VideoTooLarge, Unavailable.
        """
        with self._turn(key, advance):
            return self._worker.hash_video(file, algorithms, mode, self._limits, interval=interval, advance=advance)

    def hash_document(
        self,
        file: BinaryIO,
        algorithms: Sequence[Algorithm],
        mode: Mode,
        key: str,
        limits: DocumentLimits,
        *,
        step: int,
        advance: Callable[[float], None],
    ) -> HashedDocument:
        """The hashes of a document, in the same way."""
        with self._turn(key, advance):
            return self._worker.hash_document(file, algorithms, mode, limits, step=step, advance=advance)

    @contextmanager
    def _turn(self, key: str, advance: Callable[[float], None]) -> Iterator[None]:
        with self._turns.turn(key):
            advance(0.0)
            try:
                yield
            except UnreadablePicture:
                raise
            except BaseException:
                # The process is still at work on this file.
                self._worker.stop()
                raise

    def close(self) -> None:
        """Wait until the queued videos are hashed, then end the process."""
        with self._turns.turn(""):
            self._worker.stop()
