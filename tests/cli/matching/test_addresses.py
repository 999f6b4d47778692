"""Lists of addresses: hashed, contributed and matched line by line, without their text."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from hashdb.cli.matching.addresses import send_addresses
from hashdb.cli.matching.outcomes import Outcome
from hashdb.errors import Unavailable
from hashdb.hashing.addresses import url_signals
from tests.cli.conftest import Commands

LIST = """\
# Channels that were closed.

https://example.org/channel/one?utm_source=mail
hxxps://example[.]org/channel/two
  https://example.org/film?e=7#top
"""
METADATA = ("--label", "recruitment", "--removed-at", "now")


@pytest.fixture
def links(tmp_path: Path) -> Path:
    path = tmp_path / "links.txt"
    path.write_text(LIST)
    return path


def test_a_list_is_hashed_line_by_line(run: Commands, links: Path) -> None:
    result = run("hash", "--urls", links)

    (signal,) = url_signals("https://example.org/channel/one", for_query=False)
    assert result.returncode == 0
    assert result.stdout.splitlines()[0] == f"line 3  {signal}"
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == ["line 3", "line 4", "line 5"]
    items = json.loads(run("hash", "--urls", links, "--transforms", "--json").stdout)
    assert [(item["line"], len(item["signals"])) for item in items] == [(3, 1), (4, 1), (5, 2)]
    assert "path" not in items[0]


def test_a_contributed_address_matches_its_spellings_and_no_other_address(
    member: Commands, links: Path, tmp_path: Path
) -> None:
    links.write_text(LIST.replace("channel/", "exact/"))
    result = member("contribute", "--urls", links, *METADATA)
    assert (result.returncode, result.stderr) == (0, "")
    ids = [line.split()[-1] for line in result.stdout.splitlines()]
    assert result.stdout.splitlines()[2] == f"line 5  contribution {ids[2]}"
    again = member("contribute", "--urls", links, *METADATA)
    assert again.stdout.splitlines()[0] == f"line 3  contribution {ids[0]} (already known)"

    queries = tmp_path / "asked.txt"
    queries.write_text("http://example.org/exact/two?m=3\nhttps://example.org/film\nhttps://example.org/film?e=7\n")
    matched = member("match", "--urls", queries)
    assert matched.returncode == 0
    assert matched.stdout.splitlines() == [
        f"line 1  review (1 member)  contribution {ids[1]}: the same address; recruitment, unreviewed",
        "line 2  no match",
        f"line 3  review (1 member)  contribution {ids[2]}: the same address; recruitment, unreviewed",
    ]
    answers = json.loads(member("match", "--urls", queries, "--json").stdout)
    assert [(answer["line"], answer["action"]) for answer in answers] == [(1, "review"), (2, "none"), (3, "review")]
    assert answers[0]["matches"][0]["digest"] == "url"


def test_the_media_of_an_address_is_document_unless_stated(member: Commands, links: Path) -> None:
    contributions = json.loads(member("contribute", "--urls", links, *METADATA, "--json").stdout)
    assert [item["media"] for item in contributions] == ["document"] * 3
    film = links.with_name("film.txt")
    film.write_text("https://example.org/other?v=8")
    (contribution,) = json.loads(member("contribute", "--urls", film, *METADATA, "--media", "video", "--json").stdout)
    assert contribution["media"] == "video"


def test_a_local_copy_matches_addresses_without_the_service(member: Commands, links: Path, tmp_path: Path) -> None:
    member("contribute", "--urls", links, *METADATA)
    assert member("sync", HASHDB_HOME=str(tmp_path)).returncode == 0
    result = member("match", "--local", "--urls", links, HASHDB_HOME=str(tmp_path), HASHDB_URL="http://127.0.0.1:9")
    assert [line.split(" (")[0] for line in result.stdout.splitlines()] == [
        f"line {number}  review" for number in (3, 4, 5)
    ]


def test_an_invalid_line_is_reported_without_its_text_and_the_rest_is_used(member: Commands, tmp_path: Path) -> None:
    links = tmp_path / "links.txt"
    links.write_bytes(b"https://example.org/secret-a\nftp://example.org/secret-b\nsecret\nhttps://example.org/\xff\n")

    for words in (["contribute", *METADATA], ["match"], ["hash"]):
        result = member(*words, "--urls", links)
        assert result.returncode == 1
        assert len(result.stdout.splitlines()) == 1
        assert result.stderr.splitlines() == [
            "hashdb: line 2: is not a web address: write it as https://example.org/page",
            "hashdb: line 3: is not a web address: write it as https://example.org/page",
            "hashdb: line 4: is not text in UTF-8",
        ]
        assert "secret" not in result.stdout + result.stderr


def test_after_an_error_each_remaining_line_is_an_outcome_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashdb.cli.matching.addresses._LINES_A_REQUEST", 2)
    sent = list[int]()

    def send(batch: list[Outcome]) -> list[str]:
        sent.append(len(batch))
        if len(sent) == 2:
            raise Unavailable(1)
        return ["sent"] * len(batch)

    lines = [*(f"https://example.org/{number}" for number in range(4)), "no address", "https://example.org/5"]
    answers = list(send_addresses(lines, send, for_query=False))
    assert sent == [2, 2]
    assert [(outcome.line, answer) for outcome, answer in answers] == [
        (number, "sent" if number <= 2 else None) for number in range(1, 7)
    ]
    errors = [outcome.error for outcome, _ in answers]
    assert errors[2] == errors[3] == errors[5] != errors[4]
    assert "cannot answer now" in str(errors[2]) and "is not a web address" in str(errors[4])


def test_a_list_is_read_from_standard_input(run: Commands, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(links.read_bytes()), "utf-8"))
    result = run("hash", "--urls", "-")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == run("hash", "--urls", links).stdout != ""


def test_an_empty_list_is_accepted(member: Commands, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    for words in (["contribute", *METADATA], ["match"], ["hash"]):
        result = member(*words, "--urls", empty)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_file_that_is_not_a_list_is_rejected(run: Commands, tmp_path: Path) -> None:
    for name, octets, reason in (
        ("list.xlsx", b"PK\x03\x04", "is a spreadsheet or an archive"),
        ("binary", b"\0\1\2\3", "is not text in UTF-8"),
    ):
        path = tmp_path / name
        path.write_bytes(octets)
        result = run("hash", "--urls", path)
        assert result.returncode == 2
        assert reason in result.stderr
        assert "--encoding" not in result.stderr
    assert "cannot be read: is a directory" in run("hash", "--urls", tmp_path).stderr
    # Without a key: the file is opened first.
    for words in (("hash", "--urls"), ("match", "--urls"), ("contribute", *METADATA, "--urls"), ("import",)):
        result = run(*words, tmp_path / "none")
        assert (result.returncode, "cannot be read: no such file" in result.stderr) == (2, True)


def test_urls_excludes_paths_and_the_options_for_files(run: Commands, links: Path, tmp_path: Path) -> None:
    for words, reason in {
        ("match",): "Missing argument 'PATHS...', or --urls FILE",
        ("hash",): "Missing argument 'PATHS...', or --urls FILE",
        ("contribute", *METADATA): "Missing argument 'PATHS...', or --urls FILE",
        ("match", "--urls", links, "upload.jpg"): "--urls replaces PATHS",
        ("match", "https://example.org/film?v=7"): "PATHS are files: write addresses into a list",
        ("hash", "hxxp://example[.]org/film"): "PATHS are files: write addresses into a list",
        ("match", "--urls", links, "--transforms"): "--urls cannot be used with --transforms: an address is not a file",
        ("match", "--urls", links, "--radius", "pdq=3"): "--urls cannot be used with --radius",
        ("match", "--urls", links, "--state", tmp_path / "state"): "--urls cannot be used with --state",
        ("hash", "--urls", links, "--algorithm", "pdq"): "--urls cannot be used with --algorithm",
        ("hash", "--urls", links, "--format", "vpdq"): "--urls cannot be used with --format",
        ("hash", "--urls", links, "--transforms"): "--transforms needs --json",
        ("contribute", "--urls", links, *METADATA, "--profile", "plain"): "--urls cannot be used with --profile",
        ("contribute", "--urls", links, *METADATA, "--state", tmp_path / "state"): "--urls cannot be used with --state",
        ("contribute", "--urls", links, *METADATA, "--jobs", "2"): "--urls cannot be used with --jobs",
        ("contribute", "--urls", links, *METADATA, "--fast"): "--urls cannot be used with --fast",
    }.items():
        result = run(*words)
        assert result.returncode == 2, words
        assert reason in result.stderr
