"""Every column of every table: a forged value is found by verification, or docs/audit.md says why it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, Table, TypeDecorator, text

from hashdb.domain.members import COMMAND_LINE
from hashdb.service.verification import verify
from hashdb.store.tables import Day, Instant, Json, metadata
from tests import schemas
from tests.conftest import BOTH
from tests.service.scenes import FullScene

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
HOW = f"""say so in one line of the table "Column by column" of {PAGE.name}:
in the row of its table, add it to the second cell if verification finds a forged value (what events tell is in
hashdb/domain/records.py, the rows are read in hashdb/store/records.py), else to the third with `column`: the reason."""
ADDED, REMOVED = "rows added", "rows removed"
UNLIKE = {"counts"}
"""Tables of which each row is tried: more is found of some than of others."""
SET = "whether it is set"
"""What may follow the name of a column of which only that is found."""


class Listed(NamedTuple):
    """What the page says of a table."""

    found: frozenset[str]
    set_only: frozenset[str]
    not_found: frozenset[str]


def _listed() -> dict[str, Listed]:
    section = PAGE.read_text("utf-8").partition("### Column by column\n")[2].partition("\n#")[0]
    listed = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            table, found, not_found = (cell.strip() for cell in line[1:-1].split("|"))
            listed[table.strip("` ")] = Listed(
                _names(found), frozenset(re.findall(rf"`(\w+)` \({SET}\)", found)), _names(not_found)
            )
    return listed


def _names(cell: str) -> frozenset[str]:
    return frozenset(column or rows for column, rows in re.findall(rf"`(\w+)`|({ADDED}|{REMOVED})", cell))


LISTED = _listed()
COLUMNS = [(table, name) for table in metadata.sorted_tables for name in (*table.columns.keys(), ADDED, REMOVED)]
NOT_LISTED = Listed(frozenset(), frozenset(), frozenset())


@pytest.fixture(scope="module", params=BOTH)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullScene]:
    folder = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{folder / 'hashdb.sqlite'}"
            schemas.make(url)
        else:
            server = request.getfixturevalue("postgres")
            url = stack.enter_context(server.new_database(request.getfixturevalue("postgres_template")))
        made = FullScene(url, folder)
        stack.callback(made.close)
        yield made


def test_every_table_of_the_scene_has_a_row_and_nothing_is_found(scene: FullScene) -> None:
    with scene.engine.connect() as connection:
        empty = [table.name for table in metadata.sorted_tables if not _rows(connection, table)]
    assert not empty, f"let tests/service/scenes.py add a row to {', '.join(empty)}"
    assert verify(scene.db, COMMAND_LINE).findings == ()


def test_the_page_lists_what_there_is() -> None:
    there = {table.name: {*table.columns.keys(), ADDED, REMOVED} for table in metadata.sorted_tables}
    named = {table: listed.found | listed.not_found for table, listed in LISTED.items()}
    assert named == there, HOW


@pytest.mark.parametrize("name", LISTED)
def test_what_is_not_found_has_a_reason(name: str) -> None:
    listed = LISTED[name]
    assert listed.found & listed.not_found <= listed.set_only
    (line,) = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` | ")]
    reasons = line[1:-1].split("|")[2]
    for said in reasons.split("; ") if listed.not_found else []:
        assert len(said.partition(": ")[2].split()) >= 3, f"{name}: no reason in {said!r}"


@pytest.mark.parametrize(("table", "name"), COLUMNS, ids=[f"{table.name}.{name}" for table, name in COLUMNS])
def test_a_forged_value_is_found_or_the_page_says_why_it_is_not(scene: FullScene, table: Table, name: str) -> None:
    listed = LISTED.get(table.name, NOT_LISTED)
    if not scene.db.store.embedded and name not in listed.found:
        return  # What is not found is tried on SQLite.
    with scene.engine.connect() as connection:
        rows = _rows(connection, table)
    tried = {}
    for row in rows if table.name in UNLIKE else _telling(rows, name):
        for what, forged in _forgeries(table, name, row).items():
            if what == SET or name not in listed.set_only:
                before = None if name == ADDED else row
                tried[f"{what}, of {_where(table, row)}"] = _findings(scene, table, before, forged)
    unseen = [what for what, findings in tried.items() if not findings]
    if name in listed.found:
        assert not unseen, f"{table.name}.{name} is listed as found, and verification does not find it: {unseen}"
    else:
        assert unseen, f"{table.name}.{name} is found by now: {HOW}"


Row = Mapping[str, Any]


def _forgeries(table: Table, name: str, row: Row) -> dict[str, Row | None]:
    """What somebody may make of a row, by what was done: the row as it is then (None: it is gone)."""
    if name == REMOVED:
        return {"removed": None}
    if name == ADDED:
        *_, key = table.primary_key
        changed = {
            one.name: _forged(one, row[one.name]) for one in (key, *(one for one in table.columns if one.unique))
        }
        return {"added": {**row, **changed}}
    column = table.columns[name]
    made: dict[str, Row | None] = {
        "a value" if row[name] is not None else SET: {**row, name: _forged(column, row[name])}
    }
    if column.nullable and row[name] is not None:
        made[SET] = {**row, name: None}
    return made


def _forged(column: Column[Any], value: Any) -> Any:
    """Another value of the column's type."""
    kind = column.type
    if isinstance(kind, Boolean):
        return not value
    if isinstance(kind, Day):
        return "2026-11-19"
    if isinstance(kind, Json):
        return re.sub(r"\d+", lambda found: str(int(found[0]) + 1_000), value or "") if _has_digit(value) else '{"a":1}'
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(kind, Instant):
        return 1_763_640_000_000_000 if value is None else value + 3_600_000_000
    if isinstance(plain, Integer):
        return 1 if value is None else value + 1_000
    if isinstance(plain, LargeBinary):
        return bytes(32) if not value or value == bytes(32) else bytes([value[0] ^ 1]) + bytes(value[1:])
    return "x" if value != "x" else "y"


