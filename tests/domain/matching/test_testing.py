"""The test item: a picture of the package, and its published signals."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageChops

import hashdb
from hashdb.domain.matching.testing import (
    TEST_HOLDERS,
    TEST_ID,
    TEST_SIGNALS,
    contribution_of_test_item,
    near_test_item,
)
from hashdb.domain.signals import OF_PICTURES, Signal
from hashdb.hashing import hash_file
from scripts.test_picture import PICTURE, draw

FOLDER = Path(hashdb.__file__).parent


def test_the_published_signals_of_the_test_item_are_those_of_the_picture() -> None:
    hashed = hash_file(PICTURE, OF_PICTURES)
    assert hashed.signals == TEST_SIGNALS
    assert hashed.quality == contribution_of_test_item(OF_PICTURES).quality
    assert not [signal for signal in TEST_SIGNALS if signal.fault()]


def test_the_script_draws_the_picture_of_the_package() -> None:
    with Image.open(PICTURE) as picture:
        difference = ImageChops.difference(
            picture.convert("RGB"), draw().quantize(64, dither=Image.Dither.NONE).convert("RGB")
        )
    assert difference.getbbox() is None


def test_the_test_item_is_near_only_within_the_radius() -> None:
    signal = TEST_SIGNALS[0]
    other = Signal(signal.algorithm, signal.value ^ 0b111)
    assert near_test_item(other, 3) == (3, signal)
    assert near_test_item(other, 2) is None


def test_no_photograph_of_the_package_is_near_the_test_item() -> None:
    photos = list((FOLDER / "photos").glob("*.jpg"))
    assert len(photos) == 18
    for photo in photos:
        for signal in hash_file(photo, OF_PICTURES).signals:
            assert near_test_item(signal, signal.algorithm.radius) is None


def test_the_test_item_holds_only_its_own_signals() -> None:
    assert list(TEST_HOLDERS) == [holder.signal for holder in TEST_HOLDERS.values()] == list(TEST_SIGNALS)
    assert {holder.contribution for holder in TEST_HOLDERS.values()} == {TEST_ID}
