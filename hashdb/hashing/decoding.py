"""Decode videos by PyAV (the extra `[video]`), and animations by Pillow. Only a sandboxed process calls this.

`hashdb evaluate --videos` is the exception: it decodes the user's own films in its own processes.

FFmpeg can open scripts and playlists, which name other files. So only listed containers and codecs are accepted, no
protocol is allowed, and FFmpeg gets an open file, never a name.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import count
from pkgutil import walk_packages
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from hashdb.errors import ExtraMissing, UnreadablePicture, VideoTooLarge
from hashdb.hashing.pictures import LONGEST_SIDE, on_white, scaled

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

CONTAINERS: Final = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg")
"""FFmpeg's names of the accepted containers."""
CODECS: Final = (
    "h264", "hevc", "libdav1d", "av1", "vp8", "vp9", "libvpx-vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg",
    "theora", "h263", "flv", "wmv1", "wmv2", "wmv3", "vc1", "msmpeg4v2", "msmpeg4", "prores",
)  # fmt: skip
"""FFmpeg's names of the accepted decoders."""
ANIMATED: Final = ("GIF", "WEBP", "PNG", "AVIF")
"""Pillow's names of the formats that may have several frames."""

NO_EXTRA: Final = str(ExtraMissing("a video", "video"))
NO_VIDEO: Final = "the video cannot be read: it is damaged, cut short, or in another format"
NO_TRACK: Final = "the file has no video track, only sound or data"
NOTHING_READ: Final = "the video is damaged: no frame could be read"

