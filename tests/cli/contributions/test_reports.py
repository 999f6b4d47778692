"""What an import says of its rows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hashdb.cli.contributions.columns import Columns
from hashdb.cli.contributions.reports import FIRST_ROWS, Report
from hashdb.errors import MAX_FAULTS, Fault
from tests.builders import draft, signal, video


def report(*, as_json: bool = False, dry_run: bool = True) -> Report:
    return Report("theirs.csv", as_json, dry_run, Columns())


def test_faults_of_a_kind_are_told_once_and_kinds_have_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    told = report()
    for line in range(2, 1_202):
        told.rows += 1
        told.refuse(line, Fault("signals[3]", f"pdq needs 64 hex digits, got {line % 60}"))
    for code in range(80):
        told.rows += 1
        told.refuse(2_000, Fault("labels[0]", f"'{chr(0x100 + code)}' is not a label"))
    told.print()
    said, err = capsys.readouterr()
    assert "1200 rows  2, 3, 4, 5, 6, …  signals[3]: pdq needs 64 hex digits, got 2" in said
    assert "31 rows with faults of other kinds" in said
    assert said.endswith("theirs.csv: 1280 rows, 0 good, 1280 faulty; nothing was stored\n")
    assert err == ""


def test_an_import_tells_each_faulty_row_and_json_has_the_first_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    told, document = report(dry_run=False), report(as_json=True)
    for line in range(MAX_FAULTS + 5):
        told.refuse(line, Fault("md5", "is\nno"))
        document.refuse(line, Fault("md5", "is no"))
    err = capsys.readouterr().err.splitlines()
    assert (len(err), err[7]) == (MAX_FAULTS + 5, "theirs.csv:7: md5: is\\nno")
    document.print()
    said = json.loads(capsys.readouterr().out)
    assert (len(said["faults"]), said["omitted"], said["kinds"][0]["rows"]) == (MAX_FAULTS, 5, MAX_FAULTS + 5)


def test_the_first_rows_are_shown_with_the_beginnings_of_their_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    told = report()
    for line, made in enumerate(
        [draft(1, severity=3), replace(video(5, 6), reference="a\tb"), *map(draft, range(9))], 2
    ):
        told.rows += 1
        told.accept(line, made)
    told.print()
    said = capsys.readouterr().out
    heading, first, second, *_ = said.splitlines()
    assert heading.split()[:3] == ["line", "signals", "labels"]
    shown = str(signal(1))
    assert (shown[:12] + "…" in first, shown[:13] in first, "3" in first.split()) == (True, False, True)
    assert ("2 frames" in second, "a\\tb" in second) == (True, True)
    assert f"These are the first {FIRST_ROWS} good rows, as they will be stored." in said
