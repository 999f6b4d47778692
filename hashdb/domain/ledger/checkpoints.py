"""Checkpoints: the size and root of a log's tree, signed as a note, and the proofs that hold for them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.notes import Signer, Verifier, decode_base64, read_note
from hashdb.errors import BadNote

if TYPE_CHECKING:
    from hashdb.domain.ledger.policies import Cosigned

_BODY = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]+\n)*)")
"""The lines of a checkpoint: origin, size, root in base64, and any others."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root of a log's tree, with the name of the log (origin)."""

    origin: str
    size: int
    root: bytes

    def signed(self, signer: Signer) -> str:
        """The checkpoint as a signed note."""
        return signer.sign(self.body)

    @property
    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key that signs the log's checkpoints, or did until the time `until`."""

    verifier: Verifier
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class LogWitness:
    """A witness that the service asks: its name, its key as a vkey, and the size of what it cosigned last."""

    name: str
    vkey: str
    size: int
    at: datetime | None
    """The time of its last cosignature; None: there is none."""


@dataclass(frozen=True, slots=True)
class Log:
    """The name of a log and its keys, the newest last, and the witnesses that the service asks for cosignatures."""

    origin: str
    keys: tuple[LogKey, ...]
    witnesses: tuple[LogWitness, ...] = ()

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The keys that may have signed a checkpoint."""
        return tuple(key.verifier for key in self.keys)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof (hashes from the leaf up) that the event with this leaf has number `seq` in the tree of this size."""

    seq: int
    size: int
    leaf: bytes
    hashes: tuple[bytes, ...]

    def proves(self, checkpoint: Checkpoint) -> bool:
        """Whether the proof holds for the tree of a checkpoint."""
        same_size = self.size == checkpoint.size
        return same_size and merkle.includes(self.seq - 1, self.size, self.leaf, self.hashes, checkpoint.root)


@dataclass(frozen=True, slots=True)
class Consistency:
    """The proof that the tree of size `second` begins with that of size `first`."""

    first: int
    second: int
    hashes: tuple[bytes, ...]

    def proves(self, first: Checkpoint, second: Checkpoint) -> bool:
        """Whether the proof holds for the trees of two checkpoints."""
        same_sizes = (self.first, self.second) == (first.size, second.size)
        return same_sizes and merkle.extends(self.first, self.second, first.root, second.root, self.hashes)


@dataclass(frozen=True, slots=True)
class CheckpointComparison:
    """The result of checking a log against the checkpoint `before` (None: only the newest one was verified)."""

    before: Checkpoint | None
    now: Checkpoint
    key: Verifier
    """The key that signed `now`."""
    new_key: bool
    """Whether another key signed `before`."""
    note: str
    """The signed note of `now`."""
    cosigned: Cosigned | None = None
    """What the witnesses of a policy cosigned, if one was given."""


def read_checkpoint(note: str, verifiers: Iterable[Verifier]) -> tuple[Checkpoint, Verifier]:
    """The checkpoint of a signed note and the key that signed it. Raises BadNote."""
    body, verifier = read_note(note, verifiers)
    checkpoint = parse_checkpoint(body)
    if checkpoint.origin != verifier.name:
        raise BadNote("the checkpoint and its signature name different logs")
    return checkpoint, verifier


def parse_checkpoint(body: str) -> Checkpoint:
    """The checkpoint of the body of a note, whoever signed it. Raises BadNote."""
    lines = _BODY.fullmatch(body)
    if not lines:
        raise BadNote("this is not a checkpoint")
    return Checkpoint(lines[1], int(lines[2]), decode_base64(lines[3]))
