"""The perceptual hashes of the imagehash library as signals, and the built-in benign list.

imagehash's objects stay in this module: `ImageHash != None` is False, their `hash()` collides, and their distances are
NumPy integers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.phash import phash_bits
from hashdb.hashing.pictures import Picture

_HASHES: dict[Algorithm, Callable[[Image.Image], imagehash.ImageHash]] = {
    Algorithm.DHASH: imagehash.dhash,
    Algorithm.AHASH: imagehash.average_hash,
    Algorithm.WHASH: partial(imagehash.whash, mode="haar"),
}


def imagehash_signal(picture: Picture, algorithm: Algorithm) -> Signal:
    """The signal by any algorithm but PDQ, bit for bit as imagehash computes it from the 8-bit grey."""
    if algorithm is Algorithm.PHASH256:
        bits = phash_bits(picture.small_greys[0])
    elif algorithm is Algorithm.PHASH:
        bits = phash_bits(picture.small_greys[1])
    else:
        bits = _HASHES[algorithm](picture.grey).hash
    return Signal.from_bytes(algorithm, np.packbits(bits).tobytes())


FILE: Final = Path(__file__).parents[1] / "benign.toml"


@cache
def built_in_benign() -> tuple[BenignDraft, ...]:
    """The entries of the built-in benign list, each with its name. Source: benign.toml."""
    parsed = tomllib.loads(FILE.read_text("utf-8"))
    return tuple(
        BenignDraft(tuple(map(Signal.parse, entry["signals"])), note="generated pictures", built_in=name)
        for name, entry in parsed.items()
    )


def is_benign(signal: Signal) -> bool:
    """Whether a signal is close to the built-in benign list."""
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
