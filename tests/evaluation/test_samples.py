"""One picture, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.domain.sparseness import FURTHER
from hashdb.evaluation.samples import FAR, LONGEST_SIDE, Job, Sample, Unfit, measure, nearest
from hashdb.evaluation.schemes import Scheme
from hashdb.hashing import Limits
from hashdb.index.words import pack
from tests.evaluation.photos import PHOTOS

SCHEME = Scheme((Algorithm.PDQ, Algorithm.PHASH), ("plain",), ("JPEG 50", "crop 30 %", "collage of two"))


def _measured(path: Path, *, beside: Path = PHOTOS[1], place: int = 0, limits: Limits | None = None) -> Sample | Unfit:
    return measure(Job(place, path, beside, limits or Limits()), SCHEME)


def test_distances_stand_by_alteration_algorithm_profile_and_transforms() -> None:
    sample = _measured(PHOTOS[0])
    assert isinstance(sample, Sample)
    assert sample.distances.shape == (3, 2, 1, 2)
    assert (sample.distances[0, :, 0, 0] <= (12, 4)).all(), "recompressed, it is near"
    assert (sample.distances[1, :, 0, 0] > (60, 10)).all(), "without a third of it, it is far"
    assert (sample.distances[..., 1] <= sample.distances[..., 0]).all(), "transforms only add"


def test_each_picture_is_asked_about_under_another_alteration_in_turn() -> None:
    kept = [_measured(PHOTOS[0], place=place) for place in range(4)]
    values = [sample.altered[Algorithm.PDQ].tolist() for sample in kept if isinstance(sample, Sample)]
    assert len(values) == 4
    assert values[0] != values[1] != values[2]


def test_a_picture_is_measured_the_same_beside_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert isinstance(_measured(PHOTOS[0], beside=tmp_path / "missing.jpg"), Sample)


def test_a_large_picture_is_reduced_first(tmp_path: Path) -> None:
    with Image.open(PHOTOS[0]) as photo:
        photo.resize((3 * LONGEST_SIDE, 2 * LONGEST_SIDE)).save(tmp_path / "large.jpg")
        photo.resize((LONGEST_SIDE, 2 * LONGEST_SIDE // 3)).save(tmp_path / "reduced.jpg")
    large, reduced = (_measured(tmp_path / f"{name}.jpg") for name in ("large", "reduced"))
    assert isinstance(large, Sample) and isinstance(reduced, Sample)
    apart = nearest(large.asked[Algorithm.PDQ], reduced.asked[Algorithm.PDQ], Algorithm.PDQ)
    assert apart[0] <= 6


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(PHOTOS[0].read_bytes()[:3000])
    Image.new("RGB", (300, 300), (1, 2, 3)).save(tmp_path / "flat.png")
    with Image.open(PHOTOS[0]) as photo:
        photo.resize((100, 63)).save(tmp_path / "small.png")
    reasons = {name: _measured(tmp_path / name) for name in ("broken.jpg", "flat.png", "small.png", "missing.jpg")}
    said = {name: found.reason for name, found in reasons.items() if isinstance(found, Unfit)}
    assert said["broken.jpg"] == "the picture is damaged or cut short"
    assert "quality" in said["flat.png"]
    assert said["small.png"] == "a side has fewer than 64 pixels, which is too few to alter"
    assert said["missing.jpg"] == "the file cannot be read: no such file or directory"


def test_a_file_that_is_too_large_is_not_read() -> None:
    found = _measured(PHOTOS[0], limits=Limits(max_bytes=100))
    assert isinstance(found, Unfit)
    assert "bytes" in found.reason or "MB" in found.reason


@pytest.mark.parametrize(
    ("queries", "values", "expected"),
    [([0], [0b111, 0b1], (1, 1)), ([0b1111, 0], [0b1], (3, 1)), ([], [1], (FAR, FAR)), ([1], [], (FAR, FAR))],
)
def test_the_nearest_value(queries: list[int], values: list[int], expected: tuple[int, int]) -> None:
    assert nearest(pack(queries, 64), pack(values, 64), Algorithm.PHASH) == expected


def test_all_of_256_bits_may_differ() -> None:
    none, every = np.zeros((1, 4), np.uint64), np.full((1, 4), 2**64 - 1, np.uint64)
    assert nearest(none, every, Algorithm.PDQ) == (256, 256)
    assert nearest(none, every, Algorithm.PHASH256) == (256 + FURTHER, 256 + FURTHER)
