"""Whether a picture has several frames, by the structure of its file alone: no decoder reads it outside the sandbox."""

from __future__ import annotations

from io import SEEK_CUR, BufferedIOBase
from typing import IO, Final

_File = IO[bytes] | BufferedIOBase
_BLOCKS: Final = 100_000
"""The most blocks of a file that are skipped to find its second frame: 25 MB of a GIF with blocks of full length.

The limit bounds the time for a file of very short blocks.
"""
_SEQUENCES: Final = (b"ftypavis", b"ftypmsf1")
"""The bytes 4 to 11 of an AVIF of several frames."""


def is_animation(file: _File) -> bool:
    """Whether a file is a GIF, WebP, PNG or AVIF of several frames. Leaves the file at its start.

    False for a file that ends before its second frame. True for one of too many blocks: it is read as an animation,
    however many frames it has.
    """
    head = file.read(21)
    try:
        if head[:4] == b"GIF8":
            # Behind the header. Its byte 10 has the flags of the table of colours.
            file.seek(13)
            return _is_animated_gif(file, head[10:11])
        if head[:4] == b"\x89PNG":
            # Behind the signature, at the first chunk.
            file.seek(8)
            return _is_animated_png(file)
        if head[4:12] in _SEQUENCES:
            return True
        # Bit 1 of byte 20, in the extended header of a WebP: the file is an animation.
        return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:] and head[20] & 2)
    finally:
        file.seek(0)


def _is_animated_gif(file: _File, flags: bytes) -> bool:
    """Whether a GIF has a second frame; the file is at its first block or at the table of colours before it."""
    frames = blocks = 0
    _skip_colours(file, flags)
    while blocks <= _BLOCKS and (block := file.read(1)):
        blocks += 1
        if block == b",":  # a frame: nine bytes, of which the last has its flags
            frames += 1
            if frames > 1:
                return True
            _skip_colours(file, file.read(9)[8:])
        elif block != b"!":  # neither a frame nor an extension: the end, or damage
            return False
        # The byte before the data: the code size of a frame, or the kind of an extension. An empty piece ends the data.
        file.read(1)
        while blocks <= _BLOCKS and (size := file.read(1).strip(b"\0")):
            file.seek(size[0], SEEK_CUR)
            blocks += 1
    return blocks > _BLOCKS


def _skip_colours(file: _File, flags: bytes) -> None:
    """Skip the table of colours, if bit 7 of the flags is set; bits 0 to 2 have its size."""
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, SEEK_CUR)


def _is_animated_png(file: _File) -> bool:
    """Whether players show a second frame of a PNG; the file is at its first chunk."""
    has_frames = False
    for _ in range(_BLOCKS):
        head = file.read(8)  # the length of the chunk and its type
        if head[4:] in (b"", b"IDAT"):
            # The first picture is no frame, so players show the only frame, which follows. The decoder must do so, too.
            return has_frames
        if has_frames and head[4:] == b"fcTL":
            # The first picture is the only frame.
            return False
        if head[4:] == b"acTL":  # the number of frames
            count = int.from_bytes(file.read(4))
            if count > 1:
                return True
            has_frames = count == 1
            file.seek(-4, SEEK_CUR)
        # To the next chunk, behind the four bytes of the checksum.
        file.seek(int.from_bytes(head[:4]) + 4, SEEK_CUR)
    return True
