"""Files on the command line: find pictures, videos and documents in folders, and hash them on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from itertools import tee
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import BinaryIO

import click

from hashdb.cli.contributions.files import copy_of_input
from hashdb.cli.matching.outcomes import Outcome
from hashdb.cli.output import escape_controls
from hashdb.domain.frames import MAX_SECONDS
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture, os_reason
from hashdb.hashing import Hashed, Limits, Mode, hash_file, open_regular, read_file
from hashdb.hashing.algorithms import require_installed
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.documents import is_document
from hashdb.hashing.parallel import hash_in_order
from hashdb.hashing.reading import DOCUMENT_LIMITS
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL, digests, is_video
from hashdb.hashing.workers import Worker
from hashdb.member_settings import MemberSettings

_EXTENSIONS = "avif bmp gif j2k jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
_VIDEO_EXTENSIONS = "3g2 3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
_DOCUMENT_EXTENSIONS = "docx epub htm html odt pdf txt xhtml"
SUFFIXES = frozenset(f".{name}" for name in f"{_EXTENSIONS} {_VIDEO_EXTENSIONS} {_DOCUMENT_EXTENSIONS}".split(" "))
"""The file name suffixes of what is hashed in a folder. A file named on the command line is always tried."""
PICTURE_SUFFIXES = frozenset(f".{name}" for name in _EXTENSIONS.split(" "))
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_EXTENSIONS.split(" "))
STANDARD_INPUT = Path("-")
_WORKERS_FROM = 200
"""Pictures from which on worker processes are used: fewer are hashed before the processes have started."""
_Item = tuple[Path, str | None]
"""A path, with its error or None."""


def find_files(paths: Sequence[Path]) -> dict[Path, str | None]:
    """The named files, and the pictures, videos and documents in the named folders and below, each once, in order.

    The value of each is its error or None: a path or folder that cannot be read is included with its error. A folder
    without any file is reported on standard error.
    """
    files: dict[Path, str | None] = {}
    for path in paths:
        # Path.is_dir raises if the name is too long; this returns False.
        pictures = _list_below(path) if os.path.isdir(path) else {path: _path_error(path)}
        if not pictures:
            click.echo(f"hashdb: {escape_controls(path)}: no pictures, videos or documents in this folder", err=True)
        files.update(pictures)
    return files


def _path_error(path: Path) -> str | None:
    """Why nothing can be read at a path; None if there is something, and for standard input."""
    try:
        if path != STANDARD_INPUT:
            path.stat()
    except OSError as error:
        return _unreadable(error)
    return None


def _unreadable(error: OSError) -> str:
    return f"the file cannot be read: {os_reason(error)}"


def only_pictures(files: dict[Path, str | None], reason: str) -> dict[Path, str | None]:
    """The files without videos and documents, each of which is named on standard error with the reason."""
    pictures = {path: error for path, error in files.items() if error is not None or not has_parts(path)}
    for path in sorted(files.keys() - pictures.keys()):
        click.echo(f"hashdb: {escape_controls(path)}: left out: {reason}", err=True)
    return pictures


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="How many files to hash at a time.  [default: one per processor core]",
)

fast_option = click.option(
    "--fast",
    is_flag=True,
    help="Decode only the key frames of videos: about ten times as fast, and less is found.",
)


def hash_all(
    paths: Mapping[Path, str | None],
    algorithms: Sequence[Algorithm],
    settings: MemberSettings,
    mode: Mode = Mode.PLAIN,
    jobs: int | None = None,
    *,
    seeds: Sequence[Seed] = (),
    interval: float = INTERVAL,
    step: int = LISTED_STEP,
    fast: bool = False,
) -> Generator[Outcome, None, None]:
    """The outcome of each path, in order: of pictures, of videos with a frame every `interval` seconds, and of
    documents and texts with a window every `step` words.

    `jobs` pictures and as many others are hashed at a time, by default one a core. With `fast`, only the key frames of
    videos are decoded. Close what is returned: that stops the processes, also in the middle of a video.
    Raises ExtraMissing.
    """
    require_installed(algorithms)
    threads = min(jobs or os.cpu_count() or 1, max(1, len(paths)))
    # A file's head is read only when its turn comes: it says what the file is.
    order, first, second = tee(((item, item[1] is None and has_parts(item[0])) for item in paths.items()), 3)
    with_parts = (item for item, is_of_parts in first if is_of_parts)
    pictures = (item for item, is_of_parts in second if not is_of_parts)
    in_processes = len(paths) >= _WORKERS_FROM
    hash_one = partial(_hash_parts, algorithms, mode, interval, step, fast, settings.media_max_pixels)
    with (
        closing(_hash_confined(with_parts, settings, threads, hash_one)) as of_parts,
        closing(_hash_pictures(pictures, algorithms, settings, mode, threads, in_processes, seeds)) as of_pictures,
    ):
        for _, is_of_parts in order:
            yield next(of_parts if is_of_parts else of_pictures)


def hash_queries(
    paths: Mapping[Path, str | None],
    algorithms: Sequence[Algorithm],
    settings: MemberSettings,
    jobs: int | None,
    *,
    seeds: Sequence[Seed],
    transforms: bool,
    fast: bool,
) -> Generator[Outcome, None, None]:
    """As `hash_all`, for queries: with the frames and windows that a query has."""
    mode = Mode.TRANSFORMS if transforms else Mode.PLAIN
    return hash_all(
        paths, algorithms, settings, mode, jobs, seeds=seeds, interval=QUERY_INTERVAL, step=QUERY_STEP, fast=fast
    )


def has_parts(path: Path) -> bool:
    """Whether the file begins as a video, a document or a text does; False if it cannot be read.

    True for standard input, which has no pictures.
    """
    try:
        with open_path(path) as file:
            return path == STANDARD_INPUT or is_video(file) or is_document(file)
    except (OSError, UnreadablePicture):
        return False


def open_path(path: Path) -> BinaryIO:
    """Open a regular file, or a copy of standard input for `-`. Raises OSError, and UnreadablePicture."""
    if path != STANDARD_INPUT:
        return open_regular(path)
    file = os.fdopen(os.dup(_input().fileno()), "rb")
    file.seek(0)
    return file


_input = cache(copy_of_input)
"""A copy of standard input in a file: it is read several times, and passed to another process."""


def _hash_parts(
    algorithms: Sequence[Algorithm],
    mode: Mode,
    interval: float,
    step: int,
    fast: bool,
    max_pixels: int,
    path: Path,
    worker: Worker,
    check: Callable[[float], None],
) -> Outcome:
    """The outcome of a video, a document or a text. `check` is called now and then, and may raise."""
    with open_path(path) as file:
        own = Hashed(digests(file))
        check(0.0)
        if not is_video(file):
            if path == STANDARD_INPUT and not is_document(file):
                raise UnreadablePicture("is not a document, text or video: name a picture by its path")
            limits = replace(DOCUMENT_LIMITS, processing_seconds=MAX_SECONDS)
            document = worker.hash_document(file, algorithms, mode, limits, step=step, advance=check)
            return Outcome(path, own, incomplete=document.incomplete, document=document)
        of_videos = VideoLimits(max_seconds=MAX_SECONDS, max_pixels=max_pixels, processing_seconds=MAX_SECONDS)
        video = worker.hash_video(file, algorithms, mode, of_videos, interval=interval, fast=fast, advance=check)
    return Outcome(path, own, frames=video.frames, duration=video.duration, incomplete=video.incomplete)


def _hash_confined(
    items: Iterable[_Item],
    settings: MemberSettings,
    threads: int,
    hash_parts: Callable[[Path, Worker, Callable[[float], None]], Outcome],
) -> Generator[Outcome, None, None]:
    """The outcome of each video and document, in order, each hashed in a sandboxed process.

    How much of a damaged file could be read is printed on standard error.
    """
    workers = [Worker(settings.media_seconds, settings.media_memory, Limits()) for _ in range(threads)]
    idle, stopped = SimpleQueue[Worker](), Event()
    for worker in workers:
        idle.put(worker)

    def check(_: float = 0.0) -> None:
        if stopped.is_set():
            raise UnreadablePicture("the command was stopped")

    def hash_one(path: Path, _: str | None) -> Outcome:
        worker = idle.get()
        try:
            return hash_parts(path, worker, check)
        except UnreadablePicture as error:
            return Outcome(path, error=error.reason)
        except OSError as error:
            return Outcome(path, error=_unreadable(error))
        finally:
            idle.put(worker)

    try:
        for outcome in _hash_in_threads(items, threads, hash_one):
            if outcome.incomplete is not None:
                click.echo(escape_controls(f"hashdb: {outcome.path}: {outcome.incomplete}"), err=True)
            yield outcome
    finally:
        # Threads that hash a video get an error: one of them is not waited for, however long its video is.
        stopped.set()
        for worker in workers:
            worker.stop()


def _hash_pictures(
    items: Iterable[_Item],
    algorithms: Sequence[Algorithm],
    settings: MemberSettings,
    mode: Mode,
    threads: int,
    in_processes: bool,
    seeds: Sequence[Seed],
) -> Generator[Outcome, None, None]:
    """The outcome of each picture, in order; as many as `threads` are hashed at a time.

    In sandboxed processes, a picture that crashes its decoder, takes too long or too much memory is an error of its
    path only. A few are hashed in threads: that takes less time than starting processes.
    """
    limits = Limits(max_bytes=settings.media_max_bytes, max_pixels=settings.media_max_pixels)
    if not in_processes:
        hash_path = partial(_hash_one, lambda path: hash_file(path, algorithms, limits, mode, seeds))
        yield from _hash_in_threads(items, threads, hash_path)
        return

    def read(item: _Item) -> bytes:
        path, error = item
        if error is not None:
            raise UnreadablePicture(error)
        return read_file(path, limits)

    pool = [Worker(settings.media_seconds, settings.media_memory, limits) for _ in range(threads)]
    for (path, _), hashed in hash_in_order(pool, items, read, algorithms, mode, seeds):
        if isinstance(hashed, UnreadablePicture):
            yield Outcome(path, error=str(hashed))
        else:
            yield Outcome(path, hashed)


def _hash_in_threads(
    items: Iterable[_Item], threads: int, hash_path: Callable[[Path, str | None], Outcome]
) -> Generator[Outcome, None, None]:
    """The outcome of each path, in order; `threads` at a time, and at most twice as many ahead of the caller."""
    executor = ThreadPoolExecutor(threads)
    try:
        running: deque[Future[Outcome]] = deque()
        for path, error in items:
            running.append(executor.submit(hash_path, path, error))
            if len(running) > 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _list_below(folder: Path) -> dict[Path, str | None]:
    """The files to hash in a folder and below, each with None, and the folders that cannot be read, with the error."""
    pictures: dict[Path, str | None] = {}

    def note_error(error: OSError) -> None:
        pictures[Path(error.filename)] = f"the folder cannot be read: {os_reason(error)}"

    for parent, folders, names in os.walk(folder, onerror=note_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                pictures[Path(parent, name)] = None
    return pictures


def _hash_one(hash_path: Callable[[Path], Hashed], path: Path, error: str | None) -> Outcome:
    if error is not None:
        return Outcome(path, error=error)
    try:
        return Outcome(path, hash_path(path))
    except UnreadablePicture as unreadable:
        return Outcome(path, error=str(unreadable))
