"""hashdb opinion: confirm or dispute what another member contributed."""

from __future__ import annotations

import click

from hashdb.cli.output import as_json, print_json
from hashdb.cli.texts import TEXT
from hashdb.client import Client
from hashdb.domain.opinions import OpinionDraft, Stance
from hashdb.wire import LARGEST_ID
from hashdb.wire.review import OpinionOut


@click.command("opinion")
@click.argument("contribution", type=click.IntRange(1, LARGEST_ID))
@click.argument("opinion", type=click.Choice(list(map(str, Stance))))
@click.option("--reason", type=TEXT, help="To dispute: a reason of the vocabulary, like `edsa_context`.")
@click.option("--note", type=TEXT, help="For the contributor and the reviewer; name nobody.")
@as_json
def command(contribution: int, opinion: str, reason: str | None, note: str | None, as_json: bool) -> None:
    """Confirm or dispute another member's contribution. Your last opinion counts; a dispute goes before a reviewer."""
    with Client.from_environment() as client:
        given = client.give_opinion(contribution, OpinionDraft(Stance(opinion), reason, note))
    if as_json:
        print_json(OpinionOut.from_domain(given))
    else:
        case = "" if given.case is None else f", case {given.case}"
        click.echo(f"opinion {given.id}: {given.member_name} {given.stance} contribution {given.contribution}{case}")
