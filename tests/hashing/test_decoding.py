"""What is decoded, and what hostile files get: a clear sentence, in bounded time, and nothing else is opened."""

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
from hashdb.hashing.decoding import NO_TRACK, NO_VIDEO, NOTHING_READ, OUT_OF_MEMORY, Decoded, VideoLimits, open_source
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture
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
def hashed(worker: Worker, tmp_path: Path) -> Callable[[bytes], HashedVideo]:
    """The hashes of a video by a confined process."""

    def hash_bytes(octets: bytes, limits: VideoLimits = LIMITS) -> HashedVideo:
        path = tmp_path / "video"
        path.write_bytes(octets)
        with path.open("rb") as file:
            return worker.hash_video(file, [Algorithm.PDQ], Mode.PLAIN, limits)

    return hash_bytes


@pytest.fixture
def refusal(hashed: Callable[..., HashedVideo]) -> Callable[..., str]:
    """Why a video is refused."""

    def reason(octets: bytes, limits: VideoLimits = LIMITS) -> str:
        with pytest.raises(UnreadablePicture) as raised:
            hashed(octets, limits)
        return raised.value.reason

    return reason


REFUSALS = (NO_VIDEO, NOTHING_READ, "the video has no pixels, or its header is damaged")


def _result(hashed: Callable[[bytes], HashedVideo], octets: bytes) -> HashedVideo | str:
    """The hashes of a video, or why it is refused."""
    try:
        return hashed(octets)
    except UnreadablePicture as error:
        return error.reason


def _decoded(octets: bytes) -> list[Decoded]:
    return list(open_source(BytesIO(octets), LIMITS).decode())


def _box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I", 8 + len(content)) + name + content


def _with_box(octets: bytes, name: bytes, new: bytes) -> bytes:
    """An MP4 whose box of this name is another one."""
    made, place = b"", 0
    while place < len(octets):
        (size,) = struct.unpack_from(">I", octets, place)
        own, content = octets[place + 4 : place + 8], octets[place + 8 : place + size]
        if own in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl"):
            made += _box(own, _with_box(content, name, new))
        else:
            made += new if own == name else octets[place : place + size]
        place += size
    return made


def _with_number(octets: bytes, box: bytes, offset: int, number: int) -> bytes:
    """An MP4 with another number of 32 bits in the first box of this name."""
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
def test_other_codecs_depths_and_transparency_are_decoded(codec: str, pixels: str, container: str) -> None:
    shown = films.pictures(1, 1.0)
    frames = _decoded(films.encoded(shown, container=container, codec=codec, pixels=pixels))
    assert [round(frame.at, 2) for frame in frames] == [place / 10 for place in range(10)]
    for frame, picture in zip(frames[:3], shown, strict=False):
        one, other = (pdq(Picture(image))[0] for image in (frame.image(), picture))
        assert one.distance(other) <= 24


def test_only_key_frames_are_decoded_and_reduced_if_asked() -> None:
    shown = [picture.resize((1_280, 720)) for picture in films.pictures(1, 0.6)]
    octets = films.encoded(shown, options={"x264-params": "keyint=3:min-keyint=3", "preset": "ultrafast"})
    frames = list(open_source(BytesIO(octets), LIMITS, key_frames=True).decode())
    assert [(frame.number, round(frame.at, 2)) for frame in frames] == [(0, 0), (3, 0.3)]
    assert frames[0].image().size == (640, 360)
    assert _decoded(octets)[0].image().size == (1_280, 720)


