"""Films to measure with: pans and zooms over photographs, or recordings of a folder; and their encoding."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, Protocol

import numpy as np
from PIL import Image

from hashdb.domain.signals import MINIMUM_QUALITY
from hashdb.errors import UnreadablePicture
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture
from hashdb.hashing.videos import Video

FRAME_RATE: Final = 12
"""Frames a second of the films that are made: half of a cinema's, which halves the time and moves pictures as far."""
SIZE: Final = (480, 270)
"""Width and height in pixels of the films that are made."""
_PHOTO_WIDTH: Final = 800  # pixels to which photographs are reduced
_ATTEMPTS: Final = 20  # to find a part of a photograph with enough detail
LIMITS: Final = VideoLimits(max_seconds=86_400)
"""Films of up to a day are read."""


class Film(Protocol):
    """Moving pictures."""

    @property
    def name(self) -> str:
        """The name in tables."""

    @property
    def group(self) -> str:
        """Films of one group show the same things: a match of one with another is no false match."""

    @property
    def seconds(self) -> float:
        """How long it plays."""

    def play(self, times: Sequence[float]) -> Iterator[Image.Image]:
        """The picture (RGB) at each of these seconds, which ascend. Raises UnreadablePicture."""


_Box = tuple[float, float, float, float]  # left, top, right and bottom, in pixels of the photograph


class _Pan(NamedTuple):
    """A shot from one second to another: a box that moves over a photograph, and trembles (pixels, radians)."""

    start: float
    end: float
    photo: Path
    begin: _Box
    target: _Box
    tremor: float
    phase: float


@dataclass(frozen=True)
class PannedFilm:
    """Pans and zooms over photographs, of 2 to 7 seconds each: slow ones, fast ones, and still pictures.

    What is seen has enough detail for PDQ, except where a pan crosses a plain part.
    """

    name: str
    photos: tuple[Path, ...]
    seconds: float
    seed: int | str
    size: tuple[int, int] = SIZE

    @property
    def group(self) -> str:
        """Films over the same photographs show the same things."""
        return " ".join(photo.stem for photo in self.photos)

    def play(self, times: Sequence[float]) -> Iterator[Image.Image]:
        """The picture at each of these seconds, which ascend."""
        shots = iter(_pans(self))
        shot = next(shots)
        for time in times:
            while time >= shot.end:
                shot = next(shots)
            yield self._draw(shot, time)

    def _draw(self, shot: _Pan, time: float) -> Image.Image:
        photo, done = _photo(shot.photo), (time - shot.start) / (shot.end - shot.start)
        left, top, right, bottom = (a + (b - a) * done for a, b in zip(shot.begin, shot.target, strict=True))
        across = left + shot.tremor * math.sin(7 * time + shot.phase)
        down = top + shot.tremor * math.cos(5 * time + shot.phase)
        width, height = right - left, bottom - top
        x, y = min(max(across, 0), photo.width - width), min(max(down, 0), photo.height - height)
        return photo.resize(self.size, Image.Resampling.BILINEAR, box=(x, y, x + width, y + height))


@lru_cache(32)
def _photo(path: Path) -> Image.Image:
    with Image.open(path) as photo:
        return photo.convert("RGB").resize((_PHOTO_WIDTH, round(_PHOTO_WIDTH * photo.height / photo.width)))


@lru_cache(256)
def _pans(film: PannedFilm) -> tuple[_Pan, ...]:
    random, time = Random(f"{film.seed}"), 0.0
    shots: list[_Pan] = []
    # One more than is needed: a time may be rounded up.
    while not shots or shots[-1].start <= film.seconds:
        photo = random.choice(film.photos)
        begin, end = (_window(random, _photo(photo), film.size) for _ in range(2))
        share = random.choice((0.0, random.uniform(0.02, 0.6)))
        x, y, right, bottom = (a + (b - a) * share for a, b in zip(begin, end, strict=True))
        length = random.uniform(2, 7)
        tremor = random.choice((0.0, random.uniform(0, 2.5)))
        shots.append(_Pan(time, time + length, photo, begin, (x, y, right, bottom), tremor, random.uniform(0, 9)))
        time += length
    return tuple(shots)


