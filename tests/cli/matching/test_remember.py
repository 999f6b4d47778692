"""hashdb remember, against a real service: remembered uploads, and the reports of late matches."""

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

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
EXIT_WITH_REPORTS = 3
# Within the retention, whenever the tests run.
UPLOADED, LATER = (datetime.now(UTC) - timedelta(days=days) for days in (9, 8))
UPLOADED_TEXT = format_instant(UPLOADED)


@pytest.fixture
def with_copy(member: Commands, tmp_path: Path) -> Commands:
    """Commands of a member with its own home, which has a local copy."""
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    assert member("sync").returncode == 0
    return member


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture that no other test contributes."""
    path = tmp_path / "upload.png"
    Image.frombytes("L", (12, 12), os.urandom(144)).resize((256, 256), Image.Resampling.BICUBIC).save(path)
    return path


def read_reports(run: Commands, *arguments: str, status: int = EXIT_WITH_REPORTS) -> list[dict[str, object]]:
    """The reports that `hashdb remember matches` prints."""
    result = run("remember", "matches", "--json", *arguments)
    assert result.returncode == status, result.stderr
    return [json.loads(json_line) for json_line in result.stdout.splitlines()]


def test_a_late_match_and_its_retraction_are_each_reported_once(with_copy: Commands, picture: Path) -> None:
    result = with_copy("remember", picture, "--id", "post-81", "--at", UPLOADED_TEXT)
    assert result.stdout == f"{picture}  remembered\n"
    assert read_reports(with_copy, status=0) == []
    [listed] = with_copy.json("contribute", picture, *METADATA)
    with_copy("sync")
    result = with_copy("remember", "matches", "--peek")
    assert result.returncode == EXIT_WITH_REPORTS
    assert f"  post-81  matched  contribution {listed['id']}: pdq 0, " in result.stdout
    assert "and look-back is done up to event " in result.stderr
    [matched] = read_reports(with_copy)
    assert (matched["kind"], matched["upload"]) == ("matched", "post-81")
    assert matched["uploaded_at"] == UPLOADED_TEXT
    assert read_reports(with_copy, status=0) == []
    with_copy("withdraw", str(listed["id"]), "--reason", "removal_reversed")
    with_copy("sync")
    [retraction] = read_reports(with_copy, "--peek")
    assert (retraction["kind"], retraction["number"], retraction["match"]) == ("taken-back", 2, matched["match"])
    assert "  post-81  taken back (withdrawn)  contribution " in with_copy("remember", "matches").stdout
    assert read_reports(with_copy, status=0) == []


def test_match_can_remember_the_uploads(with_copy: Commands, picture: Path) -> None:
    assert with_copy("match", "--remember", "--transforms", picture).stdout == f"{picture}  no match\n"
    with_copy.json("contribute", picture, *METADATA)
    with_copy("sync")
    [matched] = read_reports(with_copy)
    assert matched["upload"] == str(picture)
    assert with_copy.json("match", "--remember", "--local", picture)[0]["action"] == "review"


def json_line(id: str, path: Path, **fields: object) -> str:
    signals = [str(signal) for signal in hash_file(path, (Algorithm.PDQ, Algorithm.PHASH256)).signals]
    return json.dumps({"id": id, "at": UPLOADED_TEXT, "signals": signals} | fields) + "\n"


def test_one_invalid_json_line_stops_all_from_being_remembered(
    with_copy: Commands, picture: Path, tmp_path: Path
) -> None:
    file = tmp_path / "uploads.jsonl"
    good = json_line("good", picture)
    file.write_text(
        good
        + "\n{\n"
        + json_line("", picture)
        + json_line("old", picture, at="2019-01-01T00:00:00Z")
        + '{"id": 1}\n'
        + "[" * 500_001
        + "\n"
    )
    result = with_copy("remember", "--jsonl", file)
    assert (result.returncode, result.stdout) == (1, "nothing is remembered: correct these lines\n")
    faults = [fault.removeprefix(f"{file}:") for fault in result.stderr.splitlines()]
    assert faults == [
        "3: is not JSON in UTF-8",
        "4: id: must have at least 1 character",
        "5: at: is too long ago: uploads are remembered for 90 days (HASHDB_REMEMBER_DAYS)",
        "6: id: must be a string",
        "6: signals: is required",
        "6: at: is required",
        "7: the values in a request are limited to 500000",
    ]
    assert with_copy.json("remember", "status")["remembered"] == 0
    listed = with_copy.json("remember", "--jsonl", file, status=1)
    assert listed["remembered"] == 0
    assert listed["faults"][0] == {"line": 3, "at": "", "reason": "is not JSON in UTF-8"}
    file.write_text(good + json_line("too", picture))
    assert with_copy("remember", "add", "--jsonl", file).stdout == "2 uploads remembered\n"
    with_copy.json("contribute", picture, *METADATA)
    with_copy("sync")
    assert [report["upload"] for report in read_reports(with_copy)] == ["good", "too"]


def test_json_lines_are_read_from_standard_input(with_copy: Commands, picture: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    arguments = [*program(HASHDB), "remember", "--jsonl", "-", "--json"]
    result = subprocess.run(
        arguments,
        input=json_line("piped", picture),
        env=inherited | with_copy.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(result.stdout) == {"remembered": 1, "faults": []}


def test_a_forgotten_upload_is_not_reported(with_copy: Commands, picture: Path) -> None:
    with_copy("remember", picture, "--id", "gone")
    with_copy("match", picture, "--remember")
    assert (
        with_copy("remember", "forget", "gone", "unknown").stdout
        == "forgotten; ids that were not remembered are ignored\n"
    )
    with_copy.json("contribute", picture, *METADATA)
    with_copy("sync")
    assert [report["upload"] for report in read_reports(with_copy, "--peek")] == [str(picture)]
    with_copy("remember", "forget", str(picture))
    assert read_reports(with_copy, status=0) == []


@pytest.mark.parametrize(
    "words", [("forget", "unknown"), ("add", "--urls", "links.txt")], ids=["forgotten id", "address"]
)
def test_look_back_works_if_no_upload_has_a_hash_of_a_picture(
    with_copy: Commands, picture: Path, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records without perceptual values alone: only an id was forgotten, or only addresses were remembered."""
    (tmp_path / "links.txt").write_text("https://example.org/remembered\n")
    monkeypatch.chdir(tmp_path)
    assert with_copy("remember", *words).returncode == 0
    with_copy.json("contribute", picture, *METADATA)
    result = with_copy("sync")
    assert (result.returncode, result.stderr) == (0, "")
    assert "; look-back is 0 events behind; " in with_copy("local", "status").stdout


