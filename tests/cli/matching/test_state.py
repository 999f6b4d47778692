"""hashdb contribute --state: the file records finished files, and the next run resumes after an interruption."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hashdb.cli.matching.state import StateFile
from tests.cli.conftest import PHOTOS, Commands

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")


def test_a_run_resumes_where_the_interrupted_one_ended(member: Commands, tmp_path: Path) -> None:
    folder, state = tmp_path / "pictures", tmp_path / "state.jsonl"
    folder.mkdir()
    for photo in PHOTOS[:12]:
        shutil.copy(photo, folder)
    (folder / "broken.jpg").write_bytes(b"\0not a picture")
    first = member.json("contribute", folder, *METADATA, "--state", state, status=1)
    ids = {item["path"]: item["id"] for item in first if "id" in item}
    assert len(ids) == 12
    # As if the process was killed in the middle of a line. One picture has changed since.
    lines = state.read_text().splitlines(keepends=True)
    state.write_text("".join(lines[:8]) + lines[8][:20])
    changed = folder / PHOTOS[0].name
    os.utime(changed, ns=(1, 1))
    result = member("contribute", folder, *METADATA, "--state", state)
    assert f"hashdb: 7 files skipped: already in {state}" in result.stderr
    assert f"{changed}  contribution {ids[str(changed)]} (already known)" in result.stdout
    again = member.json("contribute", folder, *METADATA, "--state", state, status=1)
    assert {item["path"]: item["id"] for item in again if "id" in item} == ids
    assert [item["error"][:13] for item in again if "error" in item] == ["not a picture"]


def test_only_the_owner_can_read_the_state_file(tmp_path: Path) -> None:
    state, before = tmp_path / "state.jsonl", os.umask(0)
    try:
        for _ in range(2):
            with StateFile(state):
                assert state.stat().st_mode & 0o777 == 0o600
            state.chmod(0o644)
    finally:
        os.umask(before)


@pytest.mark.parametrize("verb", ["hash", "match"])
def test_hash_and_match_resume_too(member: Commands, tmp_path: Path, verb: str) -> None:
    folder, state = tmp_path / "pictures", tmp_path / "state.jsonl"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"\0not a picture")
    for photo in PHOTOS[:4]:
        shutil.copy(photo, folder)
    paths = sorted(map(str, folder.iterdir()))
    first = member.json(verb, folder, "--state", state, status=1)
    assert [item["path"] for item in first] == paths
    os.utime(folder / PHOTOS[0].name, ns=(1, 1))
    result = member(verb, folder, "--state", state)
    assert result.stderr.startswith(f"hashdb: 3 files skipped: already in {state}\nhashdb: {folder}/broken.jpg: ")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == [str(folder / PHOTOS[0].name)]
    again = member.json(verb, folder, "--state", state, status=1)
    assert [item["known"] for item in again if "known" in item] == [True] * 4
    assert sorted(item["path"] for item in again) == paths


def test_contribute_does_not_skip_files_that_were_only_hashed_or_matched(member: Commands, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    for words in (("hash",), ("match",), ("contribute", *METADATA)):
        result = member(words[0], PHOTOS[0], *words[1:], "--state", state)
        assert (result.returncode, result.stderr, len(result.stdout.splitlines())) == (0, "", 1)


def test_without_a_state_file_nothing_is_recorded(tmp_path: Path) -> None:
    with StateFile(None) as state:
        state.record(PHOTOS[0], 7)
        assert state.skip_done({PHOTOS[0]: None}) == {PHOTOS[0]: None}
    assert list(tmp_path.iterdir()) == []


def test_a_state_file_that_cannot_be_opened_is_a_usage_error(run: Commands, tmp_path: Path) -> None:
    path = tmp_path / "no" / "such"
    result = run("contribute", PHOTOS[0], *METADATA, "--state", path)
    assert result.returncode == 2
    assert result.stderr.endswith(f"Error: the state file {path} cannot be used: no such file or directory\n")


def test_a_line_of_a_state_file_that_is_no_record_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text(f"{'[' * 100_000}\n1\nx\n")
    with StateFile(file) as state:
        assert state.skip_done({PHOTOS[0]: None}) == {PHOTOS[0]: None}
