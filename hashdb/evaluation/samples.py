"""One picture of the folder: what it contributes, what it asks for, and how far its altered copies are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.rules import quality_fault
from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.schemes import Hashes, Scheme, asked, contributed
from hashdb.evaluation.sparse import further
from hashdb.hashing import Limits
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.index.words import Words

LONGEST_SIDE: Final = 1_024
"""In pixels: larger pictures are reduced to it first, which moves no hash by more than a few bits and saves minutes."""
SHORTEST_SIDE: Final = 64
"""In pixels: of smaller pictures, altered copies are hardly pictures any more."""
FAR: Final = 999
"""The distance where one of two has no value of an algorithm."""


class Job(NamedTuple):
    """A picture to measure, its place in the folder, and the next one, for the collage."""

    place: int
    path: Path
    beside: Path
    limits: Limits


class Sample(NamedTuple):
    """What was measured of one picture."""

    place: int
    stored: Mapping[str, Hashes]
    """By profile."""
    asked: Hashes
    altered: Hashes
    """What one altered copy of it asks for: another alteration for each picture, in turn."""
    distances: NDArray[np.uint16]
    """To the nearest value that it contributed. Shape (alterations, algorithms, profiles, 2): without and with
    transforms."""


class Unfit(NamedTuple):
    """A picture that cannot be measured, and why."""

    place: int
    reason: str


def measure(job: Job, scheme: Scheme) -> Sample | Unfit:
    """Alter one picture in every way, and hash it all."""
    try:
        picture = _read(job.path, job.limits)
    except UnreadablePicture as refusal:
        return Unfit(job.place, str(refusal))
    whole = Picture(picture)
    if reason := quality_fault(pdq(whole)[1]):
        return Unfit(job.place, reason)
    stored = {profile: contributed(whole, scheme.algorithms, profile) for profile in scheme.profiles}
    beside = _beside(job)
    distances = np.empty((len(scheme.alterations), len(scheme.algorithms), len(scheme.profiles), 2), np.uint16)
    altered: Hashes = {}
    for row, name in enumerate(scheme.alterations):
        copy = ALTERATIONS[name].apply(picture, f"{scheme.seed} {job.place}", beside)
        hashes = asked(Picture(copy), scheme.algorithms)
        if row == job.place % len(scheme.alterations):
            altered = hashes
        for column, algorithm in enumerate(scheme.algorithms):
            for profile, values in enumerate(stored.values()):
                distances[row, column, profile] = nearest(hashes[algorithm], values[algorithm], algorithm)
    return Sample(job.place, stored, asked(whole, scheme.algorithms), altered, distances)


def nearest(queries: Words, values: Words, algorithm: Algorithm) -> tuple[int, int]:
    """The least distance from the first query, and from any query, to any value; FAR where there is none.

    Of pairs of which either is sparse, `further`.
    """
    if not len(values) or not len(queries):
        return FAR, FAR
    apart = np.bitwise_count(queries[:, None] ^ values[None]).sum(axis=2, dtype=np.uint16)
    apart = (apart + np.maximum(further(algorithm, queries)[:, None], further(algorithm, values))).min(axis=1)
    return int(apart[0]), int(apart.min())


def _read(path: Path, limits: Limits) -> Image.Image:
    try:
        limits.check_bytes(path.stat().st_size)
        octets = path.read_bytes()
    except OSError as error:
        reason = f"the file cannot be read: {(error.strerror or 'unknown error').lower()}"
    else:
        picture = read_picture(octets, limits).colour
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        if min(picture.size) >= SHORTEST_SIDE:
            return picture
        reason = f"a side has fewer than {SHORTEST_SIDE} pixels, which is too few to alter"
    raise UnreadablePicture(reason)


def _beside(job: Job) -> Image.Image | None:
    try:
        return _read(job.beside, job.limits)
    except UnreadablePicture:
        return None
