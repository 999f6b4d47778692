"""Samples: the hashes and distances of a picture and its altered copies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.matching.matches import Query, StoredItem
from hashdb.domain.signals import SPARSE_MARGIN, Algorithm, is_sparse
from hashdb.evaluation.catalogue import Catalogue
from hashdb.evaluation.samples import (
    FAR,
    LONGEST_SIDE,
    PROFILES,
    UNMEASURED,
    HashedPicture,
    Sample,
    SampleJob,
    Scheme,
    Unfit,
    Views,
    hash_picture,
    measure,
    measure_all,
    nearest,
    query_values,
    sparse_penalty,
    stored_hashes,
)
from hashdb.hashing import Limits
from hashdb.index.vectors import Words, pack, unpack
from tests.builders import near, signal, sparse
from tests.evaluation.photos import PHOTOS
from tests.evaluation.test_pairs import as_views

BOTH = (Algorithm.PDQ, Algorithm.PHASH)


def test_the_values_of_a_query_begin_with_its_own_and_do_not_repeat() -> None:
    own, turned, more = signal(1), signal(2), signal(3)
    views = query_values(Query((own,), transforms={"mirror": (turned,), "letterbox": (more, turned, own)}), BOTH)
    assert unpack(views[Algorithm.PDQ].values) == [own.value, turned.value, more.value]
    assert views[Algorithm.PDQ].narrower.tolist() == [0, 0, 0]
    assert not len(views[Algorithm.PHASH].values)


def test_a_value_with_a_smaller_radius_has_a_penalty() -> None:
    own, panel = signal(1, Algorithm.PHASH256), signal(2, Algorithm.PHASH256)
    query = Query((own,), transforms={"panel": (panel, own), "mirror": (signal(3, Algorithm.PHASH256),)})
    penalty = Algorithm.PHASH256.radius - query.radius_of(Algorithm.PHASH256, "panel")
    assert penalty > 0
    assert query_values(query, (Algorithm.PHASH256,))[Algorithm.PHASH256].narrower.tolist() == [0, penalty, 0]


def test_stored_hashes_are_grouped_by_algorithm() -> None:
    signals = (signal(1), signal(2, Algorithm.PHASH), signal(1))
    hashes = stored_hashes(StoredItem(signals), BOTH)
    assert {algorithm: unpack(words) for algorithm, words in hashes.items()} == {
        Algorithm.PDQ: [signals[0].value],
        Algorithm.PHASH: [signals[1].value],
    }


def test_the_radius_is_the_default_unless_the_scheme_sets_another() -> None:
    scheme = Scheme(BOTH, PROFILES, (), radii={Algorithm.PDQ: 44})
    assert scheme.radius(Algorithm.PDQ) == 44
    assert scheme.radius(Algorithm.PHASH) == Algorithm.PHASH.radius


def test_the_sparse_penalty_is_the_margin_of_sparse_values() -> None:
    values = [near(sparse(seed), bits).value for seed in range(20) for bits in range(0, 128, 8)]
    values += [signal(seed, Algorithm.PHASH256).value for seed in range(50)]
    expected = [SPARSE_MARGIN * is_sparse(value) for value in values]
    assert 0 < sum(map(bool, expected)) < len(values)
    assert sparse_penalty(Algorithm.PHASH256, pack(values, 256)).tolist() == expected


def test_other_algorithms_and_no_values_have_no_sparse_penalty() -> None:
    assert not sparse_penalty(Algorithm.PDQ, pack([sparse(1).value], 256)).any()
    assert sparse_penalty(Algorithm.PHASH256, np.empty((0, 4), np.uint64)).shape == (0,)


SCHEME = Scheme((Algorithm.PDQ, Algorithm.PHASH), ("plain",), ("JPEG 50", "crop 30 %", "collage of two"))


def _measured(
    path: Path, *, beside: Path = PHOTOS[1], place: int = 0, limits: Limits | None = None, scheme: Scheme = SCHEME
) -> Sample | Unfit:
    job = SampleJob(place, path, beside, limits or Limits(), place + 1)
    own = hash_picture(job, scheme)
    if isinstance(own, Unfit):
        return own
    return measure(job, scheme, own, {"plain": Catalogue({place: own.stored["plain"]})})


def test_distances_are_by_alteration_algorithm_profile_and_transforms() -> None:
    sample = _measured(PHOTOS[0])
    assert isinstance(sample, Sample)
    assert sample.distances.shape == (3, 2, 1, 2)
    assert (sample.distances[0, :, 0, 0] <= (12, 4)).all(), "a recompressed copy is near"
    assert (sample.distances[1, :, 0, 0] > (60, 10)).all(), "a copy cropped by 30 % is far"
    assert (sample.distances[..., 1] <= sample.distances[..., 0]).all(), "transforms only reduce distances"


def test_a_sample_records_which_copies_the_service_would_match() -> None:
    sample = _measured(PHOTOS[0])
    assert isinstance(sample, Sample)
    assert sample.matched[:, 0].tolist() == [True, False, True]
    assert sample.mistakes == ()


def test_a_match_of_another_picture_is_a_mistake_unless_a_collage_shows_it() -> None:
    job = SampleJob(0, PHOTOS[0], PHOTOS[1], Limits(), 1)
    own, other = (hash_picture(SampleJob(place, PHOTOS[place], PHOTOS[1], Limits(), 1), SCHEME) for place in (0, 1))
    assert isinstance(own, HashedPicture) and isinstance(other, HashedPicture)
    # The picture itself is also listed at two other places: that of the picture beside, and a third one.
    listed = dict.fromkeys((0, 1, 2), own.stored["plain"])
    sample = measure(job, SCHEME, own, {"plain": Catalogue(listed)})
    mistaken = [(mistake.query, mistake.listed, mistake.alteration) for mistake in sample.mistakes]
    assert mistaken == [
        *((0, listed, alteration) for alteration in (None, "JPEG 50") for listed in (1, 2)),
        (0, 2, "collage of two"),
    ]
    assert sample.mistakes[0].distance["pdq"] == 0
    assert measure(job, SCHEME, own, {"plain": Catalogue({1: other.stored["plain"]})}).mistakes == ()


def test_with_every_3_each_picture_has_another_third_of_the_alterations() -> None:
    scheme = Scheme((Algorithm.PDQ,), ("plain",), SCHEME.alterations, every=3)
    samples = [_measured(PHOTOS[0], place=place, scheme=scheme) for place in range(3)]
    measured = [
        (sample.distances[:, 0, 0, 0] != UNMEASURED).tolist() for sample in samples if isinstance(sample, Sample)
    ]
    assert measured == [[True, False, False], [False, False, True], [False, True, False]]


def test_successive_pictures_are_queried_with_different_alterations() -> None:
    samples = [_measured(PHOTOS[0], place=place) for place in range(4)]
    values = [sample.altered[Algorithm.PDQ].values.tolist() for sample in samples if isinstance(sample, Sample)]
    assert len(values) == 4
    assert values[0] != values[1] != values[2]


def test_a_picture_is_measured_even_if_the_one_beside_cannot_be_read(tmp_path: Path) -> None:
    assert isinstance(_measured(PHOTOS[0], beside=tmp_path / "missing.jpg"), Sample)


def test_a_large_picture_is_reduced_first(tmp_path: Path) -> None:
    with Image.open(PHOTOS[0]) as photo:
        photo.resize((3 * LONGEST_SIDE, 2 * LONGEST_SIDE)).save(tmp_path / "large.jpg")
        photo.resize((LONGEST_SIDE, 2 * LONGEST_SIDE // 3)).save(tmp_path / "reduced.jpg")
    large, reduced = (_measured(tmp_path / f"{name}.jpg") for name in ("large", "reduced"))
    assert isinstance(large, Sample) and isinstance(reduced, Sample)
    distances = nearest(large.views[Algorithm.PDQ], reduced.views[Algorithm.PDQ].values, Algorithm.PDQ)
    assert distances[0] <= 6


def test_a_file_that_cannot_be_measured_has_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(PHOTOS[0].read_bytes()[:3000])
    Image.new("RGB", (300, 300), (1, 2, 3)).save(tmp_path / "flat.png")
    with Image.open(PHOTOS[0]) as photo:
        photo.resize((100, 63)).save(tmp_path / "small.png")
    measured_files = {
        name: _measured(tmp_path / name) for name in ("broken.jpg", "flat.png", "small.png", "missing.jpg")
    }
    reasons = {name: sample.reason for name, sample in measured_files.items() if isinstance(sample, Unfit)}
    assert reasons["broken.jpg"] == "the picture is damaged or cut short"
    assert "quality" in reasons["flat.png"]
    assert reasons["small.png"] == "a side has fewer than 64 pixels, which is too few to alter"
    assert reasons["missing.jpg"] == "the file cannot be read: no such file or directory"


def test_a_file_that_is_too_large_is_not_read() -> None:
    unfit = _measured(PHOTOS[0], limits=Limits(max_bytes=100))
    assert isinstance(unfit, Unfit)
    assert "bytes" in unfit.reason or "MB" in unfit.reason


@pytest.mark.parametrize(
    ("queries", "values", "expected"),
    [([0], [0b111, 0b1], (1, 1)), ([0b1111, 0], [0b1], (3, 1)), ([], [1], (FAR, FAR)), ([1], [], (FAR, FAR))],
)
def test_nearest_returns_the_distance_to_the_nearest_value(
    queries: list[int], values: list[int], expected: tuple[int, int]
) -> None:
    assert nearest(_views(pack(queries, 64)), pack(values, 64), Algorithm.PHASH) == expected


def _views(values: Words, narrower: Sequence[int] = ()) -> Views:
    return Views(values, np.array(narrower, np.uint16)) if narrower else as_views(values)


def test_the_penalty_of_a_value_is_added_to_its_distance() -> None:
    queries = _views(pack([0b1111, 0b1], 64), [0, 5])
    assert nearest(queries, pack([0], 64), Algorithm.PHASH) == (4, 4)
    assert nearest(queries, pack([0b11111111], 64), Algorithm.PHASH) == (4, 4)
    assert nearest(_views(pack([0b1], 64), [5]), pack([0], 64), Algorithm.PHASH) == (6, 6)


def test_nearest_can_return_a_distance_of_256_bits() -> None:
    none, every = np.zeros((1, 4), np.uint64), np.full((1, 4), 2**64 - 1, np.uint64)
    assert nearest(_views(none), every, Algorithm.PDQ) == (256, 256)
    assert nearest(_views(none), every, Algorithm.PHASH256) == (256 + SPARSE_MARGIN, 256 + SPARSE_MARGIN)


def test_two_processes_give_the_same_results_in_the_same_order_as_one() -> None:
    scheme = Scheme((Algorithm.PDQ,), ("plain",), ("noise 10", "10 % off one side"))
    paths = [*PHOTOS[:8], PHOTOS[0].parent / "missing.jpg", PHOTOS[8]]
    jobs = [SampleJob(place, path, PHOTOS[9], Limits(), 9) for place, path in enumerate(paths)]
    before = dict(os.environ)
    alone, together = (list(measure_all(jobs, scheme, processes)) for processes in (1, 2))
    assert dict(os.environ) == before
    assert [sample.place for sample in together] == list(range(len(paths)))
    for sample, other in zip(alone, together, strict=True):
        if isinstance(sample, Unfit):
            assert sample == other
        else:
            assert isinstance(other, Sample)
            np.testing.assert_array_equal(sample.distances, other.distances)
            np.testing.assert_array_equal(sample.views[Algorithm.PDQ].values, other.views[Algorithm.PDQ].values)
            np.testing.assert_array_equal(sample.matched, other.matched)
    assert isinstance(together[8], Unfit)
