"""The hashes of uploaded pictures, videos and documents, which separate processes hash and nobody stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import FRAMES_A_REQUEST, Frame
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm
from hashdb.domain.signatures import WHOLE
from hashdb.errors import Fault, TooLarge, UnreadablePicture, VideoTooLarge
from hashdb.hashing import Hashed, Limits, Mode
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.pool import HashingPool, VideoQueue
from hashdb.hashing.reading import DocumentLimits
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP
from hashdb.hashing.videos import INTERVAL, digests, to_frames
from hashdb.http_server.uploads import Upload
from hashdb.settings import Settings
from hashdb.wire.files import PictureOut, PicturesOut
from hashdb.wire.frames import FrameOut

_Outcomes = list[Hashed | UnreadablePicture]
"""The hashes of each picture, or its error."""
Advance = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""


class HashedFile(NamedTuple):
    """The hashes of a file.

    For a picture, `hashed` has its hashes. For a video, a document or a text, `hashed` has the digests of the file, and
    `frames` has the hashes of its parts.
    """

    hashed: Hashed
    frames: tuple[Frame, ...] = ()
    duration: float | None = None
    """Seconds of a video; None for all else."""
    incomplete: str | None = None
    """A sentence that says how much of a video or a document could be read, if that is not all."""
    pages: int | None = None
    """How many a document has; None for all else."""
    words: int | None = None
    """How many a document or a text has; None for a picture or a video."""

    @property
    def has_parts(self) -> bool:
        """Whether it is of a video, a document or a text, and no picture."""
        return self.duration is not None or self.words is not None

    @property
    def media(self) -> Media:
        """The kind of content that the file is."""
        if self.words is not None:
            return Media.TEXT if self.pages is None else Media.DOCUMENT
        return Media.IMAGE if self.duration is None else Media.VIDEO

    def in_draft(self, draft: Draft) -> Draft:
        """The draft with the signatures of a picture, or with what it has of a video, a document or a text."""
        if not self.has_parts:
            return replace(draft, signatures=self.hashed.signatures.get(WHOLE, ()))
        media = self.media if draft.media is Media.IMAGE else draft.media
        return replace(draft, media=media, frames=self.frames, duration=self.duration)

    def to_query(self) -> Query:
        """The query for what matches it."""
        return Query(
            self.hashed.signals,
            transforms=self.hashed.transforms,
            frames=self.frames,
            duration=self.duration,
            signatures=self.hashed.signatures,
        )


class Hashers:
    """The processes that hash for a worker, started at first use."""

    def __init__(self, settings: Settings) -> None:
        """Starts nothing yet."""
        self._settings = settings

    @cached_property
    def pool(self) -> HashingPool:
        """The processes that hash pictures."""
        s = self._settings
        limits = Limits(max_bytes=s.media_max_bytes, max_pixels=s.media_max_pixels)
        return HashingPool(
            workers=s.media_workers,
            queue=s.media_queue,
            seconds=s.media_seconds,
            memory_bytes=s.media_memory,
            limits=limits,
        )

    @cached_property
    def videos(self) -> VideoQueue:
        """The process that hashes videos and documents, one after the other, in turns of the keys."""
        return VideoQueue(self._settings.video_processing_seconds, self._settings.media_memory)

    @cached_property
    def video_limits(self) -> VideoLimits:
        """How large a video may be."""
        s = self._settings
        return VideoLimits(
            max_seconds=s.video_max_seconds,
            max_pixels=s.media_max_pixels,
            processing_seconds=s.video_processing_seconds,
        )

    @cached_property
    def document_limits(self) -> DocumentLimits:
        """How large a document may be."""
        s = self._settings
        return DocumentLimits(max_bytes=s.media_max_bytes, processing_seconds=s.video_processing_seconds)


class Hashing(NamedTuple):
    """How the files of a request are hashed."""

    hashers: Hashers
    key: str
    """The name of the actor of the request: actors take turns."""
    algorithms: Sequence[Algorithm]
    seeds: Sequence[Seed]
    """The seeds of the secret views, which are hashed, too, if the mode has them."""
    interval: float
    """Seconds of a video between two frames that are hashed."""

    @property
    def step(self) -> int:
        """Words of a text from the start of one window to the start of the next one.

        Like `interval`, it is smaller for a query than for a contribution.
        """
        # Nothing else says whether these are files of a query.
        return QUERY_STEP if self.interval < INTERVAL else LISTED_STEP


def hash_files(
    hashing: Hashing,
    files: Sequence[Upload],
    modes: Sequence[Mode],
    advance: Advance,
    attempt: Callable[[Callable[[], _Outcomes]], _Outcomes] | None = None,
) -> list[HashedFile]:
    """The hashes of each file, in order: of the pictures first, then of one video or document after the other.

    `attempt` calls the function that hashes the pictures, and calls it again if the queue is full. By default, a full
    queue raises TooManyAtOnce. `advance` is called with the share of the videos and documents that is done.

    Raises TooManyAtOnce, TooLarge, Unavailable and what `advance` raises; UnreadablePicture and VideoTooLarge with a
    fault for each file.
    """
    have_parts = [file.has_parts for file in files]
    pictures = [place for place, has_parts in enumerate(have_parts) if not has_parts]
    with_parts = [place for place, has_parts in enumerate(have_parts) if has_parts]
    # By the position of the file in the request.
    outcomes: dict[int, HashedFile | UnreadablePicture] = {}
    if pictures:
        octets = [files[place].stream.read() for place in pictures]
        picture_modes = [modes[place] for place in pictures]
        hash_pictures = partial(
            hashing.hashers.pool.hash, octets, hashing.algorithms, picture_modes, hashing.key, hashing.seeds
        )
        hashed = hash_pictures() if attempt is None else attempt(hash_pictures)
        for place, picture in zip(pictures, hashed, strict=True):
            outcomes[place] = HashedFile(picture) if isinstance(picture, Hashed) else picture
    frames = 0
    for done, place in enumerate(with_parts):
        advance_part = partial(_advance_part, advance, done, len(with_parts))
        outcomes[place] = outcome = _hash_parts(hashing, files[place], modes[place], advance_part)
        if isinstance(outcome, VideoTooLarge):
            # The other files of this request are not tried: they may take as long.
            break
        frames += len(outcome.frames) if isinstance(outcome, HashedFile) else 0
        if frames > FRAMES_A_REQUEST:
            raise TooLarge("the frames of the files of a request", FRAMES_A_REQUEST)
    require_readable([outcomes.get(place) for place in range(len(files))])
    return [outcome for _, outcome in sorted(outcomes.items()) if isinstance(outcome, HashedFile)]


def with_hashes(answer: Answer, hashed: Sequence[HashedFile]) -> Answer:
    """The answer to a match of files, with the hashes of each file and with how much of it could be read."""
    results = tuple(
        replace(result, signals=file.hashed.signals, incomplete=file.incomplete)
        for result, file in zip(answer.results, hashed, strict=True)
    )
    return replace(answer, results=results)


def pictures_text(hashed: Sequence[HashedFile]) -> str:
    """The text of the answer with the hashes of files."""
    return PicturesOut.model_construct(pictures=[_picture(file) for file in hashed]).json_text()


def _picture(file: HashedFile) -> PictureOut:
    fields: dict[str, Any] = {"signals": list(file.hashed.signals), "quality": file.hashed.quality}
    if file.has_parts:
        sizes = {"duration": file.duration, "pages": file.pages, "words": file.words}
        fields |= {name: size for name, size in sizes.items() if size is not None}
        fields["frames"] = list(map(FrameOut.from_domain, file.frames))
    if file.incomplete is not None:
        fields["incomplete"] = file.incomplete
    for name in ("transforms", "signatures"):
        if by_view := getattr(file.hashed, name):
            fields[name] = {view: list(values) for view, values in by_view.items()}
    return PictureOut.model_construct(**fields)


def _advance_part(advance: Advance, done: int, count: int, share: float) -> None:
    advance((done + share) / count)


def _hash_parts(hashing: Hashing, upload: Upload, mode: Mode, advance: Advance) -> HashedFile | UnreadablePicture:
    """The hashes of a video, a document or a text, or why there are none."""
    hashers, algorithms = hashing.hashers, hashing.algorithms
    try:
        with upload.open() as file:
            whole = Hashed(digests(file))
            with hashers.videos.turn(hashing.key, advance) as worker:
                if upload.is_document:
                    limits, step = hashers.document_limits, hashing.step
                    document = worker.hash_document(file, algorithms, mode, limits, step=step, advance=advance)
                    return HashedFile(
                        whole,
                        document.frames,
                        incomplete=document.incomplete,
                        pages=document.pages,
                        words=document.words,
                    )
                video_limits, interval = hashers.video_limits, hashing.interval
                video = worker.hash_video(file, algorithms, mode, video_limits, interval=interval, advance=advance)
    except UnreadablePicture as error:
        return error.with_traceback(None)
    return HashedFile(whole, to_frames(video.frames), duration=video.duration, incomplete=video.incomplete)


def require_readable(outcomes: Sequence[object]) -> None:
    """Raise UnreadablePicture, or VideoTooLarge if one is too large, with a fault for each such outcome."""
    errors = {f"file[{place}]": error for place, error in enumerate(outcomes) if isinstance(error, UnreadablePicture)}
    if not errors:
        return
    faults = tuple(Fault(at, error.reason) for at, error in errors.items())
    kind = VideoTooLarge if any(isinstance(error, VideoTooLarge) for error in errors.values()) else UnreadablePicture
    reason = str(faults[0]) if len(faults) == 1 else f"{len(faults)} files cannot be hashed, the first: {faults[0]}"
    raise kind(reason, faults)
