"""A small evaluation, which is computed once."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.evaluation import duplicates
from hashdb.evaluation.runs import Evaluation, evaluate
from hashdb.evaluation.samples import Scheme
from hashdb.hashing import Limits
from tests.evaluation.photos import PHOTOS

SCHEME = Scheme(
    (Algorithm.PDQ, Algorithm.PHASH256), ("plain",), ("JPEG 50", "JPEG 10", "mirrored"), radii={Algorithm.PDQ: 44}
)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """An evaluation of six photographs, a copy of one, and a file that is no picture and has an unusual name."""
    folder = tmp_path_factory.mktemp("pictures")
    for photo in PHOTOS[:6]:
        (folder / photo.name).write_bytes(photo.read_bytes())
    with Image.open(PHOTOS[0]) as picture:
        picture.resize((400, 225)).save(folder / "again.jpg", quality=60)
    (folder / "<b>&.jpg").write_text("not a picture")
    advanced: list[Path] = []
    paths = sorted(folder.iterdir())
    (folder / duplicates.DUPLICATES_FILE).write_text(f"again.jpg\t{PHOTOS[0].name}\n")
    evaluation = evaluate(
        paths, SCHEME, rate=1e-11, items=1_000, limits=Limits(), processes=1, advance=lambda: advanced.append(folder)
    )
    assert len(advanced) == len(paths)
    return evaluation
