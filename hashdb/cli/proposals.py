"""hashdb proposal: what waits for a second person."""

from __future__ import annotations

import click

from hashdb.cli.home import opened
from hashdb.cli.output import as_json, print_json, print_table
from hashdb.domain.members import COMMAND_LINE
from hashdb.service import proposals
from hashdb.settings import Settings
from hashdb.wire import LARGEST_ID
from hashdb.wire.review import ProposalOut, ProposalsOut


@click.group("proposal")
def command() -> None:
    """List and drop what waits for a second person, on the service's machine. To approve, ask for the same."""


@command.command("list")
@as_json
def browse(as_json: bool) -> None:
    """List what waits for a second person."""
    with opened(Settings.read()) as db:
        found = proposals.page(db, COMMAND_LINE, 0, 1000)
    if as_json:
        print_json(ProposalsOut.model_construct(proposals=[ProposalOut.from_domain(one) for one in found], next=None))
        return
    rows = [
        [str(one.id), one.request.act, one.request.subject, one.actor, f"{one.expires_at:%Y-%m-%d %H:%M}"]
        for one in found
    ]
    print_table([">id", "act", "subject", "by", "expires"], rows)


@command.command("drop")
@click.argument("proposal", type=click.IntRange(1, LARGEST_ID))
@as_json
def drop(proposal: int, as_json: bool) -> None:
    """Let a proposal be forgotten."""
    with opened(Settings.read()) as db:
        proposals.drop(db, COMMAND_LINE, proposal)
    if as_json:
        print_json({"dropped": proposal})
    else:
        click.echo(f"proposal {proposal} is dropped")
