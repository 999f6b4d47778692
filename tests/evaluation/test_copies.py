"""Copies of films: the uploads, and the stretches of the film that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageChops

from hashdb.evaluation.copies import COPIES, MARGIN_SECONDS, Copy, Form, Upload, make_upload
from hashdb.evaluation.films import PannedFilm
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.videos import Video
from tests.evaluation.photos import PHOTOS

SIZE = (96, 54)
FILM = PannedFilm("film", tuple(PHOTOS[:2]), 9.0, 1, SIZE)
AROUND = PannedFilm("around", tuple(PHOTOS[2:4]), 30.0, 2, SIZE)
BY_NAME = {(copy.form, copy.name): copy for copy in COPIES}


def uploaded(copy: Copy) -> tuple[Upload, list[tuple[float, Image.Image]], float]:
    """The upload, its frames with their times, and its duration in seconds."""
    upload = make_upload(copy, FILM, 1.5, AROUND, 4.0)
    video = Video(BytesIO(upload.octets), VideoLimits(), interval=0.25)
    frames = [(frame.at, frame.image) for frame in video.frames() if frame.on_grid]
    return upload, frames, video.duration


def difference(image: Image.Image, other: Image.Image) -> float:
    """The mean difference of the samples of two pictures, 0 to 255."""
    return float(np.asarray(ImageChops.difference(image, other.resize(image.size))).mean())


def test_the_names_of_copies_of_one_form_are_unique() -> None:
    assert len(BY_NAME) == len(COPIES)


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: f"{copy.form}, {copy.name}")
def test_an_upload_has_its_stated_duration_and_stretches_of_the_film(copy: Copy) -> None:
    copy = replace(copy, seconds=3.0)
    upload, frames, duration = uploaded(copy)
    assert duration == pytest.approx(upload.seconds, abs=0.15)
    assert len({image.size for _, image in frames}) == 1
    margin = MARGIN_SECONDS if copy.form is Form.INSIDE else 0.0
    assert upload.truth[0].query[0] == margin
    assert upload.truth[-1].query[1] == pytest.approx(upload.seconds - margin)
    for query, listed in upload.truth:
        assert listed[1] - listed[0] == pytest.approx((query[1] - query[0]) * copy.speed)
        assert 0 <= listed[0] < listed[1] <= FILM.seconds + 1e-6


def _frame_pairs(copy: Copy, moments: Sequence[float]) -> list[tuple[Image.Image, Image.Image]]:
    """Pairs of a frame of the film and a frame of the upload that should show it."""
    upload, frames, _ = uploaded(copy)
    (truth,) = upload.truth
    pairs = []
    for at in moments:
        image = next(image for time, image in frames if time >= truth.query[0] + at - 1e-6)
        time = next(time for time, _ in frames if time >= truth.query[0] + at - 1e-6)
        (film,) = FILM.play([truth.listed[0] + (time - truth.query[0]) * copy.speed])
        pairs.append((film, image))
    return pairs


@pytest.mark.parametrize("name", ["plain", "CRF 40", "0.8 ×", "1.25 ×", "10 frames/s", "logo"])
def test_a_clip_in_an_upload_shows_the_film(name: str) -> None:
    copy = replace(BY_NAME[Form.INSIDE, name], seconds=3.0)
    for film, image in _frame_pairs(copy, (0.0, 1.0, 2.0)):
        assert difference(film, image) < 16


def test_the_upload_shows_the_surrounding_film_around_the_clip() -> None:
    upload, frames, _ = uploaded(replace(BY_NAME[Form.INSIDE, "plain"], seconds=3.0))
    for at, image in (frames[0], frames[4], frames[-1]):
        # The clip is inserted: after it, the surrounding film continues where it was cut.
        (other,) = AROUND.play([4.0 + (at if at < MARGIN_SECONDS else at - 3.0)])
        assert difference(other, image) < 12
    assert upload.seconds == 3.0 + 2 * MARGIN_SECONDS


def test_mirrored_and_reversed_clips_show_the_film_mirrored_and_reversed() -> None:
    for film, image in _frame_pairs(replace(BY_NAME[Form.INSIDE, "mirrored"], seconds=3.0), (0.5, 2.0)):
        assert difference(film.transpose(Image.Transpose.FLIP_LEFT_RIGHT), image) < 12
    _, frames, _ = uploaded(replace(BY_NAME[Form.INSIDE, "reversed"], seconds=3.0))
    (last,) = FILM.play([1.5 + 3.0 - 1 / 12])
    assert difference(last, dict(frames)[MARGIN_SECONDS]) < 12


def test_parts_are_joined_in_another_order() -> None:
    upload, _, _ = uploaded(replace(BY_NAME[Form.ALONE, "spliced from three"], seconds=6.0))
    assert [round(truth.query[0], 6) for truth in upload.truth] == [0.0, 2.0, 4.0]
    starts = [truth.listed[0] for truth in upload.truth]
    assert starts[2] < starts[0] < starts[1]
