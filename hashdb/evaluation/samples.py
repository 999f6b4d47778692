"""Samples: the hashes of a picture as it is contributed and as it is queried, and the distances of altered copies."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.rules import quality_fault
from hashdb.domain.signals import SPARSE, SPARSE_MARGIN, Algorithm, Profile, Signal
from hashdb.errors import UnreadablePicture
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.transforms import transforms
from hashdb.hashing.variants import variants
from hashdb.index.vectors import Words, pack

PROFILES: Final = tuple(map(str, Profile))
"""The profiles of variants, fewest variants first."""

Hashes: TypeAlias = Mapping[Algorithm, Words]
"""The values of a picture by algorithm, each of shape (values, bits / 64); there may be none."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is measured: the algorithms, the profiles, the alterations and the seed."""

    algorithms: tuple[Algorithm, ...]
    profiles: tuple[str, ...]
    alterations: tuple[str, ...]
    seed: int = 0
    radii: Mapping[Algorithm, int] = field(default_factory=dict)
    """The radii that differ from the default, by algorithm."""

    def radius(self, algorithm: Algorithm) -> int:
        """The radius in force: the configured one, or the default."""
        return self.radii.get(algorithm, algorithm.radius)


def contribution_hashes(picture: Picture, algorithms: Sequence[Algorithm], profile: str) -> Hashes:
    """The values that a contribution of this picture stores: its own and its variants', without refused values."""
    signals = [signal for signal in _own(picture, algorithms) if signal.fault() is None]
    if Algorithm.PHASH256 in algorithms:
        signals += variants(picture, Profile(profile))
    return _by_algorithm(signals, algorithms)


def asked(picture: Picture, algorithms: Sequence[Algorithm]) -> Hashes:
    """The values of a query with this picture: first its own value, then those of its transforms."""
    transformed = (signal for _, signals in transforms(picture, algorithms) for signal in signals)
    return _by_algorithm([*_own(picture, algorithms), *transformed], algorithms)


def _own(picture: Picture, algorithms: Sequence[Algorithm]) -> list[Signal]:
    return [
        pdq(picture)[0] if algorithm is Algorithm.PDQ else imagehash_signal(picture, algorithm)
        for algorithm in algorithms
    ]


def _by_algorithm(signals: Sequence[Signal], algorithms: Sequence[Algorithm]) -> Hashes:
    """The values by algorithm, in order, without duplicates."""
    values = {a: dict.fromkeys(signal.value for signal in signals if signal.algorithm is a) for a in algorithms}
    return {algorithm: pack(list(each), algorithm.bits) for algorithm, each in values.items()}


def singular_values(values: Words) -> NDArray[np.float64]:
    """For each value of phash256 the largest singular value of its signs, divided by that of a product: 0.25 to 1."""
    octets = np.ascontiguousarray(values.astype(">u8")).view(np.uint8).reshape(len(values), -1)
    signs = np.unpackbits(octets, axis=1).reshape(-1, 16, 16) * 2.0 - 1
    largest: NDArray[np.float64] = np.linalg.svd(signs, compute_uv=False)[:, 0] / 16
    return largest


def sparse_penalty(algorithm: Algorithm, values: Words) -> NDArray[np.uint16]:
    """The bits that are added to a distance of each value: SPARSE_MARGIN if it is sparse, else 0."""
    if algorithm is not Algorithm.PHASH256 or not len(values):
        return np.zeros(len(values), np.uint16)
    return np.where(singular_values(values) >= SPARSE, SPARSE_MARGIN, 0).astype(np.uint16)


LONGEST_SIDE: Final = 1_024
"""In pixels: larger pictures are first reduced to it. That changes hashes by a few bits at most, and saves minutes."""
SHORTEST_SIDE: Final = 64
"""In pixels: altered copies of smaller pictures are hardly pictures."""
FAR: Final = 999
"""The distance if one of two pictures has no value of an algorithm."""


class SampleJob(NamedTuple):
    """A picture to measure, its place in the folder, and the next picture, for the collage."""

    place: int
    path: Path
    beside: Path
    limits: Limits


class Sample(NamedTuple):
    """The measurements of one picture."""

    place: int
    stored: Mapping[str, Hashes]
    """By profile."""
    asked: Hashes
    altered: Hashes
    """The values of a query with one altered copy; the alterations are used in turn."""
    distances: NDArray[np.uint16]
    """From each altered copy to the nearest stored value. Shape (alterations, algorithms, profiles, 2); the last axis:
    without and with transforms."""


class Unfit(NamedTuple):
    """A picture that cannot be measured, and why."""

    place: int
    reason: str


def measure(job: SampleJob, scheme: Scheme) -> Sample | Unfit:
    """Hash a picture and all of its altered copies."""
    try:
        picture = _read(job.path, job.limits)
    except UnreadablePicture as refusal:
        return Unfit(job.place, str(refusal))
    whole = Picture(picture)
    if reason := quality_fault(pdq(whole)[1]):
        return Unfit(job.place, reason)
    stored = {profile: contribution_hashes(whole, scheme.algorithms, profile) for profile in scheme.profiles}
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
    """The least distance from the first query, and from any query, to any value; FAR if there is none.

    Pairs with a sparse value are `sparse_penalty` apart.
    """
    if not len(values) or not len(queries):
        return FAR, FAR
    apart = np.bitwise_count(queries[:, None] ^ values[None]).sum(axis=2, dtype=np.uint16)
    apart = (apart + np.maximum(sparse_penalty(algorithm, queries)[:, None], sparse_penalty(algorithm, values))).min(
        axis=1
    )
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


def _beside(job: SampleJob) -> Image.Image | None:
    try:
        return _read(job.beside, job.limits)
    except UnreadablePicture:
        return None


_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def measure_all(jobs: Sequence[SampleJob], scheme: Scheme, processes: int) -> Iterator[Sample | Unfit]:
    """The sample of each picture, in order. Only a few are in progress at once, so memory stays constant.

    One process means this process. Others are spawned, because a fork would copy held locks of threads.
    """
    if processes == 1:
        for job in jobs:
            yield measure(job, scheme)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), leave_interrupts) as pool:
        rest = iter(jobs)
        running: deque[Future[Sample | Unfit]] = deque()
        with one_thread_each():
            running.extend(pool.submit(measure, job, scheme) for job in islice(rest, 3 * processes))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(measure, job, scheme) for job in islice(rest, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within the block, started processes use one thread for matrix products.

    By default, BLAS uses a thread for each core in each process, and the threads mostly wait for each other: with
    transforms, on two busy cores, that took three times the time of one thread.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def leave_interrupts() -> None:
    """Ignore Ctrl-C, which reaches every process of a terminal: the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
