"""Kinds of pictures that are drawn by rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.evaluation.rendered import KINDS, draw, write
from hashdb.hashing import Limits
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture

of_every_kind = pytest.mark.parametrize("kind", KINDS)


@of_every_kind
def test_a_kind_a_number_and_a_seed_give_one_picture(kind: str) -> None:
    drawn = [draw(kind, number, seed).tobytes() for number, seed in ((3, 1), (3, 1), (4, 1), (3, 2))]
    assert drawn[0] == drawn[1] != drawn[2]
    assert (drawn[0] != drawn[3]) == (kind != "flags"), "all flags without stars differ by their number alone"


@of_every_kind
def test_they_are_pictures_that_can_be_contributed(kind: str) -> None:
    assert pdq(Picture(draw(kind, 0)))[1] >= 50


def test_no_two_flags_are_the_same() -> None:
    assert len({draw("flags", number).tobytes() for number in range(400)}) == 400


def test_each_kind_has_a_folder(tmp_path: Path) -> None:
    write(tmp_path, 2, seed=5)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == sorted(f"{kind}/{number:04}.png" for kind in KINDS for number in range(2))
    with Image.open(tmp_path / written[0]) as picture:
        assert picture.tobytes() == draw(written[0].split("/")[0], 0, 5).tobytes()
    assert read_picture((tmp_path / written[-1]).read_bytes(), Limits()).colour.mode == "RGB"
