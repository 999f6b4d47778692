"""hashdb index: compare the search index with the database."""

from __future__ import annotations

import click

from hashdb.cli.help import Group
from hashdb.cli.home import configured_engine, open_home
from hashdb.cli.output import as_json, print_json, progress_bar
from hashdb.errors import BadSetting, IndexNotReady
from hashdb.service import index_check
from hashdb.settings import Settings


@click.group("index", cls=Group, examples=("hashdb index check",))
def index_command() -> None:
    """Check the search index.

    Run this command on the service's machine.
    """


@index_command.command("check", examples=("hashdb index check", "hashdb index check --sample 1000"))
@click.option(
    "--sample",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Queries for each algorithm. More queries find smaller faults and take longer.",
)
@as_json
def check(sample: int, as_json: bool) -> int:
    """Compare the answers of the index with a BK-tree of the database.

    Run this command after a fault; the service may run meanwhile. The command takes a random sample of the stored
    values, and searches for each within the default radius. It opens the files of the index as a worker does, and
    changes nothing. It exits 1 if the index missed a value or cannot be used.

    A value that only waits to be removed (`stale`) is not a fault: the database decides what a match answers.
    """
    settings = Settings.read()
    if settings.index == "bktree":
        raise BadSetting("HASHDB_INDEX", "bktree stores no index to check: restart the service instead")
    with open_home(settings, settings.home / "index", engine=configured_engine(settings)) as db:
        try:
            with progress_bar("comparing the index", index_check.values_to_read(db)) as advance:
                compared = index_check.check(db, sample, advance)
        except IndexNotReady:
            click.echo(
                "there is no usable index: start the service and wait until /readyz answers 200;"
                " if it does not, the log of the service says why",
                err=True,
            )
            return 1
    same = all(comparison.same for comparison in compared.values())
    if as_json:
        figures = {name: comparison._asdict() | {"same": comparison.same} for name, comparison in compared.items()}
        print_json({"engine": settings.index, "same": same, "algorithms": figures})
    else:
        for name, comparison in compared.items():
            click.echo(f"{name}: {_format_comparison(comparison)}")
    if not same:
        click.echo(f"the index differs from the database. {_format_repair(settings)}", err=True)
    return 0 if same else 1


def _format_comparison(comparison: index_check.Compared) -> str:
    if comparison.damaged:
        return "a file is damaged"
    counts = f"{comparison.values} values, {comparison.in_files} of the index in files"
    faults = f"{comparison.missing} missing, {comparison.wrong} at a wrong distance, {comparison.stale} stale"
    return f"{counts}; {comparison.queries} queries: {faults}"


def _format_repair(settings: Settings) -> str:
    """What the operator must do to have the index built again."""
    if settings.index == "milvus":
        return "Stop the service, drop the collections hashdb_… in Milvus, and start the service: it writes them again."
    return f"Stop the service, delete {settings.home / 'index'}, and start the service: it builds the index again."
