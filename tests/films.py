"""Small films for the tests: pans over the photographs of the package. Each film is encoded once a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

PHOTOS = tuple(sorted((Path(__file__).parents[1] / "hashdb" / "photos").glob("*.jpg")))
RATE = 10
"""Frames a second."""
SHOT = 2.0
"""Seconds from one cut to the next."""
SIZE = (160, 90)
"""Width and height in pixels."""


@cache
def film(seed: int = 1, seconds: float = 6.0, size: tuple[int, int] = SIZE) -> bytes:
    """The bytes of an MP4 of this length, with a cut every 2 seconds. Another seed shows other photographs."""
    return encoded(pictures(seed, seconds, size))


@cache
def pictures(seed: int = 1, seconds: float = 6.0, size: tuple[int, int] = SIZE) -> tuple[Image.Image, ...]:
    """The frames of the film of this seed: each shot moves slowly over a part of another photograph."""
    rng = np.random.default_rng(seed)
    order, frames, frames_per_shot = rng.permutation(len(PHOTOS)), round(seconds * RATE), round(SHOT * RATE)
    images: list[Image.Image] = []
    for shot in range(-(-frames // frames_per_shot)):
        photo = _photo(PHOTOS[order[shot % len(PHOTOS)]])
        width = photo.width * rng.uniform(0.5, 0.8)
        height = min(photo.height, width * size[1] / size[0])
        first, last = (rng.uniform(0, [photo.width - width, photo.height - height]) for _ in range(2))
        for place in range(min(frames_per_shot, frames - len(images))):
            left, top = first + (last - first) * 0.15 * place / frames_per_shot
            box = (left, top, left + width, top + height)
            images.append(photo.resize(size, Image.Resampling.BILINEAR, box))
    return tuple(images)


def encoded(
    frames: Iterable[Image.Image],
    rate: int | Fraction = RATE,
    container: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a video of these pictures. All have the same size, and each side is even."""
    if codec == "libx264":
        # With look-ahead, x264 sometimes encodes the same pictures to other bytes.
        options = {"x264-params": "rc-lookahead=0:sync-lookahead=0:mbtree=0"} | dict(options or {})
    file, pictures = BytesIO(), [VideoFrame.from_ndarray(np.asarray(image.convert("RGB"))) for image in frames]
    with av.open(file, "w", format=container) as output:
        track = output.add_stream(codec, rate=rate, options=dict(options or {}))
        assert isinstance(track, VideoStream)
        track.width, track.height, track.pix_fmt = pictures[0].width, pictures[0].height, pixels
        track.codec_context.thread_count = 1
        for picture in (*pictures, None):
            output.mux(track.encode(picture))
    return file.getvalue()


@cache
def _photo(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB").reduce(2)
