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


def _values_of_part(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    width, height = PHOTO.size
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    return _values_of(Picture(PHOTO.crop(box)))


def _values_of(picture: Picture) -> np.ndarray:
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
def test_a_part_at_any_place_has_a_high_likeness_with_the_whole(window: tuple[float, float, float, float]) -> None:
    whole, part, other = _values_of_part(0, 0, 1, 1), _values_of_part(*window), _values_of(Picture(OTHER))
    assert likeness(whole, part) > 0.55
    assert likeness(part, whole) > 0.55
    assert abs(likeness(other, part)) < 0.25


def test_a_part_has_a_low_resemblance_with_the_whole() -> None:
    whole = _values_of_part(0, 0, 1, 1)
    assert resemblance(whole, whole) == pytest.approx(1)
    assert resemblance(whole, _values_of_part(0.2, 0.15, 0.9, 0.8)) < 0.4


def test_a_small_corner_has_a_low_likeness_with_the_whole() -> None:
    assert likeness(_values_of_part(0, 0, 1, 1), _values_of_part(0, 0, 0.45, 0.45)) < 0.4


@pytest.mark.parametrize("octets", [bytes(128), b"\x80" + bytes(127), b"\xff" * 128])
def test_details_with_nearly_equal_bits_have_no_coefficients(octets: bytes) -> None:
    assert coefficients_of(Signature(Kind.DETAIL, octets)) is None


def test_warm_computes_all_tables_in_advance() -> None:
    tables = details._all_parts, details._coarse_parts, details._cuts
    for table in tables:
        table.cache_clear()
    warm()
    misses = [table.cache_info().misses for table in tables]
    likeness(_values_of_part(0, 0, 1, 1), _values_of(Picture(OTHER)))
    assert misses == [table.cache_info().misses for table in tables] == [1, 1, 1]
