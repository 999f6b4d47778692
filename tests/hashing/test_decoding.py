"""Videos are decoded. A hostile file gets a clear error in bounded time, and no other file is opened."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from zlib import crc32

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture, VideoTooLarge
from hashdb.hashing import Limits, Mode
from hashdb.hashing.decoding import NO_TRACK, NO_VIDEO, NOTHING_READ, Decoded, VideoLimits, open_source
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, out_of_memory
from hashdb.hashing.videos import HashedVideo, is_video
from hashdb.hashing.workers import Worker
from tests import films
from tests.hashing.samples import encode_picture

LIMITS = VideoLimits(processing_seconds=30)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(30, 300_000_000, Limits())
    yield worker
    worker.stop()


@pytest.fixture
def hash_video(worker: Worker, tmp_path: Path) -> Callable[[bytes], HashedVideo]:
    """A function that hashes a video in a sandboxed process."""

    def hash_bytes(octets: bytes, limits: VideoLimits = LIMITS) -> HashedVideo:
        path = tmp_path / "video"
        path.write_bytes(octets)
        with path.open("rb") as file:
            return worker.hash_video(file, [Algorithm.PDQ], Mode.PLAIN, limits)

    return hash_bytes


@pytest.fixture
def rejection_reason(hash_video: Callable[..., HashedVideo]) -> Callable[..., str]:
    """A function that returns the reason why a video is rejected."""

    def reason(octets: bytes, limits: VideoLimits = LIMITS) -> str:
        with pytest.raises(UnreadablePicture) as raised:
            hash_video(octets, limits)
        return raised.value.reason

    return reason


REASONS = (NO_VIDEO, NOTHING_READ, "the video has no pixels, or its header is damaged")


def _hashes_or_reason(hash_video: Callable[[bytes], HashedVideo], octets: bytes) -> HashedVideo | str:
    """The hashes of a video, or the reason why it is rejected."""
    try:
        return hash_video(octets)
    except UnreadablePicture as error:
        return error.reason


def _decoded(octets: bytes) -> list[Decoded]:
    return list(open_source(BytesIO(octets), LIMITS, key_frames=False).decode())


def _box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I", 8 + len(content)) + name + content


def _with_box(octets: bytes, name: bytes, new: bytes) -> bytes:
    """An MP4 whose boxes of this name are replaced."""
    result, place = b"", 0
    while place < len(octets):
        (size,) = struct.unpack_from(">I", octets, place)
        own, content = octets[place + 4 : place + 8], octets[place + 8 : place + size]
        if own in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl"):
            result += _box(own, _with_box(content, name, new))
        else:
            result += new if own == name else octets[place : place + size]
        place += size
    return result


def _with_number(octets: bytes, box: bytes, offset: int, number: int) -> bytes:
    """An MP4 with another 32-bit number in the first box of this name."""
    place = octets.index(box) + 4 + offset
    return octets[:place] + struct.pack(">I", number) + octets[place + 4 :]


@pytest.mark.parametrize(
    ("codec", "pixels", "container"),
    [
        ("libx264", "yuv420p10le", "matroska"),
        ("libvpx-vp9", "yuva420p", "webm"),
        ("mjpeg", "yuvj420p", "avi"),
        ("mpeg4", "yuv420p", "avi"),
        ("prores_ks", "yuva444p10le", "mov"),
    ],
)
def test_many_codecs_bit_depths_and_transparency_are_decoded(codec: str, pixels: str, container: str) -> None:
    pictures_shown = films.pictures(1, 1.0)
    frames = _decoded(films.encoded(pictures_shown, container=container, codec=codec, pixels=pixels))
    assert [round(frame.at, 2) for frame in frames] == [place / 10 for place in range(10)]
    for frame, picture in zip(frames[:3], pictures_shown, strict=False):
        decoded, original = (pdq(Picture(image))[0] for image in (frame.image(), picture))
        assert decoded.distance(original) <= 24


def test_only_key_frames_are_decoded_and_reduced_on_request() -> None:
    pictures_shown = [picture.resize((1_280, 720)) for picture in films.pictures(1, 0.6)]
    octets = films.encoded(pictures_shown, options={"x264-params": "keyint=3:min-keyint=3", "preset": "ultrafast"})
    frames = list(open_source(BytesIO(octets), LIMITS, key_frames=True).decode())
    assert [(frame.number, round(frame.at, 2)) for frame in frames] == [(0, 0), (3, 0.3)]
    assert frames[0].image().size == (640, 360)
    assert _decoded(octets)[0].image().size == (1_280, 720)


ROTATIONS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("degrees", ROTATIONS)
def test_a_rotated_phone_video_is_decoded_as_players_show_it(degrees: int) -> None:
    octets = films.film()
    a, b, c, d = (value << 16 for value in ROTATIONS[degrees])
    place = octets.index(b"tkhd") + 44
    turned = octets[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + octets[place + 36 :]
    upright = _decoded(octets)[0].image().rotate(-degrees, expand=True)
    assert _decoded(turned)[0].image() == upright


def test_times_keep_increasing_after_a_broadcast_clock_restarts() -> None:
    octets = films.encoded(films.pictures(), container="mpegts")
    other = films.encoded(films.pictures(2, 2.0, (80, 60)), container="mpegts")
    times = [frame.at for frame in _decoded(octets + other)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(7.9, abs=0.2)


def test_key_frames_of_a_broadcast_can_be_twenty_seconds_apart() -> None:
    options = {"x264-params": "keyint=20:min-keyint=20:scenecut=0"}
    octets = films.encoded(films.pictures(), 1, "mpegts", options=options)
    frames = open_source(BytesIO(octets), LIMITS, key_frames=True).decode()
    assert [round(frame.at) for frame in frames] == [0, 20, 40]


def test_a_damaged_part_of_a_video_is_skipped(hash_video: Callable[[bytes], HashedVideo]) -> None:
    octets = bytearray(films.encoded(films.pictures(), container="mpegts"))
    octets[len(octets) // 3 : len(octets) // 2] = bytes(len(octets) // 2 - len(octets) // 3)
    video = hash_video(bytes(octets))
    assert video.frames[-1].at >= 4


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi", "flv"])
def test_a_truncated_video_is_hashed_up_to_its_end_or_rejected(
    container: str, hash_video: Callable[[bytes], HashedVideo]
) -> None:
    octets = films.encoded(films.pictures(), container=container)
    for place in np.linspace(0, len(octets) - 1, 12).astype(int).tolist():
        result = _hashes_or_reason(hash_video, octets[:place])
        if isinstance(result, str):
            assert result in REASONS
        else:
            assert 0 < len(result.frames) <= 7
            assert result.duration <= 6.2


def test_hashing_a_truncated_video_reports_how_much_was_read(hash_video: Callable[[bytes], HashedVideo]) -> None:
    octets = films.encoded(films.pictures(), container="matroska")
    video = hash_video(octets[: len(octets) // 2])
    assert video.incomplete
    assert video.incomplete.startswith("the video states a length of 6.0 seconds, and its last frame is at 1")
    assert video.duration < 3


PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{}"/></svg>',
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}</BaseURL></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_rejected(kind: str, tmp_path: Path, rejection_reason: Callable[[bytes], str]) -> None:
    (tmp_path / "film.mp4").write_bytes(films.film())
    playlist = PLAYLISTS[kind].format(tmp_path / "film.mp4").encode()
    assert rejection_reason(playlist) == NO_VIDEO
    # Also outside the sandbox.
    with pytest.raises(UnreadablePicture):
        _decoded(playlist)


def test_a_reference_to_frames_in_another_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(films.film())
    name = str(tmp_path / "film.mp4").encode() + b"\0"
    alias = bytes(150) + struct.pack(">hh", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">hh", -1, 0)
    reference = _box(b"dref", struct.pack(">II", 0, 1), _box(b"alis", bytes(4), alias))
    header = films.film()[: films.film().index(b"mdat") - 4] + films.film()[films.film().index(b"moov") - 4 :]
    assert _decoded(_with_box(header, b"dref", reference)) == []


def test_a_video_with_more_than_64_tracks_is_rejected(rejection_reason: Callable[[bytes], str]) -> None:
    assert rejection_reason(_sound("matroska", "pcm_s16le", tracks=1_000)) == "the video has more than 64 tracks"


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mp4", "aac")])
def test_a_file_with_sound_only_has_its_own_error(
    container: str, codec: str, rejection_reason: Callable[[bytes], str]
) -> None:
    octets = _sound(container, codec)
    assert is_video(BytesIO(octets))
    assert rejection_reason(octets) == NO_TRACK


def _sound(container: str, codec: str, tracks: int = 1) -> bytes:
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        streams = [output.add_stream(codec, rate=44_100) for _ in range(tracks)]
        track = streams[0]
        assert isinstance(track, AudioStream)
        samples = np.zeros((1, 1_024), np.float32 if codec == "aac" else np.int16)
        frame = AudioFrame.from_ndarray(samples, "fltp" if codec == "aac" else "s16", "mono")
        frame.rate = 44_100
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("box", "offset", "number"),
    [
        ("mdhd", 12, 0),
        ("mdhd", 12, 1),
        ("mdhd", 16, 0x7FFFFFFF),
        ("stts", 12, 0),
        ("stts", 12, 0x7FFFFFFF),
        ("stsz", 8, 0x7FFFFFFF),
        ("stsz", 12, 0x7FFFFFFF),
        ("elst", 8, 0x7FFFFFFF),
        ("avc1", 24, 60_000 << 16 | 1),
        ("avc1", 24, 0),
        ("tkhd", 76, 0xFFFFFFFF),
    ],
)
def test_wrong_numbers_in_a_header_give_valid_frames_or_an_error(
    box: str, offset: int, number: int, hash_video: Callable[[bytes], HashedVideo]
) -> None:
    video = _hashes_or_reason(hash_video, _with_number(films.film(), box.encode(), offset, number))
    if isinstance(video, str):
        assert video in REASONS
        return
    assert len(video.frames) <= 61
    assert [frame.at for frame in video.frames] == sorted({frame.at for frame in video.frames})
    assert all(0 <= frame.at <= video.duration <= LIMITS.max_seconds for frame in video.frames)


def _matroska(seconds: float) -> bytes:
    """A video whose header states this length."""
    octets = films.encoded(films.pictures(), container="matroska")
    place = octets.index(b"\x44\x89\x88") + 3
    return octets[:place] + struct.pack(">d", seconds * 1_000) + octets[place + 8 :]


def test_a_video_whose_header_states_fifty_hours_is_rejected(hash_video: Callable[[bytes], HashedVideo]) -> None:
    with pytest.raises(VideoTooLarge, match=r"longer than 7200 seconds"):
        hash_video(_matroska(50 * 3_600))


@pytest.mark.parametrize("seconds", [7_000.0, -5.0, float("nan"), float("inf")])
def test_the_duration_ignores_a_wrong_length_in_the_header(
    seconds: float, hash_video: Callable[[bytes], HashedVideo]
) -> None:
    assert hash_video(_matroska(seconds)).duration <= 6.2


def test_an_endless_stream_is_rejected_at_the_length_limit(rejection_reason: Callable[..., str]) -> None:
    """A live stream has no length in its header."""
    octets = films.encoded(films.pictures(1, 2.0), Fraction(1, 10), "mpegts")
    limits = VideoLimits(max_seconds=100)
    assert rejection_reason(octets, limits) == "the video is longer than 100 seconds"


def test_twenty_thousand_frames_in_two_seconds_give_few_hashes(hash_video: Callable[[bytes], HashedVideo]) -> None:
    octets = films.encoded(
        [films.pictures()[0].resize((16, 16))] * 2, container="mov", codec="mjpeg", pixels="yuvj420p"
    )
    place, count = octets.index(b"stco"), 20_000
    first = octets[place + 12 : place + 16]
    # Without the edit list, which would end the video after two frames.
    bomb = _with_box(octets, b"edts", b"")
    for name, numbers in ((b"stts", (0, 1, count, 1)), (b"stsc", (0, 1, 1, 1, 1)), (b"stsz", (0, 600, count))):
        bomb = _with_box(bomb, name, _box(name, struct.pack(f">{len(numbers)}I", *numbers)))
    bomb = _with_box(bomb, b"stco", _box(b"stco", struct.pack(">II", 0, count), first * count))
    video = hash_video(bomb)
    assert len(bomb) < 100_000
    assert 40 < len(video.frames) < 80


def test_a_frame_60_000_pixels_wide_and_2_high_is_hashed(hash_video: Callable[[bytes], HashedVideo]) -> None:
    octets = films.encoded([Image.new("RGB", (60_000, 2))] * 2, codec="mjpeg", pixels="yuvj420p", container="avi")
    assert [frame.hashed.quality for frame in hash_video(octets).frames] == [0]


def _animation(format: str, *images: Image.Image) -> bytes:
    return encode_picture(images[0], format, save_all=True, append_images=images[1:], duration=100)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_are_hashed_as_videos_also_when_truncated(
    format: str, hash_video: Callable[[bytes], HashedVideo]
) -> None:
    octets = _animation(format, *films.pictures()[:25])
    assert is_video(BytesIO(octets))
    video = hash_video(octets)
    assert [frame.at for frame in video.frames][:2] == [0, 1]
    assert video.duration == pytest.approx(2.5)
    truncated = _hashes_or_reason(hash_video, octets[: len(octets) // 2])
    assert truncated == NO_VIDEO if isinstance(truncated, str) else truncated.incomplete


def test_animations_with_too_many_pixels_are_rejected(rejection_reason: Callable[[bytes], str]) -> None:
    gif, webp = (bytearray(_animation(format, *films.pictures()[:3])) for format in ("GIF", "WEBP"))
    gif[6:10] = b"\xff\xff\xff\xff"
    webp[24:30] = b"\xff\x3f\0\xff\x3f\0"
    for octets in (gif, webp):
        assert rejection_reason(bytes(octets)) == "the video has too many pixels"
    png = _animation("PNG", *films.pictures()[:3])
    header = b"IHDR" + struct.pack(">II", 7_000, 7_000) + png[24:29]
    assert rejection_reason(png[:12] + header + struct.pack(">I", crc32(header)) + png[33:]) == out_of_memory("video")


def test_hashing_stops_at_the_time_limit_and_the_next_video_is_hashed(
    hash_video: Callable[..., HashedVideo],
) -> None:
    still = _animation("GIF", *[Image.new("P", (1_000, 1_000), shade) for shade in range(2)])
    place = still.rindex(b"!\xf9")
    endless = still[:place] + still[place:-1] * 5_000 + b";"
    with pytest.raises(VideoTooLarge, match="hashing the video took longer than 1 s"):
        hash_video(endless, VideoLimits(processing_seconds=1))
    assert len(hash_video(films.film()).frames) == 6
