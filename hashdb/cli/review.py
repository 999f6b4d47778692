"""hashdb case, opinion: list and decide cases, and confirm or dispute contributions."""

from __future__ import annotations

import click

from hashdb.cli.options import TEXT
from hashdb.cli.output import as_json, print_json, print_proposal, print_result, print_table
from hashdb.client import Client
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import Proposal
from hashdb.wire import LARGEST_ID
from hashdb.wire.review import CaseOut, CasesOut, OpinionOut


@click.group("case")
def case_command() -> None:
    """List and decide cases.

    List the cases that you may see, and decide them (with a key of scope review).
    """


@case_command.command("list")
@click.option("--state", type=click.Choice(list(map(str, CaseState))), help="Only those.")
@as_json
def list_cases(state: str | None, as_json: bool) -> None:
    """List cases: those on your contributions and those you opened; with scope review or audit all."""
    with Client.from_environment() as client:
        cases = list(client.cases(None if state is None else CaseState(state)))
    if as_json:
        print_json(CasesOut.model_construct(cases=[CaseOut.from_domain(case) for case in cases], next=None))
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
        for case in cases
    ]
    print_table([">id", ">contribution", "reason", "opened", "due", "decision", "note"], rows)


@case_command.command("decide")
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


@click.command("opinion")
@click.argument("contribution", type=click.IntRange(1, LARGEST_ID))
@click.argument("opinion", type=click.Choice(list(map(str, Stance))))
@click.option("--reason", type=TEXT, help="To dispute: a reason of the vocabulary, like `edsa_context`.")
@click.option("--note", type=TEXT, help="For the contributor and the reviewer; name nobody.")
@as_json
def opinion_command(contribution: int, opinion: str, reason: str | None, note: str | None, as_json: bool) -> None:
    """Confirm or dispute another member's contribution.

    Your latest opinion counts. A dispute opens a case, which a reviewer decides.
    """
    with Client.from_environment() as client:
        added = client.give_opinion(contribution, OpinionDraft(Stance(opinion), reason, note))
    case = "" if added.case is None else f", case {added.case}"
    print_result(
        OpinionOut.from_domain(added),
        f"opinion {added.id}: {added.member_name} {added.stance} contribution {added.contribution}{case}",
        as_json,
    )
