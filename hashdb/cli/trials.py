"""What the demonstration tries, what came of it, and how that is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from PIL import Image

from hashdb.cli.output import console, print_table
from hashdb.client import Client
from hashdb.domain.matches import Query, Result
from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import Limits, hash_picture
from hashdb.settings import Settings

_TRIED = ("JPEG 30", "half size", "brightness × 1.3", "watermark")


class Trial(NamedTuple):
    """One picture that was asked about, what was expected, and what came."""

    photo: str
    alteration: str
    expected: int | None
    result: Result
    milliseconds: float

    @property
    def held(self) -> bool:
        """Whether the nearest match is the contribution that was expected, or none was and none came."""
        nearest = self.result.matches[0].contribution if self.result.matches else None
        return nearest == self.expected


def try_all(client: Client, photos: Sequence[Path], ids: Sequence[int]) -> Iterator[Trial]:
    """Ask about every alteration of the photographs that were contributed, and about the others as they are."""
    for photo, id in zip(photos, ids, strict=False):
        with Image.open(photo) as picture:
            for name in _TRIED:
                yield _try(client, photo.stem, name, ALTERATIONS[name].upload(picture), id)
    for photo in photos[len(ids) :]:
        yield _try(client, photo.stem, "another photo", photo.read_bytes(), None)


def _try(client: Client, photo: str, alteration: str, octets: bytes, expected: int | None) -> Trial:
    settings = Settings.read()
    limits = Limits(max_bytes=settings.media_max_bytes, max_pixels=settings.media_max_pixels)
    query = Query(hash_picture(octets, settings.algorithms, limits).signals)
    start = time.perf_counter()
    answer = client.match([query])
    return Trial(photo, alteration, expected, answer.results[0], (time.perf_counter() - start) * 1000)


def print_trials(trials: Sequence[Trial]) -> None:
    """The table of what came, for people."""
    algorithms = Settings.read().algorithms
    columns = ["photograph", "uploaded as", *(f">{algorithm}" for algorithm in algorithms), ">agree", "answer", ">ms"]
    print_table([*columns, ""], [_row(trial, algorithms) for trial in trials])
    copies = [trial for trial in trials if trial.expected is not None]
    others = [trial for trial in trials if trial.expected is None]
    hit = sum(trial.held for trial in copies)
    false = sum(bool(trial.result.matches) for trial in others)
    say = console().print
    say()
    say(f"{hit} of {len(copies)} altered copies were recognised; {false} of {len(others)} other photographs were.")
    say("Distances are bits that differ, where they are within the radius; – is further away.")
    say(f"A match took {median(trial.milliseconds for trial in trials):.1f} ms (median, one query a request).")


def spelled(trials: Sequence[Trial]) -> dict[str, object]:
    """The same for programs."""
    return {"held": all(trial.held for trial in trials), "trials": [_object(trial) for trial in trials]}


def _row(trial: Trial, algorithms: Sequence[Algorithm]) -> list[str]:
    nearest = trial.result.matches[0].distance if trial.result.matches else {}
    distances = [str(nearest.get(algorithm, "–")) for algorithm in algorithms]
    agree = f"{len(nearest)} of {len(algorithms)}"
    answer = "review" if nearest else "no match"
    return [
        trial.photo,
        trial.alteration,
        *distances,
        agree,
        answer,
        f"{trial.milliseconds:.1f}",
        "✓" if trial.held else "✗ not as expected",
    ]


def _object(trial: Trial) -> dict[str, object]:
    nearest = trial.result.matches[0] if trial.result.matches else None
    return {
        "photo": trial.photo,
        "alteration": trial.alteration,
        "expected": trial.expected,
        "contribution": None if nearest is None else nearest.contribution,
        "distance": {} if nearest is None else dict(nearest.distance),
        "action": trial.result.action,
        "ms": round(trial.milliseconds, 1),
        "held": trial.held,
    }
