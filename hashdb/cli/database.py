"""hashdb upgrade: create or migrate the database's schema. hashdb copy-to: copy it to another database."""

from __future__ import annotations

from contextlib import ExitStack, closing

import click

from hashdb.cli.help import Command
from hashdb.cli.home import lock_copy, lock_home, naming_database, open_home, prepare_home
from hashdb.cli.options import TEXT
from hashdb.cli.output import as_json, print_json, progress_bar
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.errors import BadSetting, HomeInUse, MoveFailed, StoreBusy
from hashdb.service.backups import Move, move
from hashdb.service.ledger import checkpoints
from hashdb.settings import Settings
from hashdb.store import Store, connections
from hashdb.store.migrations import NEWEST


@click.command("upgrade", cls=Command, examples=("hashdb upgrade", "hashdb upgrade --with-key"))
@click.option(
    "--with-key",
    is_flag=True,
    help="Also name the log and create the key that signs it, if it has none. Do this before services share it.",
)
@as_json
def upgrade_command(with_key: bool, as_json: bool) -> None:
    """Create or upgrade the database schema.

    The command changes the database of HASHDB_DATABASE_URL. Safe to repeat: an up-to-date schema is unchanged.
    """
    settings = Settings.read()
    prepare_home(settings.home)
    with closing(Store(settings.database, settings.busy_seconds)) as store, naming_database(settings):
        before = store.migrate()
        store.require_current()
    if with_key:
        with open_home(settings) as db:
            checkpoints.start(db)
    if as_json:
        print_json({"schema": NEWEST, "before": before})
    elif before is None:
        click.echo(f"created schema {NEWEST} in an empty database")
    elif before < NEWEST:
        click.echo(f"upgraded the schema from {before} to {NEWEST}")
    else:
        click.echo("the schema is up to date")


_LOCK_SECONDS = 60.0
"""The least time to wait for a lock: creating an index over millions of rows takes longer than a request may."""


@click.command("copy-to", cls=Command, examples=("hashdb copy-to postgresql://hashdb@db.example/hashdb",))
@click.argument("url", type=TEXT, required=False)
@as_json
def copy_to_command(url: str | None, as_json: bool) -> int:
    """Copy the database from SQLite to PostgreSQL, or back.

    URL is the target: an empty database, or one that this command has not finished. The service may run meanwhile. To
    finish, stop the service and run the command again: it continues where it stopped. Exits 1 if the copy is finished
    and its log does not verify.

    Give a URL with a password in HASHDB_COPY_TO instead: other users of the machine can see the arguments of a process.
    """
    settings = Settings.read()
    prepare_home(settings.home)
    name = "HASHDB_COPY_TO" if url is None else "URL"
    if url is None:
        if settings.copy_to is None:
            raise BadSetting("HASHDB_COPY_TO", "is not set: set it to the target, or give a URL")
        url = settings.copy_to.get_secret_value()
    with ExitStack() as stack:
        stack.enter_context(lock_copy(settings.home))
        target = stack.enter_context(closing(_open_target(url, name, settings)))
        try:
            stack.enter_context(lock_home(settings.home))
            is_stopped = True
        except HomeInUse:
            is_stopped = False
        db = stack.enter_context(open_home(settings))
        with progress_bar("copying, comparing", 2 * db.store.count_rows()) as advance:
            # If no service runs from this home, this is the last run, which finishes the copy. The bar counts each row
            # twice: it is copied, and then compared.
            result = move(db, COMMAND_LINE, target, advance, last=is_stopped)
    return _print_move(result, as_json)


def _open_target(url: str, name: str, settings: Settings) -> Store:
    """The target database, reachable. Raises BadSetting, DatabaseAway, MoveFailed, none of which holds the URL."""
    try:
        target = Store(url, max(settings.busy_seconds, _LOCK_SECONDS))
    except BadSetting as error:
        raise BadSetting(name, error.reason) from None
    try:
        with target.read():
            pass
    except StoreBusy as busy:
        target.close()
        away = connections.explain_busy(url, busy, name)
        raise (MoveFailed("the target cannot be opened") if away is busy else away) from None
    return target


def _print_move(move: Move, as_json: bool) -> int:
    moved, verdict = move.moved, move.verdict
    findings = [] if verdict is None else list(map(str, verdict.findings))
    rows = sum(moved.rows.values())
    if as_json:
        print_json(
            {
                "events": moved.head.seq,
                "epoch": moved.head.epoch,
                "tables": moved.rows,
                "written": moved.written,
                "finished": verdict is not None,
                "root": None if verdict is None else verdict.root.hex(),
                "findings": findings,
            }
        )
        return 1 if findings else 0
    click.echo(
        f"{rows} rows are the same in both databases, up to event {moved.head.seq}; {moved.written} were written"
    )
    if verdict is None:
        click.echo("the service still runs: stop it, then run this command again to finish")
        return 0
    for finding in findings:
        click.echo(finding)
    if not findings:
        click.echo(f"the {verdict.size} events of the copy verify: nothing was rewritten")
    click.echo(
        "the copy is finished: set HASHDB_DATABASE_URL to it, and never start the service on the old database again"
    )
    return 1 if findings else 0
