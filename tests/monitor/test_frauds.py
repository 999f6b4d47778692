"""Frauds of an operator with the database, the disk and all keys. A member's monitor detects each within a minute."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM
from hashdb.domain.contributions import Draft
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.matching.benign import BenignDraft
from hashdb.errors import ServiceError
from hashdb.monitor.alarms import Alarm, AlarmKind
from hashdb.monitor.monitor import Monitor
from hashdb.monitor.tables import ALL_SIGNALS
from hashdb.service.contributions import commitments, contributions
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign
from tests.builders import NOON, draft, signal, signature, text, video, words
from tests.monitor.conftest import Forge, World, hide, kinds, suppress_all, suppress_first
from tests.service.tamperer import Tamperer

MAX_SECONDS = 60
CHECKPOINT_PATHS = ("/v1/checkpoint", "/v1/checkpoint/cosigned")
Act = Callable[[Tamperer], object]


def statement(sql: str) -> Act:
    return lambda hand: hand.run(sql)


def new_monitor(world: World, *drafts: Draft) -> Monitor:
    """A monitor that raised no alarm until a root was recorded and a checkpoint was cosigned."""
    monitor = world.monitor()
    world.contribute(*drafts)
    assert world.watch(monitor, 70) == ([], 70)
    return monitor


def expect_alarms(world: World, monitor: Monitor, *keys: str) -> Alarm:
    """Expect these alarms within a minute, and return the first one, which has evidence and a time."""
    alarms, seconds = world.watch(monitor)
    assert kinds(alarms) == list(keys)
    assert seconds <= MAX_SECONDS
    assert alarms[0].since is not None
    assert alarms[0].since > NOON
    assert alarms[0].evidence
    return alarms[0]


@pytest.mark.parametrize(
    "act",
    [
        statement(
            "UPDATE signals SET value = (SELECT value FROM signals WHERE contribution_id = 2) WHERE contribution_id = 1"
        ),
        statement("DELETE FROM signals WHERE contribution_id = 1 AND position = 1"),
        statement("INSERT INTO signals SELECT 1, 7, algorithm, value FROM signals WHERE contribution_id = 2 LIMIT 1"),
        statement("DELETE FROM signatures WHERE contribution_id = 1"),
        statement("UPDATE contributions SET salt = NULL WHERE id = 1"),
        statement("UPDATE contributions SET salt = randomblob(16) WHERE id = 1"),
        statement("UPDATE contributions SET commitment = randomblob(32) WHERE id = 1"),
    ],
    ids=["altered", "removed", "added", "signature removed", "without salt", "another salt", "another commitment"],
)
def test_a_signal_changed_outside_the_log_raises_an_alarm(world: World, act: Act) -> None:
    monitor = new_monitor(world, draft(1, 2, signatures=(signature(1),)), draft(3))
    world.tamper(act)
    alarm = expect_alarms(world, monitor, "signals-altered contribution 1")
    assert "the signals of contribution 1 do not match the commitment in the log" in str(alarm)
    assert json.loads(alarm.evidence["contribution.json"])["id"] == 1
    assert json.loads(alarm.evidence["log.json"])["status"] == "active"


@pytest.mark.parametrize("octets", [32, 31])
@pytest.mark.parametrize(("table", "number"), [("signals", 1), ("digests", 2)])
def test_a_frame_changed_outside_the_log_raises_an_alarm(world: World, table: str, number: int, octets: int) -> None:
    monitor = new_monitor(world, video(1, 2, 3), text(words(1, 300)))
    world.tamper(statement(f"UPDATE {table} SET value = randomblob({octets}) WHERE contribution_id = {number}"))
    expect_alarms(world, monitor, f"signals-altered contribution {number}")


def test_a_signal_suppressed_outside_the_log_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1, 2), draft(3))
    world.tamper(statement("INSERT INTO masks SELECT *, 1 FROM signals WHERE contribution_id = 1 AND position = 0"))
    world.tamper(statement("DELETE FROM signals WHERE contribution_id = 1 AND position = 0"))
    alarm = expect_alarms(world, monitor, "signals-hidden contribution 1")
    assert "contribution 1 has 1 suppressed signals at the service, and 0 by the log" in str(alarm)


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (suppress_all, "as if all its signals were suppressed"),
        (suppress_first, "suppresses more signals of contribution 1"),
    ],
)
def test_signals_suppressed_only_in_the_feed_raise_an_alarm(
    world: World, forge: Callable[[int], Forge], reason: str
) -> None:
    monitor = world.monitor()
    world.transport.forge = forge(1)
    world.contribute(draft(1, 2), draft(3))
    alarms, seconds = world.watch(monitor)
    assert kinds(alarms) == ["signals-hidden contribution 1"]
    assert seconds <= MAX_SECONDS
    assert reason in str(alarms[0])


def test_signals_suppressed_by_a_benign_entry_raise_no_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1, 2), video(7, 8, 9), draft(3))
    benign.add(world.db, COMMAND_LINE, BenignDraft((signal(1), signal(3), signal(8)), note="a splash screen"))
    assert world.watch(monitor, 70) == ([], 70)
    world.contribute(video(8, 20, 21))
    assert world.watch(monitor, 70) == ([], 70)
    rows = monitor._tables.rows([1, 2, 3, 4])
    assert [(rows[id].masked, rows[id].sealed) for id in sorted(rows)] == [(1, 1), (1, 1), (1, ALL_SIGNALS), (1, 1)]
    benign.delete(world.db, COMMAND_LINE, 1)
    assert world.watch(monitor, 70) == ([], 70)
    assert [row.masked for row in monitor._tables.rows([1, 2, 3, 4]).values()] == [0, 0, 0, 0]


def test_a_contribution_added_outside_the_log_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1), draft(2))

    def plant(hand: Tamperer) -> None:
        columns = ", ".join(row[1] for row in hand.run("PRAGMA table_info(contributions)") if row[1] != "id")
        hand.run(f"INSERT INTO contributions (id, {columns}) SELECT 9, {columns} FROM contributions WHERE id = 1")
        hand.run("INSERT INTO signals SELECT 9, position, algorithm, value FROM signals WHERE contribution_id = 2")

    world.tamper(plant)
    alarm = expect_alarms(world, monitor, "contribution-planted contribution 9")
    assert "no event of the log added it" in str(alarm)


def test_a_contribution_removed_outside_the_log_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1), draft(2))

    def remove(hand: Tamperer) -> None:
        for table in ("signals", "fingerprints"):
            hand.run(f"DELETE FROM {table} WHERE contribution_id = 1")
        hand.run("DELETE FROM contributions WHERE id = 1")

    world.tamper(remove)
    alarms, seconds = world.watch(monitor)
    assert kinds(alarms) == ["contribution-removed contribution 1"]
    assert seconds <= MAX_SECONDS


@pytest.mark.parametrize("standing", ["retired", "confirmed"])
def test_a_standing_changed_outside_the_log_raises_an_alarm(world: World, standing: str) -> None:
    monitor = new_monitor(world, draft(1), draft(2))
    world.tamper(statement(f"UPDATE contributions SET standing = '{standing}' WHERE id = 1"))
    expect_alarms(world, monitor, "contribution-altered contribution 1")


def test_a_contribution_hidden_from_one_member_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1))
    world.transport.forge = hide(2)
    world.contribute(draft(2))
    alarm = expect_alarms(world, monitor, "feed-differs contribution 2")
    assert "matches by the log, but the feed does not show it to you" in str(alarm)


def test_a_contribution_hidden_with_its_events_raises_an_alarm(world: World) -> None:
    """The member gets the answers from before the contribution, forever."""
    monitor = new_monitor(world, draft(1))
    frozen = {path: world.client._connection._http.get(path).content for path in CHECKPOINT_PATHS}
    world.transport.forge = lambda path, _: frozen.get(path)
    world.contribute(draft(2))
    alarms, seconds = world.watch(monitor)
    # The witness has seen the part of the log that this member does not see.
    assert "witness-differs witness w" in kinds(alarms)
    assert seconds <= MAX_SECONDS + 10


def test_a_service_that_shows_one_member_an_old_log_raises_an_alarm(world: World) -> None:
    """The witness serves no checkpoints. An honest log grows each day, because the monitor itself reads the feed."""
    monitor = new_monitor(world, draft(1))
    world.witness.serves = False
    frozen = {path: world.client._connection._http.get(path).content for path in CHECKPOINT_PATHS}
    world.clock.advance(hours=25)
    world.transport.forge = lambda path, _: frozen.get(path)
    assert monitor.check() == []
    world.clock.advance(hours=2)
    (alarm,) = monitor.check()
    assert alarm.kind is AlarmKind.NOT_WITNESSED
    assert "you may be shown an old log" in str(alarm)


def test_different_logs_for_two_members_raise_an_alarm(world: World, tmp_path: Path) -> None:
    monitor = new_monitor(world, draft(1))
    world.advance(60)
    shutil.copytree(world.home, tmp_path / "fork")
    with closing(World(tmp_path / "fork", world.clock, world.witness, world.secret)) as fork:
        fork.contribute(draft(2))
        world.contribute(draft(3))
        # The witness sees only one of the two logs.
        shutil.copytree(tmp_path / "monitor", tmp_path / "other")
        other = fork.monitor("other")
        assert world.watch(monitor, 60)[0] == []
        alarms, seconds = fork.watch(other)
        assert "witness-differs witness w" in kinds(alarms)
        assert seconds <= MAX_SECONDS
        (alarm,) = [alarm for alarm in alarms if alarm.kind is AlarmKind.WITNESS_DIFFERS]
        assert "was shown another log than you" in str(alarm)
        assert alarm.evidence["checkpoint.txt"] != alarm.evidence["witness.txt"]


def test_a_missing_cosignature_raises_an_alarm_if_the_witness_serves_nothing(world: World, tmp_path: Path) -> None:
    monitor = new_monitor(world, draft(1))
    world.witness.serves = False
    world.witness.size += 1
    world.contribute(draft(2))
    alarms, seconds = world.watch(monitor, 240)
    assert kinds(alarms) == ["not-witnessed"]
    assert seconds <= 120
    assert "the quorum of witnesses cosigned" in str(alarms[0])


def test_a_rollback_to_a_backup_raises_an_alarm(world: World, tmp_path: Path) -> None:
    monitor = new_monitor(world, draft(1), draft(2))
    shutil.copytree(world.home, tmp_path / "backup")
    contributions.withdraw(world.db, world.actor, 1, "other")
    assert world.watch(monitor) == ([], 120)
    with closing(World(tmp_path / "backup", world.clock, world.witness, world.secret)) as restored:
        shutil.copytree(tmp_path / "monitor", tmp_path / "other")
        other = restored.monitor("other")
        alarm = expect_alarms(restored, other, "log-shortened")
        assert "the log was restored to an earlier state" in str(alarm)
        assert alarm.evidence["kept.txt"]


def test_a_rollback_with_a_log_that_grew_again_raises_an_alarm(world: World, tmp_path: Path) -> None:
    monitor = new_monitor(world, draft(1), draft(2))
    shutil.copytree(world.home, tmp_path / "backup")
    contributions.withdraw(world.db, world.actor, 1, "other")
    assert world.watch(monitor) == ([], 120)
    with closing(World(tmp_path / "backup", world.clock, world.witness, world.secret)) as restored:
        restored.contribute(*(draft(seed) for seed in range(20, 60)))
        shutil.copytree(tmp_path / "monitor", tmp_path / "other")
        expect_alarms(restored, restored.monitor("other"), "log-rewritten")


def rebuild_log(world: World) -> None:
    """Change an event, and make the whole log consistent again with the database and the signing key."""

    def act(hand: Tamperer) -> None:
        hand.run("DELETE FROM cosignatures")
        hand.run("DELETE FROM checkpoints")
        hand.change(2, "actor", "key:99")
        hand.recompute_tree()

    world.tamper(act)
    (world.home / "checkpoints.txt").unlink()
    checkpoints.keep(world.db, at_once=True)


def test_a_log_rebuilt_with_the_signing_key_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1), draft(2))
    rebuild_log(world)
    alarm = expect_alarms(world, monitor, "log-rewritten")
    assert "keep the evidence" in str(alarm)
    assert alarm.evidence["kept.txt"] != alarm.evidence["checkpoint.txt"]


def test_a_rebuilt_log_raises_an_alarm_in_a_new_monitor_too(world: World) -> None:
    new_monitor(world, draft(1), draft(2))
    rebuild_log(world)
    alarms, seconds = world.watch(world.monitor("new"))
    assert "witness-differs witness w" in kinds(alarms)
    assert seconds <= MAX_SECONDS


def test_a_changed_event_raises_an_alarm_in_a_new_monitor(world: World) -> None:
    new_monitor(world, draft(1), draft(2))
    world.tamper(statement("UPDATE events SET actor = 'key:99' WHERE seq = 2"))
    alarms, _ = world.watch(world.monitor("new"))
    assert kinds(alarms) == ["log-rewritten"]
    assert "event 2 was changed" in str(alarms[0])


def test_a_root_that_the_events_do_not_give_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1), draft(2))
    # With these blocks of the tree, each later root leaves contribution 1 out.
    world.tamper(
        statement("UPDATE set_blocks SET hashes = CAST(zeroblob(64) || substr(hashes, 65) AS BLOB) WHERE level = 0")
    )
    world.contribute(draft(3))
    alarm = expect_alarms(world, monitor, "set-differs")
    assert "contributions 1 differ" in str(alarm)


def test_a_commitment_replaced_by_an_event_raises_an_alarm(world: World) -> None:
    """The operator alters a signal, and lets the service commit to the altered signals."""
    monitor = new_monitor(world, draft(1), draft(2))
    world.tamper(statement("UPDATE signals SET value = randomblob(32) WHERE contribution_id = 1"))
    world.tamper(statement("UPDATE contributions SET salt = NULL, commitment = NULL WHERE id = 1"))
    commitments.commit(world.db)
    alarms, seconds = world.watch(monitor)
    assert {"signals-altered contribution 1", "feed-differs contribution 1"} <= set(kinds(alarms))
    assert "commits to other signals of contribution 1, but no member added any" in str(alarms[0])
    assert seconds <= MAX_SECONDS
    # The alarm remains at the next check.
    assert "feed-differs contribution 1" in kinds(monitor.check())
    (finding,) = verify(world.db, COMMAND_LINE).findings
    assert "has malformed details" in str(finding)


def test_an_old_root_that_is_recorded_repeatedly_raises_an_alarm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest root is recent and correct, but it always covers the state before a withdrawal."""
    monitor = new_monitor(world, draft(1), draft(2))
    contributions.withdraw(world.db, world.actor, 1, "other")
    with world.db.store.read() as tx:
        last = active_set.newest(tx)
    assert last is not None
    monkeypatch.setattr(active_set, "keep", lambda db: None)
    alarms: list[Alarm] = []
    seconds = 0
    while not alarms and seconds < 300:
        with world.db.store.begin() as tx:
            tx.audit.append(world.db.now(), SYSTEM, [LogEntry(Action.SET_COMMITTED, "set", 1, last.details)])
        alarms, elapsed = world.watch(monitor, 40)
        seconds += elapsed
    assert kinds(alarms) == ["set-late"]
    assert seconds <= 120


