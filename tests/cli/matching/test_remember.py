"""hashdb remember, against a real service: what is remembered, and what is told of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.domain.times import format_instant
from hashdb.hashing import hash_file
from hashdb.webhooks import verify
from tests import builders
from tests.cli.conftest import Commands
from tests.receivers import receiver
from tests.warm import HASHDB, program

SAID = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
REPORTED = 3
# Within the retention, whenever the tests run.
UPLOADED, LATER = (datetime.now(UTC) - timedelta(days=days) for days in (9, 8))
AT = format_instant(UPLOADED)


@pytest.fixture
def own(member: Commands, tmp_path: Path) -> Commands:
    """Commands of a member with a home of its own, and a copy in it."""
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    assert member("sync").returncode == 0
    return member


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture that no other test contributes."""
    path = tmp_path / "upload.png"
    Image.frombytes("L", (12, 12), os.urandom(144)).resize((256, 256), Image.Resampling.BICUBIC).save(path)
    return path


def reports(run: Commands, *words: str, status: int = REPORTED) -> list[dict[str, object]]:
    """What `hashdb remember matches` prints."""
    done = run("remember", "matches", "--json", *words)
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_upload_that_is_listed_later_is_told_once_and_so_is_the_way_back(own: Commands, picture: Path) -> None:
    done = own("remember", picture, "--id", "post-81", "--at", AT)
    assert done.stdout == f"{picture}  remembered\n"
    assert reports(own, status=0) == []
    [listed] = own.json("contribute", picture, *SAID)
    own("sync")
    told = own("remember", "matches", "--peek")
    assert told.returncode == REPORTED
    assert f"  post-81  matched  contribution {listed['id']}: pdq 0, " in told.stdout
    assert "and look-back is done up to event " in told.stderr
    [matched] = reports(own)
    assert (matched["kind"], matched["upload"]) == ("matched", "post-81")
    assert matched["uploaded_at"] == AT
    assert reports(own, status=0) == []
    own("withdraw", str(listed["id"]), "--reason", "removal_reversed")
    own("sync")
    [back] = reports(own, "--peek")
    assert (back["kind"], back["number"], back["match"]) == ("taken-back", 2, matched["match"])
    assert "  post-81  taken back (withdrawn)  contribution " in own("remember", "matches").stdout
    assert reports(own, status=0) == []


def test_match_and_remember_are_one_command(own: Commands, picture: Path) -> None:
    assert own("match", "--remember", "--transforms", picture).stdout == f"{picture}  no match\n"
    own.json("contribute", picture, *SAID)
    own("sync")
    [matched] = reports(own)
    assert matched["upload"] == str(picture)
    assert own.json("match", "--remember", "--local", picture)[0]["action"] == "review"


def line(id: str, path: Path, **fields: object) -> str:
    signals = [str(one) for one in hash_file(path, (Algorithm.PDQ, Algorithm.PHASH256)).signals]
    return json.dumps({"id": id, "at": AT, "signals": signals} | fields) + "\n"


