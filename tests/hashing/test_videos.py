"""Videos: which frames are hashed, at which times, and with which algorithms."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm
from hashdb.hashing import Mode, hash_picture
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.variants import FRAME_WINDOWS, FRAME_WINDOWS_IN_TURN
from hashdb.hashing.videos import (
    VIDEO_HEAD,
    HashedFrame,
    Video,
    begins_as_video,
    digests,
    hash_frames,
    is_video,
    thin_out,
)
from tests import films
from tests.hashing.samples import draw_picture, encode_picture

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)


def _hashed(octets: bytes, mode: Mode = Mode.PLAIN, interval: float = 1.0) -> list[HashedFrame]:
    return list(hash_frames(Video(BytesIO(octets), VideoLimits(), interval=interval), ALGORITHMS, mode))


def test_one_frame_a_second_and_the_first_after_each_cut_are_hashed() -> None:
    octets = films.encoded(films.pictures(1, 2.5) + films.pictures(2, 2.5))
    frames = _hashed(octets)
    assert [frame.at for frame in frames if frame.on_grid] == [0, 1, 2, 3, 4]
    assert {2.5, 4.5} <= {frame.at for frame in frames}
    assert [frame.number for frame in frames] == [round(frame.at * films.RATE) for frame in frames]


def test_a_frame_has_nearly_the_hashes_of_the_picture_that_it_shows() -> None:
    for frame in _hashed(films.film()):
        picture = hash_picture(encode_picture(films.pictures()[frame.number]), ALGORITHMS)
        for signal, expected in zip(frame.hashed.signals, picture.signals, strict=False):
            assert signal.distance(expected) <= 16
        assert frame.hashed.quality is not None
        assert abs(frame.hashed.quality - (picture.quality or 0)) <= 10


def test_the_first_frame_of_a_shot_has_variants_and_the_others_only_pdq() -> None:
    still = films.encoded([films.pictures()[0]] * 30)
    first, *others = _hashed(still, Mode.BALANCED)
    assert len(first.hashed.signals) == 2 + len(FRAME_WINDOWS) + len(FRAME_WINDOWS_IN_TURN[0])
    assert [[signal.algorithm for signal in frame.hashed.signals] for frame in others] == [[Algorithm.PDQ]] * 2


def test_a_query_has_all_transforms_each_second_and_the_mirror_in_between() -> None:
    frames = _hashed(films.film(), Mode.TRANSFORMS, interval=0.5)
    assert len(frames) >= 12
    between = [frame.hashed for frame in frames if len(frame.hashed.transforms) <= 3]
    assert between
    for hashed in between:
        algorithms = [signal.algorithm for signal in hashed.signals]
        assert algorithms == [signal.algorithm for signal in hashed.transforms.get("mirror", ())] == list(ALGORITHMS)
    long = [frame for frame in frames if "middle" in frame.hashed.transforms]
    assert len(frames) / 3 < len(long) <= len(frames) * 2 / 3


def test_a_video_with_a_variable_frame_rate_is_hashed_over_its_whole_length() -> None:
    times = [place / 50 for place in range(50)] + [3, 4.5, 4.6, 8, 8.1]
    file = BytesIO()
    with av.open(file, "w", format="matroska") as output:
        track = output.add_stream("libx264", rate=50)
        assert isinstance(track, VideoStream)
        track.width, track.height, track.pix_fmt = *films.SIZE, "yuv420p"
        track.codec_context.time_base = Fraction(1, 1_000)
        for time, picture in zip(times, films.pictures(), strict=False):
            frame = VideoFrame.from_ndarray(np.asarray(picture))
            frame.pts, frame.time_base = round(time * 1_000), Fraction(1, 1_000)
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    frame_times = [frame.at for frame in _hashed(file.getvalue())]
    assert {0, 3, 4.5, 8} <= set(frame_times)
    assert len(frame_times) <= 10


@pytest.mark.parametrize(
    ("container", "codec"),
    [("flv", "flv"), ("asf", "wmv2"), ("ogg", "vp8"), ("webm", "libvpx-vp9"), ("mpeg", "mpeg2video"), ("3gp", "mpeg4")],
)
def test_a_video_is_recognised_by_its_first_bytes(container: str, codec: str) -> None:
    octets = films.encoded(films.pictures(1, 1.0), 25, container, codec)
    assert is_video(BytesIO(octets))
    assert _hashed(octets)[0].at == 0


def test_the_transforms_of_a_query_use_only_the_requested_algorithms() -> None:
    corner = [frame.copy() for frame in films.pictures(2, 4.0, (320, 180))]
    for frame, inset in zip(corner, films.pictures(3, 4.0, (160, 90)), strict=True):
        frame.paste(inset, (150, 10))
    octets = films.encoded(corner, options={"crf": "18"})
    for algorithms in (ALGORITHMS, (Algorithm.PDQ,), (Algorithm.PHASH256,)):
        video = Video(BytesIO(octets), VideoLimits(), interval=0.25)
        hashed = [frame.hashed for frame in hash_frames(video, algorithms, Mode.TRANSFORMS)]
        names = {name for frame in hashed for name in frame.transforms}
        used = {signal.algorithm for frame in hashed for signals in frame.transforms.values() for signal in signals}
        assert used == set(algorithms)
        assert ("inset" in names) is (Algorithm.PHASH256 in algorithms)


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "mpegts", "mov"])
def test_the_hashes_do_not_depend_on_the_container(container: str) -> None:
    octets = films.encoded(films.pictures(), container=container)
    assert is_video(BytesIO(octets))
    assert [frame.hashed for frame in _hashed(octets)] == [frame.hashed for frame in _hashed(films.film())]


def test_digests_are_computed_from_the_bytes_of_the_file() -> None:
    file = BytesIO(b"abc")
    sha256, md5 = map(str, digests(file))
    assert sha256 == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert md5 == "md5:900150983cd24fb0d6963f7d28e17f72"
    assert file.read() == b"abc"


def test_frames_that_do_not_start_a_shot_are_dropped_first() -> None:
    frames = _hashed(films.film(3))
    shots = [frame for frame in frames if len(frame.hashed.signals) > 1]
    assert thin_out(frames, len(shots)) == shots
    assert len(thin_out(frames, 2)) == 2


def test_a_picture_is_not_a_video() -> None:
    assert not is_video(BytesIO(encode_picture(draw_picture())))
    assert not is_video(BytesIO(encode_picture(draw_picture(), "GIF")))


PICTURES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


@pytest.mark.parametrize("format", PICTURES)
def test_a_picture_with_video_markers_after_its_first_bytes_is_not_a_video(format: str) -> None:
    octets = encode_picture(draw_picture(), format)
    assert not is_video(BytesIO(octets))
    disguised = bytearray(octets[:4] + b"free" + octets[8:12].ljust(VIDEO_HEAD, b"a"))
    assert not begins_as_video(bytes(disguised))
    for place in (4, 196, 388):
        disguised[place] = ord("G")
    assert not begins_as_video(bytes(disguised))


def test_a_picture_with_the_word_free_in_its_first_segment_is_hashed_as_a_picture() -> None:
    octets = encode_picture(draw_picture(), "JPEG")
    disguised = octets[:2] + b"\xff\xe1freee".ljust(2 + 0x6672, b"\0") + octets[2:]
    assert disguised[4:8] == b"free"
    assert hash_picture(disguised, ALGORITHMS) == hash_picture(octets, ALGORITHMS)
    assert not is_video(BytesIO(disguised))


def test_a_broadcast_stream_is_recognised_by_its_first_three_packets() -> None:
    octets = films.encoded(films.pictures(1, 1.0), container="mpegts")
    with_time_codes = b"".join(bytes(4) + octets[place : place + 188] for place in range(0, len(octets), 188))
    assert begins_as_video(octets[:VIDEO_HEAD])
    assert begins_as_video(with_time_codes[:VIDEO_HEAD])
    assert not begins_as_video(octets[:376])


def test_a_hidden_default_picture_of_an_animated_png_is_not_a_frame() -> None:
    hidden, *shown = films.pictures(1, 1.0)[::5] + films.pictures(2, 1.0)[::5]
    for frames in (shown, shown[:1]):
        octets = encode_picture(hidden, "PNG", save_all=True, append_images=frames, default_image=True, duration=1_000)
        assert is_video(BytesIO(octets))
        hashed = _hashed(octets)
        assert [frame.at for frame in hashed] == list(range(len(frames)))
        for frame, picture in zip(hashed, frames, strict=True):
            assert frame.hashed.signals[0] == hash_picture(encode_picture(picture), ALGORITHMS).signals[0]


def test_flat_frames_have_a_quality_below_the_minimum() -> None:
    flat = draw_picture().point(lambda level: 128)
    assert all((frame.hashed.quality or 0) < MINIMUM_QUALITY for frame in _hashed(films.encoded([flat] * 20)))
