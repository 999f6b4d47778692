"""Every example does what its docstring says, against a real service."""

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

from hashdb import Algorithm, Client, Query, hash_file
from hashdb.sidecar.application import Sidecar
from hashdb.sidecar.metrics import Metrics
from tests.cli.conftest import PHOTOS, Commands
from tests.films import film
from tests.serving import serving
from tests.sidecar.conftest import pair_in
from tests.snippets import ROOT
from tests.web.sharing.served import listening_at

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@dataclass
class Member:
    """The settings of a member that has a key with the scopes of a platform."""

    settings: dict[str, str]

    def run(self, name: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run an example as a program."""
        words = [sys.executable, ROOT / "examples" / name, *arguments]
        environment = {**os.environ, **self.settings, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            words, env=environment, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    home = tmp_path_factory.mktemp("examples") / "home"
    with serving(home, workers=1) as url:
        scopes = [word for scope in ("contribute", "match", "feed", "audit") for word in ("--scope", scope)]
        added = Commands({"HASHDB_HOME": str(home)}).json("member", "add", "Alpha", "--kind", "platform", *scopes)
        yield Member({"HASHDB_URL": url, "HASHDB_KEY": added["key"]["secret"]})


def test_the_examples_contribute_a_folder_and_recognise_an_upload(
    member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for photo in PHOTOS[:2]:
        shutil.copy(photo, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    first, second = member.run("contribute_folder.py", tmp_path), member.run("contribute_folder.py", tmp_path)
    lines = [f"{photo.name}: contribution {id}" for id, photo in enumerate(PHOTOS[:2], 1)]
    assert first.stdout.splitlines() == lines
    assert second.stdout == first.stdout  # the service answers a repeated request as before
    assert first.stderr.startswith("broken.jpg: ")
    shutil.copy(PHOTOS[2], tmp_path / PHOTOS[0].name)
    changed = member.run("contribute_folder.py", tmp_path)
    assert changed.stdout.splitlines() == [f"{PHOTOS[0].name}: contribution 3", lines[1]]
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


def test_the_queue_worker_matches_each_upload(member: Member, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(PHOTOS[3], tmp_path)
    member.run("contribute_folder.py", tmp_path)
    waiting = [PHOTOS[3], tmp_path / "broken.jpg", PHOTOS[11]]
    result = member.run("queue_worker.py", stdin="".join(f"{path}\n" for path in waiting))
    assert result.stdout.splitlines() == [f"{PHOTOS[3]}: review", f"{PHOTOS[11]}: none"]
    assert result.stderr.startswith(f"{tmp_path}/broken.jpg: ")


def test_follow_feed_prints_each_change_of_the_feed(member: Member, tmp_path: Path) -> None:
    for photo in PHOTOS[5:7]:
        shutil.copy(photo, tmp_path)
    words = [sys.executable, str(ROOT / "examples" / "follow_feed.py")]
    environment = {**os.environ, **member.settings, "PYTHONPATH": str(ROOT)}
    with Client(member.settings["HASHDB_URL"], member.settings["HASHDB_KEY"]) as client:
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                lines = member.run("contribute_folder.py", tmp_path).stdout.splitlines()
                first, second = (int(line.split()[-1]) for line in lines)
                _read_until(process.stdout, f"contribution {second}, ")
                client.withdraw(first, "other")
                _read_until(process.stdout, f"contribution {first} is gone (withdrawn)")
            finally:
                process.kill()
        client.withdraw(second, "other")  # ends the request of the killed process, which waits in the service


def test_monitor_log_reports_a_forged_checkpoint(member: Member, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for _ in range(2):
        result = member.run("monitor_log.py", kept)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    note = kept.read_text()
    assert note.splitlines()[4].startswith("\u2014 hashdb/")
    kept.write_text(note.replace("\n", "\n1", 1))
    result = member.run("monitor_log.py", kept)
    assert result.returncode == 1
    assert result.stderr == "ALARM: the checkpoint that was kept: the signature is not valid for this text\n"
    assert kept.read_text() != note
    kept.write_text(note)
    unreachable = Member({**member.settings, "HASHDB_URL": "http://127.0.0.1:9"}).run("monitor_log.py", kept)
    assert (unreachable.returncode, unreachable.stderr[:13], kept.read_text()) == (1, "not checked: ", note)


JAVASCRIPT = ROOT / "examples" / "javascript"
NODE = pytest.mark.skipif(
    not (shutil.which("node") and (JAVASCRIPT / "node_modules").is_dir()),
    reason="the example in JavaScript needs node, and `npm install` in examples/javascript, as scripts/test does it",
)


@pytest.mark.parametrize(
    ("words", "photo", "printed"),
    [
        pytest.param(
            [ROOT / "examples" / "curl.sh"], PHOTOS[12], ('"contribution":{{"id":{},', '"gone":{},'), id="curl"
        ),
        pytest.param(
            ["node", JAVASCRIPT / "hashdb.js"], PHOTOS[13], ("contribution {}\n", "{} is gone"), id="node", marks=NODE
        ),
    ],
)
def test_the_examples_in_other_languages_match_contribute_and_follow(
    member: Member, words: list[str | Path], photo: Path, printed: tuple[str, str], tmp_path: Path
) -> None:
    environment = {**os.environ, **member.settings}

    def run(*more: str | Path) -> tuple[int, str]:
        command = [*words, *more]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return result.returncode, result.stdout + result.stderr

    # They would query a video only by the hashes of its file, and get "none" whatever it shows. So they reject it.
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(film(seconds=1.0))
    status, text = run("match", clip)
    assert status and "is a video: send it to /v1/matches/media" in text
    status, text = run("match", photo)
    assert status == 0 and "none" in text
    status, text = run("contribute", photo, "no-label")
    assert status and "'no-label' is not a behaviour" in text
    status, text = run("contribute", photo, "glorification")
    assert status == 0, text
    status, text = run("match", photo)
    assert status == 0 and "review" in text
    with Client(member.settings["HASHDB_URL"], member.settings["HASHDB_KEY"]) as client:
        (result,) = client.match([Query(hash_file(photo, (Algorithm.PDQ, Algorithm.PHASH256)).signals)]).results
        (id,) = (match.contribution for match in result.matches)
        with subprocess.Popen([*words, "follow"], env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                _read_until(process.stdout, printed[0].format(id))
                client.withdraw(id, "other")
                _read_until(process.stdout, printed[1].format(id))
            finally:
                process.kill()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([ROOT / "examples" / "curl.sh"], id="curl"),
        pytest.param(["node", JAVASCRIPT / "hashdb.js"], id="node", marks=NODE),
    ],
)
def test_the_examples_in_other_languages_query_a_sidecar_without_a_key(words: list[str | Path], tmp_path: Path) -> None:
    with pair_in(tmp_path) as pair:
        pair.sync()
        pair.state.on_unix_socket = True
        with listening_at(f"unix://{tmp_path}/s", Sidecar(pair.state, Metrics())):
            kept = {name: value for name, value in os.environ.items() if name != "HASHDB_KEY"}
            result = subprocess.run(
                [*words, "match", ROOT / "hashdb" / "test.png"],
                env=kept | {"HASHDB_URL": f"unix:{tmp_path}/s"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    assert (result.returncode, result.stderr) == (0, "")
    assert "review" in result.stdout and "test" in result.stdout


def _read_until(lines: Iterator[str], text: str) -> None:
    assert any(text in line for line in lines)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_has_a_docstring(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 40
    assert text.startswith('"""') and "HASHDB_KEY" in text.splitlines()[0]


@pytest.mark.parametrize("words", [(), ("match",), ("contribute", "picture.jpg"), ("follow", "now"), ("list",)])
def test_curl_prints_its_usage_if_words_are_missing_or_too_many(words: tuple[str, ...]) -> None:
    result = subprocess.run([ROOT / "examples" / "curl.sh", *words], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (2, "")
    assert "curl.sh contribute PICTURE LABEL" in result.stdout
