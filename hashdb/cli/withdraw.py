"""hashdb withdraw: take a contribution back."""

from __future__ import annotations

import click

from hashdb.cli.output import as_json, print_json
from hashdb.cli.texts import TEXT
from hashdb.client import Client
from hashdb.wire import LARGEST_ID
from hashdb.wire.contributions import ContributionOut


@click.command("withdraw")
@click.argument("contribution", type=click.IntRange(1, LARGEST_ID))
@click.option("--reason", type=TEXT, required=True, help="A reason of the vocabulary, like `removal_reversed`.")
@as_json
def command(contribution: int, reason: str, as_json: bool) -> None:
    """Withdraw one of your contributions: the next match no longer has it."""
    with Client.from_environment() as client:
        withdrawn = client.withdraw(contribution, reason)
    if as_json:
        print_json(ContributionOut.from_domain(withdrawn))
    else:
        click.echo(f"contribution {withdrawn.id} is withdrawn ({withdrawn.withdrawal_reason})")
