"""Benign entries: signals of content that everybody may show (test cards, splash screens). They are never matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from hashdb.domain.signals import Algorithm, Signal

SIGNALS_AN_ENTRY = 64
CLOSE_TO_BENIGN = "is close to an entry of the benign list, so the service does not accept it"
"""Why a signal may not be contributed. The text does not repeat the hash."""


@dataclass(frozen=True, slots=True)
class BenignDraft:
    """What a client sends to add a benign entry; `radius` (bits) overrides the default radius."""

    signals: tuple[Signal, ...]
    radius: Mapping[Algorithm, int] = field(default_factory=dict)
    note: str = ""
    built_in: str | None = None
    """The name of an entry that comes with hashdb; None for an entry of the operator."""

    def radius_of(self, algorithm: Algorithm) -> int:
        """The radius of the entry in bits, for an algorithm."""
        return self.radius.get(algorithm, default_radius(algorithm))


@dataclass(frozen=True, slots=True)
class BenignEntry:
    """An entry of the benign list; `masked` is how many signals of contributions it suppresses now."""

    id: int
    signals: tuple[Signal, ...]
    radius: Mapping[Algorithm, int]
    note: str
    built_in: str | None
    created_at: datetime
    masked: int = 0


@dataclass(frozen=True, slots=True)
class BenignFilter:
    """Which entries to list; None is any. `text` may be anywhere in the note or the built-in name."""

    text: str | None = None
    algorithm: Algorithm | None = None
    built_in: bool | None = None


class BenignSort(StrEnum):
    """What orders the entries; ties are ordered by id."""

    ADDED = "added"
    SUPPRESSES = "suppresses"
    SIGNALS = "signals"


@dataclass(frozen=True, slots=True)
class BenignImpact:
    """What an entry suppresses, or what matches again without it: `signals` of `contributions` by `members`.

    `silenced` contributions have no other signal that matches.
    """

    signals: int
    contributions: int
    members: int
    silenced: int


def default_radius(algorithm: Algorithm) -> int:
    """The radius of a benign signal by default, in bits: half of the algorithm's; all of it for texts.

    Windows of words overlap. Those of two texts that share a benign passage match at its edges, too, where they are
    beyond half of the radius of its own windows.
    """
    return algorithm.radius if algorithm.of_text else algorithm.radius // 2


def can_be_contributed_near(signal: Signal) -> bool:
    """Whether a value that may be contributed can be within the default radius of this one."""
    count, allowed = signal.value.bit_count(), signal.algorithm.set_bits
    radius = default_radius(signal.algorithm)
    return allowed.start - radius <= count < allowed.stop + radius
