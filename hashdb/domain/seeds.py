"""Seeds: the secrets of a service from which the windows of secret views are drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

SEED_BYTES: Final = 32
_WORD = re.compile(f"([0-9]{{1,18}}):([0-9a-f]{{{2 * SEED_BYTES}}})")
SEEDS_IN_USE: Final = 3
"""The most seeds that are in use: each adds its views to every query."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed in use. Contributions use the newest; queries use all, so that a rotation hides nothing."""

    id: int
    octets: bytes = field(repr=False)

    @classmethod
    def parse(cls, word: str) -> Self:
        """The seed of a word (`id:hex`); `to_word` is the inverse. Raises ValueError, whose text quotes nothing."""
        parts = _WORD.fullmatch(word)
        if parts is None:
            raise ValueError("is not a seed")
        return cls(int(parts[1]), bytes.fromhex(parts[2]))

    def to_word(self) -> str:
        """The seed as text, which is as secret as the seed."""
        return f"{self.id}:{self.octets.hex()}"


@dataclass(frozen=True, slots=True)
class SeedState:
    """Since when a seed is in use, and until when it was; never the seed itself."""

    id: int
    made_at: datetime
    retired_at: datetime | None
