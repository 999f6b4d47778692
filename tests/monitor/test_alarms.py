"""Alarms: they state what is wrong, since when, and what to do. Their evidence is kept. They are posted once a day."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashdb.errors import BadSetting
from hashdb.monitor.alarms import ADVICE, Alarm, AlarmKind, Reporter
from tests.receivers import receiver

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALARM = Alarm(
    AlarmKind.SIGNALS_ALTERED,
    "the signals of contribution 7 are others",
    "contribution 7",
    AT - timedelta(minutes=1),
    {"contribution.json": '{"id": 7}'},
)


def test_an_alarm_states_the_problem_its_start_and_what_to_do() -> None:
    assert ADVICE.keys() == set(AlarmKind)
    assert str(ALARM) == (
        "signals-altered: the signals of contribution 7 are others. This check last passed at"
        " 2026-11-20T11:59:00.000000Z. Do not"
        " act on matches of this contribution. Ask its member for the signals, and the operator who wrote to the"
        " database."
    )
    assert "last passed" not in str(Alarm(AlarmKind.SET_LATE, "no root"))


def test_without_a_webhook_an_alarm_is_reported_each_time_with_its_evidence(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "evidence", None)
    ((alarm, folder, reason),) = reporter.report([ALARM], AT)
    assert (alarm, folder.name, reason) == (ALARM, "2026-11-20t12-00-00-signals-altered-contribution-7", None)
    assert json.loads((folder / "contribution.json").read_text()) == {"id": 7}
    assert json.loads((folder / "alarm.json").read_text())["since"] == "2026-11-20T11:59:00.000000Z"
    assert stat.S_IMODE((folder / "contribution.json").stat().st_mode) == 0o600
    assert len(list(Reporter(tmp_path / "evidence", None).report([ALARM], AT))) == 1
    reporter.close()


def test_an_alarm_is_posted_until_it_arrives_and_again_after_a_day(tmp_path: Path) -> None:
    with receiver() as hook:
        reporter = Reporter(tmp_path, hook.url)
        hook.status = 500
        ((_, folder, reason),) = reporter.report([ALARM], AT)
        assert reason == "the alarm did not arrive at the webhook: it answered 500; trying again"
        hook.status = 204
        ((_, again, reason),) = reporter.report([ALARM], AT + timedelta(seconds=10))
        assert (again, reason) == (folder, None)
        other = Alarm(AlarmKind.SIGNALS_ALTERED, "others", "contribution 8")
        reporter.close()
        # Another process also knows that the alarm arrived.
        reporter = Reporter(tmp_path, hook.url)
        reported = reporter.report([ALARM, other], AT + timedelta(hours=23))
        assert [alarm.subject for alarm, *_ in reported] == ["contribution 8"]
        assert len(list(reporter.report([ALARM], AT + timedelta(hours=25)))) == 1
        reporter.close()
        posted = [message.json for message in hook.wait(4)]
    assert [message["subject"] for message in posted] == [f"contribution {id}" for id in (7, 7, 8, 7)]
    assert posted[0]["type"] == "monitor.alarm"
    assert posted[0]["todo"] == ADVICE[AlarmKind.SIGNALS_ALTERED]


def test_after_a_failure_the_other_alarms_wait_for_the_next_check(tmp_path: Path) -> None:
    """Otherwise an address that does not answer would hold up the checks for as long as there are alarms."""
    alarms = [replace(ALARM, subject=f"contribution {id}") for id in range(3)]
    with receiver() as hook:
        reporter = Reporter(tmp_path, hook.url)
        hook.status = 500
        for seconds in (0, 10):
            reasons = [reason for *_, reason in reporter.report(alarms, AT + timedelta(seconds=seconds))]
            assert reasons == ["the alarm did not arrive at the webhook: it answered 500; trying again"] * 3
        hook.status = 204
        assert [reason for *_, reason in reporter.report([], AT + timedelta(seconds=20))] == [None] * 3
        reporter.close()
        posted = [message.json["subject"] for message in hook.wait(5)]
    # Each check tries another alarm first: the webhook may reject only one of them.
    assert posted[:2] == ["contribution 0", "contribution 1"]
    assert sorted(posted[2:]) == [f"contribution {id}" for id in range(3)]


def test_an_alarm_that_was_not_delivered_is_posted_later(tmp_path: Path) -> None:
    with receiver() as hook:
        reporter = Reporter(tmp_path, hook.url)
        hook.status = 500
        ((_, folder, _),) = reporter.report([ALARM], AT)
        later = replace(ALARM, what="others still", evidence={"contribution.json": "{}"})
        assert len(list(reporter.report([later], AT + timedelta(seconds=10)))) == 1
        hook.status = 204
        ((alarm, _, reason),) = reporter.report([], AT + timedelta(seconds=20))
        reporter.close()
    # The posted alarm and its evidence are those of the first report.
    assert (alarm, reason) == (ALARM, None)
    assert json.loads((folder / "contribution.json").read_text()) == {"id": 7}


def test_an_alarm_that_ended_is_posted_again_only_after_an_hour(tmp_path: Path) -> None:
    with receiver() as hook:
        reporter = Reporter(tmp_path, hook.url)

        def count_posted(minutes: int, *alarms: Alarm) -> int:
            return len(list(reporter.report(alarms, AT + timedelta(minutes=minutes))))

        assert [count_posted(0, ALARM), count_posted(61, ALARM), count_posted(62), count_posted(63, ALARM)] == [
            1,
            0,
            0,
            1,
        ]
        assert [count_posted(64), count_posted(70, ALARM), count_posted(130, ALARM)] == [0, 0, 0]
        reporter.close()


def test_a_check_reads_the_evidence_of_its_own_alarms_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as hook:
        reporter = Reporter(tmp_path, hook.url)
        alarms = [replace(ALARM, subject=f"contribution {id}") for id in range(5)]
        assert len(list(reporter.report(alarms, AT))) == 5
        read, read_text = list[Path](), Path.read_text

        def record(path: Path, encoding: str) -> str:
            read.append(path)
            return read_text(path, encoding)

        monkeypatch.setattr(Path, "read_text", record)
        assert list(reporter.report(alarms[:1], AT + timedelta(seconds=10))) == []
        assert [path.parent.name for path in read] == ["2026-11-20t12-00-00-signals-altered-contribution-0"]
        reporter.close()


def test_an_alarm_with_damaged_evidence_is_posted_again(tmp_path: Path) -> None:
    with receiver() as hook:
        reporter = Reporter(tmp_path, hook.url)
        list(reporter.report([ALARM], AT))
        (file,) = tmp_path.glob("*/alarm.json")
        file.write_text("{")
        assert len(list(reporter.report([ALARM], AT))) == 1
        reporter.close()


@pytest.mark.parametrize("url", ["alerts.example", "ftp://alerts.example/x", "https://"])
def test_an_invalid_webhook_address_is_rejected(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadSetting, match=r"^--webhook: must be an address like"):
        Reporter(tmp_path, url)


def test_an_alarm_is_reported_even_if_its_evidence_cannot_be_kept(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "evidence", None)
    (tmp_path / "evidence").rmdir()
    ((alarm, _, error),) = reporter.report([ALARM], AT)
    assert (alarm, error) == (ALARM, "the evidence cannot be kept: no such file or directory")
