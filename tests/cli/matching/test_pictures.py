"""Paths on the command line: whatever they are called, and whatever they are."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hashdb.cli.output import print_json_array
from tests.cli.conftest import PHOTOS, Commands

SAID = ("--label", "glorification", "--removed-at", "now")


@pytest.fixture
def oddly_named(tmp_path: Path) -> Path:
    """A folder with a picture and another file, whose names are Latin-1."""
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(PHOTOS[0].read_bytes())
    (folder / os.fsdecode(b"th\xe9.jpg")).write_bytes(b"\0not a picture")
    return folder


def test_a_name_that_is_too_long_is_told_in_a_sentence(run: Commands) -> None:
    done = run("hash", "a" * 5000)
    assert done.returncode == 1
    assert done.stderr == f"hashdb: {'a' * 5000}: the file cannot be read: file name too long\n"


def test_a_folder_that_cannot_be_read_is_named_and_the_others_go_on(run: Commands, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    shutil.copy(PHOTOS[0], top / "a.jpg")
    # Deeper than a path may be long: that keeps root out as well, which tests may run as.
    here = os.open(top, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    said = run.json("hash", top, status=1)
    assert [one.get("error") for one in said] == [None, "the folder cannot be read: file name too long"]
    shutil.rmtree(top)


@pytest.mark.parametrize("words", [("hash",), ("match",), ("contribute", *SAID)])
def test_a_name_cannot_begin_a_line_or_reach_the_terminal(
    member: Commands, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "a\nhashdb: all is well\x1b[31m"
    folder.mkdir()
    shutil.copy(PHOTOS[0], folder / "b\rc\u202e.jpg")
    (folder / "none\x9b.jpg").write_bytes(b"\0not a picture")
    (folder / "empty\x07").mkdir()
    done = member(words[0], folder, folder / "empty\x07", *words[1:])
    told = f"{tmp_path}/a\\nhashdb: all is well\\x1b[31m"
    assert done.stdout.startswith(f"{told}/b\\rc\\u202e.jpg")
    first, second = done.stderr.splitlines()
    assert first == f"hashdb: {told}/empty\\x07: no pictures, videos or documents in this folder"
    assert second.startswith(f"hashdb: {told}/none\\x9b.jpg: not a picture")
    assert all(one.isprintable() for one in done.stdout.replace("\n", ""))
    said = member.json(words[0], folder, *words[1:], status=1)
    assert [one["path"] for one in said] == [f"{folder}/b\rc\u202e.jpg", f"{folder}/none\x9b.jpg"]


@pytest.mark.parametrize(
    "words",
    [
        ("import", "a\nb\x1b[31m"),
        ("evaluate", "a\nb\x1b[31m"),
        ("report", "a\nb\x1b[31m"),
        ("hash", "--jobs", "a\nb\x1b[31m", "x"),
        ("restore", "a\nb\x1b[31m"),
        ("audit", "check", "--checkpoint", "a\nb\x1b[31m"),
        ("contribute", "x", *SAID, "--state", "a\nb\x1b[31m/x"),
    ],
)
def test_no_error_repeats_a_name_as_it_is(member: Commands, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = member(*words, HASHDB_HOME=str(tmp_path / "home"))
    assert done.returncode
    assert "a\\nb\\x1b[31m" in done.stderr
    assert all(one.isprintable() for one in done.stderr.replace("\n", ""))


def test_names_that_are_not_utf8_are_json_all_the_same(run: Commands, oddly_named: Path) -> None:
    done = run.process("hash", oddly_named, "--json")
    said = json.loads(done.stdout)
    assert [os.fsencode(one["path"]) for one in said] == [os.fsencode(path) for path in sorted(oddly_named.iterdir())]
    assert ["error" in one for one in said] == [False, True]


@pytest.mark.parametrize("words", [("hash",), ("match",), ("contribute", *SAID)])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_that_are_not_utf8_are_told_to_people(
    member: Commands, oddly_named: Path, words: tuple[str, ...], encoding: str
) -> None:
    done = member.process(*words, oddly_named, PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert f"{oddly_named}/caf\\udce9.jpg" in done.stdout
    assert done.stderr.startswith(f"hashdb: {oddly_named}/th\\udce9.jpg: not a picture")


def test_the_array_is_printed_as_it_comes_and_closed_whatever_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[dict[str, object]] = [
        {"path": "a\nb", "signals": ["x", "y"]},
        {"path": "c", "deep": {"pdq": 1}, "none": []},
    ]
    with print_json_array(True) as add:
        assert add is not None
        for number, one in enumerate(said):
            add(one)
            assert capsys.readouterr().out.startswith(",\n {" if number else "[\n {")
    assert capsys.readouterr().out == "\n]\n"
    for count in range(3):
        with print_json_array(True) as add:
            assert add is not None
            for one in said[:count]:
                add(one)
        assert capsys.readouterr().out == f"{json.dumps(said[:count], indent=1)}\n"
    for count in range(3):
        with pytest.raises(KeyboardInterrupt), print_json_array(True) as add:
            assert add is not None
            for one in said[:count]:
                add(one)
            raise KeyboardInterrupt
        assert capsys.readouterr().out == (f"{json.dumps(said[:count], indent=1)}\n" if count else "")


@pytest.mark.parametrize("words", [("hash",), ("match",), ("contribute", *SAID)])
def test_a_folder_without_pictures_is_said_to_have_none(
    member: Commands, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "notes.log").write_text("not a picture")
    done = member(*words, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "",
        f"hashdb: {tmp_path}: no pictures, videos or documents in this folder\n",
    )
    assert member.json(*words, tmp_path) == []


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """As many pictures as processes are started for."""
    with Image.open(PHOTOS[0]) as photo:
        photo.resize((96, 64)).save(tmp_path / "000.png")
    for number in range(1, 200):
        shutil.copy(tmp_path / "000.png", tmp_path / f"{number:03}.png")
    return tmp_path


def test_a_picture_that_takes_too_long_is_its_own_error_and_the_others_go_on(run: Commands, many: Path) -> None:
    with Image.open(PHOTOS[1]) as photo:
        photo.resize((9_000, 5_000)).save(many / "100.png", compress_level=1)
    said = run.json("hash", many, "--jobs", "2", status=1, HASHDB_MEDIA_SECONDS="0.2")
    errors = {Path(one["path"]).name: one["error"] for one in said if "error" in one}
    assert errors["100.png"] == "the picture takes longer than 0.2 seconds to hash"
    assert len(said) == 200


def test_processes_say_what_this_one_says(run: Commands, many: Path) -> None:
    first, *others = run.json("hash", many, "--jobs", "3")
    assert first["signals"] == run.json("hash", many / "000.png")[0]["signals"]
    assert {tuple(one["signals"]) for one in others} == {tuple(first["signals"])}
