"""Reductions: those of the C library are Pillow's and NumPy's, to the bit, and both are the plain arithmetic."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hashdb.hashing import reductions
from hashdb.hashing.reductions import bands, reduce_greys, sample
from tests.hashing.samples import PHOTOS, draw_picture

SOURCE = Path(reductions.__file__).with_suffix(".c")
_WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
_sides = st.integers(1, 400)
_SIDES = (64, 32)


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Noise; of black and white alone if the seed is even, since sums then go beyond what a sample holds."""
    rng = np.random.default_rng(seed)
    size = (height, width, 3)
    values = rng.integers(0, 256, size) if seed % 2 else rng.integers(0, 2, size) * 255
    return Image.fromarray(values.astype(np.uint8))


def check_greys(colour: Image.Image) -> None:
    grey = colour.convert("L")
    for side, reduced in zip(_SIDES, reduce_greys(colour, *_SIDES), strict=True):
        assert np.array_equal(reduced, np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS)))


def check_samples(colour: Image.Image) -> None:
    sampled, by_numpy = sample(colour), reductions._sample_by_numpy(colour)
    assert np.allclose(sampled, by_numpy, rtol=0, atol=1e-3)
    if platform.machine() == "x86_64":
        # Other processors multiply and add in one step, which rounds once.
        assert np.array_equal(sampled, by_numpy)


@given(_sides, _sides, st.integers(0, 9))
def test_any_picture_is_reduced_as_by_pillow(width: int, height: int, seed: int) -> None:
    check_greys(picture(width, height, seed))


@given(st.integers(5, 700), st.integers(5, 700), st.integers(0, 9))
def test_any_picture_is_sampled_as_by_numpy(width: int, height: int, seed: int) -> None:
    check_samples(picture(width, height, seed))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_photograph_is_reduced_as_by_pillow_and_numpy(path: Path) -> None:
    with Image.open(path) as photo:
        colour = photo.convert("RGB")
    for turned in (colour, colour.transpose(Image.Transpose.ROTATE_90)):
        check_greys(turned)
        check_samples(turned)


@pytest.mark.parametrize("size", [(20_011, 140), (140, 20_011), (2_600, 1_700), (65_535, 129)], ids=str)
def test_a_picture_that_pillow_has_in_pieces_is_reduced_as_by_pillow_and_numpy(size: tuple[int, int]) -> None:
    colour = picture(*size, 1)
    check_greys(colour)
    check_samples(colour)


def test_a_picture_that_pillow_has_line_by_line_is_reduced_as_by_pillow_and_numpy() -> None:
    core = vars(Image)["core"]
    usual = core.get_block_size()
    core.set_block_size(4096)
    try:
        colour = picture(1_300, 700, 1)
        assert reductions._borrowed(colour.crop((0, 0, 1_300, 2))) is None
        check_greys(colour)
        check_samples(colour)
    finally:
        core.set_block_size(usual)


def test_pixels_that_pillow_has_in_one_piece_are_not_copied() -> None:
    colour = draw_picture(300, 200)
    pixels = reductions._borrowed(colour)
    assert pixels is not None
    assert np.array_equal(pixels[:, :, :3], np.asarray(colour))
    colour.putpixel((7, 5), (1, 2, 3))
    assert pixels[5, 7, :3].tolist() == [1, 2, 3]


def test_borrowed_pixels_outlive_their_picture() -> None:
    colour = draw_picture(300, 200)
    pixels, expected = reductions._borrowed(colour), np.asarray(colour)
    del colour
    others = [draw_picture(300, 200, seed) for seed in range(3)]
    assert pixels is not None
    assert np.array_equal(pixels[:, :, :3], expected) and others


def test_where_it_was_compiled_it_agrees_with_this_pillow() -> None:
    assert (reductions._library() is None) == (find_spec("hashdb.hashing._reductions") is None)


def test_without_the_library_pillow_and_numpy_reduce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_KERNEL", "0")
    reductions._library.cache_clear()
    try:
        assert reductions._library() is None
        check_greys(draw_picture(300, 200))
        check_samples(draw_picture(300, 200))
    finally:
        reductions._library.cache_clear()


@pytest.mark.skipif(not shutil.which("gcc"), reason="takes gcc")
@pytest.mark.parametrize("plain", [[], ["-DPLAIN"]])
def test_the_source_compiles_without_a_warning(plain: list[str], tmp_path: Path) -> None:
    words = ["gcc", *_WARNINGS, *plain, "-O3", "-fPIC", "-c", str(SOURCE), "-o", str(tmp_path / "reductions.o")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("length", [1, 5, 63, 64, 65, 127, 128, 129, 255, 257, 300, 1000, 1023])
def test_the_bands_blur_twice_and_sample(length: int) -> None:
    line = np.random.default_rng(length).random(length)
    blurred = _box_blurred(_box_blurred(line))
    expected = [blurred[int((sample + 0.5) * length / 64)] for sample in range(64)]
    pairs = zip(bands(length).edges, bands(length).weights, strict=True)
    sampled = [weights[: last - first] @ line[first:last] for (first, last), weights in pairs]
    assert np.allclose(sampled, expected, atol=1e-6)


@given(st.integers(1, 65_535))
def test_the_weights_of_a_band_add_up_to_1(length: int) -> None:
    assert np.allclose(bands(length).weights.sum(axis=1), 1, atol=1e-5)


def _box_blurred(line: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The mean of each place's box, one by one: a 128th of the line, an even one reaching further ahead than back."""
    size = -(-len(line) // 128)
    back, ahead = (size - 1) // 2, size // 2
    return np.array([line[max(0, place - back) : place + ahead + 1].mean() for place in range(len(line))])
