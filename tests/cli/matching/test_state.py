"""hashdb contribute --state: what was done is noted, and a run that was cut short goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hashdb.cli.matching.state import StateFile
from tests.cli.conftest import PHOTOS, Commands

SAID = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")


def test_a_run_goes_on_where_the_one_before_ended(member: Commands, tmp_path: Path) -> None:
    folder, state = tmp_path / "pictures", tmp_path / "state.jsonl"
    folder.mkdir()
    for photo in PHOTOS[:12]:
        shutil.copy(photo, folder)
    (folder / "broken.jpg").write_bytes(b"\0not a picture")
    first = member.json("contribute", folder, *SAID, "--state", state, status=1)
    ids = {one["path"]: one["id"] for one in first if "id" in one}
    assert len(ids) == 12
    # Killed in the middle of a line, and one picture has changed since.
    lines = state.read_text().splitlines(keepends=True)
    state.write_text("".join(lines[:8]) + lines[8][:20])
    changed = folder / PHOTOS[0].name
    os.utime(changed, ns=(1, 1))
    done = member("contribute", folder, *SAID, "--state", state)
    assert f"hashdb: 7 files skipped: already in {state}" in done.stderr
    assert f"{changed}  contribution {ids[str(changed)]} (already known)" in done.stdout
    again = member.json("contribute", folder, *SAID, "--state", state, status=1)
    assert {one["path"]: one["id"] for one in again if "id" in one} == ids
    assert [one["error"][:13] for one in again if "error" in one] == ["not a picture"]


def test_the_state_is_its_owners_only_also_one_that_others_could_read(tmp_path: Path) -> None:
    state, before = tmp_path / "state.jsonl", os.umask(0)
    try:
        for _ in range(2):
            with StateFile(state):
                assert state.stat().st_mode & 0o777 == 0o600
            state.chmod(0o644)
    finally:
        os.umask(before)


@pytest.mark.parametrize("verb", ["hash", "match"])
def test_hashing_and_matching_go_on_too(member: Commands, tmp_path: Path, verb: str) -> None:
    folder, state = tmp_path / "pictures", tmp_path / "state.jsonl"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"\0not a picture")
    for photo in PHOTOS[:4]:
        shutil.copy(photo, folder)
    paths = sorted(map(str, folder.iterdir()))
    first = member.json(verb, folder, "--state", state, status=1)
    assert [one["path"] for one in first] == paths
    os.utime(folder / PHOTOS[0].name, ns=(1, 1))
    done = member(verb, folder, "--state", state)
    assert done.stderr.startswith(f"hashdb: 3 files skipped: already in {state}\nhashdb: {folder}/broken.jpg: ")
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [str(folder / PHOTOS[0].name)]
    again = member.json(verb, folder, "--state", state, status=1)
    assert [one["known"] for one in again if "known" in one] == [True] * 4
    assert sorted(one["path"] for one in again) == paths


def test_what_was_hashed_or_matched_is_not_contributed_by_that(member: Commands, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    for words in (("hash",), ("match",), ("contribute", *SAID)):
        done = member(words[0], PHOTOS[0], *words[1:], "--state", state)
        assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_without_a_file_nothing_is_noted(tmp_path: Path) -> None:
    with StateFile(None) as done:
        done.record(PHOTOS[0], 7)
        assert done.skip_done({PHOTOS[0]: None}) == {PHOTOS[0]: None}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_used_is_a_usage_error(run: Commands, tmp_path: Path) -> None:
    done = run("contribute", PHOTOS[0], *SAID, "--state", tmp_path / "no" / "such")
    assert (done.returncode, "state file" in done.stderr) == (2, True)
