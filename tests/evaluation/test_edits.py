"""Edits of the size and the shape of a picture."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image

from hashdb.evaluation import edits
from hashdb.evaluation.alterations import ALTERATIONS


def _ramp() -> Image.Image:
    """Red grows to the right and green downwards, one level every two pixels. The colour of a pixel is its place."""
    across, down = np.meshgrid(np.arange(400) // 2, np.arange(300) // 2)
    return Image.fromarray(np.stack([across, down, np.zeros_like(down)], axis=2).astype(np.uint8))


def _box(picture: Image.Image) -> tuple[int, int, int, int]:
    """The part of the ramp that a picture shows, in pixels."""
    samples = np.asarray(picture).astype(int) * 2
    return samples[0, 0, 0], samples[0, 0, 1], samples[-1, -1, 0], samples[-1, -1, 1]


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("to a square", (50, 0, 348, 298)),
        ("to 4:5", (80, 0, 318, 298)),
        ("to 16:9", (0, 36, 398, 260)),
        ("to 40 % of the area", (72, 54, 326, 244)),
    ],
)
def test_a_crop_to_a_shape_or_an_area_keeps_the_middle(name: str, box: tuple[int, int, int, int]) -> None:
    assert _box(ALTERATIONS[name].draw_on(_ramp())) == pytest.approx(box, abs=2)


def test_a_crop_anywhere_keeps_half_of_the_area_at_random_places() -> None:
    for name in ("half the area, anywhere", "half the area, anywhere, another shape"):
        parts = [ALTERATIONS[name].draw_on(_ramp(), seed) for seed in range(20)]
        assert all(part.width * part.height == pytest.approx(60_000, rel=0.02) for part in parts)
        assert len({_box(part)[:2] for part in parts}) > 15
        shapes = {round(part.width / part.height, 1) for part in parts}
        assert (len(shapes) > 3) == name.endswith("another shape")


def test_a_tilt_of_the_whole_picture_cuts_nothing_off() -> None:
    tilted = ALTERATIONS["tilted 45°, whole"].draw_on(Image.new("RGB", (400, 300), (200, 10, 90)))
    assert min(tilted.size) > 490
    assert (np.asarray(tilted) == (200, 10, 90)).all(axis=2).sum() == pytest.approx(400 * 300, rel=0.01)


def test_a_picture_is_reduced_to_a_height_and_never_enlarged() -> None:
    scene = edits.Scene(_ramp(), Random(1), _ramp())
    assert edits.to_height(scene, pixels=150).size == (200, 150)
    assert edits.to_height(scene, pixels=600).size == (400, 300)
