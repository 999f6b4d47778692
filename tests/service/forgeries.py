"""Forge every column of a database, and read from docs/audit.md which forgeries verification finds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, Connection, Engine, Integer, LargeBinary, Table, TypeDecorator, text

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.service import HashDB
from hashdb.service.ledger.verification import verify
from hashdb.store.columns import DayColumn, InstantColumn, JsonColumn
from hashdb.store.tables import metadata

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
ADDED, REMOVED = "rows added", "rows removed"
SET_ONLY = "whether it is set"
"""The remark behind a column of which verification finds only whether it has a value."""


class Listed(NamedTuple):
    """The columns of a table by what the page says of them."""

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
                _names(found), frozenset(re.findall(rf"`(\w+)` \({SET_ONLY}\)", found)), _names(not_found)
            )
    return listed


def _names(cell: str) -> frozenset[str]:
    return frozenset(column or rows for column, rows in re.findall(rf"`(\w+)`|({ADDED}|{REMOVED})", cell))


LISTED = _listed()
COLUMNS = [(table, name) for table in metadata.sorted_tables for name in (*table.columns.keys(), ADDED, REMOVED)]
NOT_LISTED = Listed(frozenset(), frozenset(), frozenset())
Row = Mapping[str, Any]


def forgeries(table: Table, name: str, row: Row) -> dict[str, Row | None]:
    """The possible forgeries of a row by their description: each is the forged row, or None if the row is deleted."""
    if name == REMOVED:
        return {"removed": None}
    if name == ADDED:
        *_, key = table.primary_key
        unique = (key, *(column for column in table.columns if column.unique), *_in_unique_indexes(table))
        changed = {column.name: _forged(column, row[column.name]) for column in unique}
        return {"added": {**row, **changed}}
    column = table.columns[name]
    forged: dict[str, Row | None] = {
        "a value" if row[name] is not None else SET_ONLY: {**row, name: _forged(column, row[name])}
    }
    if column.nullable and row[name] is not None:
        forged[SET_ONLY] = {**row, name: None}
    return forged


def _in_unique_indexes(table: Table) -> Iterator[Column[Any]]:
    return (column for index in table.indexes if index.unique for column in index.columns)


def _forged(column: Column[Any], value: Any) -> Any:
    """Another value of the column's type."""
    kind = column.type
    if isinstance(kind, Boolean):
        return not value
    if isinstance(kind, DayColumn):
        return "2026-11-19"
    if isinstance(kind, JsonColumn):
        return re.sub(r"\d+", lambda digits: str(int(digits[0]) + 1_000), value) if _has_digit(value) else '{"a":1}'
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(kind, InstantColumn):
        return 1_763_640_000_000_000 if value is None else value + 3_600_000_000
    if isinstance(plain, Integer):
        return 1 if value is None else value + 1_000
    if isinstance(plain, LargeBinary):
        return bytes(32) if not value or value == bytes(32) else bytes([value[0] ^ 1]) + bytes(value[1:])
    return "x" if value != "x" else "y"


def _has_digit(value: object) -> bool:
    return isinstance(value, str) and any(map(str.isdigit, value))


def read_rows(connection: Connection, table: Table) -> Sequence[Row]:
    """All rows of a table in the order of its primary key."""
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    rows = connection.execute(text(f'SELECT * FROM "{table.name}" ORDER BY {keys}'))
    return [dict(row) for row in rows.mappings()]


def sample_rows(rows: Sequence[Row], name: str) -> Sequence[Row]:
    """Two rows to forge: for a column, the first without a value and the last with one; else the first and the last."""
    values = [row for row in rows if row.get(name, 0) is not None]
    empty = [row for row in rows if row.get(name, 0) is None]
    return [*(empty[:1] or values[:1]), *(values[-1:] or empty[-1:])]


def key_text(table: Table, row: Row) -> str:
    """The primary key of a row, for messages."""
    return " ".join(str(row[column.name]) for column in table.primary_key)


def findings(db: HashDB, engine: Engine, table: Table, before: Row | None, forged: Row | None) -> list[str]:
    """Forge a row, return what verification finds, and undo the forgery."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # Let the forger ignore foreign keys.
            connection.execute(text("SET session_replication_role = replica"))
        _replace(connection, table, before, forged)
        try:
            return list(map(str, verify(db, COMMAND_LINE, signals=True).findings))
        finally:
            _replace(connection, table, forged, before)


def _replace(connection: Connection, table: Table, before: Row | None, after: Row | None) -> None:
    """Replace a row. Without `before`, only insert; without `after`, only delete."""
    if before is not None:
        keys = [column.name for column in table.primary_key]
        condition = " AND ".join(f'"{key}" = :{key}' for key in keys)
        connection.execute(text(f'DELETE FROM "{table.name}" WHERE {condition}'), {key: before[key] for key in keys})
    if after is not None:
        names = ", ".join(f'"{name}"' for name in after)
        values = ", ".join(f":{name}" for name in after)
        connection.execute(text(f'INSERT INTO "{table.name}" ({names}) VALUES ({values})'), dict(after))
    connection.commit()
