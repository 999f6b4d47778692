"""Databases with the schema and no rows, created once and then copied; and databases of earlier versions."""

from __future__ import annotations

import lzma
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine, make_url

from hashdb.store import Store

FOLDER = Path(__file__).parent / "data" / "schemas"
"""Dumps of databases of earlier versions; scripts/schemas writes them."""
_made: set[str] = set()


def restored(url: str, schema: str) -> str:
    """Fill an empty database with the dump of the version with this schema, and return its URL."""
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    text = lzma.decompress((FOLDER / f"{schema}.{kind}.sql.xz").read_bytes()).decode()
    if kind == "sqlite":
        with closing(sqlite3.connect(make_url(url).database or "")) as connection:
            connection.executescript(text)
    else:
        engine = create_engine(url)
        raw = engine.raw_connection()
        raw.cursor().execute(text)
        raw.commit()
        raw.close()
        engine.dispose()
    return url


def make(url: str) -> None:
    """Create the schema in a database, unless it has it. A new SQLite file is a copy of a file that has it."""
    name = make_url(url).database if url.startswith("sqlite") else None
    if name and not Path(name).exists():
        Path(name).write_bytes(_file())
    elif url not in _made:
        _migrate(url)
    _made.add(url)


def mark_as_made(url: str) -> None:
    """Record that a database has the schema, so that `make` need not connect to check it."""
    _made.add(url)


@cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hashdb.sqlite"
        _migrate(f"sqlite:///{path}")
        return path.read_bytes()


def _migrate(url: str) -> None:
    store = Store(url)
    store.migrate()
    store.close()