def test_lines_of_json_are_all_remembered_or_none(own: Commands, picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "uploads.jsonl"
    good = line("good", picture)
    file.write_text(
        good
        + "\n{\n"
        + line("", picture)
        + line("old", picture, at="2019-01-01T00:00:00Z")
        + '{"id": 1}\n'
        + "[" * 500_001
        + "\n"
    )
    done = own("remember", "--jsonl", file)
    assert (done.returncode, done.stdout) == (1, "nothing is remembered: correct these lines\n")
    faults = [fault.removeprefix(f"{file}:") for fault in done.stderr.splitlines()]
    assert faults == [
        "3: is not JSON in UTF-8",
        "4: id: must have at least 1 characters",
        "5: at: is longer ago than uploads are remembered: 90 days (HASHDB_REMEMBER_DAYS)",
        "6: id: must be a string",
        "6: signals: is required",
        "6: at: is required",
        "7: the values in a request are limited to 500000",
    ]
    assert own.json("remember", "status")["remembered"] == 0
    listed = own.json("remember", "--jsonl", file, status=1)
    assert listed["remembered"] == 0
    assert listed["faults"][0] == {"line": 3, "at": "", "reason": "is not JSON in UTF-8"}
    file.write_text(good + line("too", picture))
    assert own("remember", "add", "--jsonl", file).stdout == "2 uploads remembered\n"
    own.json("contribute", picture, *SAID)
    own("sync")
    assert [report["upload"] for report in reports(own)] == ["good", "too"]


def test_lines_are_read_from_standard_input(own: Commands, picture: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    words = [*program(HASHDB), "remember", "--jsonl", "-", "--json"]
    done = subprocess.run(
        words, input=line("piped", picture), env=kept | own.environment, capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stdout) == {"remembered": 1, "faults": []}


def test_a_forgotten_upload_is_told_no_more(own: Commands, picture: Path) -> None:
    own("remember", picture, "--id", "gone")
    own("match", picture, "--remember")
    assert own("remember", "forget", "gone", "unknown").stdout == "2 uploads forgotten\n"
    own.json("contribute", picture, *SAID)
    own("sync")
    assert [report["upload"] for report in reports(own, "--peek")] == [str(picture)]
    own("remember", "forget", str(picture))
    assert reports(own, status=0) == []


def test_the_status_says_what_is_remembered_and_what_waits(own: Commands, picture: Path) -> None:
    own("remember", picture, "--at", AT)
    own("remember", picture, "--id", "second", "--at", format_instant(LATER))
    own.json("contribute", picture, *SAID)
    own("sync")
    status = own.json("remember", "status")
    assert status["days"] == {f"{UPLOADED:%Y-%m-%d}": 1, f"{LATER:%Y-%m-%d}": 1}
    assert (status["remembered"], status["retention_days"]) == (2, 90)
    assert (status["reports"], status["acknowledged"], status["waiting"]) == (2, 0, 2)
    assert status["looked_back"]["seq"] == status["checkpoint"]
    assert own("remember", "status").stdout.splitlines() == [
        f"remembered: 2, of {UPLOADED:%Y-%m-%d} to {LATER:%Y-%m-%d}, with what was replaced or forgotten since",
        "retention: 90 days",
        "reports: 2; not acknowledged: 2",
    ]


@contextmanager
def running(run: Commands, *commands: tuple[str, ...], **settings: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Commands in processes of their own, for the length of the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    environment = kept | run.environment | settings
    with ExitStack() as stack:
        processes = []
        for words in commands:
            process = subprocess.Popen(
                [*program(HASHDB), *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            processes.append(process)
        yield processes


def until_acknowledged(run: Commands) -> None:
    until = time.monotonic() + 20
    while (status := run.json("remember", "status"))["waiting"]:
        assert time.monotonic() < until
    assert status["acknowledged"] == 1


def test_who_follows_hears_at_once_and_what_was_printed_is_acknowledged(own: Commands, picture: Path) -> None:
    own("remember", picture, "--id", "post-81")
    follow_reports = ("remember", "matches", "--follow", "--json")
    with running(own, ("sync", "--follow"), follow_reports) as (_, follow):
        own.json("contribute", picture, *SAID)
        assert follow.stdout is not None
        assert json.loads(follow.stdout.readline())["upload"] == "post-81"
        # It acknowledges after it wrote the line.
        until_acknowledged(own)
        follow.send_signal(signal.SIGINT)
        assert follow.wait(20) == 130


def test_the_process_that_syncs_sends_the_reports_to_an_address_of_the_member(
    own: Commands, picture: Path, tmp_path: Path
) -> None:
    own("remember", picture, "--id", "post-81")
    with receiver() as hook, running(own, ("sync", "--follow"), HASHDB_REMEMBER_WEBHOOK=hook.url):
        own.json("contribute", picture, *SAID)
        [received] = hook.wait(1)
        until_acknowledged(own)
    secret = (tmp_path / "own" / "local" / "remembered" / "webhook.secret").read_text().strip()
    assert verify(secret, received.headers, received.body).data["upload"] == "post-81"
    assert own("sync", "--follow", HASHDB_REMEMBER_WEBHOOK="ftp://x").returncode == 2


def test_pictures_that_cannot_be_remembered_are_named_and_the_others_are_remembered(
    own: Commands, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    shutil.copy(picture, folder / "fine.png")
    shutil.copy(picture, folder / "line\nend.png")
    listed = own.json("remember", folder, status=1)
    assert [entry.get("id", entry.get("error", "?")[:20]) for entry in listed] == [
        "the document has too",
        str(folder / "fine.png"),
        "cannot be remembered",
    ]
    assert own.json("remember", "status")["remembered"] == 1


def test_a_state_file_lets_it_go_on(own: Commands, picture: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    assert own("remember", picture, "--state", state).stdout == f"{picture}  remembered\n"
    done = own("remember", picture, "--state", state)
    assert (done.stdout, done.stderr) == ("", f"hashdb: 1 file skipped: already in {state}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mathces",), "Did you mean 'matches'?"),
        (("add",), "name files or folders, a list of addresses with --urls, or JSON Lines"),
        (("a.jpg", "--jsonl", "b"), "name files or folders, a list of addresses with --urls, or JSON Lines"),
        (("a.jpg", "--urls", "b"), "name files or folders, a list of addresses with --urls, or JSON Lines"),
        (("--urls", "b", "--id", "x"), "--urls takes no --id"),
        (("--jsonl", "b", "--id", "x"), "--jsonl takes no other option"),
        (("a.jpg", "b.jpg", "--id", "x"), "--id is for one file"),
    ],
)
def test_wrong_usage_is_a_sentence(run: Commands, words: tuple[str, ...], said: str) -> None:
    done = run("remember", *words)
    assert done.returncode == 2
    assert said.replace("'", "") in done.stderr.replace("'", "")


def test_without_a_copy_nothing_can_be_found_which_is_said(run: Commands, picture: Path) -> None:
    done = run("remember", picture)
    assert (done.returncode, done.stdout) == (0, f"{picture}  remembered\n")
    assert "nothing is found before `hashdb sync --follow` runs" in done.stderr
    for words in ("matches", "status"):
        done = run("remember", words)
        assert done.returncode == 1
        assert done.stderr.endswith("run `hashdb sync` first\n")
    assert run("remember", "forget", picture).stdout == "1 upload forgotten\n"


def test_a_text_that_is_listed_later_is_told_with_its_words(own: Commands, tmp_path: Path) -> None:
    upload, listed, matched = (tmp_path / f"{name}.txt" for name in ("upload", "listed", "matched"))
    manifesto = builders.words(int(time.time()), 600)
    upload.write_text(" ".join([*builders.words(2, 500), *manifesto[100:400]]))
    matched.write_text(" ".join(manifesto[200:]))
    listed.write_text(" ".join(manifesto))
    assert own("remember", upload).stdout == f"{upload}  remembered\n"
    assert own("match", "--remember", "--local", matched).stdout == f"{matched}  no match\n"
    assert own("contribute", *SAID, listed).returncode == 0
    own("sync")
    told = own("remember", "matches", "--peek")
    assert told.returncode == REPORTED, told.stderr
    assert f"  {upload}  matched  contribution " in told.stdout
    assert re.search(r": words \d+-\d+ at word \d+ of this file, \d+ windows; glorification", told.stdout)
    segments = {str(one["upload"]): one["match"]["segments"][0] for one in reports(own)}  # type: ignore[index]
    assert segments[str(upload)]["query"] == pytest.approx([500, 800], abs=50)
    assert segments[str(matched)]["listed"] == pytest.approx([200, 600], abs=25)


def test_an_address_that_is_listed_later_is_told_by_its_digest(own: Commands, tmp_path: Path) -> None:
    asked, listed = tmp_path / "asked.txt", tmp_path / "listed.txt"
    stem = f"https://example.org/{time.time_ns()}"
    asked.write_text(f"{stem}/1?theme=dark\n{stem}/2\nno address\n")
    listed.write_text(f"{stem}/1\n{stem}/2\n")
    digests = [line.split()[-1] for line in own("hash", "--urls", asked).stdout.splitlines()]
    remembered = own.json("remember", "--urls", asked, status=1)
    assert [one.get("id") for one in remembered] == [*digests, None] and remembered[2]["line"] == 3
    again = own("match", "--urls", asked, "--remember")
    assert again.stdout.count("no match") == 2
    assert own("contribute", *SAID, "--urls", listed).returncode == 0
    own("sync")
    found = own("remember", "matches")
    assert found.returncode == REPORTED
    # The address with a query is asked for without it, too.
    assert all(digest in found.stdout for digest in digests) and found.stdout.count("the same address") == 2
    assert stem not in found.stdout
    kept = b"".join(path.read_bytes() for path in (tmp_path / "own").rglob("*") if path.is_file())
    assert stem.encode() not in kept and b"example.org" not in kept


def test_a_film_that_cannot_be_read_is_not_remembered(own: Commands, tmp_path: Path) -> None:
    film = tmp_path / "clip.mp4"
    film.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(12))
    done = own("remember", film)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(film) in done.stderr
