"""The reports of look-back: each match is reported once, and repeated until it is acknowledged."""

from __future__ import annotations

import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.lookback import Cursor, FoundMatch, LookBackReport, ReportKind, TakenBack
from hashdb.domain.matching.matches import Match
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput
from hashdb.local.reports import REPORTS_FILE, Reports
from tests.builders import NOON, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reports(tmp_path: Path, clock: Clock) -> Reports:
    return Reports(tmp_path / "remembered", clock)


def cursor_at(seq: int) -> Cursor:
    return Cursor("epoch", seq)


def found_match(upload: str, contribution: int, hours: float | None = None, **by: float) -> FoundMatch:
    """A match that expires `hours` after noon. The upload is from an hour before noon, or earlier `by` another time."""
    match = Match(
        contribution, {Algorithm.PDQ: 3}, ("manifesto",), 4, Standing.CONFIRMED, (), NOON, NOON, transform="mirror"
    )
    until = None if hours is None else NOON + timedelta(hours=hours)
    return FoundMatch(upload, NOON - timedelta(**(by or {"hours": 1})), match, until)


def report_rows(reports: Reports, after: int | None = None) -> list[tuple[int, str, str, int, str | None]]:
    return [(r.number, r.kind, r.upload, r.match.contribution, r.reason) for r in reports.after(after)]


def test_a_report_has_the_upload_the_match_and_the_times(reports: Reports) -> None:
    assert reports.cursor() is None
    found = found_match("a", 17)
    assert reports.record(cursor_at(5), [found], []) == 1
    assert reports.after() == (LookBackReport(1, ReportKind.MATCHED, "a", found.uploaded_at, NOON, found.match),)
    assert reports.cursor() == cursor_at(5)


def test_a_current_match_is_reported_once(reports: Reports) -> None:
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    assert reports.record(cursor_at(6), [found_match("a", 17), found_match("b", 17), found_match("b", 17)], []) == 1
    assert [row[:4] for row in report_rows(reports)] == [(1, "matched", "a", 17), (2, "matched", "b", 17)]
    # The same holds after a change to another log.
    assert reports.record(Cursor("another", 1), [found_match("a", 17)], []) == 0


def test_a_match_is_taken_back_once_and_may_be_reported_again(reports: Reports) -> None:
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    back = [TakenBack("a", 17, "withdrawn")]
    assert reports.record(cursor_at(6), [], [*back, TakenBack("never", 17, "withdrawn")]) == 1
    assert reports.record(cursor_at(7), [], back) == 0
    assert reports.record(cursor_at(8), [found_match("a", 17)], []) == 1
    assert report_rows(reports) == [
        (1, "matched", "a", 17, None),
        (2, "taken-back", "a", 17, "withdrawn"),
        (3, "matched", "a", 17, None),
    ]
    assert reports.after()[0].match == reports.after()[1].match


def test_a_failure_stores_neither_the_reports_nor_the_cursor(reports: Reports) -> None:
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    broken = found_match("b", 18)._replace(upload="\ud800")
    with pytest.raises(UnicodeEncodeError):
        reports.record(cursor_at(6), [found_match("c", 18), broken], [TakenBack("a", 17, "withdrawn")])
    assert reports.cursor() == cursor_at(5)
    assert report_rows(reports) == [(1, "matched", "a", 17, None)]


def test_current_matches_are_found_by_contribution_and_by_expiry(reports: Reports) -> None:
    reports.record(cursor_at(5), [found_match("a", 17, 1), found_match("b", 17), found_match("a", 18, 2)], [])
    assert sorted(reports.standing([17, 19])) == [("a", 17), ("b", 17)]
    assert reports.contributions() == {17, 18}
    assert reports.expired(NOON + timedelta(hours=1)) == {17}
    # The latest expiry counts.
    reports.record(cursor_at(6), [found_match("a", 17, 3)], [])
    assert reports.expired(NOON + timedelta(hours=2)) == {18}


def test_only_reports_that_are_not_acknowledged_are_returned_again(reports: Reports, tmp_path: Path) -> None:
    reports.record(cursor_at(5), [found_match("a", 17), found_match("b", 17), found_match("c", 17)], [])
    reports.acknowledge(2)
    reports.acknowledge(1)
    again = Reports(tmp_path / "remembered")
    assert [number for number, *_ in report_rows(again)] == [3]
    assert [number for number, *_ in report_rows(again, after=0)] == [1, 2, 3]
    assert again.name == reports.name
    state = again.state()
    assert (state.last, state.acknowledged, state.waiting) == (3, 2, 1)


def test_an_unknown_report_number_is_rejected(reports: Reports) -> None:
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    for refused in (2, -1):
        with pytest.raises(InvalidInput, match="the last one is 1"):
            reports.acknowledge(refused)
    with pytest.raises(InvalidInput, match="after: must be the number of a report"):
        reports.after(2)
    assert reports.state().waiting == 1


def test_a_reader_waits_for_a_report_of_another_process(reports: Reports, tmp_path: Path) -> None:
    assert reports.after(wait=0.1) == ()
    timer = threading.Timer(0.1, Reports(tmp_path / "remembered").record, [cursor_at(5), [found_match("a", 17)], []])
    timer.start()
    assert [report.upload for report in reports.after(wait=20)] == ["a"]
    timer.join()


def test_a_forgotten_upload_is_deleted_from_all_files(reports: Reports, tmp_path: Path) -> None:
    reports.record(cursor_at(5), [found_match("a", 17), found_match("forget-me", 17)], [])
    reports.forget(["forget-me", *map(str, range(1_000))])
    assert reports.record(cursor_at(6), [], [TakenBack("forget-me", 17, "withdrawn")]) == 0
    assert [upload for _, _, upload, *_ in report_rows(reports, after=0)] == ["a"]
    assert not any(b"forget-me" in file.read_bytes() for file in (tmp_path / "remembered").iterdir())
    # A number is never used twice.
    reports.record(cursor_at(7), [found_match("b", 17)], [])
    assert [number for number, *_ in report_rows(reports)] == [1, 3]


def test_old_reports_are_deleted_after_they_are_acknowledged(reports: Reports, clock: Clock) -> None:
    reports.record(cursor_at(5), [found_match("old", 17), found_match("older", 18, days=89)], [])
    clock.advance(days=30)
    reports.record(cursor_at(6), [found_match("new", 17)], [])
    clock.advance(days=61)
    reports.record(cursor_at(7), [], [])
    assert [upload for _, _, upload, *_ in report_rows(reports, after=0)] == ["old", "older", "new"]
    reports.acknowledge(3)
    clock.advance(hours=1)
    reports.record(cursor_at(8), [], [])
    # Old reports are deleted only once a day.
    assert len(report_rows(reports, after=0)) == 3
    clock.advance(days=1)
    reports.record(cursor_at(9), [], [])
    assert [upload for _, _, upload, *_ in report_rows(reports, after=0)] == ["new"]
    assert reports.contributions() == {17}


def test_only_the_owner_can_read_the_reports(reports: Reports, tmp_path: Path) -> None:
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    folder = tmp_path / "remembered"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert (folder / REPORTS_FILE).exists()
