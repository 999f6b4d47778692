"""Mode: what is hashed of a picture beside the picture itself."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """Nothing, the variants of a profile (of the same name), or the transforms of a query."""

    PLAIN = "plain"
    BALANCED = "balanced"
    THOROUGH = "thorough"
    TRANSFORMS = "transforms"
