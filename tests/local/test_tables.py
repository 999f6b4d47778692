"""The tables of a copy."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import MOST_TIMES
from hashdb.domain.matching.videos import ShotTimes
from hashdb.domain.sharing.feed import CopiedContribution, CopiedShot, FeedStep, Gone
from hashdb.domain.signals import Algorithm
from hashdb.local.tables import CopyTables
from tests.builders import NOON, signal
from tests.local.conftest import Service


@pytest.fixture
def tables(service: Service, tmp_path: Path) -> CopyTables:
    made = CopyTables(tmp_path / "copy.sqlite")
    made.create("epoch", service.client.me(), NOON)
    return made


def one(id: int, expires_at: datetime | None = None) -> CopiedContribution:
    """As it comes from the feed; its number is the seed of its signals."""
    signals = tuple((of.algorithm, of.to_bytes()) for of in (signal(id), signal(id, Algorithm.PHASH)))
    return CopiedContribution(id, 1, signals, ("glorification",), None, Standing.UNREVIEWED, (), NOON, NOON, expires_at)


def test_what_is_taken_in_twice_is_there_once(tables: CopyTables) -> None:
    change = FeedStep(5, one(1))
    for _ in range(2):
        tables.store([change, change], 5, NOON)
    assert tables.count() == 1
    assert len(tables.holders([signal(1)], NOON)) == 1
    assert {name: len(values) for name, values in tables.added(4).items()} == {"pdq": 1, "phash": 1}
    assert tables.added(5) == {}
    tables.close()


def test_what_is_gone_is_gone_with_its_signals(tables: CopyTables) -> None:
    first, second = one(1), one(2)
    tables.store([FeedStep(5, first), FeedStep(6, second)], 6, NOON)
    tables.store([FeedStep(7, Gone(first.id, "withdrawn"))], 7, None)
    assert tables.holders([signal(1)], NOON) == []
    assert tables.every(Algorithm.PDQ) == signal(2).to_bytes()
    assert (tables.state().seq, tables.state().at) == (7, NOON)
    tables.close()


def test_what_has_expired_is_held_by_none(tables: CopyTables) -> None:
    tables.store([FeedStep(5, one(1, NOON + timedelta(hours=1)))], 5, NOON)
    assert tables.holders([signal(1)], NOON)
    assert tables.holders([signal(1)], NOON + timedelta(hours=1)) == []
    tables.close()


def test_of_a_loop_the_first_times_are_read(tables: CopyTables) -> None:
    loop = one(1)._replace(duration=600.0)
    shots = tuple(CopiedShot(float(at), float(at), loop.signals[:1]) for at in range(MOST_TIMES + 9))
    tables.store([FeedStep(5, loop._replace(shots=shots))], 5, NOON)
    times = tables.times({1: {signal(1)}})[1, signal(1)]
    assert times == tuple(ShotTimes(at, at) for at in range(MOST_TIMES))
    tables.close()


def test_either_all_of_some_changes_is_taken_in_or_nothing(tables: CopyTables) -> None:
    broken = [FeedStep(5, one(1)), FeedStep("six", one(2))]  # type: ignore[arg-type]
    tables._connection.execute("CREATE TRIGGER no BEFORE UPDATE ON state BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        tables.store(broken, 6, NOON)
    assert (tables.count(), tables.head().seq) == (0, 0)
    tables.close()


def test_a_fork_has_a_connection_of_its_own(tables: CopyTables) -> None:
    tables.store([FeedStep(5, one(1))], 5, NOON)
    child = os.fork()
    if child == 0:
        os._exit(0 if tables.count() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tables.count() == 1
    tables.close()
