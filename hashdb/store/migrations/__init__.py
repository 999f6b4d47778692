"""The schema's history, by Alembic: `migrate` brings a database up, `require_current` checks it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from hashdb.errors import SchemaOutdated

_LOCK = 0x68617368
"""Of PostgreSQL's advisory locks, the one that two upgrades at a time wait for."""


def migrate(connection: Connection) -> None:
    """Make or bring up the schema; does nothing when it is current. Commit afterwards."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def require_current(connection: Connection) -> None:
    """Raise SchemaOutdated unless the schema is the one that this version was written for."""
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found != needed:
        raise SchemaOutdated(found or "none", needed or "none")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
