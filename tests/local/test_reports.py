"""The reports of look-back: what is told, what is told again, and what never."""

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


def at(seq: int) -> Cursor:
    return Cursor("epoch", seq)


def found(upload: str, contribution: int, hours: float | None = None, **by: float) -> FoundMatch:
    """A match of an upload of an hour before noon, which expires that many hours after noon."""
    match = Match(
        contribution, {Algorithm.PDQ: 3}, ("manifesto",), 4, Standing.CONFIRMED, (), NOON, NOON, transform="mirror"
    )
    until = None if hours is None else NOON + timedelta(hours=hours)
    return FoundMatch(upload, NOON - timedelta(**(by or {"hours": 1})), match, until)


def told(reports: Reports, after: int | None = None) -> list[tuple[int, str, str, int, str | None]]:
    return [(r.number, r.kind, r.upload, r.match.contribution, r.reason) for r in reports.after(after)]


def test_a_report_has_all_that_was_found(reports: Reports) -> None:
    assert reports.cursor() is None
    late = found("a", 17)
    assert reports.record(at(5), [late], []) == 1
    assert reports.after() == (LookBackReport(1, ReportKind.MATCHED, "a", late.uploaded_at, NOON, late.match),)
    assert reports.cursor() == at(5)


def test_what_stands_is_told_once(reports: Reports) -> None:
    reports.record(at(5), [found("a", 17)], [])
    assert reports.record(at(6), [found("a", 17), found("b", 17), found("b", 17)], []) == 1
    assert [one[:4] for one in told(reports)] == [(1, "matched", "a", 17), (2, "matched", "b", 17)]
    # Also over another log.
    assert reports.record(Cursor("another", 1), [found("a", 17)], []) == 0


def test_the_way_back_is_told_once_and_a_match_may_return(reports: Reports) -> None:
    reports.record(at(5), [found("a", 17)], [])
    back = [TakenBack("a", 17, "withdrawn")]
    assert reports.record(at(6), [], [*back, TakenBack("never", 17, "withdrawn")]) == 1
    assert reports.record(at(7), [], back) == 0
    assert reports.record(at(8), [found("a", 17)], []) == 1
    assert told(reports) == [
        (1, "matched", "a", 17, None),
        (2, "taken-back", "a", 17, "withdrawn"),
        (3, "matched", "a", 17, None),
    ]
    assert reports.after()[0].match == reports.after()[1].match


def test_a_failure_stores_neither_the_reports_nor_the_cursor(reports: Reports) -> None:
    reports.record(at(5), [found("a", 17)], [])
    broken = found("b", 18)._replace(upload="\ud800")
    with pytest.raises(UnicodeEncodeError):
        reports.record(at(6), [found("c", 18), broken], [TakenBack("a", 17, "withdrawn")])
    assert reports.cursor() == at(5)
    assert told(reports) == [(1, "matched", "a", 17, None)]


def test_what_stands_is_known_by_contribution_and_by_when_it_expires(reports: Reports) -> None:
    reports.record(at(5), [found("a", 17, 1), found("b", 17), found("a", 18, 2)], [])
    assert sorted(reports.standing([17, 19])) == [("a", 17), ("b", 17)]
    assert reports.contributions() == {17, 18}
    assert reports.expired(NOON + timedelta(hours=1)) == {17}
    # The time that was told last counts.
    reports.record(at(6), [found("a", 17, 3)], [])
    assert reports.expired(NOON + timedelta(hours=2)) == {18}


def test_an_acknowledged_report_is_never_told_again_and_another_always(reports: Reports, tmp_path: Path) -> None:
    reports.record(at(5), [found("a", 17), found("b", 17), found("c", 17)], [])
    reports.acknowledge(2)
    reports.acknowledge(1)
    again = Reports(tmp_path / "remembered")
    assert [number for number, *_ in told(again)] == [3]
    assert [number for number, *_ in told(again, after=0)] == [1, 2, 3]
    assert again.name == reports.name
    state = again.state()
    assert (state.last, state.acknowledged, state.waiting) == (3, 2, 1)


def test_no_number_is_acknowledged_that_was_not_told(reports: Reports) -> None:
    reports.record(at(5), [found("a", 17)], [])
    for refused in (2, -1):
        with pytest.raises(InvalidInput, match="the last one is 1"):
            reports.acknowledge(refused)
    with pytest.raises(InvalidInput, match="after: must be the number of a report"):
        reports.after(2)
    assert reports.state().waiting == 1


def test_a_reader_waits_for_what_another_process_records(reports: Reports, tmp_path: Path) -> None:
    assert reports.after(wait=0.1) == ()
    timer = threading.Timer(0.1, Reports(tmp_path / "remembered").record, [at(5), [found("a", 17)], []])
    timer.start()
    assert [report.upload for report in reports.after(wait=20)] == ["a"]
    timer.join()


def test_nothing_is_left_of_a_forgotten_upload(reports: Reports, tmp_path: Path) -> None:
    reports.record(at(5), [found("a", 17), found("forget-me", 17)], [])
    reports.forget(["forget-me", *map(str, range(1_000))])
    assert reports.record(at(6), [], [TakenBack("forget-me", 17, "withdrawn")]) == 0
    assert [upload for _, _, upload, *_ in told(reports, after=0)] == ["a"]
    assert not any(b"forget-me" in file.read_bytes() for file in (tmp_path / "remembered").iterdir())
    # A number is never given twice.
    reports.record(at(7), [found("b", 17)], [])
    assert [number for number, *_ in told(reports)] == [1, 3]


def test_old_reports_are_deleted_once_they_are_acknowledged(reports: Reports, clock: Clock) -> None:
    reports.record(at(5), [found("old", 17), found("older", 18, days=89)], [])
    clock.go(days=30)
    reports.record(at(6), [found("new", 17)], [])
    clock.go(days=61)
    reports.record(at(7), [], [])
    assert [upload for _, _, upload, *_ in told(reports, after=0)] == ["old", "older", "new"]
    reports.acknowledge(3)
    clock.go(hours=1)
    reports.record(at(8), [], [])
    # Once a day.
    assert len(told(reports, after=0)) == 3
    clock.go(days=1)
    reports.record(at(9), [], [])
    assert [upload for _, _, upload, *_ in told(reports, after=0)] == ["new"]
    assert reports.contributions() == {17}


def test_only_the_owner_reads_the_reports(reports: Reports, tmp_path: Path) -> None:
    reports.record(at(5), [found("a", 17)], [])
    folder = tmp_path / "remembered"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert (folder / REPORTS_FILE).exists()
