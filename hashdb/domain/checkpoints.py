"""Checkpoints of C2SP (c2sp.org/tlog-checkpoint): what a log says of itself, to be signed; and proofs against them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hashdb.domain import merkle
from hashdb.domain.notes import Signer, Verifier, decoded, read_note
from hashdb.errors import BadNote

_TEXT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]+\n)*)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size of a log's tree and its root, under the log's name (its origin)."""

    origin: str
    size: int
    root: bytes

    def signed(self, signer: Signer) -> str:
        """The signed note."""
        return signer.sign(f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n")


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key that signs the log's checkpoints, or once did."""

    verifier: Verifier
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Log:
    """The log's name, and its keys, the newest last."""

    origin: str
    keys: tuple[LogKey, ...]

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """What may have signed a checkpoint."""
        return tuple(key.verifier for key in self.keys)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that an event with this leaf is number `seq` of the tree of that size."""

    seq: int
    size: int
    leaf: bytes
    hashes: tuple[bytes, ...]

    def proves(self, checkpoint: Checkpoint) -> bool:
        """Whether it holds for the tree of a checkpoint."""
        fits = self.size == checkpoint.size
        return fits and merkle.includes(self.seq - 1, self.size, self.leaf, self.hashes, checkpoint.root)


@dataclass(frozen=True, slots=True)
class Consistency:
    """The proof that the tree of size `second` begins with that of size `first`."""

    first: int
    second: int
    hashes: tuple[bytes, ...]

    def proves(self, first: Checkpoint, second: Checkpoint) -> bool:
        """Whether it holds for the trees of two checkpoints."""
        fits = (self.first, self.second) == (first.size, second.size)
        return fits and merkle.extends(self.first, self.second, first.root, second.root, self.hashes)


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of holding a log against a checkpoint that was kept (None: there was none yet)."""

    before: Checkpoint | None
    now: Checkpoint
    key: Verifier
    new_key: bool
    note: str


def read_checkpoint(note: str, verifiers: Iterable[Verifier]) -> tuple[Checkpoint, Verifier]:
    """The checkpoint of a signed note, and which of the keys signed it. Raises BadNote."""
    text, verifier = read_note(note, verifiers)
    found = _TEXT.fullmatch(text)
    if not found:
        raise BadNote("this is not a checkpoint")
    if found[1] != verifier.name:
        raise BadNote("it is of another log than its signature")
    return Checkpoint(found[1], int(found[2]), decoded(found[3])), verifier