def _window(random: Random, photo: Image.Image, size: tuple[int, int]) -> _Box:
    """A part of a photograph with enough detail, or after many attempts any part."""
    for _ in range(_ATTEMPTS):
        box = _random_window(random, photo, size)
        if pdq(Picture(photo.resize((128, 72), box=box)))[1] >= MINIMUM_QUALITY:
            break
    return box


def _random_window(random: Random, photo: Image.Image, size: tuple[int, int]) -> _Box:
    width = min(photo.width * random.uniform(0.35, 0.95), photo.height * size[0] / size[1])
    height = width * size[1] / size[0]
    x, y = random.uniform(0, photo.width - width), random.uniform(0, photo.height - height)
    return x, y, x + width, y + height


@dataclass(frozen=True)
class RecordedFilm:
    """A video file."""

    path: Path
    seconds: float

    @classmethod
    def open(cls, path: Path) -> RecordedFilm:
        """The film in a file, of which the first picture can be read. Raises UnreadablePicture and OSError."""
        with path.open("rb") as file:
            video = Video(file, LIMITS)
            frames = video.frames()
            next(frames)
            if not video.duration:
                # The header states no length: it is known at the end.
                deque(frames, 0)
        if not video.duration:
            raise UnreadablePicture("the video has only one frame")
        return cls(path, video.duration)

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def group(self) -> str:
        """The path: every file counts as a film of its own."""
        return str(self.path)

    def play(self, times: Sequence[float]) -> Iterator[Image.Image]:
        """The picture at each of these seconds, which ascend: the last one that is shown by then."""
        with self.path.open("rb") as file:
            frames = iter(Video(file, LIMITS, interval=1 / FRAME_RATE).frames())
            frame = next(frames)
            coming = next(frames, None)
            for time in times:
                while coming is not None and coming.at <= time + 1e-6:
                    frame, coming = coming, next(frames, None)
                yield _reduced(frame.image)


def _reduced(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((480, 480), Image.Resampling.BILINEAR)
    return picture


class LoadedFilm:
    """A film up to the end of a stretch of it, which is in memory and can be played often; frames keep their times."""

    def __init__(self, film: Film, start: float, end: float) -> None:
        """Play the stretch once. Raises UnreadablePicture."""
        self.name, self.group, self.seconds = film.name, film.group, end
        self._start = start
        self._frames = list(film.play(times(start, end)))

    def play(self, times: Sequence[float]) -> Iterator[Image.Image]:
        """The picture at each of these seconds of the film, which are within the stretch."""
        for time in times:
            yield self._frames[min(max(0, int((time - self._start) * FRAME_RATE + 1e-6)), len(self._frames) - 1)]


def times(start: float, end: float, rate: float = FRAME_RATE) -> list[float]:
    """The times of the frames from one second to another, at `rate` frames a second."""
    return [start + number / rate for number in range(max(1, round((end - start) * rate)))]


def can_encode() -> bool:
    """Whether videos can be made and read: whether hashdb is installed with its extra `[video]`."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def encode(frames: Iterable[Image.Image], rate: float = FRAME_RATE, crf: int = 26) -> bytes:
    """An MP4 of frames of one size, in H.264. `crf` is its loss: 18 is hardly seen, 40 is a mess of blocks."""
    import av

    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1_000))
        track.pix_fmt, track.options = "yuv420p", {"crf": str(crf), "preset": "veryfast"}
        track.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            # Two colour samples share a pixel, both ways.
            even = frame.crop((0, 0, frame.width // 2 * 2, frame.height // 2 * 2))
            if not number:
                track.width, track.height = even.size
            container.mux(track.encode(av.VideoFrame.from_ndarray(np.asarray(even))))
        container.mux(track.encode(None))
    return out.getvalue()
