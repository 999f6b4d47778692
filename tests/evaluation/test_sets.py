"""Sets of pictures that are measured separately."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from hashdb.evaluation import sets
from hashdb.evaluation.runs import Evaluation
from hashdb.evaluation.samples import Mistake
from hashdb.hashing import Limits


def test_a_folder_is_a_set() -> None:
    paths = [Path("/p") / name for name in ("flags/b.png", "a.png", "flags/new/c.png", "flags/a.png")]
    assert sets.split(paths, Path("/p")) == {
        ".": [paths[1]],
        "flags": [paths[0], paths[3]],
        "flags/new": [paths[2]],
    }


def test_each_set_has_a_row_and_a_column(small: Evaluation) -> None:
    mistaken = replace(small, mistakes=(Mistake(1, 2, "plain", None, {"pdq": 30}, None, None),))
    evaluations = {"photos": small, "flags": mistaken}
    table = sets.summary(evaluations, "plain")
    assert [row[:5] for row in table.rows] == [
        ("photos", "7", "100.0", "0", "40"),
        ("flags", "7", "100.0", "1", "40"),
    ]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert sets.recalls(evaluations, "plain").rows[0] == ("JPEG 50", "100", "100")
    assert [each["set"] for each in sets.as_document(evaluations)["sets"]] == ["photos", "flags"]
    assert sets.worst(evaluations, "plain") == "No set has enough pairs for an estimate."


def test_false_matches_are_written_as_pictures(small: Evaluation, tmp_path: Path) -> None:
    names = [Path(name) for name in small.names]
    paths = [*names[:2], names[0].parent / "<b>&.jpg", *names[2:]]
    places = tuple(paths.index(name) for name in names)
    mistakes = (
        Mistake(3, 2, "plain", "mirrored", {"pdq": 30}, None, None),
        Mistake(0, 1, "plain", None, {"pdq": 30}, None, None),
        # The picture beside this one cannot be read.
        Mistake(1, 4, "plain", "collage of two", {"pdq": 30}, None, None),
    )
    evaluation = replace(small, mistakes=mistakes, places=places)
    sets.write_mistakes(evaluation, paths, tmp_path / "mistakes", Limits())
    assert sorted(path.name for path in (tmp_path / "mistakes").iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]
    with Image.open(tmp_path / "mistakes" / "01.jpg") as board, Image.open(names[3]) as query:
        assert board.size == (648, 320)
        mirrored = query.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        expected = sets.side_by_side(mirrored, query.convert("RGB"))
        left, expected_left = (each.crop((0, 0, 320, 320)).convert("L").resize((8, 8)) for each in (board, expected))
    assert max(abs(a - b) for a, b in zip(left.tobytes(), expected_left.tobytes(), strict=True)) < 12
