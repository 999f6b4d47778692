"""Databases that have the schema and nothing else: made once by the migrations, and then copied."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import make_url

from hashdb.store import Store

_made: set[str] = set()


def make(url: str) -> None:
    """Make the schema in a database that may have it already; in a new file of SQLite, by copying one."""
    name = make_url(url).database if url.startswith("sqlite") else None
    if name and not Path(name).exists():
        Path(name).write_bytes(_file())
    elif url not in _made:
        _migrate(url)
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