TURNED = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("degrees", TURNED)
def test_a_film_of_a_phone_is_turned_as_players_show_it(degrees: int) -> None:
    octets = films.film()
    a, b, c, d = (value << 16 for value in TURNED[degrees])
    place = octets.index(b"tkhd") + 44
    turned = octets[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + octets[place + 36 :]
    upright = _decoded(octets)[0].image().rotate(-degrees, expand=True)
    assert _decoded(turned)[0].image() == upright


def test_a_broadcast_whose_clock_begins_anew_goes_on() -> None:
    octets = films.encoded(films.pictures(), container="mpegts")
    other = films.encoded(films.pictures(2, 2.0, (80, 60)), container="mpegts")
    times = [frame.at for frame in _decoded(octets + other)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(7.9, abs=0.2)


def test_key_frames_of_a_broadcast_may_be_far_apart() -> None:
    options = {"x264-params": "keyint=20:min-keyint=20:scenecut=0"}
    octets = films.encoded(films.pictures(), 1, "mpegts", options=options)
    frames = open_source(BytesIO(octets), LIMITS, key_frames=True).decode()
    assert [round(frame.at) for frame in frames] == [0, 20, 40]


def test_damage_in_the_middle_is_passed_over(hashed: Callable[[bytes], HashedVideo]) -> None:
    octets = bytearray(films.encoded(films.pictures(), container="mpegts"))
    octets[len(octets) // 3 : len(octets) // 2] = bytes(len(octets) // 2 - len(octets) // 3)
    video = hashed(bytes(octets))
    assert video.frames[-1].at >= 4


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi", "flv"])
def test_a_video_that_is_cut_short_is_hashed_as_far_as_it_goes_or_refused(
    container: str, hashed: Callable[[bytes], HashedVideo]
) -> None:
    octets = films.encoded(films.pictures(), container=container)
    for place in np.linspace(0, len(octets) - 1, 12).astype(int).tolist():
        found = _result(hashed, octets[:place])
        if isinstance(found, str):
            assert found in REFUSALS
        else:
            assert 0 < len(found.frames) <= 7
            assert found.duration <= 6.2


def test_it_is_said_how_much_of_a_cut_video_was_read(hashed: Callable[[bytes], HashedVideo]) -> None:
    octets = films.encoded(films.pictures(), container="matroska")
    video = hashed(octets[: len(octets) // 2])
    assert video.incomplete
    assert video.incomplete.startswith("the video states a length of 6.0 seconds, and its last frame is at 1")
    assert video.duration < 3


SECRET = "a page of the disk"
PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{}"/></svg>',
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}</BaseURL></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_no_video(kind: str, tmp_path: Path, refusal: Callable[[bytes], str]) -> None:
    (tmp_path / "film.mp4").write_bytes(films.film())
    playlist = PLAYLISTS[kind].format(tmp_path / "film.mp4").encode()
    assert refusal(playlist) == NO_VIDEO
    # Also where nothing confines the decoder.
    with pytest.raises(UnreadablePicture):
        _decoded(playlist)


def test_a_film_whose_frames_are_in_another_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(films.film())
    name = str(tmp_path / "film.mp4").encode() + b"\0"
    alias = bytes(150) + struct.pack(">hh", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">hh", -1, 0)
    reference = _box(b"dref", struct.pack(">II", 0, 1), _box(b"alis", bytes(4), alias))
    header = films.film()[: films.film().index(b"mdat") - 4] + films.film()[films.film().index(b"moov") - 4 :]
    assert _decoded(_with_box(header, b"dref", reference)) == []


def test_a_film_of_many_tracks_is_refused(refusal: Callable[[bytes], str]) -> None:
    assert refusal(_sound("matroska", "pcm_s16le", tracks=1_000)) == "the video has more than 64 tracks"


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mp4", "aac")])
def test_sound_alone_has_a_sentence_of_its_own(container: str, codec: str, refusal: Callable[[bytes], str]) -> None:
    octets = _sound(container, codec)
    assert is_video(BytesIO(octets))
    assert refusal(octets) == NO_TRACK


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
def test_numbers_of_a_header_that_are_wrong_do_no_harm(
    box: str, offset: int, number: int, hashed: Callable[[bytes], HashedVideo]
) -> None:
    video = _result(hashed, _with_number(films.film(), box.encode(), offset, number))
    if isinstance(video, str):
        assert video in REFUSALS
        return
    assert len(video.frames) <= 61
    assert [frame.at for frame in video.frames] == sorted({frame.at for frame in video.frames})
    assert all(0 <= frame.at <= video.duration <= LIMITS.max_seconds for frame in video.frames)


def _matroska(seconds: float) -> bytes:
    """A film that states another length."""
    octets = films.encoded(films.pictures(), container="matroska")
    place = octets.index(b"\x44\x89\x88") + 3
    return octets[:place] + struct.pack(">d", seconds * 1_000) + octets[place + 8 :]


def test_a_length_of_fifty_hours_is_refused_by_the_header(hashed: Callable[[bytes], HashedVideo]) -> None:
    with pytest.raises(VideoTooLarge, match=r"more than 7200 seconds"):
        hashed(_matroska(50 * 3_600))


@pytest.mark.parametrize("seconds", [7_000.0, -5.0, float("nan"), float("inf")])
def test_a_length_that_is_wrong_is_not_believed(seconds: float, hashed: Callable[[bytes], HashedVideo]) -> None:
    assert hashed(_matroska(seconds)).duration <= 6.2


def test_frames_without_end_are_refused_after_two_hours(refusal: Callable[..., str]) -> None:
    """An endless stream has no length in its header."""
    octets = films.encoded(films.pictures(1, 2.0), Fraction(1, 10), "mpegts")
    limits = VideoLimits(max_seconds=100)
    assert refusal(octets, limits) == "the video plays for more than 100 seconds"


def test_thousands_of_frames_in_two_seconds_give_few_hashes(hashed: Callable[[bytes], HashedVideo]) -> None:
    octets = films.encoded(
        [films.pictures()[0].resize((16, 16))] * 2, container="mov", codec="mjpeg", pixels="yuvj420p"
    )
    place, count = octets.index(b"stco"), 20_000
    first = octets[place + 12 : place + 16]
    # Without the list of edits, which ends the film after its two frames.
    bomb = _with_box(octets, b"edts", b"")
    for name, numbers in ((b"stts", (0, 1, count, 1)), (b"stsc", (0, 1, 1, 1, 1)), (b"stsz", (0, 600, count))):
        bomb = _with_box(bomb, name, _box(name, struct.pack(f">{len(numbers)}I", *numbers)))
    bomb = _with_box(bomb, b"stco", _box(b"stco", struct.pack(">II", 0, count), first * count))
    video = hashed(bomb)
    assert len(bomb) < 100_000
    assert 40 < len(video.frames) < 80


def test_a_frame_of_sixty_thousand_pixels_by_one_is_read_or_refused(hashed: Callable[[bytes], HashedVideo]) -> None:
    octets = films.encoded([Image.new("RGB", (60_000, 2))] * 2, codec="mjpeg", pixels="yuvj420p", container="avi")
    assert [frame.hashed.quality for frame in hashed(octets).frames] == [0]


def _animation(format: str, *images: Image.Image) -> bytes:
    return encode_picture(images[0], format, save_all=True, append_images=images[1:], duration=100)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_are_videos_and_cut_short_too(format: str, hashed: Callable[[bytes], HashedVideo]) -> None:
    octets = _animation(format, *films.pictures()[:25])
    assert is_video(BytesIO(octets))
    video = hashed(octets)
    assert [frame.at for frame in video.frames][:2] == [0, 1]
    assert video.duration == pytest.approx(2.5)
    cut = _result(hashed, octets[: len(octets) // 2])
    assert cut == NO_VIDEO if isinstance(cut, str) else cut.incomplete


def test_bombs_are_refused_by_their_size(refusal: Callable[[bytes], str]) -> None:
    gif, webp = (bytearray(_animation(format, *films.pictures()[:3])) for format in ("GIF", "WEBP"))
    gif[6:10] = b"\xff\xff\xff\xff"
    webp[24:30] = b"\xff\x3f\0\xff\x3f\0"
    for octets in (gif, webp):
        assert refusal(bytes(octets)) == "the video has too many pixels"
    png = _animation("PNG", *films.pictures()[:3])
    header = b"IHDR" + struct.pack(">II", 7_000, 7_000) + png[24:29]
    assert refusal(png[:12] + header + struct.pack(">I", crc32(header)) + png[33:]) == OUT_OF_MEMORY


def test_what_takes_too_long_is_given_up_and_the_next_video_is_hashed(
    hashed: Callable[..., HashedVideo],
) -> None:
    still = _animation("GIF", *[Image.new("P", (1_000, 1_000), shade) for shade in range(2)])
    place = still.rindex(b"!\xf9")
    endless = still[:place] + still[place:-1] * 5_000 + b";"
    with pytest.raises(VideoTooLarge, match="the video takes longer than 1 seconds to hash"):
        hashed(endless, VideoLimits(processing_seconds=1))
    assert len(hashed(films.film()).frames) == 6
