"""The examples do what they say, against a service that is really served."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from hashdb.client import Client
from tests.cli.conftest import PHOTOS, Commands
from tests.serving import serving
from tests.snippets import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@dataclass
class Member:
    """A member with a key of every scope of a platform."""

    settings: dict[str, str]

    def run(self, name: str, *arguments: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
        """An example, run as a program."""
        words = [sys.executable, ROOT / "examples" / name, *arguments]
        environment = {**os.environ, **self.settings, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            words, env=environment, input=said, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    home = tmp_path_factory.mktemp("examples") / "home"
    with serving(home, workers=1) as url:
        scopes = [word for scope in ("contribute", "match", "feed", "audit") for word in ("--scope", scope)]
        added = Commands({"HASHDB_HOME": str(home)}).json("member", "add", "Alpha", "--kind", "platform", *scopes)
        yield Member({"HASHDB_URL": url, "HASHDB_KEY": added["key"]["secret"]})


def test_a_folder_is_contributed_and_recognised_in_an_upload(
    member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for photo in PHOTOS[:2]:
        shutil.copy(photo, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    first, again = member.run("contribute_folder.py", tmp_path), member.run("contribute_folder.py", tmp_path)
    said = [f"{photo.name}: contribution {id}" for id, photo in enumerate(PHOTOS[:2], 1)]
    assert first.stdout.splitlines() == said
    assert again.stdout == first.stdout  # the same requests once more: answered as before
    assert first.stderr.startswith("broken.jpg: ")
    shutil.copy(PHOTOS[2], tmp_path / PHOTOS[0].name)
    changed = member.run("contribute_folder.py", tmp_path)
    assert changed.stdout.splitlines() == [f"{PHOTOS[0].name}: contribution 3", said[1]]
    shutil.copy(PHOTOS[0], tmp_path)

    for name, value in member.settings.items():
        monkeypatch.setenv(name, value)
    example = importlib.import_module("examples.match_upload")
    with example.hashdb:
        browser = example.app.test_client()

        def upload(octets: bytes) -> tuple[int, object]:
            answer = browser.post("/uploads", data={"picture": (BytesIO(octets), "picture.jpg")})
            return answer.status_code, answer.get_json().get("state")

        assert upload(PHOTOS[0].read_bytes()) == (202, "review")
        assert upload(PHOTOS[9].read_bytes()) == (201, "published")
        assert upload(b"no picture") == (415, None)


def test_a_queue_of_uploads_is_matched(member: Member, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(PHOTOS[3], tmp_path)
    member.run("contribute_folder.py", tmp_path)
    waiting = [PHOTOS[3], tmp_path / "broken.jpg", PHOTOS[11]]
    done = member.run("queue_worker.py", said="".join(f"{path}\n" for path in waiting))
    assert done.stdout.splitlines() == [f"{PHOTOS[3]}: review", f"{PHOTOS[11]}: none"]
    assert done.stderr.startswith(f"{tmp_path}/broken.jpg: ")


def test_the_feed_is_followed_as_it_changes(member: Member, tmp_path: Path) -> None:
    for photo in PHOTOS[5:7]:
        shutil.copy(photo, tmp_path)
    words = [sys.executable, str(ROOT / "examples" / "follow_feed.py")]
    environment = {**os.environ, **member.settings, "PYTHONPATH": str(ROOT)}
    with Client(member.settings["HASHDB_URL"], member.settings["HASHDB_KEY"]) as client:
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                told = member.run("contribute_folder.py", tmp_path).stdout.splitlines()
                first, second = (int(line.split()[-1]) for line in told)
                _until(process.stdout, f"contribution {second}, ")
                client.withdraw(first, "other")
                _until(process.stdout, f"contribution {first} is gone (withdrawn)")
            finally:
                process.kill()
        client.withdraw(second, "other")  # what waits in the service for the one that was killed, ends


def test_the_log_is_monitored_and_a_forged_checkpoint_is_an_alarm(member: Member, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for _ in range(2):
        done = member.run("monitor_log.py", kept)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    note = kept.read_text()
    assert note.splitlines()[4].startswith("\u2014 hashdb/")
    kept.write_text(note.replace("\n", "\n1", 1))
    done = member.run("monitor_log.py", kept)
    assert done.returncode == 1
    assert done.stderr == "ALARM: the checkpoint that was kept: the signature does not fit the text\n"
    assert kept.read_text() != note
    kept.write_text(note)
    away = Member({**member.settings, "HASHDB_URL": "http://127.0.0.1:9"}).run("monitor_log.py", kept)
    assert (away.returncode, away.stderr[:13], kept.read_text()) == (1, "not checked: ", note)


def _until(lines: Iterator[str], said: str) -> None:
    assert any(said in line for line in lines)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_does(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 40
    assert text.startswith('"""') and "HASHDB_KEY" in text.splitlines()[0]
