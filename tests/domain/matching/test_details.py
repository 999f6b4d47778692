"""Details: a part is found in the whole, and a picture that only resembles it is not."""

from __future__ import annotations

import numpy as np
import pytest

from hashdb.domain.matching import details
from hashdb.domain.matching.details import coefficients_of, likeness, resemblance, warm
from hashdb.domain.signatures import Kind, Signature
from hashdb.hashing.pictures import Limits, Picture, read_picture
from hashdb.hashing.signatures import signatures
from tests.hashing.samples import PHOTOS

PHOTO, OTHER = (read_picture(photo.read_bytes(), Limits()).colour for photo in PHOTOS[1:9:7])


def _values(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    width, height = PHOTO.size
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    return _of(Picture(PHOTO.crop(box)))


def _of(picture: Picture) -> np.ndarray:
    values = coefficients_of(signatures(picture)[0])
    assert values is not None
    return values


@pytest.mark.parametrize(
    "window",
    [
        (0, 0, 1, 1),
        (0.05, 0.05, 0.95, 0.95),
        (0.2, 0, 1, 1),
        (0, 0.1, 0.75, 1),
        (0.2, 0.15, 0.9, 0.8),
        (0, 0.3, 1, 0.9),
    ],
)
def test_a_part_is_like_the_whole_wherever_it_is(window: tuple[float, float, float, float]) -> None:
    whole, part, other = _values(0, 0, 1, 1), _values(*window), _of(Picture(OTHER))
    assert likeness(whole, part) > 0.55
    assert likeness(part, whole) > 0.55
    assert abs(likeness(other, part)) < 0.25


def test_a_part_does_not_resemble_the_whole_as_it_is() -> None:
    whole = _values(0, 0, 1, 1)
    assert resemblance(whole, whole) == pytest.approx(1)
    assert resemblance(whole, _values(0.2, 0.15, 0.9, 0.8)) < 0.4


def test_a_small_corner_is_not_enough() -> None:
    assert likeness(_values(0, 0, 1, 1), _values(0, 0, 0.45, 0.45)) < 0.4


@pytest.mark.parametrize("octets", [bytes(128), b"\x80" + bytes(127), b"\xff" * 128])
def test_bits_that_are_all_alike_tell_nothing(octets: bytes) -> None:
    assert coefficients_of(Signature(Kind.DETAIL, octets)) is None


def test_no_table_is_left_to_make_once_it_is_warm() -> None:
    tables = details._all_parts, details._coarse_parts, details._cuts
    for table in tables:
        table.cache_clear()
    warm()
    made = [table.cache_info().misses for table in tables]
    likeness(_values(0, 0, 1, 1), _of(Picture(OTHER)))
    assert made == [table.cache_info().misses for table in tables] == [1, 1, 1]
