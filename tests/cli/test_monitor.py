"""hashdb monitor: it ends with 1 at the first alarm, or posts alarms and goes on."""

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
from hashdb.monitoring.alarms import Alarm, Reporter
from hashdb.monitoring.monitor import Monitor, MonitorState
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.builders import contributed, draft
from tests.cli.conftest import Commands
from tests.receivers import receiver
from tests.serving import serving

WITHIN = 60.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Commands]:
    """Commands of a member of a service of this test alone, which has two contributions."""
    home = tmp_path / "served"
    with serving(home, workers=1) as url:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope)))
        contributed(db, members.authenticate(db, issued.secret), draft(1), draft(2))
        db.close()
        yield Commands({"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_URL": url, "HASHDB_KEY": issued.secret})


def plant(tmp_path: Path) -> None:
    """A standing that no event has."""
    with closing(sqlite3.connect(tmp_path / "served" / "hashdb.sqlite", timeout=10)) as connection, connection:
        connection.execute("UPDATE contributions SET standing = 'retired' WHERE id = 1")


@contextmanager
def monitoring(own: Commands, out: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "hashdb", "monitor", "--every", "1", *words],
            env=kept | own.environment,
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


def await_text(out: Path, text: str) -> None:
    until = time.monotonic() + WITHIN
    while text not in out.read_text("utf-8"):
        assert time.monotonic() < until, out.read_text("utf-8")
        time.sleep(0.1)


def test_what_holds_is_said_in_one_line(member: Commands, tmp_path: Path) -> None:
    done = member("monitor", "--once", "--folder", tmp_path / "monitor")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("event ")
    assert "; all contributions held at " in done.stdout
    said = member.json("monitor", "--once", "--folder", tmp_path / "monitor")
    assert (said["held"], said["alarms"]) == (True, [])
    assert said["size"] > 0
    assert said["round_held"] is not None


def test_the_first_alarm_ends_it_with_its_evidence(own: Commands, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with monitoring(own, out) as process:
        await_text(out, "; all contributions held at ")
        begun = time.monotonic()
        plant(tmp_path)
        assert process.wait(WITHIN) == 1
        assert time.monotonic() - begun < WITHIN
    text = out.read_text("utf-8")
    assert "ALARM: contribution-altered: contribution 1 is retired at the service, and unreviewed by the log." in text
    (evidence,) = (tmp_path / "home" / "monitor" / "evidence").iterdir()
    assert f"evidence: {evidence}" in text
    assert {path.name for path in evidence.iterdir()} == {"alarm.json", "contribution.json", "log.json"}
    said = own.json("monitor", "--once", status=1)
    assert [alarm["kind"] for alarm in said["alarms"]] == ["contribution-altered"]
    done = own("monitor", "--once")
    assert (done.returncode, done.stdout.splitlines()[0][:28]) == (1, "ALARM: contribution-altered:")


def test_with_a_webhook_alarms_are_posted_and_it_goes_on(own: Commands, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with receiver() as there, monitoring(own, out, "--webhook", there.url) as process:
        there.status = 500
        await_text(out, "; all contributions held at ")
        plant(tmp_path)
        await_text(out, "the alarm did not arrive at the webhook: it answered 500; trying again")
        there.status = 204
        posted = there.wait(2)[1].json
        assert (posted["kind"], posted["subject"]) == ("contribution-altered", "contribution 1")
        time.sleep(3)
        assert process.poll() is None
        assert len({each.body for each in there.received}) <= 3


def test_what_is_given_wrongly_is_said_in_one_line(member: Commands, tmp_path: Path) -> None:
    folder = ("--once", "--folder", str(tmp_path / "monitor"))
    bad, key, policy = tmp_path / "bad", tmp_path / "key", tmp_path / "policy"
    bad.write_text("witness\n")
    key.write_bytes(Cosigner.new("one.example").file)
    bad.chmod(0o600)
    key.chmod(0o600)
    policy.write_text(f"witness one {Cosigner.new('one.example').key}\nquorum one\n")
    for words, said in (
        (("--witnesses", str(bad)), f"--witnesses: {bad}: line 1 of the policy: "),
        (("--policy", str(tmp_path / "none")), f"--policy: {tmp_path / 'none'} cannot be read: no such file"),
        (("--sign", str(bad)), f"--sign: {bad}: "),
        (("--sign", str(tmp_path / "none")), f"--sign: {tmp_path / 'none'} cannot be read: no such file"),
        (("--policy", str(policy), "--sign", str(key)), "the policy of organisations does not have this key"),
    ):
        done = member("monitor", *folder, *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    key.chmod(0o644)
    assert f"run chmod 600 {key}" in member("monitor", *folder, "--sign", key).stderr
    assert member("monitor", "--json").returncode == 2
    assert "exclude each other" in member("monitor", *folder, "--webhook", "https://alerts.example/").stderr
    assert "--webhook: must be an address" in member("monitor", *folder[1:], "--webhook", "x").stderr


def test_two_monitors_do_not_share_a_folder_and_a_key_without_scope_is_refused(
    member: Commands, home: Path, tmp_path: Path
) -> None:
    with lock_folder(tmp_path / "monitor") as may:
        assert may
        done = member("monitor", "--once", "--folder", tmp_path / "monitor")
        assert done.returncode == 1
        assert str(tmp_path / "monitor") in done.stderr
    settings = Settings(home=home)
    db = open_hashdb(settings.database, settings.rules())
    added = members.add(db, COMMAND_LINE, MemberDraft("Without audit", MemberKind.PLATFORM))
    issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset({Scope.FEED})))
    db.close()
    done = member("monitor", "--once", "--folder", tmp_path / "monitor", HASHDB_KEY=issued.secret)
    assert done.returncode == 1
    assert "this key lacks the scope audit" in done.stderr


def test_a_service_that_answers_without_an_end_is_no_reason_to_be_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Held:
        """A monitor that checks once, and is held by the service from then on."""

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
    begun, held = time.monotonic(), Held()
    with closing(Reporter(tmp_path / "evidence", None)) as reporter:
        assert monitor._watch(cast(Monitor, held), reporter, 0, False) == 1
    assert (held.checks, time.monotonic() - begun < 20) == (3, True)
    said = capsys.readouterr()
    assert "ALARM: no-answer: no check was possible: a check had no end within " in said.out
    assert "event 7" in said.err
