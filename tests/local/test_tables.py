"""The tables of a copy."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import MOST_SHOTS_OF_SIGNAL, Extent, Unit
from hashdb.domain.matching.aligners import ShotTimes
from hashdb.domain.sharing.feed import CopiedContribution, CopiedShot, FeedStep, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.local.tables import CopyTables, transaction
from tests.builders import NOON, signal
from tests.local.conftest import Service


@pytest.fixture
def tables(service: Service, tmp_path: Path) -> CopyTables:
    tables = CopyTables(tmp_path / "copy.sqlite")
    tables.create("epoch", service.client.me(), NOON)
    return tables


def contribution(id: int, expires_at: datetime | None = None) -> CopiedContribution:
    """A contribution as the feed has it. Its id is the seed of its signals."""
    signals = tuple((signal_.algorithm, signal_.to_bytes()) for signal_ in (signal(id), signal(id, Algorithm.PHASH)))
    return CopiedContribution(id, 1, signals, ("glorification",), None, Standing.UNREVIEWED, (), NOON, NOON, expires_at)


def test_a_change_that_is_stored_twice_has_one_row(tables: CopyTables) -> None:
    change = FeedStep(5, contribution(1))
    for _ in range(2):
        tables.store([change, change], 5, NOON)
    assert tables.count() == 1
    assert len(tables.holders([signal(1)], NOON)) == 1
    assert {name: len(values) for name, values in tables.added_values(4).items()} == {"pdq": 1, "phash": 1}
    assert tables.added_values(5) == {}
    tables.close()


def test_a_withdrawn_contribution_is_deleted_with_its_signals(tables: CopyTables) -> None:
    first, second = contribution(1), contribution(2)
    tables.store([FeedStep(5, first), FeedStep(6, second)], 6, NOON)
    tables.store([FeedStep(7, Gone(first.id, "withdrawn"))], 7, None)
    assert tables.holders([signal(1)], NOON) == []
    assert tables.all_values(Algorithm.PDQ) == signal(2).to_bytes()
    assert (tables.state().seq, tables.state().at) == (7, NOON)
    tables.close()


def test_an_expired_contribution_is_not_returned_as_a_holder(tables: CopyTables) -> None:
    tables.store([FeedStep(5, contribution(1, NOON + timedelta(hours=1)))], 5, NOON)
    assert tables.holders([signal(1)], NOON)
    assert tables.holders([signal(1)], NOON + timedelta(hours=1)) == []
    tables.close()


def test_only_the_first_times_of_a_repeated_signal_are_read(tables: CopyTables) -> None:
    loop = contribution(1)._replace(duration=600.0)
    shots = tuple(CopiedShot(float(at), float(at), loop.signals[:1]) for at in range(MOST_SHOTS_OF_SIGNAL + 9))
    tables.store([FeedStep(5, loop._replace(shots=shots))], 5, NOON)
    times = tables.times({1: {signal(1)}})[1, signal(1)]
    assert times == tuple(ShotTimes(at, at) for at in range(MOST_SHOTS_OF_SIGNAL))
    tables.close()


def test_changes_are_stored_all_together_or_not_at_all(tables: CopyTables) -> None:
    broken = [FeedStep(5, contribution(1)), FeedStep("six", contribution(2))]  # type: ignore[arg-type]
    tables._connection.execute("CREATE TRIGGER no BEFORE UPDATE ON state BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        tables.store(broken, 6, NOON)
    assert (tables.count(), tables.head().seq) == (0, 0)
    tables.close()


def test_a_full_disk_is_the_error_of_a_transaction(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE things (octets BLOB)")
        connection.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError, match="full"), transaction(connection):
            connection.execute("INSERT INTO things VALUES (zeroblob(100000))")
        assert not connection.in_transaction


def test_a_forked_process_has_its_own_connection(tables: CopyTables) -> None:
    tables.store([FeedStep(5, contribution(1))], 5, NOON)
    child = os.fork()
    if child == 0:
        os._exit(0 if tables.count() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tables.count() == 1
    tables.close()


def test_the_share_of_a_value_is_counted_in_the_unit_of_its_frames(tables: CopyTables) -> None:
    def octets(signal_: Signal) -> tuple[Algorithm, bytes]:
        return signal_.algorithm, signal_.to_bytes()

    window, page, still = Signal(Algorithm.SIMHASH256, 7), signal(5), signal(6)
    listed = contribution(1)._replace(
        pages=4,
        words=600,
        shots=(
            CopiedShot(2, 2, (octets(page),), Unit.PAGES),
            CopiedShot(3, 3, (octets(page),), Unit.PAGES),
            CopiedShot(50, 200, (octets(window),), Unit.WORDS),
        ),
    )
    film = contribution(2)._replace(duration=10.0, shots=(CopiedShot(2.0, 3.0, (octets(still),)),))
    tables.store([FeedStep(5, listed), FeedStep(6, film)], 6, NOON)
    shares = tables.shares(0, 6)
    assert shares[Algorithm.SIMHASH256] == {window.to_bytes(): 0.25}
    # A single page is enough for a match, like a picture.
    pdq_shares = {page.to_bytes(): 1.0, still.to_bytes(): 0.2, signal(1).to_bytes(): 1.0, signal(2).to_bytes(): 1.0}
    assert shares[Algorithm.PDQ] == pdq_shares
    (page_holder,) = tables.holders([page], NOON)
    assert page_holder.extent == Extent(None, 4, 600)
    assert [(shot.unit, shot.start, shot.end) for shot in tables.shots(1)] == [
        (Unit.PAGES, 2, 2),
        (Unit.PAGES, 3, 3),
        (Unit.WORDS, 50, 200),
    ]
    tables.close()
