"""hashdb upgrade: make the database's schema, or bring it up to this version."""

from __future__ import annotations

import click

from hashdb.cli.home import opened, prepare_home, reaching
from hashdb.cli.output import as_json, print_json
from hashdb.service import checkpoints
from hashdb.settings import Settings
from hashdb.store import Store
from hashdb.store.migrations import NEWEST


@click.command("upgrade")
@click.option(
    "--with-key",
    is_flag=True,
    help="Also name the log and make the key that signs it, where it has none: before several share it.",
)
@as_json
def command(with_key: bool, as_json: bool) -> None:
    """Make or bring up the schema of HASHDB_DATABASE_URL. Safe to repeat."""
    settings = Settings.read()
    prepare_home(settings.home)
    store = Store(settings.database, settings.busy_seconds)
    try:
        with reaching(settings):
            before = store.migrate()
            store.require_current()
    finally:
        store.close()
    if with_key:
        with opened(settings) as db:
            checkpoints.start(db)
    if as_json:
        print_json({"schema": NEWEST, "before": before})
    elif before is None:
        click.echo(f"the database was empty: schema {NEWEST} is made")
    elif before < NEWEST:
        click.echo(f"the schema is brought up from {before} to {NEWEST}")
    else:
        click.echo("the schema is current")
