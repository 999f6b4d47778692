"""Paths on the command line: files and folders of any name and any kind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hashdb.cli.output import print_json_array
from tests.cli.conftest import PHOTOS, Commands

METADATA = ("--label", "glorification", "--removed-at", "now")


@pytest.fixture
def latin_1_names(tmp_path: Path) -> Path:
    """A folder with a picture and another file, whose names are in Latin-1."""
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(PHOTOS[0].read_bytes())
    (folder / os.fsdecode(b"th\xe9.jpg")).write_bytes(b"\0not a picture")
    return folder


def test_a_name_that_is_too_long_is_reported_in_one_sentence(run: Commands) -> None:
    process = run("hash", "a" * 5000)
    assert process.returncode == 1
    assert process.stderr == f"hashdb: {'a' * 5000}: the file cannot be read: file name too long\n"


@pytest.mark.parametrize("words", [("match",), ("match", "--local"), ("contribute", *METADATA), ("rehash",), ("hash",)])
def test_paths_that_do_not_exist_are_reported_before_a_key_or_a_copy_is_needed(
    run: Commands, tmp_path: Path, words: tuple[str, ...]
) -> None:
    missing = [tmp_path / "missing.jpg", tmp_path / "none" / "missing.pdf"]
    error = "the file cannot be read: no such file or directory"

    result = run(*words, *missing)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [f"hashdb: {path}: {error}" for path in missing]
    assert run.json(*words, *missing, status=1) == [{"path": str(path), "error": error} for path in missing]
    if words[0] != "hash":
        result = run(*words, *missing, PHOTOS[0])
        assert (result.returncode, result.stdout) != (0, "")
        assert "missing.jpg" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("match",), ("hash",), ("contribute", *METADATA), ("rehash",), ("remember", "add"), ("import",),
        ("hash", "--urls"), ("hash", "--state"), ("backup", "--into"), ("local", "serve", "--socket"),
    ],
)  # fmt: skip
def test_an_empty_path_is_not_the_current_folder(
    run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    shutil.copy(PHOTOS[0], tmp_path)
    monkeypatch.chdir(tmp_path)
    result = run(*words, "")
    assert (result.returncode, result.stdout) == (2, "")
    assert "the path is empty" in result.stderr


def test_an_unreadable_folder_is_reported_and_other_files_are_hashed(run: Commands, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    shutil.copy(PHOTOS[0], top / "a.jpg")
    # So deep that the path is too long. Even root cannot read that, and tests may run as root.
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=descriptor)
        child = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = child
    os.close(descriptor)
    results = run.json("hash", top, status=1)
    assert [result.get("error") for result in results] == [None, "the folder cannot be read: file name too long"]
    shutil.rmtree(top)


@pytest.mark.parametrize("words", [("hash",), ("match",), ("contribute", *METADATA)])
def test_a_file_name_cannot_inject_a_line_or_a_control_code(
    member: Commands, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "a\nhashdb: all is well\x1b[31m"
    folder.mkdir()
    shutil.copy(PHOTOS[0], folder / "b\rc\u202e.jpg")
    (folder / "none\x9b.jpg").write_bytes(b"\0not a picture")
    (folder / "empty\x07").mkdir()
    process = member(words[0], folder, folder / "empty\x07", *words[1:])
    escaped_folder = f"{tmp_path}/a\\nhashdb: all is well\\x1b[31m"
    assert process.stdout.startswith(f"{escaped_folder}/b\\rc\\u202e.jpg")
    first, second = process.stderr.splitlines()
    assert first == f"hashdb: {escaped_folder}/empty\\x07: no pictures, videos or documents in this folder"
    assert second.startswith(f"hashdb: {escaped_folder}/none\\x9b.jpg: not a picture")
    assert all(char.isprintable() for char in process.stdout.replace("\n", ""))
    results = member.json(words[0], folder, *words[1:], status=1)
    assert [result["path"] for result in results] == [f"{folder}/b\rc\u202e.jpg", f"{folder}/none\x9b.jpg"]


@pytest.mark.parametrize(
    "words",
    [
        ("import", "a\nb\x1b[31m"),
        ("evaluate", "a\nb\x1b[31m"),
        ("report", "a\nb\x1b[31m"),
        ("hash", "--jobs", "a\nb\x1b[31m", "x"),
        ("restore", "a\nb\x1b[31m"),
        ("audit", "check", "--checkpoint", "a\nb\x1b[31m"),
        ("contribute", str(PHOTOS[0]), *METADATA, "--state", "a\nb\x1b[31m/x"),
    ],
)
def test_every_error_escapes_the_control_codes_of_a_name(
    member: Commands, tmp_path: Path, words: tuple[str, ...]
) -> None:
    process = member(*words, HASHDB_HOME=str(tmp_path / "home"))
    assert process.returncode
    assert "a\\nb\\x1b[31m" in process.stderr
    assert all(char.isprintable() for char in process.stderr.replace("\n", ""))


def test_json_output_keeps_names_that_are_not_utf_8(run: Commands, latin_1_names: Path) -> None:
    process = run.process("hash", latin_1_names, "--json")
    results = json.loads(process.stdout)
    assert [os.fsencode(result["path"]) for result in results] == [
        os.fsencode(path) for path in sorted(latin_1_names.iterdir())
    ]
    assert ["error" in result for result in results] == [False, True]


@pytest.mark.parametrize("words", [("hash",), ("match",), ("contribute", *METADATA)])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_text_output_escapes_names_that_are_not_utf_8(
    member: Commands, latin_1_names: Path, words: tuple[str, ...], encoding: str
) -> None:
    process = member.process(*words, latin_1_names, PYTHONIOENCODING=encoding)
    assert process.returncode == 1
    assert f"{latin_1_names}/caf\\udce9.jpg" in process.stdout
    assert process.stderr.startswith(f"hashdb: {latin_1_names}/th\\udce9.jpg: not a picture")


def test_the_json_array_is_printed_item_by_item_and_always_closed(capsys: pytest.CaptureFixture[str]) -> None:
    items: list[dict[str, object]] = [
        {"path": "a\nb", "signals": ["x", "y"]},
        {"path": "c", "deep": {"pdq": 1}, "none": []},
    ]
    with print_json_array(True) as add:
        assert add is not None
        for number, item in enumerate(items):
            add(item)
            assert capsys.readouterr().out.startswith(",\n {" if number else "[\n {")
    assert capsys.readouterr().out == "\n]\n"
    for count in range(3):
        with print_json_array(True) as add:
            assert add is not None
            for item in items[:count]:
                add(item)
        assert capsys.readouterr().out == f"{json.dumps(items[:count], indent=1)}\n"
    for count in range(3):
        with pytest.raises(KeyboardInterrupt), print_json_array(True) as add:
            assert add is not None
            for item in items[:count]:
                add(item)
            raise KeyboardInterrupt
        assert capsys.readouterr().out == (f"{json.dumps(items[:count], indent=1)}\n" if count else "")


@pytest.mark.parametrize("words", [("hash",), ("match",), ("contribute", *METADATA)])
def test_a_folder_without_pictures_is_reported(member: Commands, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "notes.log").write_text("not a picture")
    process = member(*words, tmp_path)
    assert (process.returncode, process.stdout, process.stderr) == (
        0,
        "",
        f"hashdb: {tmp_path}: no pictures, videos or documents in this folder\n",
    )
    assert member.json(*words, tmp_path) == []


@pytest.fixture
def enough_for_processes(tmp_path: Path) -> Path:
    """Enough pictures for the command to start processes."""
    with Image.open(PHOTOS[0]) as photo:
        photo.resize((96, 64)).save(tmp_path / "000.png")
    for number in range(1, 200):
        shutil.copy(tmp_path / "000.png", tmp_path / f"{number:03}.png")
    return tmp_path


def test_a_picture_that_times_out_is_an_error_and_the_others_are_hashed(
    run: Commands, enough_for_processes: Path
) -> None:
    with Image.open(PHOTOS[1]) as photo:
        photo.resize((9_000, 5_000)).save(enough_for_processes / "100.png", compress_level=1)
    results = run.json("hash", enough_for_processes, "--jobs", "2", status=1, HASHDB_MEDIA_SECONDS="0.2")
    errors = {Path(result["path"]).name: result["error"] for result in results if "error" in result}
    assert errors["100.png"] == "hashing the picture took longer than 0.2 s"
    assert len(results) == 200


def test_worker_processes_compute_the_same_hashes_as_the_command_itself(
    run: Commands, enough_for_processes: Path
) -> None:
    first, *others = run.json("hash", enough_for_processes, "--jobs", "3")
    assert first["signals"] == run.json("hash", enough_for_processes / "000.png")[0]["signals"]
    assert {tuple(result["signals"]) for result in others} == {tuple(first["signals"])}
