"""hashdb follow: follow the lists of other services."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from hashdb.cli.help import Group
from hashdb.cli.home import open_home
from hashdb.cli.options import TEXT, Id
from hashdb.cli.output import as_json, counted, escape_controls, print_json, print_result, print_table
from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind
from hashdb.domain.sharing.upstreams import Upstream, UpstreamDraft
from hashdb.errors import reject_field
from hashdb.service.sharing import upstreams
from hashdb.service.sharing.remotes import Connect
from hashdb.settings import Settings
from hashdb.wire import validate
from hashdb.wire.accounts import MemberIn
from hashdb.wire.sharing.upstreams import UpstreamOut

_LONGEST_KEY = 200
"""The most characters of the secret of a key."""
_id = click.argument("upstream", type=Id("upstream"))
_key_file = click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the secret of the key; by default it is read from standard input.",
)


class _Follow(Group):
    """The group `hashdb follow`. With an address as its first word, it runs the command `add`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["add", *args] if args and "://" in args[0] and args[0][0] != "-" else args)


@click.group(
    "follow",
    cls=_Follow,
    examples=(
        "hashdb follow add https://eu.example --name 'EU list' --key-file eu.key",
        "hashdb follow status",
    ),
)
def follow_command() -> None:
    """Follow the lists of other services.

    The service contributes what another hashdb lists, as a member of its own. Withdrawals and other changes there
    follow here, and opinions that members give here are sent back. Run this command on the service's machine.
    """


@follow_command.command(
    "add", examples=("hashdb follow add https://eu.example --name 'EU list' --key-file eu.key --a-day 50000",)
)
@click.argument("url", type=TEXT)
@click.option("--name", type=TEXT, required=True, help="Name of the list, and of its member on this service.")
@_key_file
@click.option("--a-day", type=click.IntRange(0, 2**31 - 1), help="The most new contributions a day; default: no limit.")
@as_json
def add(url: str, name: str, key_file: Path | None, a_day: int | None, as_json: bool) -> None:
    """Follow the list of the service at URL.

    You can leave out the word `add`. The key is one of the other service with the scope `feed`. With the scope `match`,
    opinions that members give here are sent back.
    """
    settings, key = Settings.read(), _read_key(key_file)
    name = validate(MemberIn, MemberDraft(name, MemberKind.OPERATOR)).name
    with open_home(settings) as db:
        added = upstreams.add(db, COMMAND_LINE, UpstreamDraft(url, name, key, a_day), _connect(settings))
    back = "opinions are sent back" if added.judges else _OPINIONS_NOT_SENT
    text = f"upstream {added.id}: follows {added.name} ({added.log}) as member {added.member}; {back}"
    print_result(UpstreamOut.from_domain(added), text, as_json)


@follow_command.command("list", examples=("hashdb follow list",))
@as_json
def browse(as_json: bool) -> None:
    """List the services that this one follows."""
    with open_home() as db:
        listed = upstreams.list_all(db, COMMAND_LINE)
    if as_json:
        _print_upstreams(listed)
        return
    columns = [">id", "name", ">member", "url", "state", "up to date", ">refused"]
    print_table(columns, map(_row, listed))


@follow_command.command("status", examples=("hashdb follow status", "hashdb follow status 1"))
@click.argument("upstream", type=Id("upstream"), required=False)
@as_json
def status(upstream: int | None, as_json: bool) -> int:
    """Show the state of each followed list, or only of UPSTREAM.

    Exits 1 if a list cannot be followed now.
    """
    with open_home() as db:
        listed = (
            upstreams.list_all(db, COMMAND_LINE) if upstream is None else (upstreams.get(db, COMMAND_LINE, upstream),)
        )
    if as_json:
        _print_upstreams(listed)
    else:
        for followed in listed:
            click.echo(_describe(followed))
    return 1 if any(followed.trouble for followed in listed) else 0


@follow_command.command("pause", examples=("hashdb follow pause 1",))
@_id
@as_json
def pause(upstream: int, as_json: bool) -> None:
    """Pause following a list, until you resume it.

    Its contributions stay and continue to match.
    """
    with open_home() as db:
        paused = upstreams.pause(db, COMMAND_LINE, upstream)
    print_result(UpstreamOut.from_domain(paused), f"upstream {upstream}: paused", as_json)


