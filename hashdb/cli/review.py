"""hashdb case, opinion: list and decide cases, and confirm or dispute contributions."""

from __future__ import annotations

import click

from hashdb.cli.help import REASONS, Choice, Code, Command, Group
from hashdb.cli.options import TEXT, Id
from hashdb.cli.output import as_json, print_list, print_proposal, print_result
from hashdb.domain.meanings import explain_all
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.review.shadows import FRAMES_PLACE


@click.group(
    "case", cls=Group, examples=("hashdb case list --state open", "hashdb case decide 5 uphold --note 'Checked.'")
)
def case_command() -> None:
    """List and decide cases.

    A case asks a reviewer to decide about a contribution. To decide cases, a key needs the scope `review`.
    """


@case_command.command("list", examples=("hashdb case list --state open",))
@click.option("--state", type=Choice(explain_all("case_state")), help="List only cases in this state.")
@as_json
def list_cases(state: str | None, as_json: bool) -> None:
    """List the cases on your contributions, and those that you opened.

    With the scope `review` or `audit`, the command lists all cases.
    """
    from hashdb.client import Client
    from hashdb.wire.review import CasesOut

    with Client.from_environment() as client:
        cases = list(client.cases(None if state is None else CaseState(state)))
    print_list(
        CasesOut,
        cases,
        [">id", ">contribution", "reason", "opened", "due", "decision", "note"],
        lambda case: [
            case.id,
            case.contribution,
            case.reason,
            f"{case.opened_at:%Y-%m-%d %H:%M}",
            f"{case.due_at:%Y-%m-%d %H:%M}",
            case.decision,
            " ".join((case.note or "").split()),
        ],
        as_json,
    )


@case_command.command(
    "decide", examples=("hashdb case decide 5 uphold", "hashdb case decide 5 retire --signal 0 --note 'A news report.'")
)
@click.argument("case", type=Id("case"))
@click.argument("decision", type=Choice(explain_all("decision")))
@click.option("--note", type=TEXT, help="Why. Visible to the contributor and the disputers. Do not name people.")
@click.option(
    "--signal",
    "signals",
    type=click.IntRange(0, FRAMES_PLACE),
    multiple=True,
    help="With `retire`: position, from 0, of a signal of the contribution. Later contributions near it wait for a"
    " reviewer. 64 stands for the frames of a video. May be repeated. By default the first signal of each algorithm,"
    " those near it, and the frames.",
)
@as_json
def decide(case: int, decision: str, note: str | None, signals: tuple[int, ...], as_json: bool) -> None:
    """Decide a case.

    CASE is its id. A case is decided once. If the service needs two persons for `retire`, the command proposes it and
    prints the proposal: nothing changes until a second reviewer makes the same decision within 72 hours.
    """
    from hashdb.client import Client
    from hashdb.wire.review import CaseOut

    with Client.from_environment() as client:
        decided = client.decide(case, Decision(decision), note, signals or None)
    if isinstance(decided, Proposal):
        print_proposal(decided, as_json)
    else:
        text = f"case {decided.id} on contribution {decided.contribution} decided: {decided.decision}"
        print_result(CaseOut.from_domain(decided), text, as_json)


@click.command(
    "opinion",
    cls=Command,
    examples=(
        "hashdb opinion 17 confirms",
        "hashdb opinion 17 disputes --reason edsa_context --note 'Part of a news report.'",
    ),
)
@click.argument("contribution", type=Id("contribution"))
@click.argument("opinion", type=Choice(explain_all("stance")))
@click.option("--reason", type=Code(REASONS), help="Why you dispute it. Required to dispute.")
@click.option("--note", type=TEXT, help="Visible to the contributor and the reviewers. Do not name people.")
@as_json
def opinion_command(contribution: int, opinion: str, reason: str | None, note: str | None, as_json: bool) -> None:
    """Confirm or dispute another member's contribution.

    CONTRIBUTION is its id. Your latest opinion counts. A dispute opens a case, which a reviewer decides.
    """
    from hashdb.client import Client
    from hashdb.wire.review import OpinionOut

    with Client.from_environment() as client:
        added = client.give_opinion(contribution, OpinionDraft(Stance(opinion), reason, note))
    case = "" if added.case is None else f", case {added.case}"
    print_result(
        OpinionOut.from_domain(added),
        f"opinion {added.id}: {added.member_name} {added.stance} contribution {added.contribution}{case}",
        as_json,
    )
