"""hashdb views: rotate and retire the seeds of secret views."""

from __future__ import annotations

import click

from hashdb.cli.help import Group
from hashdb.cli.home import open_home
from hashdb.cli.options import Id
from hashdb.cli.output import as_json, print_json, print_result
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.seeds import SeedState
from hashdb.domain.times import format_instant
from hashdb.service.matching import seeds


@click.group("views", cls=Group, examples=("hashdb views list", "hashdb views rotate", "hashdb views retire 1"))
def views_command() -> None:
    """Manage the seeds of secret views.

    A seed determines which secret parts of a picture are hashed, in addition to the public ones. The service sends the
    seeds in use to members. No command prints a seed. Run these commands on the service's machine.
    """


@views_command.command("list", examples=("hashdb views list",))
@as_json
def list_seeds(as_json: bool) -> None:
    """List the ids of the seeds, newest first; the seeds themselves are not shown.

    The list says when each seed was made and retired. Contributions use the newest seed, queries all seeds in use.
    """
    with open_home() as db:
        states = seeds.list_all(db, COMMAND_LINE)
    if as_json:
        print_json({"seeds": list(map(_to_json, states))})
        return
    for state in states:
        click.echo(_format(state))


@views_command.command("rotate", examples=("hashdb views rotate",))
@as_json
def rotate_seed(as_json: bool) -> None:
    """Use a new seed for contributions from now on.

    Queries also use the earlier seeds, so nothing is hashed again. At most three seeds are in use: the command retires
    the oldest if there are more.
    """
    with open_home() as db:
        _print_seed(seeds.rotate(db, COMMAND_LINE), as_json)


@views_command.command("retire", examples=("hashdb views retire 1",))
@click.argument("seed", type=Id("seed"))
@as_json
def retire_seed(seed: int, as_json: bool) -> None:
    """End the use of a seed, and delete its secret; the list keeps its id.

    SEED is its id. The newest one cannot be retired: rotate first. Secret views that contributions have from this seed
    no longer match. Their other signals still do.
    """
    with open_home() as db:
        _print_seed(seeds.retire(db, COMMAND_LINE, seed), as_json)


def _print_seed(state: SeedState, as_json: bool) -> None:
    print_result(_to_json(state), _format(state), as_json)


def _format(state: SeedState) -> str:
    until = "" if state.retired_at is None else f", retired {format_instant(state.retired_at)}"
    return f"seed {state.id}  made {format_instant(state.made_at)}{until}"


def _to_json(state: SeedState) -> dict[str, object]:
    retired_at = None if state.retired_at is None else format_instant(state.retired_at)
    return {"id": state.id, "made_at": format_instant(state.made_at), "retired_at": retired_at}
