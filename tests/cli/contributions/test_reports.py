"""What an import prints about its rows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hashdb.cli.contributions.columns import Columns
from hashdb.cli.contributions.reports import FIRST_ROWS, Report
from hashdb.errors import MAX_FAULTS, Fault
from tests.builders import draft, signal, video


def new_report(*, as_json: bool = False, dry_run: bool = True) -> Report:
    return Report("list.csv", as_json, dry_run, Columns())


def test_faults_of_one_kind_are_printed_once_and_the_kinds_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    report = new_report()
    for line in range(2, 1_202):
        report.rows += 1
        report.refuse(line, Fault("signals[3]", f"pdq needs 64 hex digits, got {line % 60}"))
    for code in range(80):
        report.rows += 1
        report.refuse(2_000, Fault("labels[0]", f"'{chr(0x100 + code)}' is not a label"))
    report.print()
    output, errors = capsys.readouterr()
    assert "1200 rows  2, 3, 4, 5, 6, …  signals[3]: pdq needs 64 hex digits, got 2" in output
    assert "31 rows with faults of other kinds" in output
    assert output.endswith("list.csv: 1280 rows, 0 good, 1280 faulty; nothing was stored\n")
    assert errors == ""


def test_text_reports_every_invalid_row_and_json_the_first_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    report, document = new_report(dry_run=False), new_report(as_json=True)
    for line in range(MAX_FAULTS + 5):
        report.refuse(line, Fault("md5", "is\nno"))
        document.refuse(line, Fault("md5", "is no"), *[Fault("quality", "is no number")] * (line < 3))
    error_lines = capsys.readouterr().err.splitlines()
    assert (len(error_lines), error_lines[7]) == (MAX_FAULTS + 5, "list.csv:7: md5: is\\nno")
    document.print()
    output = json.loads(capsys.readouterr().out)
    assert (len(output["faults"]), output["omitted"], output["kinds"][0]["rows"]) == (MAX_FAULTS, 8, MAX_FAULTS + 5)


def test_the_first_rows_are_shown_with_shortened_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    report = new_report()
    for line, draft_of_row in enumerate(
        [draft(1, severity=3), replace(video(5, 6), reference="a\tb"), *map(draft, range(9))], 2
    ):
        report.rows += 1
        report.accept(line, draft_of_row)
    report.print()
    output = capsys.readouterr().out
    heading, first, second, *_ = output.splitlines()
    assert heading.split()[:3] == ["line", "signals", "labels"]
    signal_text = str(signal(1))
    assert (signal_text[:12] + "…" in first, signal_text[:13] in first, "3" in first.split()) == (True, False, True)
    assert ("2 frames" in second, "a\\tb" in second) == (True, True)
    assert f"These are the first {FIRST_ROWS} good rows, as they will be stored." in output
