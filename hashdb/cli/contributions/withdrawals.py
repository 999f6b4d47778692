"""hashdb withdraw: end one of your contributions. hashdb erase: erase the data of any contribution."""

from __future__ import annotations

import click

from hashdb.cli.help import REASONS, Code, Command
from hashdb.cli.home import open_home
from hashdb.cli.options import Id
from hashdb.cli.output import as_json, print_result
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.wire.contributions import ContributionOut


@click.command("withdraw", cls=Command, examples=("hashdb withdraw 17 --reason removal_reversed",))
@click.argument("contribution", type=Id("contribution"))
@click.option("--reason", type=Code(REASONS), required=True, help="Why you withdraw it.")
@as_json
def withdraw_command(contribution: int, reason: str, as_json: bool) -> None:
    """Withdraw one of your contributions.

    CONTRIBUTION is its id. From the next request on it no longer matches.
    """
    with Client.from_environment() as client:
        withdrawn = client.withdraw(contribution, reason)
    print_result(
        ContributionOut.from_domain(withdrawn),
        f"contribution {withdrawn.id} withdrawn ({withdrawn.withdrawal_reason})",
        as_json,
    )


@click.command("erase", cls=Command, examples=("hashdb erase 17", "hashdb erase 17 --now"))
@click.argument("contribution", type=Id("contribution"))
@click.option(
    "--now",
    is_flag=True,
    help="Also erase the signals at once. By default they are kept for 90 days, so that copies can delete theirs.",
)
@as_json
def erase_command(contribution: int, now: bool, as_json: bool) -> None:
    """Erase the data of a contribution.

    CONTRIBUTION is the id of any member's contribution. The command withdraws it first. Its events stay in the audit
    log. Run this command on the service's machine.
    """
    # `hashdb withdraw` runs on a member's machine, which may not have the service's packages.
    from hashdb.service.contributions import contributions

    with open_home() as db:
        contributions.erase(db, COMMAND_LINE, contribution, at_once=now)
        erased = contributions.get(db, COMMAND_LINE, contribution)
    kept_signals = "" if now else "; the database keeps its signals, hidden, until 90 days after the withdrawal"
    print_result(ContributionOut.from_domain(erased), f"contribution {contribution} erased{kept_signals}", as_json)
