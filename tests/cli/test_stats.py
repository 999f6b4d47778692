"""hashdb report: it reads the database, and writes a file or standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind, Scope
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.builders import contributed, draft, key_of
from tests.cli.conftest import Commands


@pytest.fixture
def run_on_data(run: Commands) -> Commands:
    """Commands on a home with one contribution."""
    run("upgrade")
    settings = Settings(home=Path(run.environment["HASHDB_HOME"]))
    db = open_hashdb(settings.database, settings.rules())
    member = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
    contributed(db, key_of(db, member.id, Scope.CONTRIBUTE), draft(1, removed_at=None, expires_at=None))
    db.close()
    return run


def test_a_report_is_printed_as_json(run_on_data: Commands) -> None:
    output = json.loads(run_on_data("report").stdout)
    assert output["contributions"]["added"] == 1
    assert output == run_on_data.json("report") | {"size": output["size"]}


def test_the_suffix_of_the_file_sets_the_format(run_on_data: Commands, tmp_path: Path) -> None:
    starts = {"r.html": "<!doctype html>", "r.csv": "figure,value\n", "r.json": "{\n"}
    for name, start in starts.items():
        result = run_on_data("report", tmp_path / name)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert (tmp_path / name).read_text().startswith(start)
    assert run_on_data("report", "--format", "csv").stdout.startswith("figure,value\n")
    assert run_on_data("report", tmp_path / "r.pdf").returncode == 2


def test_a_report_of_one_member_uses_the_terms_of_the_law(run_on_data: Commands) -> None:
    output = run_on_data.json("report", "--preset", "tco", "--member", "Alpha")
    assert (output["regulation"], output["article"], output["member"]) == ("Regulation (EU) 2021/784", "7(3)", 1)
    assert output["points"]["a"]["items_removed_and_shared"] == 1


def test_a_statement_of_reasons_is_printed_for_a_contribution(run_on_data: Commands) -> None:
    output = run_on_data.json("report", "--preset", "dsa", "--contribution", "1")
    assert output["category_specification"] == ["KEYWORD_TERRORIST_CONTENT"]
    assert output["puid"] is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--preset", "dsa"], "go together"),
        (["--contribution", "1"], "go together"),
        (["--preset", "tco", "--format", "csv"], "writes JSON only"),
        (["--from", "yesterday"], "'yesterday' is not a day: write it like 2026-11-20"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "to: must not be before from"),
        (["--member", "Nobody"], "a member named Nobody does not exist"),
        (["--preset", "dsa", "--contribution", "9"], "contribution 9 does not exist"),
        (["away/r.json"], "away/r.json: cannot be written: no such file or directory"),
    ],
)
def test_a_report_that_cannot_be_made_is_an_error(run_on_data: Commands, words: list[str], error: str) -> None:
    result = run_on_data("report", *words)
    assert result.returncode in (1, 2) and result.stdout == ""
    assert error in result.stderr
