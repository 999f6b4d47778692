"""The C library reduces pictures exactly as Pillow and NumPy do, and both equal the plain arithmetic."""

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


def noise(width: int, height: int, seed: int) -> Image.Image:
    """Noise. If the seed is even, only black and white, so that sums exceed the range of a sample."""
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
def test_any_picture_is_reduced_as_pillow_reduces_it(width: int, height: int, seed: int) -> None:
    check_greys(noise(width, height, seed))


@given(st.integers(5, 700), st.integers(5, 700), st.integers(0, 9))
def test_any_picture_is_sampled_as_numpy_samples_it(width: int, height: int, seed: int) -> None:
    check_samples(noise(width, height, seed))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_photo_is_reduced_and_sampled_as_pillow_and_numpy_do(path: Path) -> None:
    with Image.open(path) as photo:
        colour = photo.convert("RGB")
    for image in (colour, colour.transpose(Image.Transpose.ROTATE_90)):
        check_greys(image)
        check_samples(image)


@pytest.mark.parametrize("size", [(20_011, 140), (140, 20_011), (2_600, 1_700), (65_535, 129)], ids=str)
def test_a_picture_that_pillow_stores_in_blocks_is_reduced_the_same_way(size: tuple[int, int]) -> None:
    colour = noise(*size, 1)
    check_greys(colour)
    check_samples(colour)


def test_a_picture_that_pillow_stores_by_line_is_reduced_the_same_way() -> None:
    core = vars(Image)["core"]
    block_size = core.get_block_size()
    core.set_block_size(4096)
    try:
        colour = noise(1_300, 700, 1)
        assert reductions._borrowed(colour.crop((0, 0, 1_300, 2))) is None
        check_greys(colour)
        check_samples(colour)
    finally:
        core.set_block_size(block_size)


def test_pixels_that_pillow_stores_in_one_block_are_not_copied() -> None:
    colour = draw_picture(300, 200)
    pixels = reductions._borrowed(colour)
    assert pixels is not None
    assert np.array_equal(pixels[:, :, :3], np.asarray(colour))
    colour.putpixel((7, 5), (1, 2, 3))
    assert pixels[5, 7, :3].tolist() == [1, 2, 3]


def test_borrowed_pixels_stay_valid_after_the_picture_is_deleted() -> None:
    colour = draw_picture(300, 200)
    pixels, expected = reductions._borrowed(colour), np.asarray(colour)
    del colour
    others = [draw_picture(300, 200, seed) for seed in range(3)]
    assert pixels is not None
    assert np.array_equal(pixels[:, :, :3], expected) and others


def test_the_library_is_used_if_and_only_if_it_was_compiled() -> None:
    assert (reductions._library() is None) == (find_spec("hashdb.hashing._reductions") is None)


def test_pillow_and_numpy_are_used_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_KERNEL", "0")
    reductions._library.cache_clear()
    try:
        assert reductions._library() is None
        check_greys(draw_picture(300, 200))
        check_samples(draw_picture(300, 200))
    finally:
        reductions._library.cache_clear()


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
@pytest.mark.parametrize("plain", [[], ["-DPLAIN"]])
def test_the_source_compiles_without_a_warning(plain: list[str], tmp_path: Path) -> None:
    command = ["gcc", *_WARNINGS, *plain, "-O3", "-fPIC", "-c", str(SOURCE), "-o", str(tmp_path / "reductions.o")]
    compilation = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compilation.returncode == 0, compilation.stderr


@pytest.mark.parametrize("length", [1, 5, 63, 64, 65, 127, 128, 129, 255, 257, 300, 1000, 1023])
def test_the_bands_equal_two_box_blurs_and_sampling(length: int) -> None:
    line = np.random.default_rng(length).random(length)
    blurred = _box_blur(_box_blur(line))
    expected = [blurred[int((sample + 0.5) * length / 64)] for sample in range(64)]
    pairs = zip(bands(length).edges, bands(length).weights, strict=True)
    sampled = [weights[: last - first] @ line[first:last] for (first, last), weights in pairs]
    assert np.allclose(sampled, expected, atol=1e-6)


@given(st.integers(1, 65_535))
def test_the_weights_of_a_band_add_up_to_1(length: int) -> None:
    assert np.allclose(bands(length).weights.sum(axis=1), 1, atol=1e-5)


def _box_blur(line: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The mean of the box around each place. A box has a 128th of the line; an even one reaches further ahead."""
    size = -(-len(line) // 128)
    back, ahead = (size - 1) // 2, size // 2
    return np.array([line[max(0, place - back) : place + ahead + 1].mean() for place in range(len(line))])
