"""hashdb selftest: the whole pipeline, proved with the test item."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.matching.testing import TEST_SIGNALS
from tests.cli.conftest import Commands
from tests.serving import serving


def test_all_stands_together(member: Commands, tmp_path: Path) -> None:
    member.environment["HASHDB_HOME"] = str(tmp_path)
    done = member("selftest")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[:4] for line in done.stdout.splitlines()] == ["ok  "] * 5 + ["skip"]
    member("sync")
    said = member.json("selftest")
    assert said["passed"] is True
    assert {step["state"] for step in said["steps"]} == {"passed"}
    assert not [signal for signal in TEST_SIGNALS if str(signal) in str(said)]


def test_what_does_not_stand_is_named(member: Commands, home: Path, tmp_path: Path) -> None:
    away = member("selftest", HASHDB_URL="http://127.0.0.1:9", HASHDB_HOME=str(tmp_path))
    assert away.returncode == 1
    assert "FAIL the service answers: no answer from http://127.0.0.1:9" in away.stdout
    added = Commands({"HASHDB_HOME": str(home)}).json(
        "member", "add", f"{tmp_path.name}", "--kind", "platform", "--scope", "contribute"
    )
    said = member.json("selftest", status=1, HASHDB_KEY=added["key"]["secret"], HASHDB_HOME=str(tmp_path))
    failed = {step["step"]: step["detail"] for step in said["steps"] if step["state"] == "failed"}
    assert failed["the service matches it"] == "this key lacks the scope match; it is the key from HASHDB_KEY"


def test_where_the_service_takes_no_pictures_that_step_is_skipped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, workers=1, HASHDB_ACCEPT_MEDIA="0", HASHDB_ALGORITHMS="pdq,dhash") as url:
        added = Commands({"HASHDB_HOME": str(home)}).json(
            "member", "add", "Alpha", "--kind", "platform", "--scope", "match"
        )
        own = Commands({"HASHDB_HOME": str(tmp_path), "HASHDB_URL": url, "HASHDB_KEY": added["key"]["secret"]})
        said = own.json("selftest")
    assert [step["state"] for step in said["steps"]] == ["passed"] * 4 + ["skipped"] * 2
