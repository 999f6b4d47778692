"""hashdb evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import PHOTOS, Commands
from tests.films import film

SMALL = (96, 72)
"""What is measured takes as long as there are pixels."""
QUICK = ("--algorithm", "pdq", "--processes", "1", "--items", "1000", "--quick")


def put(place: Path, photo: Path) -> None:
    """A small copy of a photograph."""
    with Image.open(photo) as picture:
        picture.resize(SMALL).save(place / photo.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs, one of them in a folder below."""
    below = tmp_path / "pictures" / "below"
    below.mkdir(parents=True)
    for place, photo in zip((below.parent, below.parent, below), PHOTOS, strict=False):
        put(place, photo)
    return below.parent


def test_it_prints_tables_and_writes_the_page_the_curves_and_the_document_of_so_many_pictures(
    run: Commands, folder: Path, tmp_path: Path
) -> None:
    for photo in PHOTOS[3:5]:
        put(folder, photo)
    done = run("evaluate", folder, *QUICK, "--limit", "3", "--radius", "pdq=40", "--output", tmp_path / "new" / "out")
    assert done.returncode == 0
    assert "pdq ≤ 40" in done.stdout
    assert "3 pictures took" in done.stdout
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {
        "evaluation.json",
        "curves.svg",
        "index.html",
    }
    said = json.loads((tmp_path / "new" / "out" / "evaluation.json").read_text("utf-8"))
    assert said["pictures"] == 3
    assert [choice["radius_in_force"] for choice in said["choices"]] == [40] * len(said["choices"])


def test_for_programs_it_is_one_document_and_what_cannot_be_read_is_named_at_the_end(
    run: Commands, folder: Path
) -> None:
    (folder / "broken.jpg").write_bytes(PHOTOS[0].read_bytes()[:2000])
    done = run("evaluate", folder, *QUICK, "--profile", "plain", "--json", "--seed", "7")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["pictures"], said["seed"]) == (3, 7)
    assert done.stderr == f"hashdb: {folder}/broken.jpg: the picture is damaged or cut short\n"


def test_folders_are_measured_apart(run: Commands, folder: Path, tmp_path: Path) -> None:
    for photo in PHOTOS[3:5]:
        put(folder / "below", photo)
    (folder / "single").mkdir()
    put(folder / "single", PHOTOS[5])
    done = run("evaluate", folder, *QUICK, "--apart", "--profile", "plain", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"hashdb: {folder}/single: an evaluation needs at least 2 pictures")
    assert "No set has enough pairs for an estimate." in done.stdout
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert [(one["set"], one["pictures"], one["alterations"][0]["copies"]) for one in said["sets"]] == [
        (".", 2, 1),
        ("below", 3, 1),
    ]
    assert json.loads((tmp_path / "out" / "below" / "evaluation.json").read_text("utf-8"))["pictures"] == 3


def test_a_list_of_duplicates_that_names_no_pair_is_told(run: Commands, folder: Path) -> None:
    (folder / "duplicates.txt").write_text("a.jpg\n")
    done = run("evaluate", folder, *QUICK, "--profile", "plain")
    assert done.returncode == 2
    assert "duplicates.txt, line 1: must be two names of files with a tab between" in done.stderr


def test_attacks_are_measured_instead(run: Commands, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for photo in PHOTOS[:2]:
        put(folder, photo)
    attacks = ("evaluate", folder, "--attacks", "--processes", "1")
    done = run(*attacks, "--output", out, HASHDB_ALGORITHMS="pdq")
    assert done.returncode == 0
    assert "escapes PDQ alone" in done.stdout
    assert json.loads((out / "evaluation.json").read_text("utf-8"))["pictures"] == 2
    assert "--rate is not for --attacks" in run(*attacks, "--rate", "0.1").stderr
    refused = run(*attacks, HASHDB_ALGORITHMS="phash")
    assert refused.returncode == 2
    assert "HASHDB_ALGORITHMS has neither" in refused.stderr


def test_one_picture_is_not_enough(run: Commands, folder: Path) -> None:
    for path in sorted(folder.rglob("*.jpg"))[1:]:
        path.unlink()
    done = run("evaluate", folder, *QUICK)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"hashdb: {folder}: an evaluation needs at least 2 pictures, and this folder has 1\n"


def test_a_folder_without_pictures_is_told(run: Commands, tmp_path: Path) -> None:
    done = run("evaluate", tmp_path, *QUICK)
    assert done.returncode == 1
    assert f"{tmp_path}: no pictures, videos or documents in this folder" in done.stderr


def test_videos_are_measured_by_their_copies(run: Commands, tmp_path: Path) -> None:
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(film())
    (folder / "broken.mp4").write_bytes(film()[:300])
    (folder / PHOTOS[0].name).write_bytes(PHOTOS[0].read_bytes())
    done = run(
        "evaluate", "--videos", folder, "--upload-seconds", "30", "--processes", "1", "--json", "--output", out
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"hashdb: {folder}/broken.mp4: ")
    said = json.loads(done.stdout)
    assert said["films"] == [f"{folder}/film.mp4"]
    assert json.loads((out / "evaluation.json").read_text("utf-8")) == said
    copies = {(copy["form"], copy["name"]): copy for copy in said["copies"]}
    assert copies["whole", "plain"]["found"] == copies["whole", "mirrored"]["found"] == 1.0
    assert copies["whole", "plain"]["by_listed"] == 1.0
    assert ("inside an upload", "5 s") in copies
    # The film has six seconds.
    assert ("inside an upload", "plain") not in copies
    page = (out / "index.html").read_text("utf-8")
    assert "<td>mirrored</td>" in page and "broken.mp4" in page
    assert "polyline" not in (out / "curves.svg").read_text("utf-8")


def test_without_videos_it_is_told(run: Commands, folder: Path) -> None:
    done = run("evaluate", "--videos", folder)
    assert done.returncode == 1
    assert done.stderr == f"hashdb: {folder}: this folder has no video that can be measured\n"


@pytest.mark.parametrize(
    "option", ["--algorithm=pdq", "--profile=plain", "--radius=pdq=40", "--rate=1e-9", "--items=9"]
)
def test_options_of_pictures_are_refused_for_videos(run: Commands, folder: Path, option: str) -> None:
    done = run("evaluate", "--videos", folder, option)
    assert done.returncode == 2
    assert f"{option.partition('=')[0]} is not for --videos" in done.stderr


@pytest.mark.parametrize(
    "wrong",
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
def test_wrong_usage_is_told_before_anything_is_measured(run: Commands, folder: Path, wrong: tuple[str, str]) -> None:
    done = run("evaluate", folder, *wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert wrong[0] in done.stderr


def test_a_folder_that_is_none_is_refused(run: Commands, folder: Path) -> None:
    assert run("evaluate", folder / "missing").returncode == 2
    assert run("evaluate", PHOTOS[0]).returncode == 2


def test_an_output_that_cannot_be_written_is_told_before_anything_is_measured(run: Commands, folder: Path) -> None:
    (folder / "file").touch()
    done = run("evaluate", folder, "--output", folder / "file" / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--output" in done.stderr
