"""The command line, one function a command. The composition root: it may import every layer."""

from __future__ import annotations

import importlib
import os
import sys

import click

from hashdb import __version__
from hashdb.cli.output import escape_controls, escape_unencodable
from hashdb.errors import BadSetting, HashDBError

_COMMANDS = {
    "audit": "hashdb.cli.ledger",
    "backup": "hashdb.cli.backup",
    "benign": "hashdb.cli.matching.benign",
    "case": "hashdb.cli.review",
    "contribute": "hashdb.cli.contributions.contribute",
    "copy-to": "hashdb.cli.database",
    "demo": "hashdb.cli.demo",
    "erase": "hashdb.cli.contributions.contribute",
    "evaluate": "hashdb.cli.evaluate",
    "export": "hashdb.cli.contributions.imports",
    "hash": "hashdb.cli.matching.match",
    "import": "hashdb.cli.contributions.imports",
    "incident": "hashdb.cli.review",
    "index": "hashdb.cli.index",
    "key": "hashdb.cli.accounts",
    "match": "hashdb.cli.matching.match",
    "member": "hashdb.cli.accounts",
    "opinion": "hashdb.cli.review",
    "proposal": "hashdb.cli.review",
    "report": "hashdb.cli.stats",
    "restore": "hashdb.cli.backup",
    "selftest": "hashdb.cli.selftest",
    "serve": "hashdb.cli.serve",
    "sync": "hashdb.cli.sharing",
    "upgrade": "hashdb.cli.database",
    "user": "hashdb.cli.accounts",
    "webhook": "hashdb.cli.sharing",
    "withdraw": "hashdb.cli.contributions.contribute",
}
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command runs: `hashdb hash` needs no database."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), f"{cmd_name.replace('-', '_')}_command")
        return command


def _print_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the version and the index's kernel. Only this option imports NumPy for it."""
    if wanted and not context.resilient_parsing:
        engine = importlib.import_module("hashdb.index.kernel").engine()
        click.echo(f"hashdb, version {__version__} (index: {engine})")
        context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and what the index runs on, and exit.",
)
def hashdb() -> None:
    """A shared database of perceptual hashes of removed terrorist content.

    The member's side (hash, contribute, match, import, export, opinion, case, sync, selftest, webhook, withdraw,
    audit check) reads HASHDB_URL and HASHDB_KEY; the service's side (serve, member, key, benign, incident, index check,
    proposal, report, audit verify, backup, restore, upgrade) reads HASHDB_HOME and HASHDB_DATABASE_URL.
    """


def main() -> None:
    """Run a command: exit 0 when done, 1 when something failed, 2 on wrong usage; an error is one sentence."""
    escape_unencodable()
    try:
        status = hashdb.main(prog_name="hashdb", standalone_mode=False)
    except click.ClickException as error:
        vars(error).update(message=escape_controls(error.message))
        error.show()
        sys.exit(_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except HashDBError as error:
        click.echo(f"hashdb: {escape_controls(error)}", err=True)
        sys.exit(_USAGE if isinstance(error, BadSetting) else _FAILED)
    except BrokenPipeError:
        # The reader of the output is gone: give the interpreter something to flush to when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILED)
    sys.exit(status if isinstance(status, int) else 0)
