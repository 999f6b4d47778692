"""The schema's history, by Alembic: `migrate` brings a database up, `require_current` checks it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

from hashdb.errors import SchemaOutdated, UnfinishedCopy

NEWEST = "0020"
"""The newest of versions/; known here so that a current schema costs one query and no import of Alembic (0.2 s)."""

COPYING = "copying "
"""Before the number of the schema: the database is an unfinished copy of another one."""
_LOCK = 0x68617368
"""Of PostgreSQL's advisory locks, the one that two upgrades at a time wait for."""


def migrate(connection: Connection) -> str | None:
    """Make or bring up the schema, and return the number of the schema that was there before; None where none was.

    Does nothing when it is current, or a newer one that this version may go on with. Commit afterwards.
    Raises UnfinishedCopy, or SchemaOutdated when a newer version made it that this one may not go on with.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    found = revision(connection)
    _require_finished(found)
    if _will_do(found):
        return found
    if found is not None and found > NEWEST:
        raise SchemaOutdated(found, NEWEST)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return found


def require_current(connection: Connection) -> None:
    """Raise SchemaOutdated unless the schema is the one that this version was written for, or only adds to it.

    Raise UnfinishedCopy where the database is none that may be served.
    """
    found = revision(connection)
    _require_finished(found)
    if not _will_do(found):
        raise SchemaOutdated(found or "none", NEWEST)


def _require_finished(found: str | None) -> None:
    if found is not None and found.startswith(COPYING):
        raise UnfinishedCopy()


def _will_do(found: str | None) -> bool:
    """Whether this version may work with a schema: within a thousand, each number only adds to the ones before."""
    return found is not None and found >= NEWEST and found[0] == NEWEST[0]


def revision(connection: Connection) -> str | None:
    """The number of the schema that is there, None where there is none; of an unfinished copy, after COPYING."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
