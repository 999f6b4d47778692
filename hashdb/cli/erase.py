"""hashdb erase: remove what a contribution held for good."""

from __future__ import annotations

import click

from hashdb.cli.home import opened
from hashdb.cli.output import as_json, print_json
from hashdb.domain.members import COMMAND_LINE
from hashdb.service import contributions, erasures
from hashdb.settings import Settings
from hashdb.wire import LARGEST_ID
from hashdb.wire.contributions import ContributionOut


@click.command("erase")
@click.argument("contribution", type=click.IntRange(1, LARGEST_ID))
@click.option("--now", is_flag=True, help="The signals too, which are otherwise kept for 90 days to tell readers by.")
@as_json
def command(contribution: int, now: bool, as_json: bool) -> None:
    """Erase what any contribution holds, on the service's machine; it is withdrawn first, and its events stay."""
    with opened(Settings.read()) as db:
        erasures.erase(db, COMMAND_LINE, contribution, at_once=now)
        erased = contributions.get(db, COMMAND_LINE, contribution)
    if as_json:
        print_json(ContributionOut.from_domain(erased))
    else:
        kept = "" if now else "; its signals are kept, unseen, until 90 days after the withdrawal"
        click.echo(f"contribution {contribution} is erased{kept}")
