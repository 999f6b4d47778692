"""Edits that cover a large part of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hashdb.evaluation.alterations import ALTERATIONS

GREY = Image.new("RGB", (400, 300), (120, 120, 120))


@pytest.mark.parametrize("share", [10, 20, 35])
def test_a_box_hides_its_share_of_the_area_at_random_places(share: int) -> None:
    places = set()
    for seed in range(12):
        black = (np.asarray(ALTERATIONS[f"black box over {share} %"].draw_on(GREY, seed)) == 0).all(axis=2)
        assert black.mean() == pytest.approx(share / 100, abs=0.01)
        places.add((int(black.argmax()), int(black.any(axis=0).sum())))
    assert len(places) > 8


@pytest.mark.parametrize("share", [20, 35])
def test_text_covers_about_its_share_of_the_height(share: int) -> None:
    for seed in range(4):
        written = (np.asarray(ALTERATIONS[f"heavy text over {share} %"].draw_on(GREY, seed)) != 120).any(axis=(1, 2))
        assert 0.5 * share / 100 < written.mean() < 1.2 * share / 100
        assert not written.all()


def test_inverting_a_picture_twice_gives_the_picture() -> None:
    inverted = ALTERATIONS["inverted"]
    assert inverted.draw_on(inverted.draw_on(GREY)).tobytes() == GREY.tobytes()
    assert inverted.draw_on(GREY).getpixel((0, 0)) == (135, 135, 135)
