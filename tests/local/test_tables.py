"""The tables of a copy."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.domain.changes import Change, Gone
from hashdb.domain.contributions import Contribution
from hashdb.domain.signals import Algorithm
from hashdb.local.tables import Tables
from tests.builders import NOON, contributed, draft, signal
from tests.local.conftest import Service


@pytest.fixture
def tables(service: Service, tmp_path: Path) -> Tables:
    made = Tables(tmp_path / "copy.sqlite")
    made.make("epoch", service.client.me(), NOON)
    return made


def one(service: Service, seed: int, **said: object) -> Contribution:
    (made,) = contributed(service.db, service.actor, draft(seed, signal(seed, Algorithm.PHASH), **said))
    return made


def test_what_is_taken_in_twice_is_there_once(service: Service, tables: Tables) -> None:
    change = Change(5, one(service, 1))
    for _ in range(2):
        tables.take([change, change], 5, NOON)
    assert tables.count() == 1
    assert len(tables.holders([signal(1)], NOON)) == 1
    assert {name: len(values) for name, values in tables.added(4).items()} == {"pdq": 1, "phash": 1}
    assert tables.added(5) == {}
    tables.close()


def test_what_is_gone_is_gone_with_its_signals(service: Service, tables: Tables) -> None:
    first, second = one(service, 1), one(service, 2)
    tables.take([Change(5, first), Change(6, second)], 6, NOON)
    tables.take([Change(7, Gone(first.id, "withdrawn"))], 7, None)
    assert tables.holders([signal(1)], NOON) == []
    assert tables.every(Algorithm.PDQ) == signal(2).to_bytes()
    assert (tables.state().cursor, tables.state().at) == (7, NOON)
    tables.close()


def test_what_has_expired_is_held_by_none(service: Service, tables: Tables) -> None:
    tables.take([Change(5, one(service, 1, expires_at=NOON + timedelta(hours=1)))], 5, NOON)
    assert tables.holders([signal(1)], NOON)
    assert tables.holders([signal(1)], NOON + timedelta(hours=1)) == []
    tables.close()


def test_either_all_of_some_changes_is_taken_in_or_nothing(service: Service, tables: Tables) -> None:
    broken = [Change(5, one(service, 1)), Change("six", one(service, 2))]  # type: ignore[arg-type]
    tables._connection.execute("CREATE TRIGGER no BEFORE UPDATE ON state BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        tables.take(broken, 6, NOON)
    assert (tables.count(), tables.cursor()) == (0, 0)
    tables.close()


def test_a_fork_has_a_connection_of_its_own(service: Service, tables: Tables) -> None:
    tables.take([Change(5, one(service, 1))], 5, NOON)
    child = os.fork()
    if child == 0:
        os._exit(0 if tables.count() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tables.count() == 1
    tables.close()
