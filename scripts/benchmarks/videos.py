"""Measure for `scripts/bench video` everything but recall: hashing, the samples of vPDQ, search, and size."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, ParamSpec, TypeVar

import numpy as np
from PIL import Image

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.evaluation.films import PannedFilm, encode, times
from hashdb.evaluation.library import Library
from hashdb.evaluation.processes import one_thread_each
from hashdb.evaluation.videos import ALGORITHMS, VideoFrames, put_inside
from hashdb.hashing import Mode
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.videos import Video, hash_frames
from hashdb.index.segment import build_segment, open_segment, write_segment
from hashdb.index.tiered import TieredIndex
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.settings import Settings
from hashdb.store import Store
from scripts.benchmarks.data import balanced_values
from scripts.benchmarks.engines import memory
from scripts.benchmarks.homes import new_actor

SHOTS, SECONDS = 60, 60.0
"""Shots and seconds of a listed video with random frames. Each frame is a shot, which needs the most values."""
VALUES_A_SHOT = 6
"""Values of phash256 for a frame and its variants."""
_SHOT = (Algorithm.PDQ, *[Algorithm.PHASH256] * VALUES_A_SHOT)
HD = (1280, 720)
_FPS = 25
_LIMITS = VideoLimits(max_seconds=86_400)
_SEED = 20_241
_CLIP = 5.0, 15.0
_ROUNDS = 3
_P = ParamSpec("_P")
_R = TypeVar("_R")


def in_new_process(call: Callable[_P, _R], *arguments: _P.args, **keywords: _P.kwargs) -> _R:
    """The result of a call in a new process, in which matrix products use one thread."""
    with one_thread_each(), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(call, *arguments, **keywords).result()


def hashing(photos: Sequence[Path], seconds: float) -> dict[str, Any]:
    """Seconds of a 720p film that are decoded and hashed in one processor second, for each way of hashing."""
    film = PannedFilm("720p", tuple(photos), seconds, "720p", HD)
    octets = encode(_grained(film.play(times(0, seconds, _FPS))), _FPS, 23)
    speeds = {
        "decode": _speed(octets, seconds, None),
        "pdq": _speed(octets, seconds, (Mode.PLAIN, (Algorithm.PDQ,), 1.0, False)),
        "contribution": _speed(octets, seconds, (Mode.BALANCED, ALGORITHMS, 1.0, False)),
        "query": _speed(octets, seconds, (Mode.TRANSFORMS, ALGORITHMS, 0.25, False)),
        "fast": _speed(octets, seconds, (Mode.BALANCED, ALGORITHMS, 1.0, True)),
    }
    return {"seconds": seconds, "frames_a_second": _FPS, "bits_a_second": len(octets) * 8 / seconds, "speeds": speeds}


def _grained(frames: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """Add the noise of a camera to frames; without noise they would decode too fast."""
    noise = np.random.default_rng(_SEED).normal(0, 5, (8, HD[1] + 16, HD[0] + 16, 1)).astype(np.int16)
    for number, frame in enumerate(frames):
        x, y = number * 7 % 16, number * 5 % 16
        grain = noise[number % 8, y : y + HD[1], x : x + HD[0]]
        yield Image.fromarray(np.clip(np.asarray(frame, np.int16) + grain, 0, 255).astype(np.uint8))


def _speed(octets: bytes, seconds: float, how: tuple[Mode, Sequence[Algorithm], float, bool] | None) -> float:
    times = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        if how is None:
            frames = sum(1 for _ in Video(BytesIO(octets), _LIMITS).frames())
        else:
            mode, algorithms, interval, fast = how
            video = Video(BytesIO(octets), _LIMITS, interval=interval, fast=fast)
            frames = sum(1 for _ in hash_frames(video, algorithms, mode))
        times.append(time.process_time() - started)
        assert frames
    return seconds / min(times)


def samples(folder: Path) -> dict[str, Any]:
    """Distances of the frames of vPDQ's sample films from the published hashes, which are in NAME.txt beside a film."""
    pairs = {
        text: film
        for text in sorted(folder.rglob("*.txt"))
        for film in folder.rglob(f"{text.stem}.mp4")
        if "," in text.read_text("utf-8", "replace").partition("\n")[0]
    }
    with one_thread_each(), ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        each = dict(
            zip((film.stem for film in pairs.values()), pool.map(_distances, pairs, pairs.values()), strict=True)
        )
    apart = [distance for distances in each.values() for distance in distances]
    return {
        "films": len(each),
        "frames": len(apart),
        "within": sum(distance <= 10 for distance in apart),
        "most": max(apart, default=None),
        "each": {
            name: [len(apart), sum(d <= 10 for d in apart), max(apart, default=0)] for name, apart in each.items()
        },
    }


