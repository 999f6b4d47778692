"""Submissions: the body by which a log asks a witness to cosign a checkpoint (c2sp.org/tlog-witness)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from hashdb.domain.ledger.checkpoints import decode_base64, parse_checkpoint, split_note
from hashdb.errors import BadNote

PATH: Final = "add-checkpoint"
"""The path of the request below the prefix of a witness."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""The content type of an answer 409, whose text is the size of the last checkpoint that the witness cosigned."""
_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})", re.ASCII)
_MOST_HASHES: Final = 63


@dataclass(frozen=True, slots=True)
class Submission:
    """A signed checkpoint, with the proof that its tree begins with the one of size `old`, from which it grew."""

    old: int
    hashes: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        """The body of the request."""
        hashes = "".join(f"{base64.b64encode(hash).decode()}\n" for hash in self.hashes)
        return f"old {self.old}\n{hashes}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Submission:
        """The inverse of `str()`; the note has the form of a signed checkpoint. Raises BadNote."""
        head, blank, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        old = _OLD.fullmatch(first)
        if not old:
            raise BadNote("the first line must be `old` and the size of the checkpoint that was cosigned last")
        if not blank:
            raise BadNote("an empty line must be between the hashes and the checkpoint")
        if len(lines) > _MOST_HASHES:
            raise BadNote(f"there are more than {_MOST_HASHES} hashes")
        hashes = tuple(map(decode_base64, lines))
        if any(len(hash) != 32 for hash in hashes):
            raise BadNote("a hash has 32 octets")
        parse_checkpoint(split_note(note)[0])
        return cls(int(old[1]), hashes, note)
