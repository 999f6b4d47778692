"""The benign signals that come with hashdb, made by scripts/benign."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from hashdb.domain.benign import BenignDraft
from hashdb.domain.signals import Algorithm, Signal

FILE: Final = Path(__file__).parents[1] / "benign.toml"


@cache
def built_in() -> tuple[BenignDraft, ...]:
    """The entries, each with its name."""
    parsed = tomllib.loads(FILE.read_text("utf-8"))
    return tuple(
        BenignDraft(tuple(map(Signal.parse, entry["signals"])), note="generated pictures", built_in=name)
        for name, entry in parsed.items()
    )


def is_benign(signal: Signal) -> bool:
    """Whether a signal is close to one of these."""
    return any((value ^ signal.value).bit_count() <= radius for value, radius in _values(signal.algorithm))


@cache
def _values(algorithm: Algorithm) -> tuple[tuple[int, int], ...]:
    """Each value, and within how many bits of it a signal is close to it."""
    return tuple(
        (one.value, entry.radius_of(algorithm))
        for entry in built_in()
        for one in entry.signals
        if one.algorithm is algorithm
    )
