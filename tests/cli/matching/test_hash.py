"""hashdb hash."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits, hash_file
from tests.cli.conftest import PHOTOS, Commands


def test_a_picture_is_hashed_without_a_service(run: Commands) -> None:
    algorithms = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
    hashed = hash_file(PHOTOS[0], algorithms, Limits(max_bytes=10**7, max_pixels=10**7))
    said = run.json("hash", PHOTOS[0])
    assert said == [
        {"path": str(PHOTOS[0]), "signals": [str(one) for one in hashed.signals], "quality": hashed.quality}
    ]


def test_algorithms_can_be_chosen(run: Commands) -> None:
    said = run.json("hash", PHOTOS[0], "--algorithm", "dhash", "--algorithm", "whash")
    assert [signal.partition(":")[0] for signal in said[0]["signals"]] == ["dhash", "whash"]
    assert said[0]["quality"] is None


def test_a_folder_gives_its_pictures_and_passes_over_what_is_none(run: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "below"
    folder.mkdir(parents=True)
    (folder / "b.jpg").write_bytes(PHOTOS[1].read_bytes())
    (folder.parent / "a.JPG").write_bytes(PHOTOS[0].read_bytes())
    (folder.parent / "notes.log").write_text("not a picture")
    (folder.parent / ".hidden.jpg").write_text("not a picture")
    said = run.json("hash", folder.parent)
    assert [Path(one["path"]).name for one in said] == ["a.JPG", "b.jpg"]


def test_what_cannot_be_read_is_named_and_the_others_go_on(run: Commands, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(PHOTOS[0].read_bytes()[:2000])
    done = run("hash", broken, PHOTOS[0], tmp_path / "missing.jpg")
    assert done.returncode == 1
    assert str(PHOTOS[0]) in done.stdout
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [str(broken), f"{tmp_path}/missing.jpg"]
    said = run.json("hash", broken, PHOTOS[0], status=1)
    assert ["error" in one for one in said] == [True, False]


def test_for_people_each_picture_stands_on_one_line(run: Commands) -> None:
    (one,) = run.json("hash", PHOTOS[0])
    first, second = run("hash", *PHOTOS[:2]).stdout.splitlines()
    assert first.split("  ") == [str(PHOTOS[0]), *one["signals"], f"quality {one['quality']}"]
    assert second.startswith(f"{PHOTOS[1]}  pdq:")


def test_altered_forms_are_printed_as_json_only(run: Commands, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    (plain,) = run.json("hash", PHOTOS[0], "--state", state)
    # What was done without them is not done with them.
    (printed,) = run.json("hash", PHOTOS[0], "--state", state, "--transforms")
    assert printed["signals"] == plain["signals"]
    assert printed["transforms"].keys() >= {"mirror", "invert"} and "whole" in printed["signatures"]
    refused = run("hash", PHOTOS[0], "--transforms")
    assert (refused.returncode, "--transforms needs --json" in refused.stderr) == (2, True)


def test_no_path_is_wrong_usage(run: Commands) -> None:
    assert run("hash").returncode == 2


def test_an_unknown_algorithm_in_the_settings_is_named(run: Commands) -> None:
    done = run("hash", PHOTOS[0], HASHDB_ALGORITHMS="pdq,md5")
    assert done.returncode == 2
    assert done.stderr.startswith("hashdb: HASHDB_ALGORITHMS: 'md5' is not an algorithm")


def test_a_long_path_stays_on_one_line(run: Commands, tmp_path: Path) -> None:
    path = tmp_path / ("long " * 40) / "photo.jpg"
    path.parent.mkdir()
    path.write_bytes(PHOTOS[0].read_bytes())
    assert run("hash", path).stdout.splitlines()[0].startswith(str(path))
