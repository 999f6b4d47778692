"""Edits that make a picture a part of something larger."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image

from hashdb.evaluation import surroundings
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.edits import Scene

RED = Image.new("RGB", (400, 300), (201, 3, 7))
BESIDE = Image.new("RGB", (640, 480), (9, 140, 60))


def _shown(name: str, seed: int) -> tuple[float, float]:
    """The width of the picture as a share of the whole, and its width divided by its height."""
    drawn = ALTERATIONS[name].draw_on(RED, seed, BESIDE)
    own_pixels = (np.asarray(drawn) == (201, 3, 7)).all(axis=2)
    across, down = own_pixels.any(axis=0).sum(), own_pixels.any(axis=1).sum()
    assert own_pixels.sum() > 0.97 * across * down, "only round corners cover the picture"
    return float(across / drawn.width), float(across / down)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("collage of four", 0.48, 0.51),
        ("collage of three", 0.3, 0.68),
        ("picture in picture, 60 %", 0.6, 0.6),
        ("picture in picture, 40 %", 0.4, 0.4),
        ("picture in picture, 25 %", 0.25, 0.25),
        ("dark post", 0.8, 0.96),
        ("chat", 0.54, 0.76),
        ("desktop", 0.34, 0.56),
    ],
)
def test_the_whole_picture_is_shown_with_the_stated_width(name: str, least: float, most: float) -> None:
    shown = {_shown(name, seed) for seed in range(6)}
    assert all(least - 0.005 <= width <= most + 0.005 for width, _ in shown)
    assert all(shape == pytest.approx(4 / 3, rel=0.03) for _, shape in shown)


@pytest.mark.parametrize(("name", "size"), [("on its blur, 9:16", (400, 711)), ("on its blur, 16:9", (533, 300))])
def test_a_blurred_background_has_the_shape_and_the_picture_in_the_middle(name: str, size: tuple[int, int]) -> None:
    stripes = np.zeros((300, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    drawn = ALTERATIONS[name].draw_on(Image.fromarray(stripes))
    assert drawn.size == size
    left, top = (size[0] - 400) // 2, (size[1] - 300) // 2
    np.testing.assert_array_equal(np.asarray(drawn)[top + 1 : top + 299, left + 1 : left + 399], stripes[1:299, 1:399])


def test_a_photograph_of_a_screen_also_shows_the_room() -> None:
    for seed in range(4):
        photographed = np.asarray(ALTERATIONS["photographed from a screen"].draw_on(RED, seed)).astype(int)
        assert photographed.shape == (300, 400, 3)
        reddish = photographed[..., 0] - photographed[..., 1] > 60
        assert 0.3 < reddish.mean() < 0.9
        assert not reddish[[0, 0, -1, -1], [0, -1, 0, -1]].any()


SMALL = Scene(Image.new("RGB", (160, 90), (200, 40, 40)), Random(1), Image.new("RGB", (160, 90), (20, 20, 220)))


def test_a_frame_is_placed_in_a_corner_or_on_its_blur() -> None:
    inset = np.asarray(surroundings.in_a_corner(SMALL, share=0.5)).astype(int)
    assert inset.shape == (90, 160, 3)
    assert (inset[:, :, 0] > inset[:, :, 2]).mean() == pytest.approx(0.25, abs=0.02)
    assert surroundings.upright_on_its_blur(SMALL).size == (160, 284)


def test_a_filmed_screen_is_duller_and_has_a_dark_edge() -> None:
    filmed = np.asarray(surroundings.filmed_from_a_screen(SMALL)).astype(int)
    assert filmed.shape == (90, 160, 3)
    assert filmed[45, 80, 0] < 200
    edges = np.concatenate([filmed[0], filmed[-1], filmed[:, 0], filmed[:, -1]])
    assert (edges.max(axis=1) < 90).any()
