"""Pictures that are drawn by rule, in several kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.evaluation.rendered import KINDS, draw, write
from hashdb.hashing import Limits
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_a_kind_number_and_seed_always_give_the_same_picture(kind: str) -> None:
    drawn = [draw(kind, number, seed).tobytes() for number, seed in ((3, 1), (3, 1), (4, 1), (3, 2))]
    assert drawn[0] == drawn[1] != drawn[2]
    assert (drawn[0] != drawn[3]) == (kind != "flags"), "flags without stars do not depend on the seed"


@every_kind
def test_rendered_pictures_have_the_quality_for_a_contribution(kind: str) -> None:
    assert pdq(Picture(draw(kind, 0)))[1] >= 50


def test_all_flags_are_different() -> None:
    assert len({draw("flags", number).tobytes() for number in range(400)}) == 400


def test_write_creates_one_folder_for_each_kind(tmp_path: Path) -> None:
    write(tmp_path, 2, seed=5)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == sorted(f"{kind}/{number:04}.png" for kind in KINDS for number in range(2))
    with Image.open(tmp_path / written[0]) as picture:
        assert picture.tobytes() == draw(written[0].split("/")[0], 0, 5).tobytes()
    assert read_picture((tmp_path / written[-1]).read_bytes(), Limits()).colour.mode == "RGB"