def test_the_status_counts_remembered_uploads_and_waiting_reports(with_copy: Commands, picture: Path) -> None:
    with_copy("remember", picture, "--at", UPLOADED_TEXT)
    with_copy("remember", picture, "--id", "second", "--at", format_instant(LATER))
    with_copy.json("contribute", picture, *METADATA)
    with_copy("sync")
    status = with_copy.json("remember", "status")
    assert status["days"] == {f"{UPLOADED:%Y-%m-%d}": 1, f"{LATER:%Y-%m-%d}": 1}
    assert (status["remembered"], status["retention_days"]) == (2, 90)
    assert (status["reports"], status["acknowledged"], status["waiting"]) == (2, 0, 2)
    assert status["looked_back"]["seq"] == status["checkpoint"]
    assert with_copy("remember", "status").stdout.splitlines() == [
        f"remembered: 2 records, of {UPLOADED:%Y-%m-%d} to {LATER:%Y-%m-%d} (replaced"
        " uploads and forgotten ids count, too)",
        "retention: 90 days",
        "reports: 2; not acknowledged: 2",
    ]


@contextmanager
def running_commands(
    run: Commands, *commands: tuple[str, ...], **settings: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run each command in a process of its own until the block ends."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    environment = inherited | run.environment | settings
    with ExitStack() as stack:
        processes = []
        for arguments in commands:
            process = subprocess.Popen(
                [*program(HASHDB), *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            processes.append(process)
        yield processes


def wait_until_acknowledged(run: Commands) -> None:
    deadline = time.monotonic() + 20
    while (status := run.json("remember", "status"))["waiting"]:
        assert time.monotonic() < deadline
    assert status["acknowledged"] == 1


def test_follow_prints_a_report_at_once_and_then_acknowledges_it(with_copy: Commands, picture: Path) -> None:
    with_copy("remember", picture, "--id", "post-81")
    follow_reports = ("remember", "matches", "--follow", "--json")
    with running_commands(with_copy, ("sync", "--follow"), follow_reports) as (_, follow):
        with_copy.json("contribute", picture, *METADATA)
        assert follow.stdout is not None
        assert json.loads(follow.stdout.readline())["upload"] == "post-81"
        # The command acknowledges a report after it has printed the line.
        wait_until_acknowledged(with_copy)
        follow.send_signal(signal.SIGINT)
        assert follow.wait(20) == 130


def test_sync_follow_posts_the_reports_to_the_webhook_of_the_member(
    with_copy: Commands, picture: Path, tmp_path: Path
) -> None:
    with_copy("remember", picture, "--id", "post-81")
    with receiver() as hook, running_commands(with_copy, ("sync", "--follow"), HASHDB_REMEMBER_WEBHOOK=hook.url):
        with_copy.json("contribute", picture, *METADATA)
        [received] = hook.wait(1)
        wait_until_acknowledged(with_copy)
    secret = (tmp_path / "own" / "local" / "remembered" / "webhook.secret").read_text().strip()
    assert verify(secret, received.headers, received.body).data["upload"] == "post-81"
    assert with_copy("sync", "--follow", HASHDB_REMEMBER_WEBHOOK="ftp://x").returncode == 2


def test_a_picture_that_cannot_be_remembered_is_reported_and_others_are_kept(
    with_copy: Commands, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    shutil.copy(picture, folder / "fine.png")
    shutil.copy(picture, folder / "line\nend.png")
    listed = with_copy.json("remember", folder, status=1)
    assert [entry.get("id", entry.get("error", "?")[:20]) for entry in listed] == [
        "the document has too",
        str(folder / "fine.png"),
        "cannot be remembered",
    ]
    assert with_copy.json("remember", "status")["remembered"] == 1


def test_files_in_the_state_file_are_skipped(with_copy: Commands, picture: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    assert with_copy("remember", picture, "--state", state).stdout == f"{picture}  remembered\n"
    result = with_copy("remember", picture, "--state", state)
    assert (result.stdout, result.stderr) == ("", f"hashdb: 1 file skipped: already in {state}\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("mathces",), "Did you mean 'matches'?"),
        (("add",), "name files or folders, a list of addresses with --urls, or JSON Lines"),
        (("a.jpg", "--jsonl", "b"), "name files or folders, a list of addresses with --urls, or JSON Lines"),
        (("a.jpg", "--urls", "b"), "name files or folders, a list of addresses with --urls, or JSON Lines"),
        (("https://example.org/a",), "PATHS are files: write addresses into a list, and pass it with --urls"),
        (("--urls", "b", "--id", "x"), "--urls cannot be used with --id"),
        (("--jsonl", "b", "--id", "x"), "--jsonl allows no other option"),
        (("a.jpg", "b.jpg", "--id", "x"), "--id is for one file"),
    ],
)
def test_wrong_usage_is_reported_in_one_sentence(run: Commands, arguments: tuple[str, ...], error: str) -> None:
    result = run("remember", *arguments)
    assert result.returncode == 2
    assert error.replace("'", "") in result.stderr.replace("'", "")


def test_without_a_local_copy_an_invalid_setting_is_reported_in_one_sentence(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "uploads.jsonl"
    file.write_text("{}\n")
    run.environment["HASHDB_HOURS_TO_DECIDE"] = "many"
    result = run("remember", "--jsonl", file)
    assert result.returncode == 2
    assert "HASHDB_HOURS_TO_DECIDE" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_without_a_local_copy_the_commands_ask_for_a_sync(run: Commands, picture: Path) -> None:
    result = run("remember", picture)
    assert (result.returncode, result.stdout) == (0, f"{picture}  remembered\n")
    assert "nothing is found before `hashdb sync --follow` runs" in result.stderr
    for arguments in ("matches", "status"):
        result = run("remember", arguments)
        assert result.returncode == 1
        assert result.stderr.endswith("run `hashdb sync` first\n")
    assert run("remember", "forget", picture).stdout == "forgotten; ids that were not remembered are ignored\n"


def test_a_late_match_of_a_text_shows_its_words(with_copy: Commands, tmp_path: Path) -> None:
    upload, listed, matched = (tmp_path / f"{name}.txt" for name in ("upload", "listed", "matched"))
    manifesto = builders.words(int(time.time()), 600)
    upload.write_text(" ".join([*builders.words(2, 500), *manifesto[100:400]]))
    matched.write_text(" ".join(manifesto[200:]))
    listed.write_text(" ".join(manifesto))
    assert with_copy("remember", upload).stdout == f"{upload}  remembered\n"
    assert with_copy("match", "--remember", "--local", matched).stdout == f"{matched}  no match\n"
    assert with_copy("contribute", *METADATA, listed).returncode == 0
    with_copy("sync")
    result = with_copy("remember", "matches", "--peek")
    assert result.returncode == EXIT_WITH_REPORTS, result.stderr
    assert f"  {upload}  matched  contribution " in result.stdout
    assert re.search(r": words \d+-\d+ at word \d+ of this file, \d+ windows; glorification", result.stdout)
    segments = {str(report["upload"]): report["match"]["segments"][0] for report in read_reports(with_copy)}  # type: ignore[index]
    assert segments[str(upload)]["query"] == pytest.approx([500, 800], abs=50)
    assert segments[str(matched)]["listed"] == pytest.approx([200, 600], abs=25)


def test_a_late_match_of_an_address_shows_only_its_digest(with_copy: Commands, tmp_path: Path) -> None:
    uploads, listed = tmp_path / "asked.txt", tmp_path / "listed.txt"
    stem = f"https://example.org/{time.time_ns()}"
    uploads.write_text(f"{stem}/1?theme=dark\n{stem}/2\nno address\n")
    listed.write_text(f"{stem}/1\n{stem}/2\n")
    digests = [json_line.split()[-1] for json_line in with_copy("hash", "--urls", uploads).stdout.splitlines()]
    remembered = with_copy.json("remember", "--urls", uploads, status=1)
    assert [item.get("id") for item in remembered] == [*digests, None] and remembered[2]["line"] == 3
    again = with_copy("match", "--urls", uploads, "--remember")
    assert again.stdout.count("no match") == 2
    assert with_copy("contribute", *METADATA, "--urls", listed).returncode == 0
    with_copy("sync")
    result = with_copy("remember", "matches")
    assert result.returncode == EXIT_WITH_REPORTS
    # The address with a query string is also looked up without it.
    assert all(digest in result.stdout for digest in digests) and result.stdout.count("the same address") == 2
    assert stem not in result.stdout
    copy = b"".join(path.read_bytes() for path in (tmp_path / "own").rglob("*") if path.is_file())
    assert stem.encode() not in copy and b"example.org" not in copy


def test_a_film_that_cannot_be_read_is_not_remembered(with_copy: Commands, tmp_path: Path) -> None:
    film = tmp_path / "clip.mp4"
    film.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(12))
    result = with_copy("remember", film)
    assert (result.returncode, result.stdout) == (1, "")
    assert str(film) in result.stderr
