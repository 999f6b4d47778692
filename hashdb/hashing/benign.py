"""The built-in benign list: hashes of generated pictures and of passages that many texts share, which never match."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm, Signal

_FILES: Final = {"benign.toml": "generated pictures", "benign_texts.toml": "passages that many texts share"}
"""The files of the built-in benign list, each with the note of its entries."""


@cache
def built_in_benign() -> tuple[BenignDraft, ...]:
    """The entries of the built-in benign list, each with its name."""
    return tuple(
        BenignDraft(tuple(map(Signal.parse, entry["signals"])), note=note, built_in=name)
        for file, note in _FILES.items()
        for name, entry in tomllib.loads((Path(__file__).parents[1] / file).read_text("utf-8")).items()
    )


def is_benign(signal: Signal) -> bool:
    """Whether a signal of a picture or a text is close to the built-in benign list."""
    values, radii = _values(signal.algorithm)
    distances = np.bitwise_count(values ^ _words([signal])).sum(axis=1)
    return bool((distances <= radii).any())


@cache
def _values(algorithm: Algorithm) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The value of each built-in benign signal of an algorithm (n x words), and its radius in bits."""
    entries = [
        (signal, entry.radius_of(algorithm))
        for entry in built_in_benign()
        for signal in entry.signals
        if signal.algorithm is algorithm
    ]
    return _words([signal for signal, _ in entries]), np.array([radius for _, radius in entries])


def _words(signals: Sequence[Signal]) -> NDArray[np.uint64]:
    octets = b"".join(signal.to_bytes() for signal in signals)
    return np.frombuffer(octets, np.uint64).reshape(len(signals), -1)
