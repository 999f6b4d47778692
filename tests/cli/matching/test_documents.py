"""Documents and texts on the command line: hashed, contributed and matched by pages and words."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hashdb.cli.matching.formats import format_match
from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import FrameMatch, Match
from hashdb.domain.matching.segments import Segment
from hashdb.domain.signals import Algorithm
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP, WINDOW
from tests.cli.conftest import Commands
from tests.cli.matching.test_formats import MATCH
from tests.cli.proxies import service_of_version_0_1_0

METADATA = ("--label", "recruitment", "--removed-at", "now")


def random_words(count: int, seed: int) -> str:
    """Random words that no other text has."""
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(4, 9))) for _ in range(count))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(random_words(600, 1))
    return path


def test_a_text_is_hashed_in_windows_of_words(run: Commands, text: Path) -> None:
    result = run("hash", text)
    assert result.returncode == 0
    assert result.stdout.startswith(f"{text}  600 words, ")
    (item,) = json.loads(run("hash", "--json", text).stdout)
    assert (item["pages"], item["words"], item["quality"]) == (None, 600, None)
    windows = [[first, first + WINDOW] for first in range(0, 601 - WINDOW, LISTED_STEP)]
    assert [frame["words"] for frame in item["frames"]] == windows
    assert all(len(frame["signals"]) == 1 for frame in item["frames"])
    (query,) = json.loads(run("hash", "--json", "--transforms", text).stdout)
    assert [frame["words"][0] for frame in query["frames"]] == list(range(0, 601 - WINDOW, QUERY_STEP))


def test_a_text_is_read_from_standard_input(text: Path) -> None:
    def run_hash(input: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "hashdb", "hash", *arguments]
        return subprocess.run(command, input=input, capture_output=True, timeout=60, check=False)

    by_name = run_hash(b"", "--json", str(text))
    by_input = run_hash(text.read_bytes(), "--json", "-")
    assert json.loads(by_input.stdout) == [{**json.loads(by_name.stdout)[0], "path": "-"}]
    picture = run_hash(b"\x89PNG\r\n\x1a\n" + bytes(400), "-")
    assert picture.returncode == 1
    assert picture.stderr.decode() == "hashdb: -: is not a document, text or video: name a picture by its path\n"


def test_a_file_that_cannot_be_hashed_is_reported_with_the_reason(run: Commands, tmp_path: Path) -> None:
    short, binary, empty = tmp_path / "short.txt", tmp_path / "binary.txt", tmp_path / "empty.txt"
    short.write_text("three short words")
    binary.write_bytes(bytes(range(256)) * 20)
    empty.write_bytes(b"")
    result = run("hash", short, binary, empty)
    assert result.returncode == 1
    errors = result.stderr.splitlines()
    assert errors[0] == f"hashdb: {short}: the document has too little text to be hashed: 3 words, and no pictures"
    assert errors[1].startswith(f"hashdb: {binary}: not a picture, video or document in a supported format (JPEG,")
    assert errors[2] == f"hashdb: {empty}: the file is empty"


FRAME_DISTANCE = {Algorithm.PDQ: 12}


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (
            MATCH._replace(segments=(Segment((3000, 3300), (150, 450), 1.0, 5, 5, 12, unit=Unit.WORDS),)),
            "contribution 1: words 150-450 at word 3000 of this file, 5 windows; glorification, unreviewed",
        ),
        (
            MATCH._replace(segments=(Segment((1, 3), (7, 9), 1.0, 3, 3, 12, unit=Unit.PAGES),)),
            "contribution 1: pages 7-9 at page 1 of this file, 3 pages; glorification, unreviewed",
        ),
        (
            MATCH._replace(segments=(Segment((1, 1), (7, 7), 1.0, 1, 1, 12, unit=Unit.PAGES),)),
            "contribution 1: page 7 at page 1 of this file, 1 page; glorification, unreviewed",
        ),
        (
            MATCH._replace(distance={Algorithm.PDQ: 12}, pages=(3,)),
            "contribution 1: pdq 12 on page 3 of the document; glorification, unreviewed",
        ),
        (
            MATCH._replace(distance={Algorithm.PDQ: 12}, frames=(FrameMatch(3, FRAME_DISTANCE, Unit.PAGES),)),
            "contribution 1: pdq 12 on page 3 of this file; glorification, unreviewed",
        ),
        (
            MATCH._replace(distance={Algorithm.SIMHASH256: 31}, words=((150, 350), (250, 450))),
            "contribution 1: simhash256 31 at words 150-350, 250-450 of the text; glorification, unreviewed",
        ),
        (
            MATCH._replace(distance={Algorithm.SIMHASH256: 31}, words=tuple((n, n + 200) for n in range(1, 7))),
            "contribution 1: simhash256 31 at words 1-201, 2-202, 3-203, 4-204, 5-205, … of the text; glorification,"
            " unreviewed",
        ),
    ],
)
def test_a_match_shows_its_pages_and_words(match: Match, words: str) -> None:
    assert format_match(match) == words


def test_version_0_1_0_is_reported_to_support_no_texts_and_addresses(
    member: Commands, service_url: str, text: Path, tmp_path: Path
) -> None:
    links = tmp_path / "links.txt"
    links.write_text("https://example.org/")
    with service_of_version_0_1_0(service_url) as url:
        for words, verb in ((("contribute", *METADATA), "accept"), (("match",), "support")):
            result = member(*words, "--urls", links, HASHDB_URL=url)
            sentence = f"the service has version 0.1.0, which does not {verb} addresses: its operator can upgrade it"
            assert (result.returncode, result.stderr) == (1, f"hashdb: {sentence}\n")
            result = member(*words, text, HASHDB_URL=url)
            sentence = "the service has version 0.1.0, which does not accept documents and texts"
            assert (result.returncode, result.stderr) == (1, f"hashdb: {text}: {sentence}\n")
