"""Receipts: proofs of C2SP (c2sp.org/tlog-proof) that an event is in a log, which verify offline."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import WitnessKey
from hashdb.domain.ledger.events import leaf_of_event
from hashdb.domain.ledger.notes import Verifier, decode_base64
from hashdb.domain.ledger.policies import Policy
from hashdb.errors import BadNote, BadReceipt

_HEAD: Final = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,15})", re.ASCII)
_MAX_CHARACTERS: Final = 200_000
"""The most characters of a receipt."""


@dataclass(frozen=True, slots=True)
class ProvedEvent:
    """What a receipt proves: an event (its canonical JSON) of a log, and who cosigned its checkpoint when."""

    event: str
    checkpoint: Checkpoint
    signed: dict[WitnessKey, int]
    """The time of each cosignature, in seconds since 1970, by the key of its cosigner."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event as canonical JSON, its number from 0, the inclusion proof from the leaf up, and a checkpoint's note."""

    event: str
    index: int
    hashes: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        """The text of the file. The event is in its line `extra`."""
        hashes = "".join(f"{base64.b64encode(hash).decode()}\n" for hash in self.hashes)
        extra = base64.b64encode(self.event.encode()).decode()
        return f"{_HEAD}\nextra {extra}\nindex {self.index}\n{hashes}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """The inverse of `str()`. Raises BadReceipt."""
        head, _, note = text.partition("\n\n")
        lines = head.split("\n")
        if lines[0] != _HEAD or not note or len(text) > _MAX_CHARACTERS:
            raise BadReceipt(f"its first line must be {_HEAD}, and an empty line must be before the checkpoint")
        if len(lines) < 3 or not lines[1].startswith("extra "):
            raise BadReceipt("its second line must be `extra` and the event in base64")
        index = _INDEX.fullmatch(lines[2])
        if not index or len(lines) > 3 + merkle.MOST_HASHES:
            raise BadReceipt(
                f"its third line must be `index` and a number, and at most {merkle.MOST_HASHES} hashes follow"
            )
        try:
            event = decode_base64(lines[1].removeprefix("extra ")).decode()
            hashes = tuple(map(decode_base64, lines[3:]))
        except (BadNote, UnicodeDecodeError):
            raise BadReceipt("the event or a hash is not base64") from None
        if any(len(hash) != 32 for hash in hashes):
            raise BadReceipt("a hash must have 32 octets")
        return cls(event, int(index[1]), hashes, note)

    def verify(self, policy: Policy, logs: Collection[Verifier] = ()) -> ProvedEvent:
        """What the receipt proves: a log of the policy (or of `logs`, if it has none) and the quorum signed it.

        Raises BadReceipt, BadNote, NotWitnessed.
        """
        checkpoint, signed = policy.check(self.note, logs)
        try:
            event = json.loads(self.event)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or event.get("seq") != self.index + 1:
            raise BadReceipt("its event is not a JSON object with this number")
        leaf = leaf_of_event(self.event)
        if not merkle.includes(self.index, checkpoint.size, leaf, self.hashes, checkpoint.root):
            raise BadReceipt("the event is not in the tree of the checkpoint")
        return ProvedEvent(self.event, checkpoint, dict(signed))
