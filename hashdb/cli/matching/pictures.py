"""Pictures on the command line: find files in folders, hash them on all cores, record which are done."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import tee
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple, Self, TypeVar

import click

from hashdb.cli.output import describe, escape_controls
from hashdb.domain.frames import MAX_SECONDS, Frame
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import quality_fault
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm
from hashdb.errors import HashDBError, UnreadablePicture
from hashdb.hashing import Hashed, Limits, Mode, hash_file, open_regular, read_file
from hashdb.hashing.algorithms import require_installed
from hashdb.hashing.crew import hash_in_order
from hashdb.hashing.videos import INTERVAL, HashedFrame, VideoLimits, digests, is_video, to_frames
from hashdb.hashing.workers import Worker
from hashdb.index.folder import opener, restrict_access
from hashdb.member_settings import MemberSettings

_EXTENSIONS = "avif bmp gif j2k jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
_VIDEO_EXTENSIONS = "3g2 3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
SUFFIXES = frozenset(f".{name}" for name in f"{_EXTENSIONS} {_VIDEO_EXTENSIONS}".split(" "))
"""The file name suffixes of pictures and videos in a folder. A file named on the command line is always tried."""
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_EXTENSIONS.split(" "))
_PICTURES_A_REQUEST = 100
_FRAMES_A_REQUEST = 60
"""Frames with which a request is sent, however few its files: a film takes as long to hash as hundreds of pictures."""
_WORKERS_FROM = 200
"""Pictures from which on worker processes are used: fewer are hashed before the processes have started."""
_Answer = TypeVar("_Answer")
_Item = tuple[Path, str | None]
"""A path, with its error or None."""


class Outcome(NamedTuple):
    """The result for a path: the hashes or an error."""

    path: Path
    hashed: Hashed | None
    error: str | None
    frames: tuple[HashedFrame, ...] = ()
    """Of a video; then `hashed` has the digests of the file."""
    duration: float | None = None
    incomplete: str | None = None
    """A sentence that says how much of a video could be read, if that is not all."""

    def domain_frames(self) -> tuple[Frame, ...]:
        """The frames as the service takes them; a frame without a usable hash is left out."""
        return to_frames(self.frames)

    def failed(self, error: str) -> Outcome:
        """The same path with this error, or with its earlier error if it has one."""
        return Outcome(self.path, None, self.error or error)


def find_pictures(paths: Sequence[Path]) -> dict[Path, str | None]:
    """The named files, and the pictures and videos in the named folders and below, in order, each once,
    with its error or None.

    A folder that cannot be read is included with its error. A folder without any is reported on standard error.
    """
    files: dict[Path, str | None] = {}
    for path in paths:
        # Path.is_dir raises if the name is too long; this returns False.
        pictures = _list_below(path) if os.path.isdir(path) else {path: None}
        if not pictures:
            click.echo(f"hashdb: {escape_controls(path)}: no pictures or videos in this folder", err=True)
        files.update(pictures)
    return files


def without_videos(files: dict[Path, str | None], reason: str) -> dict[Path, str | None]:
    """The files without the videos, each of which is named on standard error with the reason."""
    pictures = {path: error for path, error in files.items() if error is not None or not is_video_file(path)}
    for path in sorted(files.keys() - pictures.keys()):
        click.echo(f"hashdb: {escape_controls(path)}: left out: {reason}", err=True)
    return pictures


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="How many pictures or videos to hash at a time.  [default: one per processor core]",
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
    fast: bool = False,
) -> Generator[Outcome, None, None]:
    """The outcome of each path, in order: of pictures, and of videos with a frame every `interval` seconds.

    `jobs` pictures and as many videos are hashed at a time, by default one a core. With `fast`, only the key frames of
    videos are decoded. Close what is returned: that stops the processes, also in the middle of a video.
    Raises ExtraMissing.
    """
    require_installed(algorithms)
    threads = min(jobs or os.cpu_count() or 1, max(1, len(paths)))
    # A file's head is read only when its turn comes: it says whether the file is a picture or a video.
    order, some, others = tee(((item, item[1] is None and is_video_file(item[0])) for item in paths.items()), 3)
    videos = (item for item, is_video in some if is_video)
    pictures = (item for item, is_video in others if not is_video)
    in_processes = len(paths) >= _WORKERS_FROM
    with (
        closing(_hash_videos(videos, algorithms, settings, mode, threads, interval=interval, fast=fast)) as of_videos,
        closing(_hash_pictures(pictures, algorithms, settings, mode, threads, in_processes, seeds)) as of_pictures,
    ):
        for _, is_video in order:
            yield next(of_videos if is_video else of_pictures)


def is_video_file(path: Path) -> bool:
    """Whether the file begins as a video does; False if it cannot be read."""
    try:
        with open_regular(path) as file:
            return is_video(file)
    except (OSError, UnreadablePicture):
        return False


def _hash_videos(
    items: Iterable[_Item],
    algorithms: Sequence[Algorithm],
    settings: MemberSettings,
    mode: Mode,
    threads: int,
    *,
    interval: float,
    fast: bool,
) -> Generator[Outcome, None, None]:
    """The outcome of each video, in order, each hashed in a sandboxed process. A damaged one is reported."""
    limits = VideoLimits(max_seconds=MAX_SECONDS, max_pixels=settings.media_max_pixels, processing_seconds=MAX_SECONDS)
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
            with open_regular(path) as file:
                own = digests(file)
                check()
                video = worker.hash_video(file, algorithms, mode, limits, interval=interval, fast=fast, advance=check)
        except UnreadablePicture as error:
            return Outcome(path, None, error.reason)
        except OSError as error:
            return Outcome(path, None, f"the file cannot be read: {(error.strerror or 'unknown error').lower()}")
        finally:
            idle.put(worker)
        return Outcome(path, Hashed(own), None, video.frames, video.duration, video.incomplete)

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
            yield Outcome(path, None, str(hashed))
        else:
            yield Outcome(path, hashed, None)


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


def send_in_batches(
    paths: Sequence[Path], outcomes: Iterator[Outcome], send: Callable[[list[Outcome]], Sequence[_Answer | None]]
) -> Iterator[tuple[Outcome, _Answer | None]]:
    """Each outcome, in order, with the service's answer (None if there is none); `send` gets up to 100 at a time.

    `send` may replace outcomes in its list by failed ones. If it raises HashDBError, these and all later paths fail
    with that error, and nothing more is sent.
    """
    taken = 0
    for batch in _batches(outcomes):
        taken += len(batch)
        try:
            answers = send(batch)
        except HashDBError as error:
            left = (Outcome(path, None, None) for path in paths[taken:])
            yield from ((outcome.failed(describe(error)), None) for outcome in (*batch, *left))
            return
        yield from zip(batch, answers, strict=True)


def _batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    batch: list[Outcome] = []
    for outcome in outcomes:
        batch.append(outcome)
        if len(batch) == _PICTURES_A_REQUEST or sum(len(each.frames) for each in batch) >= _FRAMES_A_REQUEST:
            yield batch
            batch = []
    if batch:
        yield batch


def remember_pictures(
    remember: Callable[[Sequence[Upload]], None], batch: list[Outcome], at: datetime, own_id: str | None = None
) -> list[Upload | None]:
    """Remember the pictures that were hashed, under their paths or the id, and return them.

    A picture that cannot be remembered is replaced in `batch` by a failed outcome. Videos are left alone.
    """
    uploads: list[Upload | None] = [None] * len(batch)
    for place, outcome in enumerate(batch):
        if (hashed := outcome.hashed) is None or outcome.frames:
            continue
        query = Query(hashed.signals, transforms=dict(hashed.transforms), signatures=dict(hashed.signatures))
        upload = Upload(str(outcome.path) if own_id is None else own_id, at, query)
        if fault := next(upload.faults(datetime.now(UTC)), None):
            batch[place] = outcome.failed(f"cannot be remembered: {fault}")
        else:
            uploads[place] = upload
    if kept := [upload for upload in uploads if upload is not None]:
        remember(kept)
    return uploads


def check_quality(outcome: Outcome) -> Outcome:
    """The outcome, or an error if the service would refuse the picture: too little detail, or a flat hash."""
    if outcome.hashed is None or outcome.frames:
        return outcome
    faults = [quality_fault(outcome.hashed.quality), *(signal.fault() for signal in outcome.hashed.signals)]
    error = next((fault for fault in faults if fault), None)
    return outcome if error is None else outcome.failed(error)


def print_failures(outcomes: Sequence[Outcome]) -> int:
    """Print each failed path on standard error. The exit status: 1 if any failed, else 0."""
    failures = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failures:
        click.echo(escape_controls(f"hashdb: {outcome.path}: {outcome.error}"), err=True)
    return 1 if failures else 0


def _list_below(folder: Path) -> dict[Path, str | None]:
    pictures: dict[Path, str | None] = {}

    def note_error(error: OSError) -> None:
        pictures[Path(error.filename)] = f"the folder cannot be read: {(error.strerror or 'unknown error').lower()}"

    for parent, folders, names in os.walk(folder, onerror=note_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                pictures[Path(parent, name)] = None
    return pictures


def _hash_one(hash_path: Callable[[Path], Hashed], path: Path, error: str | None) -> Outcome:
    if error is not None:
        return Outcome(path, None, error)
    try:
        return Outcome(path, hash_path(path), None)
    except UnreadablePicture as unreadable:
        return Outcome(path, None, str(unreadable))


DoneLine = dict[str, object]

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that records which pictures are done. If you run the command again, it skips them.",
)


class StateFile:
    """The file of `--state`: a JSON line for each picture that is done, so that a repeated command skips it.

    A line holds the path, size and modification time, and the contribution's id or the task. A picture that has
    changed since counts as not done. Without a path, nothing is recorded.
    """

    def __init__(self, path: Path | None, task: str | None = None) -> None:
        """Read the recorded lines; a truncated line is ignored. Raises UsageError if the file cannot be read.

        `task` names what is done with a picture if that gives no contribution id; lines of other tasks do not count.
        """
        self._file, self._path, self._task = None, path, task
        self._lines: dict[str, DoneLine] = {}
        if path is None:
            return
        try:
            self._file = open(path, "a+", encoding="utf-8", opener=opener)  # noqa: SIM115
            restrict_access(path)
            self._file.seek(0)
            text = self._file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"the state file {path} cannot be used: {error}") from None
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._lines[str(entry["path"])] = entry
            except (ValueError, LookupError, TypeError):
                continue
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def split(self, files: Mapping[Path, str | None]) -> tuple[dict[Path, str | None], list[DoneLine]]:
        """The files that are left to do, with their errors, and the recorded lines of the others."""
        left: dict[Path, str | None] = {}
        already_done: list[DoneLine] = []
        for path, error in files.items():
            entry = self._lines.get(str(path))
            if entry is not None and error is None and entry == self._line(path, entry.get("id")):
                already_done.append({"path": str(path)} | ({} if self._task else {"id": entry["id"]}) | {"known": True})
            else:
                left[path] = error
        return left, already_done

    def report(self, already_done: Sequence[DoneLine], add: Callable[[DoneLine], None] | None) -> None:
        """Print on standard error how many were done before, and pass each of their lines to `add`."""
        if already_done:
            files = "1 file" if len(already_done) == 1 else f"{len(already_done)} files"
            click.echo(f"hashdb: {files} skipped: already in {escape_controls(self._path)}", err=True)
        if add is not None:
            for entry in already_done:
                add(entry)

    def record(self, path: Path, id: int | None = None) -> None:
        """Record that a file is done; the line is in the state file when this returns."""
        if self._file is not None:
            self._file.write(f"{json.dumps(self._line(path, id))}\n")
            self._file.flush()

    def _line(self, path: Path, id: object) -> DoneLine:
        try:
            status = path.stat()
        except OSError:
            return {}
        entry: DoneLine = {"path": str(path), "size": status.st_size, "changed": status.st_mtime_ns}
        return entry | ({"did": self._task} if self._task else {"id": id})
