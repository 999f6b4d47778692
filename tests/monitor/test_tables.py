"""The tables of a monitor: states of contributions, contents of the feed, and the tree over the active set."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger import active_set
from hashdb.domain.ledger.active_set import EMPTY_BLOCK, EMPTY_HASH
from hashdb.domain.ledger.events import ContributionState
from hashdb.monitor.tables import Leaf, MonitorTables, Row

ACTIVE = ContributionState(Status.ACTIVE)
RETIRED = ContributionState(Status.ACTIVE, Standing.RETIRED)


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[MonitorTables]:
    tables = MonitorTables(tmp_path / "monitor.sqlite")
    yield tables
    tables.close()


def row(id: int, seq: int, state: ContributionState = ACTIVE) -> Row:
    return Row(id, seq, state, bytes([id % 256]) * 32)


def test_only_the_owner_can_read_the_file_and_it_keeps_the_values(tmp_path: Path) -> None:
    path = tmp_path / "monitor.sqlite"
    tables = MonitorTables(path)
    with tables.writing():
        tables.put(size=7, note="a note", edge=b"\x01")
        tables.store([row(1, 3), row(2, 4, RETIRED)])
    tables.close()
    reopened = MonitorTables(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (reopened.number("size"), reopened.text("note"), reopened.octets("edge")) == (7, "a note", b"\x01")
    assert (reopened.number("note"), reopened.text("none"), reopened.octets("none")) == (0, "", b"")
    assert reopened.rows([1, 2, 3]) == {1: row(1, 3), 2: row(2, 4, RETIRED)}
    assert reopened.between(1, None) == {2: row(2, 4, RETIRED)}
    assert reopened.between(0, 1) == {1: row(1, 3)}
    reopened.close()


def test_a_file_of_another_version_or_kind_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "monitor.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="from another version"):
        MonitorTables(path)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        MonitorTables(path)


def test_a_write_that_fails_midway_stores_nothing(tables: MonitorTables) -> None:
    with pytest.raises(ValueError, match="midway"), tables.writing():
        tables.put(size=7)
        raise ValueError("midway")
    assert tables.number("size") == 0


def test_the_feed_is_compared_with_the_log(tables: MonitorTables) -> None:
    rows = [row(1, 3), row(2, 4), row(3, 5, RETIRED), row(4, 6, RETIRED), row(5, 7)]
    with tables.writing():
        tables.store(rows)
        shown_row = rows[0].leaf, 0
        tables.show({1: shown_row, 2: (None, 0), 3: (None, 0), 4: shown_row, 9: shown_row})
    assert tables.unlike(6) == [(9, False, True), (2, True, False), (4, False, True)]
    assert tables.unlike(3) == [(9, False, True)]
    with tables.writing():
        tables.forget_shown()
    assert [id for id, *_ in tables.unlike(99)] == [1, 2, 5]


def test_the_tree_advances_exactly_to_an_event(tables: MonitorTables) -> None:
    leaves = {id: active_set.leaf(id, "unreviewed", None) for id in (1, 300, 70_000)}
    assert tables.advance_to(99) == (EMPTY_HASH, 0)
    with tables.writing():
        later = [(5, 1, leaves[1]), (6, 300, leaves[300]), (7, 1, EMPTY_HASH), (9, 70_000, leaves[70_000])]
        tables.postpone([Leaf(seq, id, leaf) for seq, id, leaf in later])
    assert tables.first_pending() == 5
    for seq, ids in ((5, {1}), (6, {1, 300}), (7, {300}), (8, {300}), (9, {300, 70_000})):
        expected = active_set.update(lambda *_: EMPTY_BLOCK, {id: leaves[id] for id in ids})[1]
        with tables.writing():
            assert tables.advance_to(seq) == (expected, len(ids)), seq
    assert tables.first_pending() is None


def test_contributions_without_a_commitment_are_counted(tables: MonitorTables) -> None:
    with tables.writing():
        tables.store([row(1, 3), Row(2, 4, ACTIVE, None), Row(3, 5, RETIRED, None)])
    assert tables.uncommitted() == 1
