"""hashdb benign."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import PHOTOS, Commands
from tests.cli.matching.test_documents import words


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


def test_its_note_is_the_files_name_where_none_is_given(run: Commands) -> None:
    done = run("benign", "add", PHOTOS[0])
    assert done.stdout == "benign entry 1 added: it hides 0 signals of contributions\n"
    assert run.json("benign", "list")["benign"][0]["note"] == PHOTOS[0].name


def test_what_cannot_be_added_is_told_in_one_sentence(run: Commands, tmp_path: Path) -> None:
    assert run("benign", "add", tmp_path / "none.png").stderr.startswith("hashdb: the file cannot be read")
    assert run("benign", "add", PHOTOS[0], "--radius", "pdq=99").stderr == (
        "hashdb: radius: the radius of pdq must be 0 to 31 bits\n"
    )
    assert run("benign", "add", PHOTOS[0], "--radius", "pdq").returncode == 2


def test_the_service_goes_by_what_the_command_line_adds(member: Commands, tmp_path: Path) -> None:
    sent = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z", "--profile", "plain")
    photo = PHOTOS[3]
    member.json("contribute", photo, *sent[:-1], "balanced")
    assert member.json("match", photo)[0]["action"] == "review"
    added = member.json("benign", "add", photo)
    assert added["masked"] > 20
    assert member.json("match", photo)[0]["action"] == "none"
    (refused,) = member.json("contribute", photo, *sent, status=1)
    assert "benign list" in refused["error"]
    member("benign", "delete", str(added["id"]))
    (taken,) = member.json("contribute", photo, *sent)
    assert "error" not in taken


def test_a_text_is_added_and_hides_its_passage_in_what_is_contributed(member: Commands, tmp_path: Path) -> None:
    licence, manifesto, long = tmp_path / "licence.txt", tmp_path / "manifesto.txt", tmp_path / "long.txt"
    licence.write_text(words(300, 81))
    manifesto.write_text(f"{words(400, 82)} {licence.read_text()}")
    long.write_text(words(3_000, 83))
    sent = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
    (made,) = member.json("contribute", manifesto, *sent)
    assert member.json("match", licence)[0]["action"] == "review"
    added = member.json("benign", "add", licence, "--radius", "simhash256=25")
    assert {signal.partition(":")[0] for signal in added["signals"]} == {"simhash256"}
    assert added["masked"] > 0
    assert member.json("match", licence)[0]["action"] == "none"
    (found,) = member.json("match", manifesto)[0]["matches"]
    assert found["contribution"] == made["id"]
    refused = member("benign", "add", long)
    assert refused.stderr == "hashdb: the document has 3000 words: add it in parts of at most 1725\n"
    member("benign", "delete", str(added["id"]))
