"""Alarms say what does not hold, since when and what to do; their evidence is kept, and they are posted once a day."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashdb.errors import BadSetting
from hashdb.monitoring.alarms import ADVICE, Alarm, AlarmKind, Reporter
from tests.receivers import receiver

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALARM = Alarm(
    AlarmKind.SIGNALS_ALTERED,
    "the signals of contribution 7 are others",
    "contribution 7",
    AT - timedelta(minutes=1),
    {"contribution.json": '{"id": 7}'},
)


def test_an_alarm_says_what_since_when_and_what_to_do() -> None:
    assert ADVICE.keys() == set(AlarmKind)
    assert str(ALARM) == (
        "signals-altered: the signals of contribution 7 are others. It last held at 2026-11-20T11:59:00.000000Z. Do not"
        " act on matches of this contribution. Ask its member for the signals, and the operator who wrote to the"
        " database."
    )
    assert "It last held" not in str(Alarm(AlarmKind.SET_LATE, "no root"))


def test_without_a_webhook_each_alarm_is_kept_each_time(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "evidence", None)
    ((alarm, folder, reason),) = reporter.report([ALARM], AT)
    assert (alarm, folder.name, reason) == (ALARM, "2026-11-20t12-00-00-signals-altered-contribution-7", None)
    assert json.loads((folder / "contribution.json").read_text()) == {"id": 7}
    assert json.loads((folder / "alarm.json").read_text())["since"] == "2026-11-20T11:59:00.000000Z"
    assert stat.S_IMODE((folder / "contribution.json").stat().st_mode) == 0o600
    assert len(list(Reporter(tmp_path / "evidence", None).report([ALARM], AT))) == 1
    reporter.close()


def test_an_alarm_is_posted_until_it_arrives_and_again_after_a_day(tmp_path: Path) -> None:
    with receiver() as there:
        reporter = Reporter(tmp_path, there.url)
        there.status = 500
        ((_, folder, reason),) = reporter.report([ALARM], AT)
        assert reason == "the alarm did not arrive at the webhook: it answered 500; trying again"
        there.status = 204
        ((_, again, reason),) = reporter.report([ALARM], AT + timedelta(seconds=10))
        assert (again, reason) == (folder, None)
        other = Alarm(AlarmKind.SIGNALS_ALTERED, "others", "contribution 8")
        reporter.close()
        # Also by another process.
        reporter = Reporter(tmp_path, there.url)
        reported = reporter.report([ALARM, other], AT + timedelta(hours=23))
        assert [alarm.subject for alarm, *_ in reported] == ["contribution 8"]
        assert len(list(reporter.report([ALARM], AT + timedelta(hours=25)))) == 1
        reporter.close()
        posted = [each.json for each in there.wait(4)]
    assert [each["subject"] for each in posted] == [f"contribution {id}" for id in (7, 7, 8, 7)]
    assert posted[0]["type"] == "monitor.alarm"
    assert posted[0]["todo"] == ADVICE[AlarmKind.SIGNALS_ALTERED]


def test_an_alarm_that_is_raised_once_waits_for_its_receiver(tmp_path: Path) -> None:
    with receiver() as there:
        reporter = Reporter(tmp_path, there.url)
        there.status = 500
        ((_, folder, _),) = reporter.report([ALARM], AT)
        later = replace(ALARM, what="others still", evidence={"contribution.json": "{}"})
        assert len(list(reporter.report([later], AT + timedelta(seconds=10)))) == 1
        there.status = 204
        ((alarm, _, reason),) = reporter.report([], AT + timedelta(seconds=20))
        reporter.close()
    # The evidence is that of when it was found.
    assert (alarm, reason) == (ALARM, None)
    assert json.loads((folder / "contribution.json").read_text()) == {"id": 7}


def test_an_alarm_that_ended_is_posted_again_after_an_hour(tmp_path: Path) -> None:
    with receiver() as there:
        reporter = Reporter(tmp_path, there.url)

        def posted(minutes: int, *alarms: Alarm) -> int:
            return len(list(reporter.report(alarms, AT + timedelta(minutes=minutes))))

        assert [posted(0, ALARM), posted(61, ALARM), posted(62), posted(63, ALARM)] == [1, 0, 0, 1]
        assert [posted(64), posted(70, ALARM), posted(130, ALARM)] == [0, 0, 0]
        reporter.close()


def test_damaged_evidence_is_no_reason_to_be_silent(tmp_path: Path) -> None:
    with receiver() as there:
        reporter = Reporter(tmp_path, there.url)
        list(reporter.report([ALARM], AT))
        (file,) = tmp_path.glob("*/alarm.json")
        file.write_text("{")
        assert len(list(reporter.report([ALARM], AT))) == 1
        reporter.close()


@pytest.mark.parametrize("url", ["alerts.example", "ftp://alerts.example/x", "https://"])
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadSetting, match=r"^--webhook: must be an address like"):
        Reporter(tmp_path, url)


def test_an_alarm_is_reported_although_its_evidence_cannot_be_kept(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "evidence", None)
    (tmp_path / "evidence").rmdir()
    ((alarm, _, trouble),) = reporter.report([ALARM], AT)
    assert (alarm, trouble) == (ALARM, "the evidence cannot be kept: no such file or directory")
