"""hashdb index: compare the search index with the database."""

from __future__ import annotations

import click

from hashdb.cli.home import configured_engine, open_home
from hashdb.cli.output import as_json, print_json, progress_bar
from hashdb.errors import BadSetting, IndexNotReady
from hashdb.service import index_check
from hashdb.settings import Settings

_FAILED = 1


@click.group("index")
def index_command() -> None:
    """Check the search index.

    Compare the search index with the database.
    """


@index_command.command("check")
@click.option(
    "--sample",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Queries for each algorithm; more find a smaller fault and take longer.",
)
@as_json
def check(sample: int, as_json: bool) -> int:
    """Compare the index's answers with a BK-tree of the database. Run it after a fault, also while the service runs.

    Takes a random sample of the stored values, and searches for each within the default radius. Opens the index's
    files as a worker of the service does, and changes nothing. Exits 1 where the index missed a value, or has none
    that can be used.

    A value that only waits to be removed (`stale`) is no fault: the database decides what a match answers.

    Example: hashdb index check --sample 1000
    """
    settings = Settings.read()
    if settings.index == "bktree":
        raise BadSetting("HASHDB_INDEX", "bktree stores no index that could be checked: restart the service instead")
    with open_home(settings, settings.home / "index", configured_engine(settings)) as db:
        bar, advance = progress_bar("comparing the index", index_check.backlog(db))
        try:
            with bar:
                compared = index_check.check(db, sample, advance)
        except IndexNotReady:
            click.echo(
                "there is no index that can be used: start the service and wait until /readyz answers 200;"
                " if it does not, its log says why",
                err=True,
            )
            return _FAILED
    same = all(comparison.same for comparison in compared.values())
    if as_json:
        figures = {name: comparison._asdict() | {"same": comparison.same} for name, comparison in compared.items()}
        print_json({"engine": settings.index, "same": same, "algorithms": figures})
    else:
        for name, comparison in compared.items():
            click.echo(f"{name}: {_format_comparison(comparison)}")
    if not same:
        click.echo(f"the index differs from the database. {_format_repair(settings)}", err=True)
    return 0 if same else _FAILED


def _format_comparison(comparison: index_check.Compared) -> str:
    if comparison.damaged:
        return "a file is damaged"
    counts = f"{comparison.values:,} values, {comparison.in_files:,} of the index in files"
    faults = f"{comparison.missing:,} missing, {comparison.wrong:,} at a wrong distance, {comparison.stale:,} stale"
    return f"{counts}; {comparison.queries:,} queries: {faults}"


def _format_repair(settings: Settings) -> str:
    """What the operator must do to have the index built again."""
    if settings.index == "milvus":
        return "Stop the service, drop the collections hashdb_… in Milvus, and start it: it writes them again."
    return f"Stop the service, remove {settings.home / 'index'}, and start it: it builds the index from the database."
