"""A PostgreSQL that cannot be reached is told by its address, and by nothing secret."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import make_url

from hashdb.errors import DatabaseAway, StoreBusy
from hashdb.store import Store
from hashdb.store.connections import explain_busy


def refused(url: str) -> DatabaseAway | StoreBusy:
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
            "nowhere.invalid:5432 does not answer: no host has that name",
        ),
        ("postgresql://someone@/x?host=/nowhere", "/nowhere does not answer: the socket does not exist"),
        (
            "postgresql://someone@/x?host=127.0.0.1:9&host=127.0.0.1:8",
            "127.0.0.1:9, 127.0.0.1:8 does not answer: connection refused",
        ),
        ("postgresql://someone@/x?host=127.0.0.1&port=9", "127.0.0.1:9 does not answer: connection refused"),
    ],
)
def test_where_it_is_and_why_is_told(url: str, sentence: str) -> None:
    assert str(refused(url)) == f"the database at {sentence}"


def test_what_a_server_refuses_is_told_without_its_words(empty_postgres_url: str) -> None:
    url = make_url(empty_postgres_url)
    for other in (url.set(database="hashdb_secret"), url.set(username="someone_secret")):
        said = str(refused(other.render_as_string(hide_password=False)))
        assert said.startswith("the database at ") and "secret" not in said
        assert said.endswith(" of HASHDB_DATABASE_URL")


def test_a_database_that_is_busy_is_not_called_away(database_url: str) -> None:
    busy = StoreBusy(1)
    assert explain_busy(database_url, busy) is busy
    away = "sqlite:////nowhere/at/all.sqlite"
    assert type(refused(away)) is StoreBusy
