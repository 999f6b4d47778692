"""Rereading: a difference counts only after later events are known, because its event may not be logged yet."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from hashdb.domain.contributions import Amendment
from hashdb.monitor.alarms import Alarm, AlarmKind
from hashdb.service.contributions import contributions
from tests.builders import draft
from tests.monitor.conftest import World, kinds


def test_an_expiry_that_is_logged_a_minute_later_raises_no_alarm(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1, expires_at=world.clock() + timedelta(seconds=130)))
    assert world.watch(monitor)[0] == []
    world.logs_changes = False
    assert world.watch(monitor, 50)[0] == []
    world.logs_changes = True
    assert world.watch(monitor)[0] == []
    assert monitor.state.count == 0


def test_an_expiry_that_is_never_logged_raises_an_alarm(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    world.logs_changes = False
    world.tamper(lambda hand: hand.run("UPDATE contributions SET expires_at = 1"))
    alarms, seconds = world.watch(monitor, 150)
    assert kinds(alarms) == ["contribution-altered contribution 1"]
    assert "contribution 1 is expired at the service, and active by the log" in str(alarms[0])
    assert 60 < seconds <= 120


def test_a_change_that_is_undone_before_it_is_logged_raises_no_alarm(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1, expires_at=world.clock() + timedelta(seconds=130)))
    assert world.watch(monitor)[0] == []
    world.logs_changes = False
    world.advance(30)
    assert monitor.check() == [] and not monitor.is_settled
    # As if an incident kept the contribution for longer.
    world.tamper(lambda hand: hand.run("UPDATE contributions SET expires_at = NULL"))
    world.advance(120)
    assert monitor.check() == [] and monitor.is_settled


def test_a_contribution_that_changes_between_two_reads_is_read_again(world: World) -> None:
    monitor = world.monitor()
    (first,) = world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    # The monitor reads the list after the withdrawal, but replays only the events before it.
    world.advance(30)
    old_checkpoint = world.client.checkpoint()
    contributions.withdraw(world.db, world.actor, first.id, "other")
    world.contribute(draft(2))
    world.transport.forge = lambda path, _: old_checkpoint.encode() if path == "/v1/checkpoint" else None
    monitor.check()
    assert not monitor.is_settled
    world.transport.forge = None
    assert monitor.check() == []
    assert monitor.check() == []
    assert monitor.is_settled


def test_a_suspected_difference_stays_open_while_the_service_fails(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    world.tamper(lambda hand: hand.run("UPDATE contributions SET expires_at = 1"))
    world.logs_changes = False
    world.advance(30)
    assert monitor.check() == []
    world.transport.forge = lambda path, _: b"{}" if path == "/v1/contributions/1" else None
    assert monitor.check() == []
    assert not monitor.is_settled


def test_events_at_each_check_do_not_hide_an_altered_signal(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1), draft(2))
    assert world.watch(monitor)[0] == []
    world.tamper(lambda hand: hand.run("UPDATE signals SET value = randomblob(32) WHERE contribution_id = 1"))
    alarms: list[Alarm] = []
    seconds = 0
    while not alarms and seconds < 120:
        contributions.amend(world.db, world.actor, 1, Amendment(severity=1 + seconds // 10 % 2))
        alarms = [alarm for alarm in world.watch(monitor, 10)[0] if alarm.kind is AlarmKind.SIGNALS_ALTERED]
        # This test is about the list of contributions. The feed shows the change at once.
        alarms = [alarm for alarm in alarms if "log.json" in alarm.evidence]
        seconds += 10
    assert kinds(alarms) == ["signals-altered contribution 1"]
    assert seconds <= 70


def test_very_many_altered_contributions_are_judged_some_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a check would last as long as reading each of them again, and end without an alarm."""
    monkeypatch.setattr("hashdb.monitor.rereading._ROWS_A_PAGE", 2)
    monkeypatch.setattr("hashdb.monitor.rereading._MOST_SUSPECTS", 3)
    monitor = world.monitor()
    world.contribute(*(draft(seed) for seed in range(20)))
    assert world.watch(monitor)[0] == []
    world.tamper(lambda hand: hand.run("UPDATE contributions SET standing = 'retired'"))
    read = list[str]()
    world.transport.forge = lambda path, _: read.append(path)
    alarms, _ = world.watch(monitor)
    assert kinds(alarms) == [f"contribution-altered contribution {id}" for id in range(1, 4)]
    assert monitor.check()
    assert len([path for path in read if re.fullmatch("/v1/contributions/[0-9]+", path)]) == 6


def test_a_round_continues_where_it_stopped(world: World) -> None:
    world.contribute(*(draft(seed) for seed in range(1_000)))
    world.contribute(*(draft(seed) for seed in range(1_000, 1_300)))
    monitor = world.monitor(reading_seconds=0.0, round_period=timedelta(seconds=10))
    assert monitor.check() == []
    assert monitor.state.clean_round_began is None
    world.tamper(lambda hand: hand.run("UPDATE contributions SET standing = 'retired' WHERE id = 1200"))
    assert world.watch(monitor)[0][0].subject == "contribution 1200"
