"""hashdb selftest: it tests every step from picture to match with the test item."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.matching.testing import TEST_SIGNALS
from tests.cli.conftest import Commands
from tests.serving import serving


def test_every_step_passes_with_a_working_service(member: Commands, tmp_path: Path) -> None:
    member.environment["HASHDB_HOME"] = str(tmp_path)
    result = member("selftest")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line[:4] for line in result.stdout.splitlines()] == ["ok  "] * 5 + ["skip"]
    member("sync")
    output = member.json("selftest")
    assert output["passed"] is True
    assert {step["state"] for step in output["steps"]} == {"passed"}
    assert not [signal for signal in TEST_SIGNALS if str(signal) in str(output)]


def test_a_step_that_fails_is_reported(member: Commands, home: Path, tmp_path: Path) -> None:
    result = member("selftest", HASHDB_URL="http://127.0.0.1:9", HASHDB_HOME=str(tmp_path))
    assert result.returncode == 1
    assert "FAIL the service answers: no answer from http://127.0.0.1:9" in result.stdout
    added = Commands({"HASHDB_HOME": str(home)}).json(
        "member", "add", f"{tmp_path.name}", "--kind", "platform", "--scope", "contribute"
    )
    output = member.json("selftest", status=1, HASHDB_KEY=added["key"]["secret"], HASHDB_HOME=str(tmp_path))
    failed = {step["step"]: step["detail"] for step in output["steps"] if step["state"] == "failed"}
    assert failed["the service matches it"] == "this key lacks the scope match; it is the key from HASHDB_KEY"


def test_the_picture_step_is_skipped_if_the_service_accepts_no_pictures(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, workers=1, HASHDB_ACCEPT_MEDIA="0", HASHDB_ALGORITHMS="pdq,dhash") as url:
        added = Commands({"HASHDB_HOME": str(home)}).json(
            "member", "add", "Alpha", "--kind", "platform", "--scope", "match"
        )
        alpha = Commands({"HASHDB_HOME": str(tmp_path), "HASHDB_URL": url, "HASHDB_KEY": added["key"]["secret"]})
        output = alpha.json("selftest")
    assert [step["state"] for step in output["steps"]] == ["passed"] * 4 + ["skipped"] * 2
