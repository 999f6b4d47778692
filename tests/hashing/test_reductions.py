"""Reductions: those of the C library are Pillow's, to the bit."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hashdb
from hashdb.hashing import pictures
from hashdb.hashing.pictures import reduce_grey

SOURCE = Path(pictures.__file__).with_name("lanczos.c")
_WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
_sides = st.integers(1, 400)


def pillows(grey: Image.Image, side: int) -> Image.Image:
    return grey.resize((side, side), Image.Resampling.LANCZOS)


@given(_sides, _sides, st.sampled_from([8, 32, 64]), st.integers(0, 9))
def test_any_picture_is_reduced_as_by_pillow(width: int, height: int, side: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Of black and white alone, sums go beyond what a sample holds.
    values = rng.integers(0, 256, (height, width)) if seed % 2 else rng.integers(0, 2, (height, width)) * 255
    grey = Image.fromarray(values.astype(np.uint8))
    assert reduce_grey(grey, side).tobytes() == pillows(grey, side).tobytes()


@pytest.mark.parametrize("path", sorted((Path(hashdb.__file__).parent / "photos").glob("*.jpg")), ids=lambda p: p.stem)
def test_a_photograph_is_reduced_as_by_pillow(path: Path) -> None:
    with Image.open(path) as picture:
        grey = picture.convert("L")
    for side in (32, 64):
        for turned in (grey, grey.transpose(Image.Transpose.ROTATE_90)):
            assert reduce_grey(turned, side).tobytes() == pillows(turned, side).tobytes()


def test_a_long_strip_is_reduced_as_by_pillow() -> None:
    grey = Image.fromarray(np.random.default_rng(1).integers(0, 256, (140, 20_011)).astype(np.uint8))
    assert reduce_grey(grey, 64).tobytes() == pillows(grey, 64).tobytes()


def test_where_it_was_compiled_it_agrees_with_this_pillow() -> None:
    assert (pictures._library() is None) == (find_spec("hashdb.hashing._lanczos") is None)


def test_without_the_library_pillow_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_KERNEL", "0")
    pictures._library.cache_clear()
    try:
        assert pictures._library() is None
        grey = Image.linear_gradient("L")
        assert reduce_grey(grey, 32).tobytes() == pillows(grey, 32).tobytes()
    finally:
        pictures._library.cache_clear()


@pytest.mark.skipif(not shutil.which("gcc"), reason="takes gcc")
@pytest.mark.parametrize("plain", [[], ["-DPLAIN"]])
def test_the_source_compiles_without_a_warning(plain: list[str], tmp_path: Path) -> None:
    words = ["gcc", *_WARNINGS, *plain, "-O3", "-fPIC", "-c", str(SOURCE), "-o", str(tmp_path / "lanczos.o")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
