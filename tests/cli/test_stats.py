"""hashdb report: from the store, into a file or on standard output."""

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
def kept(run: Commands) -> Commands:
    """Commands on a home with one contribution."""
    run("upgrade")
    settings = Settings(home=Path(run.environment["HASHDB_HOME"]))
    db = open_hashdb(settings.database, settings.rules())
    member = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
    contributed(db, key_of(db, member.id, Scope.CONTRIBUTE), draft(1, removed_at=None, expires_at=None))
    db.close()
    return run


def test_a_report_is_told_as_json(kept: Commands) -> None:
    said = json.loads(kept("report").stdout)
    assert said["contributions"]["added"] == 1
    assert said == kept.json("report") | {"size": said["size"]}


def test_the_form_is_what_the_file_ends_in(kept: Commands, tmp_path: Path) -> None:
    starts = {"r.html": "<!doctype html>", "r.csv": "figure,value\n", "r.json": "{\n"}
    for name, start in starts.items():
        done = kept("report", tmp_path / name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (tmp_path / name).read_text().startswith(start)
    assert kept("report", "--format", "csv").stdout.startswith("figure,value\n")
    assert kept("report", tmp_path / "r.pdf").returncode == 2


def test_of_one_member_by_its_name_as_the_law_names_it(kept: Commands) -> None:
    said = kept.json("report", "--preset", "tco", "--member", "Alpha")
    assert (said["regulation"], said["article"], said["member"]) == ("Regulation (EU) 2021/784", "7(3)", 1)
    assert said["points"]["a"]["items_removed_and_shared"] == 1


def test_a_statement_of_reasons_for_a_match(kept: Commands) -> None:
    said = kept.json("report", "--preset", "dsa", "--contribution", "1")
    assert said["category_specification"] == ["KEYWORD_TERRORIST_CONTENT"]
    assert said["puid"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "dsa"], "go together"),
        (["--contribution", "1"], "go together"),
        (["--preset", "tco", "--format", "csv"], "writes JSON only"),
        (["--from", "yesterday"], "'yesterday' is not a day: write it like 2026-11-20"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "to: is before from"),
        (["--member", "Nobody"], "a member named Nobody does not exist"),
        (["--preset", "dsa", "--contribution", "9"], "contribution 9 does not exist"),
        (["away/r.json"], "away/r.json: cannot be written: no such file or directory"),
    ],
)
def test_what_cannot_be_told_is_said(kept: Commands, words: list[str], said: str) -> None:
    done = kept("report", *words)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert said in done.stderr
