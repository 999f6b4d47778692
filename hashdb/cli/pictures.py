"""Paths on the command line: files and folders of pictures, hashed on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hashdb.domain.rules import quality_fault
from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Hashed, Limits, hash_file, warm
from hashdb.settings import Settings

_NAMES = "avif bmp gif j2k jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
SUFFIXES = frozenset(f".{name}" for name in _NAMES.split(" "))
"""What is taken from a folder; a file that is named is always tried."""


class Outcome(NamedTuple):
    """What came of a path."""

    path: Path
    hashed: Hashed | None
    error: str | None


def expand(paths: Sequence[Path]) -> list[Path]:
    """The files named, and the pictures below the folders named, in order, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_below(path) if path.is_dir() else [path]))
    return list(found)


def hash_all(paths: Iterable[Path], algorithms: Sequence[Algorithm], settings: Settings) -> Iterator[Outcome]:
    """What comes of each path, in order. Pillow and NumPy let go of the lock, so threads use every core."""
    limits = Limits(max_bytes=settings.media_max_bytes, max_pixels=settings.media_max_pixels)
    warm(algorithms)
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        running: deque[Future[Outcome]] = deque()
        for path in paths:
            running.append(pool.submit(_hash, path, algorithms, limits))
            if len(running) > 2 * cores:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def fit_to_contribute(outcome: Outcome) -> Outcome:
    """The same outcome, or an error where the picture would be refused: too plain, or flat."""
    if outcome.hashed is None:
        return outcome
    faults = [quality_fault(outcome.hashed.quality), *(signal.fault() for signal in outcome.hashed.signals)]
    error = next((fault for fault in faults if fault), None)
    return outcome if error is None else Outcome(outcome.path, None, error)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def _hash(path: Path, algorithms: Sequence[Algorithm], limits: Limits) -> Outcome:
    try:
        return Outcome(path, hash_file(path, algorithms, limits), None)
    except UnreadablePicture as error:
        return Outcome(path, None, str(error))