def _has_digit(value: object) -> bool:
    return isinstance(value, str) and any(map(str.isdigit, value))


def _rows(connection: Connection, table: Table) -> Sequence[Row]:
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    rows = connection.execute(text(f'SELECT * FROM "{table.name}" ORDER BY {keys}'))
    return [dict(row) for row in rows.mappings()]


def _telling(rows: Sequence[Row], name: str) -> Sequence[Row]:
    """The first row and the last; of a column, the first that has no value and the last that has one."""
    values = [row for row in rows if row.get(name, 0) is not None]
    empty = [row for row in rows if row.get(name, 0) is None]
    return [*(empty[:1] or values[:1]), *(values[-1:] or empty[-1:])]


def _where(table: Table, row: Row) -> str:
    return " ".join(str(row[column.name]) for column in table.primary_key)


def _findings(scene: FullScene, table: Table, before: Row | None, forged: Row | None) -> list[str]:
    """What verification finds once a row was forged, which is undone."""
    with scene.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # No foreign key is in the way of who forges.
            connection.execute(text("SET session_replication_role = replica"))
        _replace(connection, table, before, forged)
        try:
            return list(map(str, verify(scene.db, COMMAND_LINE).findings))
        finally:
            _replace(connection, table, forged, before)


def _replace(connection: Connection, table: Table, before: Row | None, after: Row | None) -> None:
    """Put a row in the place of another one; None is none."""
    if before is not None:
        keys = [column.name for column in table.primary_key]
        where = " AND ".join(f'"{key}" = :{key}' for key in keys)
        connection.execute(text(f'DELETE FROM "{table.name}" WHERE {where}'), {key: before[key] for key in keys})
    if after is not None:
        names = ", ".join(f'"{name}"' for name in after)
        values = ", ".join(f":{name}" for name in after)
        connection.execute(text(f'INSERT INTO "{table.name}" ({names}) VALUES ({values})'), dict(after))
    connection.commit()