_SOUND: Final = (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9")
"""How files of sound alone begin."""
_MAX_TRACKS: Final = 64
"""The most tracks of a container."""
_THUMBNAIL: Final = 32
"""A side of the thumbnail of a frame, in pixels."""
_REDUCED: Final = 640
"""The longer side in pixels of a reduced key frame: hashing takes half the time, and a few bits change."""
_MIN_SHOWN: Final = 0.02
"""The least time in seconds for which a frame of an animation is shown."""
_MAX_STEP: Final = 10.0
"""The most seconds between two frames. A longer gap means that the clock of a stream was reset."""
_MAX_KEY_FRAME_STEP: Final = 60.0
"""The most seconds between two key frames."""
_STREAM_CONTAINERS: Final = ("mpegts", "mpeg")
"""Containers whose clock may be reset in the middle, as in a broadcast."""
_UNTIMED_CONTAINER: Final = "avi"
"""A container that does not say when a frame is shown, only at which rate."""
_STEP_BACK: Final = 0.5
"""By how many seconds the time of a frame may be before that of the previous one: times are rounded or a bit wrong."""
_USUAL_RATE: Final = 25.0
"""Frames a second of a video that states no rate."""
_TURNS: Final = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
"""The rotation that turns a frame upright, by the degrees counter-clockwise that the file states."""


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """How large a video may be: the seconds that it plays, and the pixels of a frame.

    `processing_seconds` is how long hashing it may take.
    """

    max_seconds: float = 7_200
    max_pixels: int = 50_000_000
    processing_seconds: float = 120

    def check_seconds(self, seconds: float) -> None:
        """Raise VideoTooLarge if a video plays too long."""
        if seconds > self.max_seconds:
            raise VideoTooLarge(f"the video is longer than {self.max_seconds:.0f} seconds")

    def check_size(self, width: int, height: int) -> None:
        """Raise UnreadablePicture if a frame is too large or has no pixels."""
        if min(width, height) < 1:
            raise UnreadablePicture("the video has no pixels, or its header is damaged")
        if max(width, height) > LONGEST_SIDE:
            raise UnreadablePicture(f"a side of the video has more than {LONGEST_SIDE} pixels")
        if width * height > self.max_pixels:
            raise UnreadablePicture(f"a frame of the video has more than {self.max_pixels} pixels")


class Decoded(NamedTuple):
    """A frame that is decoded. Its pixels are only converted when they are used."""

    number: int
    at: float
    """Its time in seconds from the start."""
    thumbnail: Callable[[], NDArray[np.uint8]]
    """Returns its luminance at 32 x 32 places, to compare it with the previous frame."""
    image: Callable[[], Image.Image]
    """Returns it as a picture."""


class Source(Protocol):
    """What decodes a video."""

    rate: float
    """Frames a second, on average."""
    duration: float
    """The seconds that the header states; 0 if it states none."""
    incomplete: bool
    """Whether the end could not be read, once all frames are decoded."""
    skipped: bool
    """Whether parts in the middle could not be read."""
    reached: float
    """About how many seconds of the video were read, with those of frames that were not decoded."""

    def decode(self) -> Iterator[Decoded]:
        """All frames, in the order in which they are shown."""


class FFmpegVideo:
    """A video that FFmpeg decodes. With `key_frames`, it only decodes key frames and reduces them to 640 pixels."""

    def __init__(self, file: IO[bytes], limits: VideoLimits, *, key_frames: bool) -> None:
        """Read the header. Raises UnreadablePicture if this is no video that is read, or if it exceeds a limit."""
        self._limits, self._key_frames = limits, key_frames
        self._container = _open(file)
        self._track = _video_track(self._container, limits)
        rate = float(self._track.average_rate or self._track.base_rate or 0)
        self.rate = rate if rate > 0 else _USUAL_RATE
        self.duration = _duration(self._container, self._track)
        self.incomplete = self.skipped = False
        self.reached = 0.0
        self._clock = _Clock(self.rate, self._container.format.name, _MAX_KEY_FRAME_STEP if key_frames else _MAX_STEP)

    def decode(self) -> Iterator[Decoded]:
        """All frames. Damaged ones are skipped. Raises MemoryError."""
        from av.video.reformatter import VideoReformatter

        context = self._track.codec_context
        context.thread_count = 1
        context.options = {"max_pixels": str(self._limits.max_pixels)}
        if self._key_frames:
            context.skip_frame = "NONKEY"
        small, large = VideoReformatter(), VideoReformatter()
        longest = _REDUCED if self._key_frames else LONGEST_SIDE
        numbers, start = count(), self._track.start_time
        for packet in self._packets():
            for frame in self._frames(packet):
                self._limits.check_size(frame.width, frame.height)
                at = self._clock.time(frame, start)
                number = round(at * self.rate) if self._key_frames else next(numbers)
                yield Decoded(number, at, partial(_thumbnail, small, frame), partial(_image, large, frame, longest))

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the track; they end early if the file is damaged."""
        import av

        try:
            for packet in self._container.demux(self._track):
                self.reached += min(1 / self.rate, 1.0) if packet.size else 0.0
                yield packet
        except MemoryError:
            raise
        except av.FFmpegError:
            self.incomplete = True

    def _frames(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        """The frames in a packet; none if it is damaged."""
        import av

        try:
            return packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            self.skipped = True
            return []


class _Clock:
    """Computes the times of frames from the start of the video. The times in the file may be missing or start over."""

    def __init__(self, rate: float, container: str, max_step: float) -> None:
        """`rate` is in frames a second. In a stream, a gap of more than `max_step` seconds is a reset of its clock."""
        self._step = min(1 / rate, 1.0)
        self._max_step = max_step if container in _STREAM_CONTAINERS else math.inf
        self._has_times = container != _UNTIMED_CONTAINER
        self._shift, self._last = 0.0, -self._step

    def time(self, frame: VideoFrame, start: int | None) -> float:
        """The time of a frame in seconds; `start` is the time stamp of the first frame of its track."""
        expected = self._last + self._step
        if frame.pts is None or frame.time_base is None or not self._has_times:
            at = expected
        else:
            base = frame.time_base
            at = (frame.pts - (start or 0)) * base.numerator / base.denominator + self._shift
            # The clock was reset, or is wrong: from here on, times are shifted to follow the last one.
            if not self._last - _STEP_BACK <= at <= self._last + self._max_step:
                self._shift += expected - at
                at = expected
        self._last = at
        return at


class Animation:
    """A GIF, WebP, PNG or AVIF with several frames, that Pillow decodes."""

    def __init__(self, image: ImageFile.ImageFile, limits: VideoLimits) -> None:
        """Raises UnreadablePicture if it exceeds a limit."""
        limits.check_size(*image.size)
        self._image = image
        self.rate = self.duration = self.reached = 0.0
        self.incomplete = self.skipped = False

    def decode(self) -> Iterator[Decoded]:
        """All frames, on white. Raises MemoryError."""
        # Players do not show the first picture of a PNG if it is not one of the animation's frames.
        first = int(bool(self._image.info.get("default_image")))
        for number in count():
            try:
                self._image.seek(first + number)
                # Pillow changes this image with the next frame.
                shown = on_white(self._image.copy())
            except EOFError:
                return
            except MemoryError:
                raise
            except Exception:
                self.incomplete = True
                return
            at = self.duration
            self.duration += max(_MIN_SHOWN, float(self._image.info.get("duration") or 100) / 1_000)
            yield Decoded(number, at, partial(_thumbnail_of, shown), partial(_same, shown))


def open_source(file: IO[bytes], limits: VideoLimits, *, key_frames: bool) -> Source:
    """What decodes the video or animation in a file. Raises UnreadablePicture."""
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if (
        head.startswith((b"GIF8", b"\x89PNG"))
        or head[8:] == b"WEBP"
        or head[4:] in (b"ftypavis", b"ftypavif", b"ftypmsf1")
    ):
        return Animation(_open_animation(file), limits)
    if is_sound(head):
        raise UnreadablePicture(NO_TRACK)
    return FFmpegVideo(file, limits, key_frames=key_frames)


def is_sound(head: bytes) -> bool:
    """Whether a file begins as a file of sound alone."""
    return head.startswith(_SOUND) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE")


def load_decoder() -> None:
    """Load all of the decoder where it is installed, for a process that can open no file later."""
    with suppress(ImportError):
        import av

        for module in walk_packages(av.__path__, "av."):
            if module.name not in ("av.__main__", "av.datasets"):
                import_module(module.name)


def _open_animation(file: IO[bytes]) -> ImageFile.ImageFile:
    try:
        return Image.open(file, formats=ANIMATED)
    except Image.DecompressionBombError:
        reason = "the video has too many pixels"
    except MemoryError:
        raise
    except Exception:
        reason = NO_VIDEO
    raise UnreadablePicture(reason)


def _open(file: IO[bytes]) -> InputContainer:
    try:
        import av
    except (ImportError, OSError):
        # Not installed. A sandboxed process, which can open no file, may raise OSError.
        raise UnreadablePicture(NO_EXTRA) from None
    av.logging.set_level(None)
    options = {
        "format_whitelist": ",".join((*CONTAINERS, "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")),
        "codec_whitelist": ",".join(CODECS),
        "protocol_whitelist": "none",
        "max_streams": str(_MAX_TRACKS + 1),
    }
    try:
        return av.open(file, "r", options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError):
        raise UnreadablePicture(NO_VIDEO) from None


def _video_track(container: InputContainer, limits: VideoLimits) -> VideoStream:
    if len(container.streams) > _MAX_TRACKS:
        raise UnreadablePicture(f"the video has more than {_MAX_TRACKS} tracks")
    if not container.streams.video:
        raise UnreadablePicture(NO_TRACK)
    tracks = [track for track in container.streams.video if track.codec_context is not None]
    if not tracks:
        raise UnreadablePicture("the video has a codec that is not supported")
    # A cover picture is a track of one frame.
    track = max(tracks, key=lambda track: (track.frames != 1, track.width * track.height))
    if track.codec_context.codec.name not in CODECS:
        raise UnreadablePicture("the video has a codec that is not supported")
    limits.check_size(track.width, track.height)
    return track


def _duration(container: InputContainer, track: VideoStream) -> float:
    """The seconds that the header states; 0 if it states none."""
    if track.duration is not None and track.time_base is not None:
        return max(0.0, float(track.duration * track.time_base))
    return max(0.0, (container.duration or 0) / 1_000_000)


# A reformatter is kept for all frames: setting up a new one takes ten times as long as using it.
def _thumbnail(reformatter: VideoReformatter, frame: VideoFrame) -> NDArray[np.uint8]:
    """The thumbnail of a frame of FFmpeg, as `Decoded.thumbnail` returns it."""
    small = reformatter.reformat(frame, _THUMBNAIL, _THUMBNAIL, "gray", interpolation="POINT").planes[0]
    pixels: NDArray[np.uint8] = np.frombuffer(_octets(small), np.uint8).reshape(-1, small.line_size)[:, :_THUMBNAIL]
    return pixels.copy()


def _image(reformatter: VideoReformatter, frame: VideoFrame, longest: int) -> Image.Image:
    """A frame of FFmpeg in red, green and blue, turned as players show it. It is resized by the filter of vPDQ.

    If its longer side has more than `longest` pixels, the frame is reduced to this size.
    """
    size = scaled((frame.width, frame.height), min(1, longest / max(frame.width, frame.height)))
    plane = reformatter.reformat(frame, *size, "rgba", interpolation="AREA").planes[0]
    image = Image.frombytes("RGB", size, _octets(plane), "raw", "RGBX", plane.line_size, 1)
    turn = _TURNS.get(frame.rotation % 360)
    return image if turn is None else image.transpose(turn)


def _octets(plane: VideoPlane) -> Any:
    """The bytes of a plane as an array of C, without a copy. They are valid as long as the plane exists."""
    return (ctypes.c_uint8 * plane.buffer_size).from_address(plane.buffer_ptr)


def _thumbnail_of(image: Image.Image) -> NDArray[np.uint8]:
    """The thumbnail of a frame of an animation."""
    return np.asarray(image.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.NEAREST).convert("L"))


def _same(image: Image.Image) -> Image.Image:
    return image
