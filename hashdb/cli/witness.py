"""hashdb witness: cosign the checkpoints of other logs, as long as they only grow."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashdb import __version__
from hashdb.cli.help import Choice, Group
from hashdb.cli.home import prepare_home
from hashdb.cli.listening import check_listen_options, open_address, parse_bind, socket_group_option, socket_option
from hashdb.cli.options import FILE, TEXT, read_cosigner
from hashdb.cli.output import as_json, counted, print_json, print_table
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, BadSetting, HomeInUse, needing, os_reason
from hashdb.index.folder import lock_folder, opener
from hashdb.member_settings import MemberSettings, read_policy

if TYPE_CHECKING:
    from hashdb.domain.ledger.cosignatures import Cosigner
    from hashdb.domain.ledger.notes import Verifier
    from hashdb.witness.state import Cosigned, Refused

_BIND = "127.0.0.1:8766"
_FOLDER, _DATABASE = "witness", "witness.sqlite"
_TYPES = {
    "ed25519": "64 octets per cosignature; every log and client knows it",
    "ml-dsa-44": "2,420 octets per cosignature; safe against quantum computers",
}


@click.group(
    "witness",
    cls=Group,
    examples=(
        "hashdb witness key witness.example.org/1",
        "hashdb witness serve --logs logs.txt",
        "hashdb witness status",
    ),
)
def witness_command() -> None:
    """Cosign the checkpoints of other logs, as long as they only grow.

    A witness remembers the last checkpoint of each log, and cosigns a newer one only if it continues that one. So a log
    whose checkpoints are cosigned by witnesses that do not know each other cannot show two histories. The protocol is
    C2SP's tlog-witness; the logs may be of any program that speaks it.
    """


@witness_command.command(
    "key",
    examples=("hashdb witness key witness.example.org/1", "hashdb witness key example.org --out organisation.key"),
)
@click.argument("name", type=TEXT)
@click.option("--type", "type", type=Choice(_TYPES), default="ed25519", show_default=True, help="Type of the key.")
@click.option("--out", type=FILE, help="File to write.  [default: a key of `hashdb witness serve`, in HASHDB_HOME]")
@as_json
def make_key(name: str, type: str, out: Path | None, as_json: bool) -> None:
    """Make a key with which a witness, or an organisation, cosigns, and print its public half (vkey).

    NAME is in every cosignature: use an address of yours without a scheme, like witness.example.org/1. The file holds
    the private key: back it up, and let nobody read it. An existing file is never replaced.
    """
    from hashdb.domain.ledger.cosignatures import Cosigner, KeyType

    try:
        cosigner = Cosigner.new(name, KeyType.ED25519 if type == "ed25519" else KeyType.ML_DSA_44)
    except BadNote as error:
        raise click.UsageError(str(error)) from None
    if out is None:
        home = MemberSettings.of_member().home
        prepare_home(home)
        (home / _FOLDER).mkdir(mode=0o700, exist_ok=True)
        out = home / _FOLDER / f"{type}.key"
    try:
        with open(out, "xb", opener=opener) as file:
            file.write(cosigner.file)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BadSetting(str(out), "exists: move it away first, or name another file by --out") from None
    except OSError as error:
        raise BadSetting(str(out), f"cannot be written: {os_reason(error)}") from None
    if as_json:
        print_json({"file": str(out), "vkey": str(cosigner.key)})
        return
    click.echo(f"wrote {out}; the operators of logs need this key:", err=True)
    click.echo(str(cosigner.key))


@witness_command.command(
    "serve",
    examples=(
        "hashdb witness serve --logs logs.txt",
        "hashdb witness serve --logs logs.txt --socket /run/hashdb/witness.sock --socket-group caddy",
    ),
)
@click.option(
    "--logs",
    "logs_file",
    required=True,
    type=FILE,
    help="File of the logs: lines `log VKEY`, as in a policy of C2SP.",
)
@socket_option
@socket_group_option
@click.option("--bind", type=TEXT, help=f"Address and port to listen on.  [default: {_BIND}]")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Number of processes that answer."
)
def serve(logs_file: Path, socket_path: Path | None, socket_group: str | None, bind: str | None, workers: int) -> None:
    """Serve add-checkpoint for the logs of a file, and their last checkpoints for monitors.

    It uses the keys that `hashdb witness key` made, and keeps the last checkpoints in HASHDB_HOME. Never restore
    this folder to an older state: the witness would cosign a history that it has already seen rewritten. Requests and
    answers hold no secrets, so it needs no key; put a proxy with TLS in front of it.
    """
    check_listen_options(socket_path, socket_group, bind)
    with needing("sidecar", "this command"):
        from hashdb.cli.witness_server import Server
    home = MemberSettings.of_member().home
    prepare_home(home)
    folder = home / _FOLDER
    logs, cosigners = _read_logs(logs_file), _read_keys(folder)
    with lock_folder(folder) as acquired:
        if not acquired:
            raise HomeInUse(str(home))
        address = open_address(socket_path, socket_group, lambda: parse_bind(bind or _BIND, _BIND))
        click.echo(f"hashdb {__version__} witnesses {counted(len(logs), 'log')} on {address.text}", err=True)
        Server(logs, cosigners, folder / _DATABASE, workers, address).run()


@witness_command.command("status", examples=("hashdb witness status", "hashdb witness status --json"))
@as_json
def status(as_json: bool) -> int:
    """Show the last checkpoint of each log, and the checkpoints that were refused.

    A refused checkpoint does not continue the one that was cosigned, and the log signed both: --json has both notes,
    which are the evidence. The command exits 1 if there is one.
    """
    from hashdb.witness.state import WitnessState

    file = MemberSettings.of_member().home / _FOLDER / _DATABASE
    if not file.exists():
        raise BadSetting("HASHDB_HOME", f"{file} does not exist: no witness has run there")
    state = WitnessState(file)
    logs, refused = state.list_all()
    state.close()
    if as_json:
        print_json({"logs": list(map(_log_to_json, logs)), "refused": list(map(_refused_to_json, refused))})
    else:
        print_table(
            ("log", "events", "cosigned"),
            [(log.checkpoint.origin, str(log.checkpoint.size), _format_time(log.at)) for log in logs],
        )
        for refusal in refused:
            events = f"{refusal.checkpoint.size} events of {refusal.checkpoint.origin}"
            click.echo(f"refused at {_format_time(refusal.at)}: {events}: {refusal.reason}")
    return 1 if refused else 0


def _read_logs(file: Path) -> tuple[Verifier, ...]:
    """The keys of the logs. Raises BadSetting."""
    # A witness has no use for the other lines of a policy.
    logs = read_policy("--logs", file, quorum="none").logs
    if not logs:
        raise BadSetting("--logs", f"{file} has no line `log VKEY`")
    return logs


def _read_keys(folder: Path) -> list[Cosigner]:
    """The cosigners of the witness, one for each type of key that it has. Raises BadSetting."""
    files = [file for name in _TYPES if (file := folder / f"{name}.key").exists()]
    if not files:
        raise BadSetting("HASHDB_HOME", f"{folder} has no key: make one with `hashdb witness key NAME`")
    return [read_cosigner("HASHDB_HOME", file) for file in files]


def _log_to_json(cosigned: Cosigned) -> dict[str, object]:
    checkpoint, at = cosigned.checkpoint, _format_time(cosigned.at)
    return {"origin": checkpoint.origin, "size": checkpoint.size, "at": at, "note": cosigned.note}


def _refused_to_json(refused: Refused) -> dict[str, object]:
    return {
        "origin": refused.checkpoint.origin,
        "size": refused.checkpoint.size,
        "at": _format_time(refused.at),
        "reason": refused.reason,
        "note": refused.note,
        "cosigned": refused.cosigned,
    }


def _format_time(time: int) -> str:
    """The RFC 3339 text of seconds since 1970."""
    return format_instant(datetime.fromtimestamp(time, UTC))
