"""hashdb benign."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import PHOTOS, Commands


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