def test_one_wrong_root_raises_an_alarm_even_if_the_service_fails_then(world: World) -> None:
    monitor = new_monitor(world, draft(1), draft(2))
    details: Details = {"root": bytes(32).hex(), "count": 0, "covers": world.db.store.head().seq}
    with world.db.store.begin() as tx:
        tx.audit.append(world.db.now(), SYSTEM, [LogEntry(Action.SET_COMMITTED, "set", 1, details)])
        tx.audit.append(
            world.db.now(), SYSTEM, [LogEntry(Action.SET_COMMITTED, "set", 1, _correct_root(world, details))]
        )
    world.transport.forge = lambda path, _: b"{}" if path == "/v1/proofs/consistency" else None
    assert [alarm.kind for alarm in monitor.check()] == [AlarmKind.SET_DIFFERS]


def _correct_root(world: World, details: Details) -> Details:
    """The details of the correct root, given those of a wrong one."""
    with world.db.store.read() as tx:
        state = tx.active_set.state()
    return {**details, "root": state.root.hex(), "count": state.count}


def test_a_feed_that_ends_before_the_log_raises_an_alarm(world: World) -> None:
    monitor = new_monitor(world, draft(1))
    (end,) = world.client.stream(monitor._tables.number("feed_seq"))
    frozen = json.dumps({"checkpoint": end.checkpoint, "more": False, "epoch": end.epoch}).encode() + b"\n"
    world.transport.forge = lambda path, _: frozen if path == "/v1/changes" else None
    world.contribute(draft(2))
    alarm = expect_alarms(world, monitor, "feed-differs")
    assert "the feed ends at event" in str(alarm)


def test_a_list_whose_pages_repeat_is_an_error(world: World) -> None:
    """The last page leads to the first page again, so a reader never comes to the altered contribution."""
    monitor = new_monitor(world, *(draft(seed) for seed in range(1, 6)))
    assert monitor.check(whole=True) == []
    world.tamper(statement("UPDATE signals SET value = randomblob(32) WHERE contribution_id = 5"))

    def forge(path: str, content: bytes) -> bytes | None:
        if path != "/v1/contributions":
            return None
        page = json.loads(content)
        page["contributions"] = [item for item in page["contributions"] if item["id"] <= 2]
        return json.dumps(page | {"next": 0}).encode()

    world.transport.forge = forge
    with pytest.raises(ServiceError):
        monitor.check(whole=True)
