"""Bent pictures: the demanded bits of the hashes of hashdb change within the budget."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.bending import Bender, View, decibels_between, demands, signs_of, tilted_view
from hashdb.hashing.pdq import pdq, pdq_signal
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats
from hashdb.hashing.windows import Window, phash256_signal
from tests.evaluation.photos import PHOTOS

DEMANDED = 80


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """A small photograph."""
    with Image.open(PHOTOS[1]) as picture:
        return picture.convert("RGB").resize((240, 180))


def signs(view: View, image: Image.Image) -> Floats:
    """The bits of the hash of a view of a picture, as signs."""
    picture = Picture(image)
    coefficients = view.coefficients(picture, picture.reduced).reshape(16, 16)
    return signs_of(pdq_signal(coefficients) if view.algorithm is Algorithm.PDQ else phash256_signal(coefficients))


def test_all_views_are_changed_at_once_within_the_budget(image: Image.Image) -> None:
    views = [
        View(Algorithm.PDQ),
        tilted_view(3.5, Picture(image).reduced),
        View(Algorithm.PHASH256),
        View(Algorithm.PHASH256, Window(0.2, 0.1, 0.9, 0.7)),
    ]
    before = [signs(view, image) for view in views]
    wanted = demands([(place, -sign, DEMANDED) for place, sign in enumerate(before)])
    bent = Bender(image, views).bend(wanted, 30, 60)
    changed = [int((signs(view, bent) != sign).sum()) for view, sign in zip(views, before, strict=True)]
    # The rounding of the processor decides the bits that are nearest to the median.
    assert min(changed) >= DEMANDED - 8
    assert decibels_between(bent, image) >= 29.9


def test_a_small_budget_changes_fewer_bits_than_demanded(image: Image.Image) -> None:
    view = View(Algorithm.PHASH256)
    before = signs(view, image)
    bent = Bender(image, [view]).bend(demands([(0, -before, DEMANDED)]), 55, 60)
    assert 0 < (signs(view, bent) != before).sum() < DEMANDED


def test_a_picture_can_be_bent_to_the_hash_of_another_picture(image: Image.Image) -> None:
    with Image.open(PHOTOS[2]) as other:
        value = pdq(Picture(other.convert("RGB")))[0]
    near = Bender(image, [View(Algorithm.PDQ)]).bend(demands([(0, signs_of(value), 240)]), 20, 80)
    assert pdq(Picture(near))[0].distance(value) <= 31 < pdq(Picture(image))[0].distance(value)


def test_decibels_between_measures_a_difference_of_one_grey_level() -> None:
    plain = Image.new("RGB", (8, 8), (100, 100, 100))
    assert decibels_between(plain, Image.new("RGB", (8, 8), (101, 101, 101))) == pytest.approx(20 * np.log10(255))
    assert decibels_between(plain, plain) == 100
