"""Profile: how many variants of a removed picture are stored beside it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

_GRAVE = 3


class Profile(StrEnum):
    """How much of what may be done to a picture its contribution foresees; more of it takes more of the index."""

    PLAIN = "plain"
    BALANCED = "balanced"
    THOROUGH = "thorough"

    @classmethod
    def of_severity(cls, severity: int | None) -> Self:
        """What is taken where none is named: thorough for severity 3 and 4, balanced for the rest."""
        return cls("thorough" if severity is not None and severity >= _GRAVE else "balanced")
