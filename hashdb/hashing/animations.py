"""Whether a picture has several frames, by the structure of its file alone: no decoder reads it outside the sandbox."""

from __future__ import annotations

from io import SEEK_CUR, BufferedIOBase
from typing import IO, Final

_File = IO[bytes] | BufferedIOBase
_BLOCKS: Final = 100_000
"""Blocks that are skipped to find the second frame: of a GIF, 25 MB of full blocks. Very short ones would take long."""
_SEQUENCES: Final = (b"ftypavis", b"ftypmsf1")
"""What an AVIF of several frames has from its fifth byte on."""


def is_animation(file: _File) -> bool:
    """Whether a file is a GIF, WebP, PNG or AVIF of several frames. Leaves the file at its start.

    False for a file that ends before its second frame. True for one of too many blocks: it is read as an animation,
    however many frames it has.
    """
    head = file.read(21)
    try:
        if head[:4] == b"GIF8":
            file.seek(13)
            return _is_animated_gif(file, head[10:11])
        if head[:4] == b"\x89PNG":
            file.seek(8)
            return _is_animated_png(file)
        if head[4:12] in _SEQUENCES:
            return True
        # The flag of the extended header that says that the file is an animation.
        return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:] and head[20] & 2)
    finally:
        file.seek(0)


def _is_animated_gif(file: _File, flags: bytes) -> bool:
    frames = blocks = 0
    _skip_colours(file, flags)
    while blocks <= _BLOCKS and (block := file.read(1)):
        blocks += 1
        if block == b",":
            frames += 1
            if frames > 1:
                return True
            _skip_colours(file, file.read(9)[8:])
        elif block != b"!":
            return False
        # The least size of a code, or the kind of an extension.
        file.read(1)
        while blocks <= _BLOCKS and (size := file.read(1).strip(b"\0")):
            file.seek(size[0], SEEK_CUR)
            blocks += 1
    return blocks > _BLOCKS


def _skip_colours(file: _File, flags: bytes) -> None:
    """Skip the table of colours, if the flags say that there is one, and how large it is."""
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, SEEK_CUR)


def _is_animated_png(file: _File) -> bool:
    has_frames = False
    for _ in range(_BLOCKS):
        head = file.read(8)
        if head[4:] in (b"", b"IDAT"):
            # The only frame is another picture than the first one, which players do not show.
            return has_frames
        if has_frames and head[4:] == b"fcTL":
            return False
        if head[4:] == b"acTL":
            count = int.from_bytes(file.read(4))
            if count > 1:
                return True
            has_frames = count == 1
            file.seek(-4, SEEK_CUR)
        file.seek(int.from_bytes(head[:4]) + 4, SEEK_CUR)
    return True
