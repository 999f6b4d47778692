"""Hash videos: choose about one frame a second and the first one after each cut, and hash each as a picture."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.frames import FRAMES_AN_ITEM, Frame
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal, usable_signals
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Hashed, Mode, hash_frame, hash_further_frame
from hashdb.hashing.animations import is_animation
from hashdb.hashing.decoding import NOTHING_READ, Decoded, VideoLimits, is_sound, open_source
from hashdb.hashing.insets import with_insets
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture

INTERVAL: Final = 1.0
"""Seconds between two frames of the grid, as in vPDQ."""
QUERY_INTERVAL: Final = 0.25
"""Seconds between two frames of a query: listed frames are a second apart, and pictures move."""
SHOT_RADIUS: Final = 8
"""Bits of PDQ within which a frame belongs to the shot of a frame before it."""
_SHORTEST_SHOT: Final = 0.25
"""Seconds: a cut nearer to the last chosen frame adds no frame."""
_MIN_CUT: Final = 24.0
"""There is a cut between two frames in a row if the mean change of the luminance (0 to 255) is at least this."""
_MIN_COMPARED: Final = 1 / 40
"""The least seconds between two frames that are compared to find a cut."""
_MAX_GAP: Final = 1.2
"""Intervals after which a frame is chosen even if none is on the grid: the rate may vary, or be stated wrongly."""
_MIN_STEP: Final = 1 / 240
"""The least seconds from one frame to the next."""
_ROUNDING: Final = 0.001
"""Seconds by which the times of frames are rounded."""
_LONGER, _LONGEST_STILL = 1.1, 2.0
"""A stated length is believed up to this factor of the end, and so many seconds more, which the last frame may last."""

VIDEO_LIMITS: Final = VideoLimits()
"""2 hours, 50 megapixels a frame, 2 minutes of processing."""
VIDEO_HEAD: Final = 400
"""Bytes by which a video is recognised."""
_HEADS: Final = (
    (0, b"\x1a\x45\xdf\xa3"),
    (8, b"AVI "),
    (0, b"FLV\x01"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    (0, b"OggS"),
    (0, b"\x00\x00\x01\xba"),
)
"""How a container begins, and where: Matroska, AVI, FLV, ASF, Ogg, MPEG program streams."""
_PACKETS: Final = ((0, 188, 376), (4, 196, 388))
"""Where the first packets of an MPEG transport stream begin, without and with time codes."""
_SYNC: Final = b"G"
"""The first byte of a packet."""
PICTURE: Final = re.compile(
    rb"\xff\xd8\xff|\xff\x4f\xff\x51|\x89PNG|GIF8|RIFF....WEBP|BM|(?:II|MM)(?:[*+]\0|\0[*+])|P[1-6f]\s", re.DOTALL
)
"""How a picture begins that is read. What follows may look like a video, by chance or on purpose."""
_PICTURE_BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
"""The brands of AVIF and HEIF, whose files begin as those of MP4."""


def is_video(file: IO[bytes]) -> bool:
    """Whether a file begins as a video, or is an animation. Leaves the file at its start."""
    head = file.read(VIDEO_HEAD)
    file.seek(0)
    return begins_as_video(head) or is_animation(file)


def begins_as_video(head: bytes) -> bool:
    """Whether the first 400 bytes of a file are those of a video; sound counts as a video, and is refused as one.

    They do not tell an animation from a picture.
    """
    if PICTURE.match(head):
        return False
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return head[8:12] not in _PICTURE_BRANDS
    if is_sound(head) or any(head[place : place + len(octets)] == octets for place, octets in _HEADS):
        return True
    return any(all(head[place : place + 1] == _SYNC for place in places) for places in _PACKETS)


def digests(file: IO[bytes]) -> tuple[Signal, ...]:
    """SHA-256 and MD5 of a file, which is left at its start."""
    hashers = {Algorithm.SHA256: hashlib.sha256(), Algorithm.MD5: hashlib.md5(usedforsecurity=False)}
    while octets := file.read(1 << 20):
        for hasher in hashers.values():
            hasher.update(octets)
    file.seek(0)
    return tuple(Signal.from_bytes(algorithm, hasher.digest()) for algorithm, hasher in hashers.items())


def thin_out(frames: Sequence[HashedFrame], most: int) -> list[HashedFrame]:
    """At most `most` frames: those that begin no shot are left out first, evenly, then others."""
    thinned = list(frames)
    # First only frames with one signal, which begin no shot; if these are too few, then any.
    for most_signals in (1, math.inf):
        spare = [place for place, frame in enumerate(thinned) if len(frame.hashed.signals) <= most_signals]
        excess = min(len(thinned) - most, len(spare))
        dropped = {spare[number * len(spare) // excess] for number in range(excess)}
        thinned = [frame for place, frame in enumerate(thinned) if place not in dropped]
    return thinned


def to_frames(hashed: Sequence[HashedFrame]) -> tuple[Frame, ...]:
    """The frames as the service takes them, 7,200 at most; a frame without a usable hash is left out."""
    return tuple(
        Frame(frame.at, frame.hashed.signals, frame.hashed.quality, frame.hashed.transforms)
        for frame in thin_out(hashed, FRAMES_AN_ITEM)
        if frame.hashed.signals
    )


class ChosenFrame(NamedTuple):
    """A decoded frame: its number, its time in seconds from the start, whether it is on the grid, and its pixels."""

    number: int
    at: float
    on_grid: bool
    image: Image.Image


class Video:
    """A video whose header was read. `frames` can be read once; then `duration` and `incomplete` are final."""

    def __init__(
        self,
        file: IO[bytes],
        limits: VideoLimits,
        *,
        interval: float = INTERVAL,
        fast: bool = False,
        advance: Callable[[float], None] = lambda at: None,
    ) -> None:
        """Read the header. The grid has a frame every `interval` seconds; if `fast`, only key frames are decoded.

        `advance` is called with the time of each decoded frame. Raises UnreadablePicture if this is not a video that
        is read, or if it exceeds a limit; VideoTooLarge if it states that it plays too long.
        """
        self._limits, self._interval, self._fast, self._advance = limits, interval, fast, advance
        self._source = open_source(file, limits, key_frames=fast)
        self._stated = self._source.duration
        limits.check_seconds(self._stated)
        self._grid = _Grid(interval, self._source.rate)
        self.duration = self._stated
        """In seconds."""
        self.incomplete: str | None = None
        """A sentence that says how much could be read, if that is not all."""

    def frames(self) -> Iterator[ChosenFrame]:
        """The frames of the grid, the first one after each cut, and one where the grid leaves a gap, in ascending time.

        If `fast`, key frames at least half an interval apart, none of which is on the grid. Raises UnreadablePicture
        if nothing can be read, and VideoTooLarge if a limit is exceeded.
        """
        cuts, chosen_at, at = _Cuts(), -math.inf, -math.inf
        for frame in self._source.decode():
            at = 0.0 if at < 0 else max(at + _MIN_STEP, frame.at)
            self._limits.check_seconds(at)
            self._advance(at)
            on_grid, since_chosen = False, at - chosen_at
            if self._fast:
                is_chosen = since_chosen >= self._interval / 2
            else:
                on_grid, is_cut = self._grid.has(frame.number, at), cuts.has(frame, at)
                is_gap = since_chosen >= _MAX_GAP * self._interval
                is_chosen = on_grid or is_gap or (is_cut and since_chosen >= _SHORTEST_SHOT)
            if is_chosen:
                chosen_at = at
                yield ChosenFrame(frame.number, round(at, 3), on_grid, frame.image())
        if at < 0:
            raise UnreadablePicture(NOTHING_READ)
        self._finish(at)

    def _finish(self, end: float) -> None:
        """Set the duration, and what is incomplete; `end` is the time of the last frame."""
        stated = self._stated or self._source.duration
        if self._fast:
            end = max(end, self._source.reached)
        # What a header states is believed if the last frame may be shown so long.
        is_true = stated <= end * _LONGER + _LONGEST_STILL
        self.duration = end if self._source.incomplete or not is_true else max(end, stated)
        if self._source.incomplete:
            self.incomplete = f"the video is damaged: only the first {end:.1f} seconds could be read"
        elif not is_true:
            self.incomplete = f"the video states a length of {stated:.1f} seconds, and its last frame is at {end:.1f}"
        elif self._source.skipped:
            self.incomplete = "the video is damaged: some of its frames could not be read"


class _Grid:
    """Every frame whose number is a multiple of int(interval x rate), as in vPDQ; of an animation by its times.

    An animation has no rate.
    """

    def __init__(self, interval: float, rate: float) -> None:
        self._interval, self._step = interval, max(1, int(interval * rate))
        self._by_time, self._last = not rate, -math.inf

    def has(self, number: int, at: float) -> bool:
        """Whether a frame is on the grid; to be asked of each frame, in order."""
        # A video may state a wrong rate: it has at most eight frames an interval.
        nearest = self._interval if self._by_time else self._interval / 8
        is_on_grid = (self._by_time or number % self._step == 0) and at - self._last >= nearest - _ROUNDING
        if is_on_grid:
            self._last = at
        return is_on_grid


class _Cuts:
    """Frames that differ much from the one before."""

    def __init__(self) -> None:
        self._before: NDArray[np.int16] | None = None
        self._last = -math.inf

    def has(self, frame: Decoded, at: float) -> bool:
        """Whether there is a cut before a frame; to be asked of each frame, in order."""
        if at - self._last < _MIN_COMPARED:
            return False
        before, self._before, self._last = self._before, frame.thumbnail().astype(np.int16), at
        return before is not None and float(np.abs(self._before - before).mean()) >= _MIN_CUT


class HashedFrame(NamedTuple):
    """A frame with its hashes. Only the first frame of a shot has more than PDQ."""

    number: int
    at: float
    on_grid: bool
    hashed: Hashed


@dataclass(frozen=True, slots=True)
class HashedVideo:
    """The hashes of a video's frames, and its duration in seconds.

    `incomplete` is a sentence that says how much could be read, if that is not all.
    """

    frames: tuple[HashedFrame, ...]
    duration: float
    incomplete: str | None = None


def hash_frames(video: Video, algorithms: Sequence[Algorithm], mode: Mode) -> Iterator[HashedFrame]:
    """The hashes of each chosen frame, in ascending time. Raises UnreadablePicture.

    Every frame has its PDQ, if that is requested, and its quality. The first frame of a shot also has phash256, and
    the variants of `mode`. A frame a second of a query has the transforms; those between have the mirror, and phash256
    where they differ from the one before. Hashes of 64 bits are left out: they overrule nothing, and a film has many.
    """
    hashed = _hash_each(video, algorithms, mode)
    if mode is Mode.TRANSFORMS and Algorithm.PHASH256 in algorithms:
        return with_insets(hashed)
    return (frame for frame, _ in hashed)


def _hash_each(video: Video, algorithms: Sequence[Algorithm], mode: Mode) -> Iterator[tuple[HashedFrame, Picture]]:
    """Each chosen frame with its hashes, and its picture."""
    of_256_bits = [algorithm for algorithm in algorithms if algorithm.bits == 256]
    is_query = mode is Mode.TRANSFORMS
    shot_pdq: Signal | None = None
    last, shots = -INTERVAL, 0
    for frame in video.frames():
        picture = Picture(frame.image)
        frame_pdq, quality = pdq(picture)
        is_new = shot_pdq is None or frame_pdq.distance(shot_pdq) > SHOT_RADIUS
        # All transforms take ten times as long as PDQ: a query has them once a second.
        has_all_hashes = frame.at - last >= INTERVAL * 0.9 if is_query else is_new
        if quality >= MINIMUM_QUALITY and has_all_hashes:
            shot_pdq, last = frame_pdq, frame.at
            hashed = _usable(hash_frame(picture, of_256_bits, mode, shot=shots), quality)
            shots += 1
        elif quality >= MINIMUM_QUALITY and is_query:
            pdq_only = [algorithm for algorithm in of_256_bits if algorithm is Algorithm.PDQ]
            shot_pdq = frame_pdq if is_new else shot_pdq
            hashed = _usable(hash_further_frame(picture, of_256_bits if is_new else pdq_only), quality)
        else:
            hashed = Hashed((frame_pdq,) if Algorithm.PDQ in of_256_bits else (), quality)
        yield HashedFrame(frame.number, frame.at, frame.on_grid, hashed), picture


def _usable(hashed: Hashed, quality: int) -> Hashed:
    """The hashes with this quality, without those that have a fault."""
    return replace(hashed, signals=usable_signals(hashed.signals), quality=quality)
