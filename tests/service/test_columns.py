"""Every column of every table: verification finds a forged value, or docs/audit.md says why it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Table

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.service.ledger.verification import verify
from hashdb.store.tables import metadata
from tests import schemas
from tests.conftest import BOTH
from tests.service.forgeries import (
    ADDED,
    COLUMNS,
    LISTED,
    NOT_LISTED,
    PAGE,
    REMOVED,
    SET_ONLY,
    findings,
    forgeries,
    key_text,
    read_rows,
    sample_rows,
)
from tests.service.scenes import FullScene

HOW_TO_DOCUMENT = f"""document the column in the table "Column by column" of {PAGE.name}.
If verification finds a forged value, add the column to the second cell of the row of its table.
Else, add it to the third cell, as `column`: the reason.
hashdb/domain/ledger/records.py derives the expected records from events, and
hashdb/store/ledger/records.py reads the rows."""
FORGED_WHOLE = {"counts"}
"""Tables of which every row is forged, because verification finds more in some rows than in others."""


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
        scene = FullScene(url, folder)
        stack.callback(scene.close)
        yield scene


def test_every_table_of_the_scene_has_a_row_and_verification_finds_nothing(scene: FullScene) -> None:
    with scene.engine.connect() as connection:
        empty = [table.name for table in metadata.sorted_tables if not read_rows(connection, table)]
    assert not empty, f"tests/service/scenes.py must add a row to {', '.join(empty)}"
    assert verify(scene.db, COMMAND_LINE, signals=True).findings == ()


def test_the_page_lists_every_column_of_every_table() -> None:
    existing = {table.name: {*table.columns.keys(), ADDED, REMOVED} for table in metadata.sorted_tables}
    listed_columns = {table: listed.found | listed.not_found for table, listed in LISTED.items()}
    assert listed_columns == existing, HOW_TO_DOCUMENT


@pytest.mark.parametrize("name", LISTED)
def test_the_page_gives_a_reason_for_each_forgery_that_is_not_found(name: str) -> None:
    listed = LISTED[name]
    assert listed.found & listed.not_found <= listed.set_only
    (line,) = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` | ")]
    reasons = line[1:-1].split("|")[2]
    for entry in reasons.split("; ") if listed.not_found else []:
        assert len(entry.partition(": ")[2].split()) >= 3, f"{name}: no reason in {entry!r}"


@pytest.mark.parametrize(("table", "name"), COLUMNS, ids=[f"{table.name}.{name}" for table, name in COLUMNS])
def test_verification_finds_exactly_the_forgeries_that_the_page_lists(
    scene: FullScene, table: Table, name: str
) -> None:
    listed = LISTED.get(table.name, NOT_LISTED)
    if not scene.db.store.embedded and name not in listed.found:
        # SQLite tries the forgeries that are not found, and several rows. PostgreSQL tries one row for each column.
        return
    not_found = _forgeries_not_found(scene, table, name, listed.set_only)
    if name in listed.found:
        missed = list(not_found)
        assert not missed, f"{table.name}.{name} is listed as found, but verification does not find it: {missed}"
    else:
        assert any(not_found), f"verification finds {table.name}.{name} now: {HOW_TO_DOCUMENT}"


def _forgeries_not_found(scene: FullScene, table: Table, name: str, set_only: Collection[str]) -> Iterator[str]:
    """Yield each forgery that verification does not find; each is tried only when the caller asks for it."""
    with scene.engine.connect() as connection:
        stored = read_rows(connection, table)
    tried = stored if table.name in FORGED_WHOLE else sample_rows(stored, name)
    for row in tried if scene.db.store.embedded else tried[-1:]:
        for forgery, forged in forgeries(table, name, row).items():
            before = None if name == ADDED else row
            if (forgery == SET_ONLY or name not in set_only) and not findings(
                scene.db, scene.engine, table, before, forged
            ):
                yield f"{forgery}, of {key_text(table, row)}"
