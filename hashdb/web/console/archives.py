"""A ZIP archive that is written while it is sent: lines, what signs them, and the digest of each."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator

_BLOCK = 256 * 1024


class _Sink(io.RawIOBase):
    """What the archive is written to, and from which it is taken in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def take(self, at_least: int = 1) -> Iterator[bytes]:
        if len(self._held) >= at_least:
            taken, self._held = bytes(self._held), bytearray()
            yield taken


def archive(name: str, lines: Iterable[str], note: str) -> Iterator[bytes]:
    """`name`.jsonl of the lines, checkpoint.txt of the note if there is one, and SHA256SUMS of both."""
    sink, digest = _Sink(), hashlib.sha256()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as written:
        with written.open(f"{name}.jsonl", "w", force_zip64=True) as file:
            for line in lines:
                octets = f"{line}\n".encode()
                digest.update(octets)
                file.write(octets)
                yield from sink.take(_BLOCK)
        sums = f"{digest.hexdigest()}  {name}.jsonl\n"
        if note:
            written.writestr("checkpoint.txt", note)
            sums += f"{hashlib.sha256(note.encode()).hexdigest()}  checkpoint.txt\n"
        written.writestr("SHA256SUMS", sums)
    yield from sink.take()
