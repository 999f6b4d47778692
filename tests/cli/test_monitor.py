"""hashdb monitor: it exits with status 1 at the first alarm. With a webhook it posts alarms and continues."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from hashdb.cli import monitor
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.errors import NotFound
from hashdb.index.folder import lock_folder
from hashdb.monitor.alarms import Alarm, Reporter
from hashdb.monitor.monitor import MONITOR_FILE, Monitor, MonitorState
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.builders import contributed, draft
from tests.cli.conftest import Commands
from tests.receivers import receiver
from tests.serving import serving

TIMEOUT = 60.0


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[Commands]:
    """Commands of a member of a service with two contributions. Only this test uses the service."""
    home = tmp_path / "served"
    with serving(home, workers=1) as url:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope)))
        contributed(db, members.authenticate(db, issued.secret), draft(1), draft(2))
        db.close()
        yield Commands({"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_URL": url, "HASHDB_KEY": issued.secret})


def tamper(tmp_path: Path) -> None:
    """Write a standing to the database that no event set."""
    with closing(sqlite3.connect(tmp_path / "served" / "hashdb.sqlite", timeout=10)) as connection, connection:
        connection.execute("UPDATE contributions SET standing = 'retired' WHERE id = 1")


@contextmanager
def running_monitor(alpha: Commands, output_file: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    with output_file.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "hashdb", "monitor", "--every", "1", *words],
            env=inherited | alpha.environment,
            stdout=file,
            stderr=file,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_text(output_file: Path, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while text not in output_file.read_text("utf-8"):
        assert time.monotonic() < deadline, output_file.read_text("utf-8")
        time.sleep(0.1)


def test_a_check_without_alarms_prints_one_line(member: Commands, tmp_path: Path) -> None:
    result = member("monitor", "--once", "--folder", tmp_path / "monitor")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("verified up to event ")
    assert "; all contributions verified at " in result.stdout
    output = member.json("monitor", "--once", "--folder", tmp_path / "monitor")
    assert (output["held"], output["alarms"]) == (True, [])
    assert output["size"] > 0
    assert output["round_held"] is not None


def test_the_first_alarm_stops_the_monitor_and_its_evidence_is_kept(alpha: Commands, tmp_path: Path) -> None:
    output_file = tmp_path / "out"
    with running_monitor(alpha, output_file) as process:
        await_text(output_file, "; all contributions verified at ")
        started = time.monotonic()
        tamper(tmp_path)
        assert process.wait(TIMEOUT) == 1
        assert time.monotonic() - started < TIMEOUT
    text = output_file.read_text("utf-8")
    assert "ALARM: contribution-altered: contribution 1 is retired at the service, and unreviewed by the log." in text
    (evidence,) = (tmp_path / "home" / "monitor" / "evidence").iterdir()
    assert f"evidence: {evidence}" in text
    assert {path.name for path in evidence.iterdir()} == {"alarm.json", "contribution.json", "log.json"}
    output = alpha.json("monitor", "--once", status=1)
    assert [alarm["kind"] for alarm in output["alarms"]] == ["contribution-altered"]
    result = alpha("monitor", "--once")
    assert (result.returncode, result.stdout.splitlines()[0][:28]) == (1, "ALARM: contribution-altered:")


def test_with_a_webhook_alarms_are_posted_and_the_monitor_continues(alpha: Commands, tmp_path: Path) -> None:
    output_file = tmp_path / "out"
    with receiver() as hook, running_monitor(alpha, output_file, "--webhook", hook.url) as process:
        hook.status = 500
        await_text(output_file, "; all contributions verified at ")
        tamper(tmp_path)
        await_text(output_file, "the alarm did not arrive at the webhook: it answered 500; trying again")
        hook.status = 204
        posted = hook.wait(2)[1].json
        assert (posted["kind"], posted["subject"]) == ("contribution-altered", "contribution 1")
        time.sleep(3)
        assert process.poll() is None
        assert len({each.body for each in hook.received}) <= 3


def test_an_invalid_option_is_reported_in_one_line(member: Commands, tmp_path: Path) -> None:
    folder = ("--once", "--folder", str(tmp_path / "monitor"))
    bad, key, policy = tmp_path / "bad", tmp_path / "key", tmp_path / "policy"
    bad.write_text("witness\n")
    key.write_bytes(Cosigner.new("one.example").file)
    bad.chmod(0o600)
    key.chmod(0o600)
    policy.write_text(f"witness one {Cosigner.new('one.example').key}\nquorum one\n")
    for words, error in (
        (("--witnesses", str(bad)), f"--witnesses: {bad}: line 1 of the policy: "),
        (("--policy", str(tmp_path / "none")), f"--policy: {tmp_path / 'none'} cannot be read: no such file"),
        (("--sign", str(bad)), f"--sign: {bad}: "),
        (("--sign", str(tmp_path / "none")), f"--sign: {tmp_path / 'none'} cannot be read: no such file"),
        (("--policy", str(policy), "--sign", str(key)), "the policy of organisations does not have this key"),
    ):
        result = member("monitor", *folder, *words)
        assert result.returncode == 2
        assert error in result.stderr
        assert result.stderr.count("\n") == 1
    key.chmod(0o644)
    assert f"run chmod 600 {key}" in member("monitor", *folder, "--sign", key).stderr
    assert member("monitor", "--json").returncode == 2
    assert (
        "give either --once or --webhook, not both"
        in member("monitor", *folder, "--webhook", "https://alerts.example/").stderr
    )
    assert "--webhook: must be an address" in member("monitor", *folder[1:], "--webhook", "x").stderr


def test_only_a_state_of_another_version_is_to_be_moved_away(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "monitor" / MONITOR_FILE
    file.parent.mkdir()
    file.write_bytes(b"garbage" * 100)
    result = member("monitor", "--once", "--folder", file.parent)
    assert (result.returncode, "move the folder away to begin again" in result.stderr) == (2, True)
    file.unlink()
    file.with_name(f"{file.name}-wal").mkdir()
    result = member("monitor", "--once", "--folder", file.parent)
    error = f"hashdb: --folder: the state in {file.parent} cannot be used: "
    assert (result.returncode, result.stderr[: len(error)]) == (2, error)


def test_a_folder_in_use_or_a_key_without_scope_is_rejected(member: Commands, home: Path, tmp_path: Path) -> None:
    with lock_folder(tmp_path / "monitor") as is_locked:
        assert is_locked
        result = member("monitor", "--once", "--folder", tmp_path / "monitor")
        assert result.returncode == 1
        assert str(tmp_path / "monitor") in result.stderr
    settings = Settings(home=home)
    db = open_hashdb(settings.database, settings.rules())
    added = members.add(db, COMMAND_LINE, MemberDraft("Without audit", MemberKind.PLATFORM))
    issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset({Scope.FEED})))
    db.close()
    result = member("monitor", "--once", "--folder", tmp_path / "monitor", HASHDB_KEY=issued.secret)
    assert result.returncode == 1
    assert "this key lacks the scope audit" in result.stderr


def test_a_check_that_never_ends_raises_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class StalledMonitor:
        """A monitor whose first check passes and whose second one fails. Later checks hang."""

        state = MonitorState(1, 0, 0, 0, None)
        checks = 0

        def check(self) -> list[Alarm]:
            self.checks += 1
            if self.checks == 2:
                raise NotFound("event 7")
            if self.checks > 2:
                time.sleep(30)
            return []

    monkeypatch.setattr(monitor, "_LATER_CHECK", timedelta(seconds=0.2))
    monkeypatch.setattr(monitor, "_NO_ANSWER_AFTER", timedelta(seconds=0.1))
    started, stalled = time.monotonic(), StalledMonitor()
    with closing(Reporter(tmp_path / "evidence", None)) as reporter:
        assert monitor._watch(cast(Monitor, stalled), reporter, 0, goes_on=False) == 1
    assert (stalled.checks, time.monotonic() - started < 20) == (3, True)
    output = capsys.readouterr()
    assert "ALARM: no-answer: no check was possible: a check did not finish within " in output.out
    assert "event 7" in output.err
