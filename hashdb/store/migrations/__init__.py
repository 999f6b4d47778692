"""The schema: `migrate` creates it, or upgrades it by Alembic; `require_current` checks it."""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, func, insert, inspect, select

from hashdb.domain.times import EPOCH
from hashdb.errors import SchemaOutdated, UnfinishedCopy
from hashdb.store.tables import followed, log, metadata

OLDEST = "0015"
"""The schema of version 0.1.0, the oldest that can be upgraded."""

NEWEST = "0029"
"""The newest of versions/. It is here so that checking a current schema needs no import of Alembic (0.2 s)."""

COPYING = "copying "
"""Before the number of the schema: the database is an unfinished copy of another one."""
_LOCK = 0x68617368
"""The PostgreSQL advisory lock that lets only one upgrade run at a time."""


def migrate(connection: Connection) -> str | None:
    """Create or upgrade the schema, and return the number of the previous schema (None: there was none).

    Does nothing if it is current, or a newer one that this version can use. Commit afterwards.
    Raises UnfinishedCopy, or SchemaOutdated for a newer one that this version cannot use, or for one that is
    older than that of version 0.1.0.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    number = _finished_revision(connection)
    if _is_usable(number):
        return number
    if number is None:
        _create(connection)
        return None
    if not OLDEST <= number <= NEWEST:
        raise SchemaOutdated(number, NEWEST, OLDEST)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return number


def _create(connection: Connection) -> None:
    """Create all tables, with the head of an empty log of a new epoch."""
    metadata.create_all(connection, checkfirst=False)
    head = {"id": 1, "seq": 0, "at": EPOCH, "epoch": secrets.token_hex(16), "peaks": b""}
    connection.execute(insert(log), head)
    connection.execute(insert(followed), {"id": 1, "seq": 0})
    _VERSION.create(connection, checkfirst=True)
    connection.execute(insert(_VERSION), {"version_num": NEWEST})


def require_current(connection: Connection) -> None:
    """Raise SchemaOutdated unless the schema is the one that this version was written for, or only adds to it.

    Raise UnfinishedCopy if the database is an unfinished copy.
    """
    number = _finished_revision(connection)
    if not _is_usable(number):
        raise SchemaOutdated(number or "none", NEWEST, OLDEST)


def _finished_revision(connection: Connection) -> str | None:
    """As `revision`. Raises UnfinishedCopy."""
    number = revision(connection)
    if number is not None and number.startswith(COPYING):
        raise UnfinishedCopy()
    return number


def _is_usable(number: str | None) -> bool:
    """Whether this version may work with a schema: within a thousand, each number only adds to the ones before."""
    return number is not None and number >= NEWEST and number[0] == NEWEST[0]


def revision(connection: Connection) -> str | None:
    """The number of the present schema (None: there is none); for an unfinished copy, it follows COPYING."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


_NAMES = MetaData(naming_convention={"pk": "%(table_name)s_pkc"})
_VERSION = Table("alembic_version", _NAMES, Column("version_num", String(32), primary_key=True))
"""The table in which Alembic keeps the number of the schema, as Alembic creates it."""
