"""hashdb local: the sidecar, which answers programs on this machine from the local copy, and the state of that copy."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hashdb import __version__
from hashdb.cli.help import Group
from hashdb.cli.home import prepare_home
from hashdb.cli.listening import (
    check_listen_options,
    is_loopback,
    open_address,
    parse_bind,
    socket_group_option,
    socket_option,
    warn_of_unknown_settings,
)
from hashdb.cli.options import TEXT, organisation_policy, policy_option
from hashdb.cli.output import as_json, counted, escape_controls, print_result
from hashdb.client import Client
from hashdb.domain.times import format_instant
from hashdb.errors import HomeInUse, UnsafeStart, needing
from hashdb.index.folder import lock_folder
from hashdb.local import LocalIndex
from hashdb.local.approvals import Approval
from hashdb.local.reports import Reports
from hashdb.settings import Settings

_BIND = "127.0.0.1:8765"


@click.group(
    "local", cls=Group, examples=("hashdb local serve --socket /run/hashdb/sidecar.sock", "hashdb local status")
)
def local_command() -> None:
    """Answer matches from the local copy, for programs on this machine.

    A program in any language asks the sidecar (`hashdb local serve`) by HTTP, as it would ask the service.
    """


@local_command.command(
    "serve",
    examples=(
        "hashdb local serve",
        "hashdb local serve --socket /run/hashdb/sidecar.sock --socket-group upload",
        "hashdb local serve --bind 127.0.0.1:9000 --max-age 120 --workers 4",
    ),
)
@socket_option
@socket_group_option
@click.option("--bind", type=TEXT, help=f"Loopback address and port to listen on.  [default: {_BIND}]")
@click.option(
    "--max-age",
    default=300,
    show_default=True,
    type=click.IntRange(1, 31_536_000),
    help="Age of the copy in seconds from which on /readyz answers 503.",
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 256), help="Number of processes that answer."
)
@policy_option
def serve(
    socket_path: Path | None,
    socket_group: str | None,
    bind: str | None,
    max_age: int,
    workers: int,
    policy_file: Path | None,
) -> None:
    """Answer matches from the local copy, and keep the copy up to date.

    It needs a key with the scopes `feed` and `match`, as `hashdb sync` does. Programs that ask it need no key: each
    program that can use the socket may ask. It only listens on a Unix socket or on a loopback address.

    With a policy of organisations, it matches only what their quorum signed, and answers 503 without that.
    """
    check_listen_options(socket_path, socket_group, bind)
    with needing("sidecar", "this command"):
        from hashdb.cli.sidecar import SidecarServer
    settings = Settings.of_member()
    for sentence in warn_of_unknown_settings(os.environ):
        click.echo(f"hashdb: {escape_controls(sentence)}", err=True)
    policy = organisation_policy(policy_file, settings)
    prepare_home(settings.home)
    # A missing key or a wrong address is an error at the start.
    Client.from_environment().close()
    with lock_folder(settings.home / "sidecar") as acquired:
        if not acquired:
            raise HomeInUse(str(settings.home))
        address = open_address(socket_path, socket_group, lambda: loopback_address(bind or _BIND))
        click.echo(f"hashdb {__version__} answers on {address.text} from the local copy", err=True)
        SidecarServer(settings, max_age, workers, address, policy).run()


@local_command.command("status", examples=("hashdb local status", "hashdb local status --json"))
@as_json
def status(as_json: bool) -> None:
    """Show how current the local copy is, and how far look-back is.

    Exits 1 if there is no local copy.
    """
    folder = Settings.of_member().copy_folder
    with LocalIndex(folder) as index:
        copy, count, age = index.state, len(index), max(0, int(index.age.total_seconds()))
        text = index.opened().tables.approval()
        reports = Reports(index.remembered.folder).state()
    approval = None if text is None else Approval.parse(text)
    with lock_folder(folder) as is_free:
        pass
    # The cursor of look-back counts only in the log of the copy: in another epoch, its seq means another event.
    looked_back_to = reports.cursor.seq if reports.cursor and reports.cursor.epoch == copy.epoch else 0
    lag = max(0, copy.seq - looked_back_to)
    document = {
        "checkpoint": copy.seq,
        "epoch": copy.epoch,
        "age": age,
        "contributions": count,
        "followed": not is_free,
        "lookback_lag": lag,
        "reports": reports.last,
        "unacknowledged": reports.waiting,
        "approved": None if approval is None else {"covers": approval.covers, "at": format_instant(approval.at)},
    }
    look_back = "look-back has not begun" if reports.cursor is None else f"look-back is {counted(lag, 'event')} behind"
    follows = "no process follows the feed" if is_free else "a process follows the feed"
    print_result(
        document,
        f"event {copy.seq}, {counted(count, 'contribution')}, up to date {age} s ago; {follows};"
        f" {look_back}; reports not acknowledged: {reports.waiting}"
        + ("" if approval is None else f"; organisations signed it up to event {approval.covers}"),
        as_json,
    )


def loopback_address(text: str) -> tuple[str, int]:
    """The host and the port of an address. Raises BadSetting, and UnsafeStart if other machines could reach it."""
    host, port = parse_bind(text, _BIND)
    if not is_loopback(host):
        raise UnsafeStart(
            f"--bind {text} is open to other machines, and the sidecar asks for no key",
            f"listen on {_BIND}, or on a Unix socket with --socket",
        )
    return host, port
