"""What is hashed of a picture on either side."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.signals import SPARSE_MARGIN, Algorithm, is_sparse
from hashdb.evaluation.samples import (
    FAR,
    LONGEST_SIDE,
    PROFILES,
    Sample,
    SampleJob,
    Scheme,
    Unfit,
    asked,
    contribution_hashes,
    measure,
    measure_all,
    nearest,
    sparse_penalty,
)
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture
from hashdb.index.vectors import pack, unpack
from tests.builders import near, signal, sparse
from tests.evaluation.photos import PHOTOS

BOTH = (Algorithm.PDQ, Algorithm.PHASH)


def _photo() -> Picture:
    with Image.open(PHOTOS[0]) as photo:
        return Picture(photo.convert("RGB"))


def test_the_first_of_what_is_asked_is_the_picture_itself() -> None:
    photo = _photo()
    hashes = asked(photo, BOTH)
    assert unpack(hashes[Algorithm.PDQ])[0] == pdq(photo)[0].value
    assert unpack(hashes[Algorithm.PHASH])[0] == imagehash_signal(photo, Algorithm.PHASH).value


def test_every_profile_contributes_the_picture_itself_and_each_value_once() -> None:
    photo = _photo()
    for profile in PROFILES:
        for algorithm, words in contribution_hashes(photo, BOTH, profile).items():
            values = unpack(words)
            assert asked(photo, BOTH)[algorithm][0].tolist() in words.tolist()
            assert len(set(values)) == len(values)


def test_what_would_be_refused_is_not_contributed() -> None:
    flat = Picture(Image.new("RGB", (100, 100), (9, 9, 9)))
    for profile in PROFILES:
        assert not len(contribution_hashes(flat, (Algorithm.PHASH,), profile)[Algorithm.PHASH])


def test_a_radius_is_the_default_one_unless_another_is_given() -> None:
    scheme = Scheme(BOTH, PROFILES, (), radii={Algorithm.PDQ: 44})
    assert scheme.radius(Algorithm.PDQ) == 44
    assert scheme.radius(Algorithm.PHASH) == Algorithm.PHASH.radius


def test_it_is_the_same_as_at_a_match() -> None:
    values = [near(sparse(seed), bits).value for seed in range(20) for bits in range(0, 128, 8)]
    values += [signal(seed, Algorithm.PHASH256).value for seed in range(50)]
    expected = [SPARSE_MARGIN * is_sparse(value) for value in values]
    assert 0 < sum(map(bool, expected)) < len(values)
    assert sparse_penalty(Algorithm.PHASH256, pack(values, 256)).tolist() == expected


def test_of_other_algorithms_and_of_nothing_there_is_none() -> None:
    assert not sparse_penalty(Algorithm.PDQ, pack([sparse(1).value], 256)).any()
    assert sparse_penalty(Algorithm.PHASH256, np.empty((0, 4), np.uint64)).shape == (0,)


SCHEME = Scheme((Algorithm.PDQ, Algorithm.PHASH), ("plain",), ("JPEG 50", "crop 30 %", "collage of two"))


def _measured(path: Path, *, beside: Path = PHOTOS[1], place: int = 0, limits: Limits | None = None) -> Sample | Unfit:
    return measure(SampleJob(place, path, beside, limits or Limits()), SCHEME)


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
    assert nearest(none, every, Algorithm.PHASH256) == (256 + SPARSE_MARGIN, 256 + SPARSE_MARGIN)


def test_two_processes_find_what_one_does_in_the_same_order() -> None:
    scheme = Scheme((Algorithm.PDQ,), ("plain",), ("noise 10", "10 % off one side"))
    paths = [*PHOTOS[:8], PHOTOS[0].parent / "missing.jpg", PHOTOS[8]]
    jobs = [SampleJob(place, path, PHOTOS[9], Limits()) for place, path in enumerate(paths)]
    before = dict(os.environ)
    alone, together = (list(measure_all(jobs, scheme, processes)) for processes in (1, 2))
    assert dict(os.environ) == before
    assert [found.place for found in together] == list(range(len(paths)))
    for one, other in zip(alone, together, strict=True):
        if isinstance(one, Unfit):
            assert one == other
        else:
            assert isinstance(other, Sample)
            np.testing.assert_array_equal(one.distances, other.distances)
            np.testing.assert_array_equal(one.asked[Algorithm.PDQ], other.asked[Algorithm.PDQ])
    assert isinstance(together[8], Unfit)
