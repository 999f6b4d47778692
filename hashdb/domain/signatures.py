"""Signatures: compared, never searched, to distinguish a copy of a picture from a picture that only resembles it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

_HEX = re.compile(r"[0-9a-f]*", re.ASCII)


class Kind(StrEnum):
    """The kind of a signature. Signatures of different kinds are never compared.

    `detail` (128 bytes): the signs of the 32 x 32 lowest frequencies of the cosine transform, row by row.
    `colour` (32 bytes): the mean Cb and Cr (0 to 255) of each of 4 x 4 parts, row by row.
    """

    DETAIL = "detail"
    COLOUR = "colour"

    # A match compares many signatures, and the hash of an Enum is Python code.
    __hash__ = str.__hash__

    octets: int
    """The length of a signature in bytes."""


Kind.DETAIL.octets, Kind.COLOUR.octets = 128, 32
WHOLE: Final = "whole"
"""The name of the view of a query that is the item itself; the other views have the names of its transforms."""
_KINDS = {str(kind): kind for kind in Kind}
SIGNATURES_AN_ITEM: Final = 8
"""The most signatures of a contribution, and of a view of a query."""


@dataclass(frozen=True, slots=True, order=True)
class Signature:
    """A signature of a picture, or of a part of it: a kind, and as many bytes as the kind has.

    >>> Signature.parse("colour:" + "80" * 32).distance(Signature.parse("colour:" + "7d84" * 16))
    5.0
    """

    kind: Kind
    octets: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """The signature of a text (`kind:hex`, lower case); `str()` is the inverse.

        Raises ValueError with a sentence that says what is wrong.
        """
        name, colon, digits = text.partition(":")
        kind = _KINDS.get(name)
        if not colon or kind is None:
            raise ValueError(f"must be kind:hex, with one of the kinds {', '.join(_KINDS)}")
        expected = 2 * kind.octets
        if not _HEX.fullmatch(digits):
            raise ValueError(f"{kind} needs {expected} hex digits in lower case")
        if len(digits) != expected:
            raise ValueError(f"{kind} needs {expected} hex digits, got {len(digits)}")
        return cls(kind, bytes.fromhex(digits))

    def __str__(self) -> str:
        return f"{self.kind}:{self.octets.hex()}"

    def distance(self, other: Signature) -> float:
        """How far two signatures are apart: details as a share of the bits (0 to 1), colours in grey levels.

        That of colours is the mean, over the 16 parts, of the distance in the plane of Cb and Cr. Raises ValueError
        for signatures of different kinds.
        """
        if self.kind is not other.kind:
            raise ValueError(f"{self.kind} and {other.kind} cannot be compared")
        if self.kind is Kind.DETAIL:
            differing = int.from_bytes(self.octets) ^ int.from_bytes(other.octets)
            return differing.bit_count() / (8 * self.kind.octets)
        steps = [octet - other_octet for octet, other_octet in zip(self.octets, other.octets, strict=True)]
        return sum(map(math.hypot, steps[::2], steps[1::2])) / (len(steps) // 2)
