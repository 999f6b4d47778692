"""The files of a form while a request is answered: pictures in memory, videos in temporary files without a name."""

from __future__ import annotations

import logging
import os
from io import SEEK_SET, BufferedIOBase, BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO

from hashdb.errors import NoRoom, TooLarge, VideoTooLarge
from hashdb.hashing.animations import is_animation
from hashdb.hashing.documents import DOCUMENT_HEAD, begins_as_document
from hashdb.hashing.videos import VIDEO_HEAD, begins_as_video

log = logging.getLogger("hashdb.web")
_RETRY_AFTER = 60
"""Seconds after which a client should repeat a request for whose video the disk had no space."""


def _new_file() -> BinaryIO:
    """A file without a name: in memory, or where the system has no such files (macOS) on the disk."""
    return os.fdopen(os.memfd_create("upload"), "wb") if hasattr(os, "memfd_create") else TemporaryFile()


class UploadLimits:
    """How many bytes of a request may be in memory, and how many a video may have. Counts the bytes in memory."""

    def __init__(self, memory_bytes: int, video_bytes: int) -> None:
        """Nothing is used yet."""
        self.memory_bytes, self.video_bytes = memory_bytes, video_bytes
        self._used = 0

    def use_memory(self, count: int) -> None:
        """Count `count` more bytes in memory. Raises TooLarge."""
        self._used += count
        if self._used > self.memory_bytes:
            raise TooLarge("the bytes of the pictures of a request", self.memory_bytes)


class Upload:
    """A file of a form. A video is written to a temporary file as it arrives; all else stays in memory.

    The temporary file has no name. So nothing is left of it when it is closed, or when the process ends in any way.
    """

    def __init__(self, limits: UploadLimits) -> None:
        """An empty upload, which is written once and then read."""
        self._limits = limits
        self._stream: BufferedIOBase = BytesIO()
        self.size = 0
        """In bytes."""
        self.is_video = False
        """Whether it is a video file. An animation is none."""
        self._is_kept = False

    def write(self, octets: bytes) -> int:
        """Add the next part. Raises TooLarge, VideoTooLarge, NoRoom."""
        before, self.size = self.size, self.size + len(octets)
        try:
            self._stream.write(octets)
            if before < VIDEO_HEAD <= self.size:
                self._move_if_video()
        except OSError as error:
            raise _no_room(error) from None
        if not self.is_video:
            self._limits.use_memory(len(octets))
        elif self.size > self._limits.video_bytes:
            raise VideoTooLarge(f"the video has more than {self._limits.video_bytes} bytes")
        return len(octets)

    def _move_if_video(self) -> None:
        """Move the upload to a temporary file if it begins as a video."""
        self._stream.seek(0)
        beginning = self._stream.read()
        if begins_as_video(beginning[:VIDEO_HEAD]):
            self.is_video = True
            self._stream = TemporaryFile()  # noqa: SIM115
            self._stream.write(beginning)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to an offset in bytes, as `seek` of a file. Raises NoRoom."""
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            # The last part is written only now.
            raise _no_room(error) from None

    def read(self, size: int = -1) -> bytes:
        """The next bytes, or all."""
        return self._stream.read(size)

    @property
    def is_video_or_animation(self) -> bool:
        """Whether it is a video, or a GIF, WebP or PNG of several frames."""
        return self.is_video or is_animation(self.stream)

    @property
    def is_document(self) -> bool:
        """Whether it is a document or a text."""
        return not self.is_video and begins_as_document(self.stream.read(DOCUMENT_HEAD))

    @property
    def has_parts(self) -> bool:
        """Whether it is a video, a document or a text, and no picture."""
        return self.is_video_or_animation or self.is_document

    @property
    def stream(self) -> BufferedIOBase:
        """What was written, from its start."""
        self._stream.seek(0)
        return self._stream

    def open(self) -> BinaryIO:
        """A file with a descriptor, at its start, which the caller closes. Raises NoRoom."""
        try:
            if self.is_video:
                file: BinaryIO = os.fdopen(os.dup(self._stream.fileno()), "rb")
            else:
                with _new_file() as copy:
                    copy.write(self.stream.read())
                    copy.flush()
                    file = os.fdopen(os.dup(copy.fileno()), "rb")
        except OSError as error:
            raise _no_room(error) from None
        file.seek(0)
        return file

    def keep(self) -> None:
        """Let it outlive its request: it is deleted by `release` only."""
        self._is_kept = True

    def release(self) -> None:
        """Delete it."""
        self._is_kept = False
        self.close()

    def close(self) -> None:
        """Delete it, unless it is kept. Called at the end of the request."""
        if not self._is_kept:
            self._stream.close()


def _no_room(error: OSError) -> NoRoom:
    log.warning("a video cannot be written to the folder of temporary files: %s", os.strerror(error.errno or 0))
    return NoRoom(_RETRY_AFTER)
