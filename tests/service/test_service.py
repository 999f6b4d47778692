"""How a service opens its database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hashdb.errors import BadSetting, SchemaOutdated
from hashdb.service import open_hashdb, system_clock
from hashdb.store import Store
from tests.builders import RULES


def test_sqlite_is_created_at_the_start_and_postgresql_must_be_migrated_before(empty_url: str) -> None:
    if not empty_url.startswith("sqlite"):
        with pytest.raises(SchemaOutdated, match=r"run `hashdb upgrade`$"):
            open_hashdb(empty_url, RULES)
        store = Store(empty_url)
        store.migrate()
        store.close()
    for _ in range(2):
        db = open_hashdb(empty_url, RULES)
        assert db.index.catch_up().seq == 0
        db.close()


def test_an_invalid_database_url_is_reported() -> None:
    with pytest.raises(BadSetting, match=r"^HASHDB_DATABASE_URL: "):
        open_hashdb("nonsense", RULES)


def test_the_system_clock_is_in_utc() -> None:
    assert system_clock().tzinfo is UTC
    assert abs(system_clock() - datetime.now(UTC)) < timedelta(minutes=1)
