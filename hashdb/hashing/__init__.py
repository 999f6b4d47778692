"""From a picture to its signals: read once, hashed by every algorithm asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import UnreadablePicture
from hashdb.hashing.pdq import pdq
from hashdb.hashing.perceptual import perceptual
from hashdb.hashing.pictures import OUT_OF_MEMORY, Limits, Picture, read_picture

__all__ = ["Hashed", "Limits", "hash_file", "hash_picture", "warm"]


DEFAULTS = Limits()
"""20 MB, 50 megapixels."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A picture's signals, in the order asked for, and its PDQ quality (0 to 100; None where PDQ was not asked for)."""

    signals: tuple[Signal, ...]
    quality: int | None = None


def hash_picture(octets: bytes, algorithms: Sequence[Algorithm], limits: Limits = DEFAULTS) -> Hashed:
    """The signals of the picture in these bytes. Raises UnreadablePicture."""
    picture = read_picture(octets, limits)
    try:
        return _hash(picture, algorithms)
    except MemoryError:
        reason = OUT_OF_MEMORY
    raise UnreadablePicture(reason)


def hash_file(path: str | Path, algorithms: Sequence[Algorithm], limits: Limits = DEFAULTS) -> Hashed:
    """The signals of the picture in a regular file. Raises UnreadablePicture, also where the file cannot be read."""
    try:
        octets = _read(path, limits)
    except OSError as error:
        reason = f"the file cannot be read: {(error.strerror or 'unknown error').lower()}"
    else:
        return hash_picture(octets, algorithms, limits)
    raise UnreadablePicture(reason)


def warm(algorithms: Sequence[Algorithm]) -> None:
    """Load now what these algorithms load when they first run (SciPy and PyWavelets, about 0.3 s)."""
    _hash(Picture(Image.new("RGB", (512, 512))), algorithms)


def _hash(picture: Picture, algorithms: Sequence[Algorithm]) -> Hashed:
    signals: list[Signal] = []
    quality = None
    for algorithm in algorithms:
        if algorithm is Algorithm.PDQ:
            signal, quality = pdq(picture)
        else:
            signal = perceptual(picture, algorithm)
        signals.append(signal)
    return Hashed(tuple(signals), quality)


def _read(path: str | Path, limits: Limits) -> bytes:
    # Opening a named pipe waits for its writer, without O_NONBLOCK.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadablePicture("not a regular file")
        limits.check_bytes(status.st_size)
        return file.read(status.st_size)
