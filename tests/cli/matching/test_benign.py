"""hashdb benign."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import PHOTOS, Commands
from tests.cli.matching.test_documents import random_words


def test_a_picture_is_added_listed_and_deleted(run: Commands) -> None:
    added = run.json(
        "benign", "add", PHOTOS[0], "--radius", "pdq=9", "--note", "our splash screen", "--profile", "plain"
    )
    assert (added["note"], added["radius"]) == ("our splash screen", {"pdq": 9, "phash256": 23, "phash": 3})
    assert [signal.partition(":")[0] for signal in added["signals"]] == ["pdq", "phash256", "phash"]
    assert run.json("benign", "list") == {"benign": [added], "next": None}
    assert "our splash screen" in run("benign", "list").stdout
    assert run("benign", "delete", "1").stdout == "benign entry 1 deleted\n"
    assert run("benign", "delete", "1").stderr == "hashdb: benign entry 1 does not exist\n"
    assert run.json("benign", "list")["benign"] == []


def test_the_default_note_is_the_name_of_the_file(run: Commands) -> None:
    result = run("benign", "add", PHOTOS[0])
    assert result.stdout == "benign entry 1 added: it hides 0 signals of contributions\n"
    assert run.json("benign", "list")["benign"][0]["note"] == PHOTOS[0].name


def test_an_invalid_entry_is_rejected_with_the_reason(run: Commands, tmp_path: Path) -> None:
    assert run("benign", "add", tmp_path / "none.png").stderr.startswith(
        f"hashdb: {tmp_path}/none.png: the file cannot be read"
    )
    assert run("benign", "add", PHOTOS[0], "--radius", "pdq=99").stderr == (
        "hashdb: radius: the radius of pdq must be 0 to 31 bits\n"
    )
    assert run("benign", "add", PHOTOS[0], "--radius", "pdq").returncode == 2


def test_the_service_applies_entries_added_on_the_command_line(member: Commands, tmp_path: Path) -> None:
    metadata = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z", "--profile", "plain")
    photo = PHOTOS[3]
    member.json("contribute", photo, *metadata[:-1], "balanced")
    assert member.json("match", photo)[0]["action"] == "review"
    added = member.json("benign", "add", photo)
    assert added["masked"] > 20
    assert member.json("match", photo)[0]["action"] == "none"
    (error,) = member.json("contribute", photo, *metadata, status=1)
    assert "benign list" in error["error"]
    member("benign", "delete", str(added["id"]))
    (accepted,) = member.json("contribute", photo, *metadata)
    assert "error" not in accepted


def test_a_benign_text_suppresses_its_passage_in_a_contribution(member: Commands, tmp_path: Path) -> None:
    licence, manifesto, long = tmp_path / "licence.txt", tmp_path / "manifesto.txt", tmp_path / "long.txt"
    licence.write_text(random_words(300, 81))
    manifesto.write_text(f"{random_words(400, 82)} {licence.read_text()}")
    long.write_text(random_words(3_000, 83))
    metadata = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
    (contribution,) = member.json("contribute", manifesto, *metadata)
    assert member.json("match", licence)[0]["action"] == "review"
    added = member.json("benign", "add", licence, "--radius", "simhash256=25")
    assert {signal.partition(":")[0] for signal in added["signals"]} == {"simhash256"}
    assert added["masked"] > 0
    assert member.json("match", licence)[0]["action"] == "none"
    (match,) = member.json("match", manifesto)[0]["matches"]
    assert match["contribution"] == contribution["id"]
    result = member("benign", "add", long)
    assert result.stderr == "hashdb: the document has 3000 words: add it in parts of at most 1725\n"
    member("benign", "delete", str(added["id"]))
