"""A listed page also has the hashes of its printed area, so that a screenshot without margins matches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageOps

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing import Mode, hash_page, hash_transforms
from hashdb.hashing.pages import printed_areas, printed_signals
from hashdb.hashing.pictures import Picture
from tests.documents import page
from tests.hashing.samples import encode_picture

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)


def test_the_printed_area_is_found_on_light_and_dark_paper() -> None:
    grey = np.full((100, 80), 240, np.float32)
    grey[20:70, 16:64] = 10
    (area,) = printed_areas(grey)
    assert area == (0.2, 0.2, 0.8, 0.7)
    assert printed_areas(255 - grey) == (area,)


def test_the_area_without_a_short_last_line_is_also_returned() -> None:
    grey = np.full((200, 160), 255, np.float32)
    grey[20:150, 16:144] = 10
    grey[180:184, 78:82] = 10
    assert [round(area.bottom, 2) for area in printed_areas(grey)] == [0.92, 0.75]


def test_an_empty_page_has_no_printed_area() -> None:
    assert list(printed_signals(Picture(Image.new("RGB", (500, 700), "white")))) == []
    assert list(printed_signals(Picture(Image.new("RGB", (500, 3), "white")))) == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_screenshot_without_margins_is_near_the_listed_page(dark: bool) -> None:
    image = page(1)
    listed = hash_page(Picture(image), ALGORITHMS, Mode.BALANCED).signals
    screenshot = image.crop((70, 60, image.width - 75, image.height - 80)).resize((500, 700))
    hashed = hash_transforms(encode_picture(ImageOps.invert(screenshot) if dark else screenshot), ALGORITHMS)
    queried = [*hashed.signals, *(signal for signals in hashed.transforms.values() for signal in signals)]
    assert _nearest(listed, queried) <= 28
    other = hash_page(Picture(page(2)), ALGORITHMS, Mode.BALANCED).signals
    assert _nearest(other, queried) > 46


def test_a_page_of_a_query_has_no_hashes_of_its_printed_area() -> None:
    assert len(hash_page(Picture(page(1)), ALGORITHMS, Mode.TRANSFORMS).signals) == 2


def _nearest(listed: Iterable[Signal], queried: Sequence[Signal]) -> int:
    return min(
        signal.distance(query)
        for signal in listed
        for query in queried
        if signal.algorithm is query.algorithm is Algorithm.PHASH256
    )
