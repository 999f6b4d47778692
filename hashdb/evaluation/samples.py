"""Samples: the hashes of a picture as it is contributed and as it is queried, and the distances of altered copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.matching.matches import Query, StoredItem
from hashdb.domain.rules import quality_fault
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import SPARSE, SPARSE_MARGIN, Algorithm, Profile, Signal
from hashdb.errors import UnreadablePicture
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.catalogue import Catalogue, query_of, stored_item, words_by_algorithm
from hashdb.evaluation.processes import run, with_state
from hashdb.hashing import Limits, hash_transforms, hash_variants, read_file
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture
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
    every: int = 1
    """Each alteration is measured on every `every`th picture, in turn."""

    def radius(self, algorithm: Algorithm) -> int:
        """The radius in force: the configured one, or the default."""
        return self.radii.get(algorithm, algorithm.radius)

    @property
    def seeds(self) -> tuple[Seed, ...]:
        """The seed of the secret views, as of a service of its own."""
        return (Seed(1, sha256(f"hashdb evaluate {self.seed}".encode()).digest()),)

    def measures(self, place: int, alteration: int) -> bool:
        """Whether the picture at a place is altered by the alteration with this position."""
        return (place + alteration) % self.every == 0

    def in_turn(self, place: int) -> int | None:
        """The position of the one alteration under which the picture at a place makes pairs; None without any."""
        positions = [position for position in range(len(self.alterations)) if self.measures(place, position)]
        return positions[place // self.every % len(positions)] if positions else None


class Views(NamedTuple):
    """The values of a query by one algorithm: those of the picture itself first, then those of its transforms."""

    values: Words
    narrower: NDArray[np.uint16]
    """The bits by which the radius of each value is smaller than that of the picture itself."""


def stored_hashes(picture: StoredItem, algorithms: Sequence[Algorithm]) -> Hashes:
    """The values that a contribution stores, by algorithm."""
    return _words(picture.signals, algorithms)


def query_values(query: Query, algorithms: Sequence[Algorithm]) -> dict[Algorithm, Views]:
    """The values of a query by algorithm."""
    narrower: dict[Signal, int] = dict.fromkeys(query.signals, 0)
    for name, signals in query.transforms.items():
        for signal in signals:
            bits = query.radius_of(signal.algorithm) - query.radius_of(signal.algorithm, name)
            narrower[signal] = min(bits, narrower.get(signal, bits))
    values = _words(narrower, algorithms)
    return {
        algorithm: Views(
            values[algorithm],
            np.array([bits for signal, bits in narrower.items() if signal.algorithm is algorithm], np.uint16),
        )
        for algorithm in algorithms
    }


def _words(signals: Iterable[Signal], algorithms: Sequence[Algorithm]) -> Hashes:
    """The distinct values of signals, with an empty array for an algorithm without any."""
    words = words_by_algorithm(signals)
    return {algorithm: words.get(algorithm, pack([], algorithm.bits)) for algorithm in algorithms}


def singular_values(values: Words) -> NDArray[np.float64]:
    """For each value of phash256 the largest singular value of its 16 × 16 signs; of a matrix of rank 1 it is 1."""
    return _singular_values(np.ascontiguousarray(values.astype(">u8")).tobytes())


# The values of a picture are compared with those of each of its copies.
@lru_cache(64)
def _singular_values(octets: bytes) -> NDArray[np.float64]:
    signs = np.unpackbits(np.frombuffer(octets, np.uint8)).reshape(-1, 16, 16) * 2.0 - 1
    largest: NDArray[np.float64] = np.linalg.svd(signs, compute_uv=False)[:, 0] / 16
    largest.flags.writeable = False
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
UNMEASURED: Final = 9_999
"""The distance of a copy that was not made."""


class SampleJob(NamedTuple):
    """A picture to measure and its place (the position among all), and the next picture, which collages show, too."""

    place: int
    path: Path
    beside: Path
    limits: Limits
    beside_place: int


class HashedPicture(NamedTuple):
    """A picture as it is contributed, by profile, and as it is queried."""

    place: int
    stored: Mapping[str, StoredItem]
    query: Query


class Mistake(NamedTuple):
    """A match of a picture with a listed picture that shows something else."""

    query: int
    listed: int
    """The places of the picture of the query and of the listed one."""
    profile: str
    alteration: str | None
    """How the picture was altered; None: not at all."""
    distance: Mapping[str, int | None]
    """In bits, by algorithm."""
    transform: str | None
    score: float | None


class Sample(NamedTuple):
    """The measurements of one picture."""

    place: int
    listed: Mapping[str, StoredItem]
    """What a service stores of the picture, by profile."""
    stored: Mapping[str, Hashes]
    """The values of `listed`, by profile."""
    query: Query
    views: Mapping[Algorithm, Views]
    """The values of `query`."""
    altered: Mapping[Algorithm, Views]
    """The values of a query with one altered copy; the alterations are used in turn."""
    distances: NDArray[np.uint16]
    """From each altered copy to the nearest stored value; `UNMEASURED` if there is no such copy.

    Shape (alterations, algorithms, profiles, 2); the last axis: without and with transforms.
    """
    matched: NDArray[np.bool_]
    """Whether each copy, as a query, matches this picture. Shape (alterations, profiles)."""
    mistakes: tuple[Mistake, ...]

    @property
    def is_made(self) -> NDArray[np.bool_]:
        """Whether there is a copy, by alteration."""
        # A copy that was made was measured with each algorithm and profile, so the first of each tells.
        is_made: NDArray[np.bool_] = self.distances[:, 0, 0, 0] != UNMEASURED
        return is_made


class Unfit(NamedTuple):
    """A picture that cannot be measured, and why."""

    place: int
    reason: str


def hash_picture(job: SampleJob, scheme: Scheme) -> HashedPicture | Unfit:
    """Hash a picture as a contribution and as a query, as a service does."""
    try:
        octets = read_file(job.path, job.limits)
        picture = reduced(octets, job.limits)
        if reason := quality_fault(pdq(Picture(picture))[1]):  # The second part is the quality.
            return Unfit(job.place, reason)
        stored = {
            profile: stored_item(hash_variants(octets, scheme.algorithms, Profile(profile), job.limits, scheme.seeds))
            for profile in scheme.profiles
        }
        query = query_of(hash_transforms(octets, scheme.algorithms, job.limits, scheme.seeds), scheme.radii)
    except UnreadablePicture as refusal:
        return Unfit(job.place, str(refusal))
    return HashedPicture(job.place, stored, query)


def measure(job: SampleJob, scheme: Scheme, own: HashedPicture, catalogues: Mapping[str, Catalogue]) -> Sample:
    """Match a picture and its altered copies with all that are listed, by profile."""
    picture = reduced(read_file(job.path, job.limits), job.limits)
    stored = {profile: stored_hashes(own.stored[profile], scheme.algorithms) for profile in scheme.profiles}
    beside = read_beside(job.beside, job.limits)
    shape = len(scheme.alterations), len(scheme.algorithms), len(scheme.profiles)
    distances = np.full((*shape, 2), UNMEASURED, np.uint16)
    matched = np.zeros((shape[0], shape[2]), np.bool_)
    _, own_mistakes = _match(own.query, None, job, catalogues)
    mistakes = list(own_mistakes)
    own_views = query_values(own.query, scheme.algorithms)
    altered = own_views
    positions = [position for position in range(len(scheme.alterations)) if scheme.measures(job.place, position)]
    in_turn = scheme.in_turn(job.place)
    for position in positions:
        name = scheme.alterations[position]
        upload = ALTERATIONS[name].encode(picture, f"{scheme.seed} {job.place}", beside)
        query = query_of(hash_transforms(upload, scheme.algorithms, job.limits, scheme.seeds), scheme.radii)
        views = query_values(query, scheme.algorithms)
        if position == in_turn:
            altered = views
        for algorithm_at, algorithm in enumerate(scheme.algorithms):
            for profile_at, values in enumerate(stored.values()):
                distances[position, algorithm_at, profile_at] = nearest(views[algorithm], values[algorithm], algorithm)
        matched[position], mistaken = _match(query, name, job, catalogues)
        mistakes += mistaken
    return Sample(job.place, own.stored, stored, own.query, own_views, altered, distances, matched, tuple(mistakes))


def _match(
    query: Query, alteration: str | None, job: SampleJob, catalogues: Mapping[str, Catalogue]
) -> tuple[list[bool], Sequence[Mistake]]:
    """Whether the picture itself matches, for each profile, and what else does by mistake."""
    own_matches, mistakes = [], []
    for profile, catalogue in catalogues.items():
        matches = catalogue.matches(query)
        own_matches.append(job.place in matches)
        for place, match in matches.items():
            is_shown = place == job.beside_place and alteration is not None and ALTERATIONS[alteration].shows_beside
            if place != job.place and not is_shown:
                distance = {str(algorithm): bits for algorithm, bits in match.distance.items()}
                mistakes.append(Mistake(job.place, place, profile, alteration, distance, match.transform, match.score))
    return own_matches, mistakes


def nearest(queries: Views, values: Words, algorithm: Algorithm) -> tuple[int, int]:
    """The least distance from the first query, and from any query, to any value; FAR if there is none.

    The distance of a pair with a sparse value has its `sparse_penalty` added; that of a value of a narrower transform,
    the bits by which its radius is narrower. Of both, only the larger one is added.
    """
    if not len(values) or not len(queries.values):
        return FAR, FAR
    apart = np.bitwise_count(queries.values[:, None] ^ values[None]).sum(axis=2, dtype=np.uint16)
    sparse = np.maximum(sparse_penalty(algorithm, queries.values)[:, None], sparse_penalty(algorithm, values))
    apart = (apart + np.maximum(sparse, queries.narrower[:, None])).min(axis=1)
    return int(apart[0]), int(apart.min())


def reduced(octets: bytes, limits: Limits) -> Image.Image:
    """The picture in a file, RGB, its longer side at most `LONGEST_SIDE`. Raises UnreadablePicture."""
    picture = read_picture(octets, limits).colour
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    if min(picture.size) < SHORTEST_SIDE:
        raise UnreadablePicture(f"a side has fewer than {SHORTEST_SIDE} pixels, which is too few to alter")
    return picture


def read_beside(path: Path, limits: Limits) -> Image.Image | None:
    """The picture in a file, as `reduced`; None if it cannot be read."""
    try:
        return reduced(read_file(path, limits), limits)
    except UnreadablePicture:
        return None


def measure_all(jobs: Sequence[SampleJob], scheme: Scheme, processes: int) -> Iterator[Sample | Unfit]:
    """The sample of each picture, in order. All pictures are hashed first, because each is matched with all others."""
    hashed = {result.place: result for result in run(partial(hash_picture, scheme=scheme), jobs, processes)}
    fit = {place: result for place, result in hashed.items() if isinstance(result, HashedPicture)}
    fit_jobs = [job for job in jobs if job.place in fit]
    # Each process builds a `_Bench`, and calls `measure` of it with each of its jobs.
    measured = run(partial(with_state, _Bench.measure), fit_jobs, processes, build=partial(_Bench, scheme, fit))
    for job in jobs:
        result = hashed[job.place]
        yield result if isinstance(result, Unfit) else next(measured)


class _Bench:
    """Measures pictures; each process has one."""

    def __init__(self, scheme: Scheme, pictures: Mapping[int, HashedPicture]) -> None:
        self._scheme, self._pictures = scheme, pictures
        self._catalogues = {
            profile: Catalogue({place: picture.stored[profile] for place, picture in pictures.items()})
            for profile in scheme.profiles
        }

    def measure(self, job: SampleJob) -> Sample:
        return measure(job, self._scheme, self._pictures[job.place], self._catalogues)
