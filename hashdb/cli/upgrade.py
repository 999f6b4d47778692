"""hashdb upgrade: make the database's schema, or bring it up to this version."""

from __future__ import annotations

import click

from hashdb.cli.home import prepare_home
from hashdb.cli.output import as_json, print_json
from hashdb.settings import Settings
from hashdb.store import Store
from hashdb.store.migrations import NEWEST


@click.command("upgrade")
@as_json
def command(as_json: bool) -> None:
    """Make or bring up the schema of HASHDB_DATABASE_URL. Safe to repeat."""
    settings = Settings.read()
    prepare_home(settings.home)
    store = Store(settings.database, settings.busy_seconds)
    try:
        store.migrate()
        store.require_current()
    finally:
        store.close()
    if as_json:
        print_json({"schema": NEWEST})
    else:
        click.echo("the schema is current")