def _distances(text: Path, film: Path) -> list[int]:
    """The distance of each frame's hash from the published hash, for frames with enough quality to match."""
    reference: dict[int, tuple[int, int]] = {}
    for line in text.read_text("utf-8").splitlines():
        place, quality, value, *_ = line.split(",")
        reference[int(place)] = int(quality), int(value, 16)
    apart = []
    with film.open("rb") as file:
        # With the shortest interval, every frame is hashed.
        for frame in hash_frames(Video(file, _LIMITS, interval=1e-9), (Algorithm.PDQ,), Mode.PLAIN):
            quality_of_reference, expected = reference.get(frame.number, (0, 0))
            if quality_of_reference >= MINIMUM_QUALITY and frame.hashed.signals:
                apart.append((frame.hashed.signals[0].value ^ expected).bit_count())
    return apart


def search(
    videos: int, around: VideoFrames, film: tuple[VideoFrames, VideoFrames], folder: Path | None
) -> dict[str, Any]:
    """Find a clip of one film in an upload, among `videos` listed videos with random frames.

    The first hashes of `film` are listed, and the second ones are those of the query.
    """
    stored, queried = film
    library, started = Library([stored]), time.perf_counter()
    indexes: dict[Algorithm, TieredIndex] = {}
    octets = 0
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-", dir=folder) as name:
        for algorithm, each in ((Algorithm.PDQ, SHOTS), (Algorithm.PHASH256, SHOTS * VALUES_A_SHOT)):
            path = Path(name, str(algorithm))
            words = np.random.default_rng([_SEED, each]).integers(0, 2**64, (videos * each, 4), np.uint64)
            write_segment(
                path, build_segment(np.concatenate([words, library.distinct_values(algorithm)]), algorithm.radius)
            )
            del words
            octets += path.stat().st_size
            indexes[algorithm] = TieredIndex(algorithm.bits, algorithm.radius)
            indexes[algorithm].adopt([open_segment(path)], 0)
        built = time.perf_counter() - started
        searching = 0.0

        def near(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
            nonlocal searching
            started = time.perf_counter()
            neighbors = indexes[algorithm].search(values, radius)
            searching += time.perf_counter() - started
            return neighbors

        start, end = _CLIP
        clip = VideoFrames([frame for frame in queried.frames if frame.at < end - start], end - start)
        middle = float(int(around.duration / 2))
        upload = put_inside(around, clip, middle, middle)
        library.match(*upload, near)
        elapsed, processor, in_index = [], [], []
        for _ in range(_ROUNDS):
            searching, wall, own = 0.0, time.perf_counter(), time.process_time()
            matched = library.match(*upload, near)
            elapsed.append(time.perf_counter() - wall)
            processor.append(time.process_time() - own)
            in_index.append(searching)
        used = memory()
        return {
            "videos": videos,
            "values": sum(map(len, indexes.values())),
            "asked": sum(len(frame.signals) + sum(map(len, frame.transforms.values())) for frame in upload.frames),
            "frames": len(upload.frames),
            "upload_seconds": upload.duration,
            "build": built,
            "elapsed": median(elapsed),
            "processor": median(processor),
            "in_index": median(in_index),
            "found": [segment.query for segment in matched[1].segments] if 1 in matched else [],
            "bytes": octets,
            "resident": used["pss"],
            "own": used["own"],
        }


def stored_bytes(videos: int) -> float:
    """Bytes that a listed video of a minute takes in the SQLite database."""
    return (_database_bytes(videos) - _database_bytes(0)) / videos


def _database_bytes(videos: int) -> int:
    rng = np.random.default_rng(_SEED)
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        store = Store(f"sqlite:///{Path(name, 'hashdb.sqlite')}")
        store.migrate()
        db = HashDB(store, Settings().rules())
        actor = new_actor(db, Scope.CONTRIBUTE)
        for _ in range(videos):
            contributions.contribute(db, actor, [_random_video(rng, db)])
        store.close()
        return sum(file.stat().st_size for file in Path(name).iterdir())


def _random_video(rng: np.random.Generator, db: HashDB) -> Draft:
    frames = [
        Frame(
            float(number), tuple(Signal(algorithm, *balanced_values(rng, 1, algorithm.bits)) for algorithm in _SHOT), 90
        )
        for number in range(SHOTS)
    ]
    return Draft((), ("glorification",), db.now(), media=Media.VIDEO, frames=tuple(frames), duration=SECONDS)
