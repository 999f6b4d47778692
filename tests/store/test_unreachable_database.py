"""An unreachable PostgreSQL is reported with its address and the reason, and without secrets."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from hashdb.errors import DatabaseAway, StoreBusy
from hashdb.store import Store
from hashdb.store.connections import explain_busy


def connection_error(url: str) -> DatabaseAway | StoreBusy:
    with closing(Store(url, 1)) as store, pytest.raises(StoreBusy) as caught:
        store.require_current()
    return explain_busy(url, caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://someone:secret@127.0.0.1:9/x", "127.0.0.1:9 does not answer: connection refused"),
        ("postgresql://someone:secret@[::1]:9/x", "[::1]:9 does not answer: connection refused"),
        (
            "postgresql://someone@nowhere.invalid/x",
            "nowhere.invalid:5432 does not answer: the host name is unknown",
        ),
        ("postgresql://someone@/x?host=/nowhere", "/nowhere does not answer: the socket does not exist"),
        (
            "postgresql://someone@/x?host=127.0.0.1:9&host=127.0.0.1:8",
            "127.0.0.1:9, 127.0.0.1:8 does not answer: connection refused",
        ),
        ("postgresql://someone@/x?host=127.0.0.1&port=9", "127.0.0.1:9 does not answer: connection refused"),
    ],
)
def test_the_error_states_the_address_and_the_reason(url: str, sentence: str) -> None:
    assert str(connection_error(url)) == f"the database at {sentence}"


def test_a_connection_refused_by_the_server_is_reported_without_names(empty_postgres_url: str) -> None:
    url = make_url(empty_postgres_url)
    for wrong_url in (url.set(database="hashdb_secret"), url.set(username="someone_secret")):
        message = str(connection_error(wrong_url.render_as_string(hide_password=False)))
        assert message.startswith("the database at ") and "secret" not in message
        assert message.endswith(" of HASHDB_DATABASE_URL")


def test_a_busy_database_is_not_reported_as_unreachable(database_url: str) -> None:
    busy = StoreBusy(1)
    assert explain_busy(database_url, busy) is busy


def test_an_unusable_sqlite_file_is_reported_with_the_reason_of_sqlite(tmp_path: Path) -> None:
    (tmp_path / "a?folder").mkdir()
    missing, folder = tmp_path / "no" / "such.sqlite", tmp_path / "a?folder"
    for path, scheme in ((missing, "sqlite"), (missing, "sqlite+pysqlite"), (folder, "sqlite")):
        message = str(connection_error(f"{scheme}:///{path}"))
        assert message == f"the database at {path} cannot be used: unable to open database file"
