"""hashdb evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import PHOTOS, Commands
from tests.films import film

SMALL = (96, 72)
"""The time of a measurement grows with the number of pixels."""
QUICK = ("--algorithm", "pdq", "--processes", "1", "--items", "1000", "--quick")


def copy_small(folder: Path, photo: Path) -> None:
    """Write a small copy of a photograph to a folder."""
    with Image.open(photo) as picture:
        picture.resize(SMALL).save(folder / photo.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs, one of them in a subfolder."""
    subfolder = tmp_path / "pictures" / "below"
    subfolder.mkdir(parents=True)
    for place, photo in zip((subfolder.parent, subfolder.parent, subfolder), PHOTOS, strict=False):
        copy_small(place, photo)
    return subfolder.parent


def test_evaluate_prints_tables_and_writes_a_page_curves_and_json(run: Commands, folder: Path, tmp_path: Path) -> None:
    for photo in PHOTOS[3:5]:
        copy_small(folder, photo)
    result = run("evaluate", folder, *QUICK, "--limit", "3", "--radius", "pdq=40", "--output", tmp_path / "new" / "out")
    assert result.returncode == 0
    assert "pdq ≤ 40" in result.stdout
    assert "3 pictures took" in result.stdout
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {
        "evaluation.json",
        "curves.svg",
        "index.html",
    }
    output = json.loads((tmp_path / "new" / "out" / "evaluation.json").read_text("utf-8"))
    assert output["pictures"] == 3
    assert [choice["radius_in_force"] for choice in output["choices"]] == [40] * len(output["choices"])


def test_the_json_output_is_one_document_and_unreadable_files_are_reported(run: Commands, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(PHOTOS[0].read_bytes()[:2000])
    result = run("evaluate", folder, *QUICK, "--profile", "plain", "--json", "--seed", "7")
    assert result.returncode == 1
    output = json.loads(result.stdout)
    assert (output["pictures"], output["seed"]) == (3, 7)
    assert result.stderr == f"hashdb: {folder}/broken.jpg: the picture is damaged or cut short\n"


def test_apart_measures_each_folder_separately(run: Commands, folder: Path, tmp_path: Path) -> None:
    for photo in PHOTOS[3:5]:
        copy_small(folder / "below", photo)
    (folder / "single").mkdir()
    copy_small(folder / "single", PHOTOS[5])
    result = run("evaluate", folder, *QUICK, "--apart", "--profile", "plain", "--output", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.startswith(f"hashdb: {folder}/single: an evaluation needs at least 2 pictures")
    assert "No set has enough pairs for an estimate." in result.stdout
    output = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert [(group["set"], group["pictures"], group["alterations"][0]["copies"]) for group in output["sets"]] == [
        (".", 2, 1),
        ("below", 3, 1),
    ]
    assert json.loads((tmp_path / "out" / "below" / "evaluation.json").read_text("utf-8"))["pictures"] == 3


def test_an_invalid_list_of_duplicates_is_reported(run: Commands, folder: Path) -> None:
    (folder / "duplicates.txt").write_text("a.jpg\n")
    result = run("evaluate", folder, *QUICK, "--profile", "plain")
    assert result.returncode == 2
    assert "duplicates.txt, line 1: must be two names of files with a tab between" in result.stderr


def test_the_option_attacks_measures_attacks(run: Commands, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for photo in PHOTOS[:2]:
        copy_small(folder, photo)
    attacks = ("evaluate", folder, "--attacks", "--processes", "1")
    result = run(*attacks, "--output", out, HASHDB_ALGORITHMS="pdq")
    assert result.returncode == 0
    assert "escapes PDQ alone" in result.stdout
    assert json.loads((out / "evaluation.json").read_text("utf-8"))["pictures"] == 2
    assert "--rate is not for --attacks" in run(*attacks, "--rate", "0.1").stderr
    result = run(*attacks, HASHDB_ALGORITHMS="phash")
    assert result.returncode == 2
    assert "HASHDB_ALGORITHMS has neither" in result.stderr


def test_an_evaluation_of_one_picture_is_an_error(run: Commands, folder: Path) -> None:
    for path in sorted(folder.rglob("*.jpg"))[1:]:
        path.unlink()
    result = run("evaluate", folder, *QUICK)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"hashdb: {folder}: an evaluation needs at least 2 pictures, and this folder has 1\n"


def test_a_folder_without_pictures_is_an_error(run: Commands, tmp_path: Path) -> None:
    result = run("evaluate", tmp_path, *QUICK)
    assert result.returncode == 1
    assert f"{tmp_path}: no pictures, videos or documents in this folder" in result.stderr


def test_videos_are_measured_by_altered_copies(run: Commands, tmp_path: Path) -> None:
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(film())
    (folder / "broken.mp4").write_bytes(film()[:300])
    (folder / PHOTOS[0].name).write_bytes(PHOTOS[0].read_bytes())
    result = run(
        "evaluate", "--videos", folder, "--upload-seconds", "30", "--processes", "1", "--json", "--output", out
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith(f"hashdb: {folder}/broken.mp4: ")
    output = json.loads(result.stdout)
    assert output["films"] == [f"{folder}/film.mp4"]
    assert json.loads((out / "evaluation.json").read_text("utf-8")) == output
    copies = {(copy["form"], copy["name"]): copy for copy in output["copies"]}
    assert copies["whole", "plain"]["found"] == copies["whole", "mirrored"]["found"] == 1.0
    assert copies["whole", "plain"]["by_listed"] == 1.0
    assert ("inside an upload", "5 s") in copies
    # The film has six seconds.
    assert ("inside an upload", "plain") not in copies
    page = (out / "index.html").read_text("utf-8")
    assert "<td>mirrored</td>" in page and "broken.mp4" in page
    assert "polyline" not in (out / "curves.svg").read_text("utf-8")


def test_a_folder_without_videos_is_an_error(run: Commands, folder: Path) -> None:
    result = run("evaluate", "--videos", folder)
    assert result.returncode == 1
    assert result.stderr == f"hashdb: {folder}: this folder has no video that can be measured\n"


@pytest.mark.parametrize(
    "option", ["--algorithm=pdq", "--profile=plain", "--radius=pdq=40", "--rate=1e-9", "--items=9"]
)
def test_options_for_pictures_are_rejected_for_videos(run: Commands, folder: Path, option: str) -> None:
    result = run("evaluate", "--videos", folder, option)
    assert result.returncode == 2
    assert f"{option.partition('=')[0]} is not for --videos" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--radius", "pdq"),
        ("--radius", "pdq=128"),
        ("--radius", "pdq=-1"),
        ("--rate", "0"),
        ("--limit", "1"),
        ("--algorithm", "md5"),
        ("--profile", "huge"),
        ("--processes", "0"),
    ],
)
def test_invalid_arguments_are_rejected_before_measuring(
    run: Commands, folder: Path, arguments: tuple[str, str]
) -> None:
    result = run("evaluate", folder, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert arguments[0] in result.stderr


def test_a_path_that_is_not_a_folder_is_rejected(run: Commands, folder: Path) -> None:
    assert run("evaluate", folder / "missing").returncode == 2
    assert run("evaluate", PHOTOS[0]).returncode == 2


def test_an_unwritable_output_is_rejected_before_measuring(run: Commands, folder: Path) -> None:
    (folder / "file").touch()
    result = run("evaluate", folder, "--output", folder / "file" / "out")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--output" in result.stderr
