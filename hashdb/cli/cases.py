"""hashdb case: contributions before a reviewer."""

from __future__ import annotations

import click

from hashdb.cli.output import as_json, print_json, print_proposal, print_table
from hashdb.cli.texts import TEXT
from hashdb.client import Client
from hashdb.domain.cases import CaseState, Decision
from hashdb.domain.proposals import Proposal
from hashdb.wire import LARGEST_ID
from hashdb.wire.review import CaseOut, CasesOut


@click.group("case")
def command() -> None:
    """List the cases that you may see, and decide them (with a key of scope review)."""


@command.command("list")
@click.option("--state", type=click.Choice(list(map(str, CaseState))), help="Only those.")
@as_json
def browse(state: str | None, as_json: bool) -> None:
    """List cases: those on your contributions and those you opened; with scope review or audit all."""
    with Client.from_environment() as client:
        found = list(client.cases(None if state is None else CaseState(state)))
    if as_json:
        print_json(CasesOut.model_construct(cases=[CaseOut.from_domain(case) for case in found], next=None))
        return
    rows = [
        [
            str(case.id),
            str(case.contribution),
            case.reason,
            f"{case.opened_at:%Y-%m-%d %H:%M}",
            f"{case.due_at:%Y-%m-%d %H:%M}",
            str(case.decision or ""),
            " ".join((case.note or "").split()),
        ]
        for case in found
    ]
    print_table([">id", ">contribution", "reason", "opened", "due", "decision", "note"], rows)


@command.command("decide")
@click.argument("case", type=click.IntRange(1, LARGEST_ID))
@click.argument("decision", type=click.Choice(list(map(str, Decision))))
@click.option("--note", type=TEXT, help="Why, for the contributor and who disputed; name nobody.")
@click.option(
    "--signal",
    "signals",
    type=click.IntRange(0, 63),
    multiple=True,
    help="With retire: the place, from 0, of a signal near which later contributions wait for a reviewer. May be"
    " repeated; without it, the first signal of each algorithm and what is near to it.",
)
@as_json
def decide(case: int, decision: str, note: str | None, signals: tuple[int, ...], as_json: bool) -> None:
    """Decide a case, once: `uphold` the contribution, `quarantine` it until further notice, or `retire` it."""
    with Client.from_environment() as client:
        decided = client.decide(case, Decision(decision), note, signals or None)
    if isinstance(decided, Proposal):
        print_proposal(decided, as_json)
    elif as_json:
        print_json(CaseOut.from_domain(decided))
    else:
        click.echo(f"case {decided.id} on contribution {decided.contribution} is decided: {decided.decision}")
