"""Witnessing: an invalid checkpoint of a service or a witness raises an alarm or is ignored. It causes no failure."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.connection import read_text
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.monitor.tables import MonitorTables
from hashdb.monitor.witnessing import FirstSeen
from tests.builders import NOON, draft
from tests.monitor.conftest import World, kinds


def test_the_time_when_an_event_was_first_seen_is_stored(tmp_path: Path) -> None:
    tables = MonitorTables(tmp_path / "monitor.sqlite")
    seen = FirstSeen(tables, "seen")
    for minute, size in enumerate((3, 3, 7, 9)):
        seen.note(size, NOON + timedelta(minutes=minute))
    reopened = FirstSeen(tables, "seen")
    assert reopened.time_first_above(9) is None
    assert [FirstSeen(tables, "seen").time_first_above(size) for size in (0, 2, 3, 6, 7)] == [
        NOON + timedelta(minutes=minute) for minute in (0, 0, 2, 2, 3)
    ]
    tables.close()


@pytest.mark.parametrize("note", ["", "no note", "log.example/1\n3\nAAAA\n", "\n\n", "a\n\n\u2014 b c\n"])
def test_an_invalid_checkpoint_of_a_witness_is_ignored(world: World, note: str) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    world.witness.note = note
    assert world.watch(monitor)[0] == []


def test_a_checkpoint_that_the_witness_did_not_cosign_is_ignored(world: World) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    other = Cosigner.new("witness.example")
    body = f"log.example/1\n{world.witness.size + 9}\n{'A' * 43}=\n"
    world.witness.note = f"{body}\n{other.cosign(body, 1)}"
    assert monitor.check() == []


@pytest.mark.parametrize("note", [b"", b"no note", b"log.example/1\n3\nAAAA\n\n\xe2\x80\x94 w AAAA\n"])
def test_an_invalid_cosigned_checkpoint_of_the_service_raises_an_alarm(world: World, note: bytes) -> None:
    monitor = world.monitor()
    world.contribute(draft(1))
    assert world.watch(monitor)[0] == []
    world.transport.forge = lambda path, _: note if path == "/v1/checkpoint/cosigned" else None
    world.contribute(draft(2))
    alarms, seconds = world.watch(monitor, 240)
    assert kinds(alarms) == ["not-witnessed"]
    assert seconds <= 120


def test_an_unreachable_witness_is_ignored(world: World) -> None:
    assert read_text("http://127.0.0.1:1/none", 1.0) is None
    assert read_text("no address", 1.0) is None
    monitor = world.monitor()
    world.contribute(draft(1))
    world.witness.serves = False
    assert world.watch(monitor)[0] == []
