"""Seeds: the secrets of a service that decide which parts of a picture are hashed as its secret views."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

SEED_BYTES: Final = 32
_TEXT = re.compile(f"([0-9]{{1,18}}):([0-9a-f]{{{2 * SEED_BYTES}}})")
"""The text form of a seed: `id:hex`. An id of 18 digits fits the database's integer of 64 bits."""
MAX_SEEDS: Final = 3
"""How many seeds may be in use at the same time: each one adds the hashes of its views to every query."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed in use. Contributions store the views of the newest seed; queries have the views of all seeds in use.

    A query therefore also matches contributions that were made before the newest seed.
    """

    id: int
    octets: bytes = field(repr=False)
    """The secret: `SEED_BYTES` random bytes."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form, `id:hex`. Raises ValueError, with a message that does not contain the text."""
        parts = _TEXT.fullmatch(text)
        if parts is None:
            raise ValueError("is not a seed")
        return cls(int(parts[1]), bytes.fromhex(parts[2]))

    def to_text(self) -> str:
        """The text form, `id:hex`. It contains the secret."""
        return f"{self.id}:{self.octets.hex()}"


@dataclass(frozen=True, slots=True)
class SeedState:
    """When a seed was created and retired, without its secret."""

    id: int
    made_at: datetime
    retired_at: datetime | None
    """None while the seed is in use."""
