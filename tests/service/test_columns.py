"""Every column of every table: a forged value is found by verification, or docs/audit.md says why it is not."""

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

HOW = f"""say so in one line of the table "Column by column" of {PAGE.name}:
in the row of its table, add it to the second cell if verification finds a forged value (what events tell is
in hashdb/domain/ledger/records.py, the rows are read in hashdb/store/ledger/records.py),
else to the third with `column`: the reason."""
UNLIKE = {"counts"}
"""Tables of which each row is tried: more is found of some than of others."""


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
        empty = [table.name for table in metadata.sorted_tables if not read_rows(connection, table)]
    assert not empty, f"let tests/service/scenes.py add a row to {', '.join(empty)}"
    assert verify(scene.db, COMMAND_LINE, signals=True).findings == ()


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
        # What is not found is tried on SQLite, and so is each row that may tell: on PostgreSQL one of each column is.
        return
    unseen = _unseen(scene, table, name, listed.set_only)
    if name in listed.found:
        missed = list(unseen)
        assert not missed, f"{table.name}.{name} is listed as found, and verification does not find it: {missed}"
    else:
        assert any(unseen), f"{table.name}.{name} is found by now: {HOW}"


def _unseen(scene: FullScene, table: Table, name: str, set_only: Collection[str]) -> Iterator[str]:
    """Each forged value that verification does not find, tried as it is asked for."""
    with scene.engine.connect() as connection:
        stored = read_rows(connection, table)
    tried = stored if table.name in UNLIKE else sample_rows(stored, name)
    for row in tried if scene.db.store.embedded else tried[-1:]:
        for what, forged in forgeries(table, name, row).items():
            before = None if name == ADDED else row
            if (what == SET_ONLY or name not in set_only) and not findings(
                scene.db, scene.engine, table, before, forged
            ):
                yield f"{what}, of {key_text(table, row)}"
