"""hashdb hash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits, hash_file
from tests.cli.conftest import PHOTOS, Commands


def test_a_picture_is_hashed_without_a_service(run: Commands) -> None:
    algorithms = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
    hashed = hash_file(PHOTOS[0], algorithms, Limits(max_bytes=10**7, max_pixels=10**7))
    output = run.json("hash", PHOTOS[0])
    assert output == [
        {"path": str(PHOTOS[0]), "signals": [str(signal) for signal in hashed.signals], "quality": hashed.quality}
    ]


def test_algorithms_can_be_chosen(run: Commands) -> None:
    output = run.json("hash", PHOTOS[0], "--algorithm", "dhash", "--algorithm", "whash")
    assert [signal.partition(":")[0] for signal in output[0]["signals"]] == ["dhash", "whash"]
    assert output[0]["quality"] is None


def test_a_folder_is_searched_for_pictures_and_other_files_are_skipped(run: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "below"
    folder.mkdir(parents=True)
    (folder / "b.jpg").write_bytes(PHOTOS[1].read_bytes())
    (folder.parent / "a.JPG").write_bytes(PHOTOS[0].read_bytes())
    (folder.parent / "notes.log").write_text("not a picture")
    (folder.parent / ".hidden.jpg").write_text("not a picture")
    output = run.json("hash", folder.parent)
    assert [Path(item["path"]).name for item in output] == ["a.JPG", "b.jpg"]


def test_a_file_that_must_not_be_read_does_not_keep_others_from_being_hashed(
    run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, who can read every file.
    monkeypatch.setattr(os, "access", lambda path, mode, **options: False)
    assert run("hash", PHOTOS[0]).returncode == 0


def test_an_unreadable_file_is_reported_and_the_others_are_hashed(run: Commands, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(PHOTOS[0].read_bytes()[:2000])
    result = run("hash", broken, PHOTOS[0], tmp_path / "missing.jpg")
    assert result.returncode == 1
    assert str(PHOTOS[0]) in result.stdout
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [str(broken), f"{tmp_path}/missing.jpg"]
    output = run.json("hash", broken, PHOTOS[0], status=1)
    assert ["error" in item for item in output] == [True, False]


def test_the_text_output_has_one_line_per_picture(run: Commands) -> None:
    (item,) = run.json("hash", PHOTOS[0])
    first, second = run("hash", *PHOTOS[:2]).stdout.splitlines()
    assert first.split("  ") == [str(PHOTOS[0]), *item["signals"], f"quality {item['quality']}"]
    assert second.startswith(f"{PHOTOS[1]}  pdq:")


def test_transforms_are_printed_as_json_only(run: Commands, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    (plain,) = run.json("hash", PHOTOS[0], "--state", state)
    # The state file has the picture as hashed without transforms, so it is hashed again with them.
    (printed,) = run.json("hash", PHOTOS[0], "--state", state, "--transforms")
    assert printed["signals"] == plain["signals"]
    assert printed["transforms"].keys() >= {"mirror", "invert"} and "whole" in printed["signatures"]
    error = run("hash", PHOTOS[0], "--transforms")
    assert (error.returncode, "--transforms needs --json" in error.stderr) == (2, True)


def test_a_missing_path_is_a_usage_error(run: Commands) -> None:
    assert run("hash").returncode == 2


def test_an_unknown_algorithm_in_the_settings_is_reported(run: Commands) -> None:
    result = run("hash", PHOTOS[0], HASHDB_ALGORITHMS="pdq,md5")
    assert result.returncode == 2
    assert result.stderr.startswith("hashdb: HASHDB_ALGORITHMS: 'md5' is not an algorithm")


def test_a_long_path_is_printed_on_one_line(run: Commands, tmp_path: Path) -> None:
    path = tmp_path / ("long " * 40) / "photo.jpg"
    path.parent.mkdir()
    path.write_bytes(PHOTOS[0].read_bytes())
    assert run("hash", path).stdout.splitlines()[0].startswith(str(path))
