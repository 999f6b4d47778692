"""Films: drawn ones, recorded ones, and their encoding."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from hashdb.evaluation.films import FRAME_RATE, LoadedFilm, PannedFilm, RecordedFilm, can_encode, encode, times
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.videos import Video
from tests.evaluation.photos import PHOTOS

FILM = PannedFilm("film", tuple(PHOTOS[:2]), 8.0, 1, (64, 36))


def test_a_film_plays_the_same_frames_each_time_and_moves() -> None:
    moments = times(0, 8)
    assert len(moments) == 8 * FRAME_RATE
    shown, again = list(FILM.play(moments)), list(FILM.play(moments))
    assert {picture.size for picture in shown} == {(64, 36)}
    assert all(frame.tobytes() == other.tobytes() for frame, other in zip(shown, again, strict=True))
    assert len({picture.tobytes() for picture in shown}) > FRAME_RATE
    other = PannedFilm("film", FILM.photos, 8.0, 2, (64, 36))
    assert next(iter(other.play([0.0]))).tobytes() != shown[0].tobytes()


def test_a_film_shows_the_same_frame_at_a_time_from_any_start() -> None:
    (late,) = FILM.play([6.5])
    assert late.tobytes() == list(FILM.play([1.0, 3.0, 6.5]))[-1].tobytes()


def test_films_over_the_same_photographs_are_one_group() -> None:
    assert PannedFilm("other", FILM.photos, 8.0, 2).group == FILM.group
    assert PannedFilm("other", tuple(PHOTOS[2:4]), 8.0, 1).group != FILM.group


def test_a_loaded_stretch_shows_the_frames_of_the_film() -> None:
    loaded = LoadedFilm(FILM, 2.0, 4.0)
    moments = times(2.0, 4.0)
    for frame, other in zip(loaded.play(moments), FILM.play(moments), strict=True):
        assert frame.tobytes() == other.tobytes()
    # A time between two frames shows the earlier one. A time after the end shows the last one.
    early, late = loaded.play([2.0 + 0.9 / FRAME_RATE, 9.0])
    assert early.tobytes() == next(iter(FILM.play([2.0]))).tobytes()
    assert late.tobytes() == list(FILM.play(moments))[-1].tobytes()


def test_an_encoded_film_has_its_frames_at_their_times() -> None:
    octets = encode((Image.new("RGB", (65, 37), (40 * number,) * 3) for number in range(6)), rate=2)
    video = Video(BytesIO(octets), VideoLimits(), interval=0.5)
    frames = list(video.frames())
    assert [frame.at for frame in frames] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert video.duration == pytest.approx(3.0)
    # An odd width or height is reduced by one pixel.
    assert {frame.image.size for frame in frames} == {(64, 36)}
    for number, frame in enumerate(frames):
        assert np.asarray(frame.image).mean() == pytest.approx(40 * number, abs=6)


def test_without_the_optional_package_no_film_can_be_encoded(tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
    program = "from hashdb.evaluation.films import can_encode; print(can_encode())"
    process = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, check=True)
    assert process.stdout == b"False\n"
    assert can_encode()


def test_stronger_compression_makes_a_smaller_file() -> None:
    frames = list(FILM.play(times(0, 8)))
    assert len(encode(frames, crf=40)) < len(encode(frames, crf=20)) * 0.7


def test_a_recording_without_a_stated_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    first, *others = (Image.new("L", (64, 36), 40 * number) for number in range(5))
    first.save(path, save_all=True, append_images=others, duration=1_000)
    assert RecordedFilm.open(path).seconds == pytest.approx(5.0)


def test_a_recording_plays_the_frames_of_the_requested_times(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(encode(FILM.play(times(0, 8)), crf=18))
    film = RecordedFilm.open(path)
    assert film.seconds == pytest.approx(8.0, abs=0.1)
    moments = [0.0, 1.25, 3.5, 3.5, 7.75]
    for recorded, original in zip(film.play(moments), FILM.play(moments), strict=True):
        assert np.asarray(ImageChops.difference(recorded, original)).mean() < 6