@follow_command.command(
    "resume", examples=("hashdb follow resume 1", "hashdb follow resume 1 --again", "hashdb follow resume 1 --new-key")
)
@_id
@click.option("--again", is_flag=True, help="Read the list from its beginning; refused changes are tried again.")
@click.option("--new-key", is_flag=True, help="Use another key from now on.")
@_key_file
@as_json
def resume(upstream: int, again: bool, new_key: bool, key_file: Path | None, as_json: bool) -> None:
    """Resume following a list, at once.

    The command also asks whether the key may now send opinions back.
    """
    if key_file is not None and not new_key:
        raise click.UsageError("--key-file is for --new-key")
    settings = Settings.read()
    key = _read_key(key_file) if new_key else None
    with open_home(settings) as db:
        resumed = upstreams.resume(db, COMMAND_LINE, upstream, _connect(settings), key=key, again=again)
    print_result(UpstreamOut.from_domain(resumed), _describe(resumed), as_json)


@follow_command.command("remove", examples=("hashdb follow remove 1",))
@_id
@as_json
def remove(upstream: int, as_json: bool) -> None:
    """Stop following a list, and withdraw and erase all its contributions.

    The key is deleted. If the command is interrupted, run it again.
    """
    with open_home() as db:
        name = upstreams.get(db, COMMAND_LINE, upstream).name
        count = 0
        has_more = True
        while has_more:
            withdrawn_now, has_more = upstreams.remove(db, COMMAND_LINE, upstream)
            count += withdrawn_now
    withdrawn = f"{counted(count, 'contribution')} {'is' if count == 1 else 'are'} withdrawn"
    text = f"upstream {upstream} ({escape_controls(name)}) is removed; {withdrawn}"
    print_result({"upstream": upstream, "withdrawn": count}, text, as_json)


_OPINIONS_NOT_SENT = "opinions are not sent back: the key does not have the scope `match` there"


def _print_upstreams(listed: Sequence[Upstream]) -> None:
    print_json([json.loads(UpstreamOut.from_domain(upstream).json_text()) for upstream in listed])


def _connect(settings: Settings) -> Connect:
    # The other commands need no HTTP.
    from hashdb.cli.remotes import HTTPRemote

    return partial(HTTPRemote, rules=settings.rules())


def _read_key(path: Path | None) -> str:
    """The secret of a key, from a file, a prompt at a terminal, or one line of standard input."""
    if path is not None:
        with path.open("rb") as file:
            key = file.read(_LONGEST_KEY + 2).decode("utf-8", "replace").strip()
    elif sys.stdin.isatty():
        key = str(click.prompt("Key", hide_input=True, err=True)).strip()
    else:
        key = sys.stdin.readline().strip()
    is_secret = key.startswith("hdb_") and key.isascii() and key.isprintable() and len(key) <= _LONGEST_KEY
    reject_field("key", None if is_secret else "must be the secret of a key: hdb_…")
    return key


def _row(upstream: Upstream) -> list[str]:
    caught_up = upstream.caught_up_at
    return [
        str(upstream.id),
        escape_controls(upstream.name),
        str(upstream.member),
        escape_controls(upstream.url),
        upstream.state,
        "never" if caught_up is None else f"{caught_up:%Y-%m-%d %H:%M:%S}",
        str(sum(upstream.refused.values())),
    ]


def _describe(upstream: Upstream) -> str:
    """How a list is followed, in some lines."""
    lines = [f"upstream {upstream.id}: {upstream.name}, member {upstream.member}, {upstream.url} ({upstream.log})"]
    since = "" if upstream.failing_since is None else f", since {upstream.failing_since:%Y-%m-%d %H:%M:%S} UTC"
    lines.append(f"  {upstream.state}" + (f": {upstream.trouble.sentence}{since}" if upstream.trouble else ""))
    caught_up = upstream.caught_up_at
    lines.append(
        "  has not been read to its end yet"
        if caught_up is None
        else f"  up to date as of {caught_up:%Y-%m-%d %H:%M:%S} UTC, event {upstream.seq} there"
    )
    if not upstream.judges:
        lines.append(f"  {_OPINIONS_NOT_SENT}")
    if upstream.refused:
        counts = ", ".join(f"{name} {count}" for name, count in upstream.refused.items())
        lines.append(f"  refused here, by field: {counts}")
    return "\n".join(map(escape_controls, lines))
