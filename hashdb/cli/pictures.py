"""Paths on the command line: files and folders of pictures, hashed on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from hashdb.cli.output import escaped
from hashdb.domain.rules import quality_fault
from hashdb.domain.signals import Algorithm
from hashdb.errors import HashDBError, UnreadablePicture
from hashdb.hashing import Hashed, Limits, Mode, hash_file, read_file, warm
from hashdb.hashing.crew import hash_in_order
from hashdb.hashing.worker import Worker
from hashdb.settings import Settings

_NAMES = "avif bmp gif j2k jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
SUFFIXES = frozenset(f".{name}" for name in _NAMES.split(" "))
"""What is taken from a folder; a file that is named is always tried."""
_BATCH = 100
_MANY = 200
"""Pictures for which processes are worth starting: fewer are hashed before they have."""
_Said = TypeVar("_Said")


class Outcome(NamedTuple):
    """What came of a path."""

    path: Path
    hashed: Hashed | None
    error: str | None

    def failed(self, error: str) -> Outcome:
        """The same path, with what went wrong; what went wrong before stays."""
        return Outcome(self.path, None, self.error or error)


def expand(paths: Sequence[Path]) -> dict[Path, str | None]:
    """The files named, and the pictures below the folders named, in order, each once.

    A folder that cannot be read is among them, with what is wrong; of one without pictures standard error tells.
    """
    found: dict[Path, str | None] = {}
    for path in paths:
        # Unlike Path.is_dir it says no, where a name is too long to be one.
        below = _below(path) if os.path.isdir(path) else {path: None}
        if not below:
            click.echo(f"hashdb: no pictures in {escaped(path)}", err=True)
        found.update(below)
    return found


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="Pictures hashed at a time, by processes where there are many.  [default: one a core]",
)


def hash_all(
    paths: Mapping[Path, str | None],
    algorithms: Sequence[Algorithm],
    settings: Settings,
    mode: Mode = Mode.PLAIN,
    jobs: int | None = None,
) -> Iterator[Outcome]:
    """What comes of each path, in order; `jobs` are hashed at a time, by default one a core.

    Many are hashed by processes of their own: where a picture breaks what reads it, or takes too long or too much
    memory, that is what comes of its path. A few are hashed here, as processes take longer to start than that.
    """
    limits = Limits(max_bytes=settings.media_max_bytes, max_pixels=settings.media_max_pixels)
    workers = jobs or os.cpu_count() or 1
    if len(paths) < _MANY:
        warm(algorithms)
        yield from _in_threads(paths, workers, lambda path: hash_file(path, algorithms, limits, mode))
        return

    def read(given: tuple[Path, str | None]) -> bytes:
        path, error = given
        if error is not None:
            raise UnreadablePicture(error)
        return read_file(path, limits)

    crew = [Worker(settings.media_seconds, settings.media_memory, limits) for _ in range(workers)]
    for (path, _), found in hash_in_order(crew, paths.items(), read, algorithms, mode):
        if isinstance(found, UnreadablePicture):
            yield Outcome(path, None, str(found))
        else:
            yield Outcome(path, found, None)


def _in_threads(paths: Mapping[Path, str | None], many: int, ask: Callable[[Path], Hashed]) -> Iterator[Outcome]:
    """What comes of each path, in order, so many asked about at a time, and not far ahead of who listens."""
    with ThreadPoolExecutor(many) as threads:
        running: deque[Future[Outcome]] = deque()
        for path, error in paths.items():
            running.append(threads.submit(_hashed, path, error, ask))
            if len(running) > 2 * many:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def in_batches(
    paths: Sequence[Path], outcomes: Iterator[Outcome], ask: Callable[[list[Outcome]], Sequence[_Said | None]]
) -> Iterator[tuple[Outcome, _Said | None]]:
    """What comes of each path, in order, of which `ask` sends a hundred in a request, and what was said of it.

    `ask` may put errors into its list. When it raises, that is the error of what it was given and of all that is
    left, and nothing is sent any more.
    """
    done = 0
    while batch := list(islice(outcomes, _BATCH)):
        done += len(batch)
        try:
            said = ask(batch)
        except HashDBError as error:
            left = (Outcome(path, None, None) for path in paths[done:])
            yield from ((outcome.failed(str(error)), None) for outcome in (*batch, *left))
            return
        yield from zip(batch, said, strict=True)


def fit_to_contribute(outcome: Outcome) -> Outcome:
    """The same outcome, or an error where the picture would be refused: too plain, or flat."""
    if outcome.hashed is None:
        return outcome
    faults = [quality_fault(outcome.hashed.quality), *(signal.fault() for signal in outcome.hashed.signals)]
    error = next((fault for fault in faults if fault), None)
    return outcome if error is None else outcome.failed(error)


def report_failures(outcomes: Sequence[Outcome]) -> int:
    """Name each path that failed, on standard error, and return the exit status."""
    failures = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failures:
        click.echo(escaped(f"hashdb: {outcome.path}: {outcome.error}"), err=True)
    return 1 if failures else 0


def _below(folder: Path) -> dict[Path, str | None]:
    found: dict[Path, str | None] = {}

    def tell(error: OSError) -> None:
        found[Path(error.filename)] = f"the folder cannot be read: {(error.strerror or 'unknown error').lower()}"

    for parent, folders, names in os.walk(folder, onerror=tell):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                found[Path(parent, name)] = None
    return found


def _hashed(path: Path, error: str | None, ask: Callable[[Path], Hashed]) -> Outcome:
    if error is not None:
        return Outcome(path, None, error)
    try:
        return Outcome(path, ask(path), None)
    except UnreadablePicture as refusal:
        return Outcome(path, None, str(refusal))
