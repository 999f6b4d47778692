"""The command line, one function a command. The composition root: it may import every layer."""

from __future__ import annotations

import gc
import importlib
import os
import sys

import click
from click.shell_completion import CompletionItem

from hashdb import __version__
from hashdb.cli.help import Group
from hashdb.cli.output import describe, describe_disk_error, escape_controls, prepare_streams
from hashdb.errors import BadSetting, ExtraMissing, HashDBError, needing

_SECTIONS = {
    "Commands for members (HASHDB_URL, HASHDB_KEY; or ~/.config/hashdb.toml)": {
        "audit": ("ledger", "Verify the audit log."),
        "case": ("review", "List and decide cases."),
        "codes": ("codes", "List the labels, reasons and all other codes, what each means, and an example."),
        "contribute": ("contributions.contribute", "Contribute the hashes of files and addresses that you removed."),
        "export": ("contributions.exports", "Export your active contributions as a list."),
        "hash": ("matching.hash", "Print the hashes of files and addresses."),
        "import": ("contributions.imports", "Import a list of hashes."),
        "local": ("local", "Answer matches from the local copy, for programs on this machine."),
        "match": ("matching.match", "Check whether files and addresses match contributions."),
        "monitor": ("monitor", "Watch the service's log, feed and witnesses, and raise an alarm."),
        "opinion": ("review", "Confirm or dispute another member's contribution."),
        "rehash": ("contributions.rehash", "Add what this version hashes to your contributions."),
        "remember": ("matching.remember", "Remember uploads, and report which of them are listed later."),
        "selftest": ("selftest", "Test every step from picture to match."),
        "status": ("status", "Show the service, key and home in use, and whether they work."),
        "sync": ("sync", "Update the local copy of the contributions."),
        "webhook": ("sharing", "Manage webhooks and their deliveries."),
        "witness": ("witness", "Cosign the checkpoints of other logs, as long as they only grow."),
        "withdraw": ("contributions.contribute", "Withdraw one of your contributions."),
    },
    "Commands for operators (HASHDB_HOME, HASHDB_DATABASE_URL)": {
        "backup": ("backup", "Back up the whole service into one file."),
        "benign": ("matching.benign", "Manage the benign list."),
        "copy-to": ("database", "Copy the database from SQLite to PostgreSQL, or back."),
        "erase": ("contributions.contribute", "Erase the data of a contribution."),
        "follow": ("following", "Follow the lists of other services."),
        "incident": ("incidents", "Manage incidents."),
        "index": ("index", "Check the search index."),
        "key": ("accounts", "Manage keys."),
        "member": ("accounts", "Manage members."),
        "proposal": ("incidents", "List and drop proposals that wait for a second person."),
        "report": ("stats", "Report what happened in a period."),
        "restore": ("backup", "Restore the service from a backup."),
        "serve": ("serve", "Run the service."),
        "upgrade": ("database", "Create or upgrade the database schema."),
        "user": ("users", "Manage the users of the console."),
        "views": ("matching.views", "Manage the seeds of secret views."),
    },
    "Commands to try hashdb": {
        "demo": ("demo", "Try hashdb with a real service, real photographs and films made of them."),
        "evaluate": ("evaluate", "Measure how many altered copies of your pictures, videos or texts are recognised."),
    },
}
"""The commands, each with its module and the first sentence of its help, so that a list of them imports no module."""
_COMMANDS = {name: place for commands in _SECTIONS.values() for name, place in commands.items()}
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


class _LazyGroup(Group):
    """A group that imports the module of a command when the command runs.

    Its own list, its completion and its suggestions use placeholders, which have a name and a short help.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        # An import makes many objects that stay. Garbage collections during it would take a sixth of the start.
        gc.disable()
        try:
            module = importlib.import_module(f"hashdb.cli.{_COMMANDS[cmd_name][0]}")
        finally:
            gc.enable()
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # `hashdb help match` is `hashdb match --help`.
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in commands.items()], col_max=12)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in sorted(_COMMANDS.items())
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


def _print_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the version and the index's kernel. Only this option imports NumPy for it."""
    if wanted and not context.resilient_parsing:
        engine = importlib.import_module("hashdb.index.kernel").implementation_name()
        click.echo(f"hashdb, version {__version__} (index: {engine})")
        context.exit()


@click.group(
    cls=_LazyGroup,
    commands={name: click.Command(name, short_help=summary) for name, (_, summary) in _COMMANDS.items()},
    examples=(
        "hashdb demo",
        "hashdb match upload.jpg",
        "hashdb contribute removed/ --label glorification --removed-at now",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Completion of commands, options and values with the Tab key:
  bash   eval "$(_HASHDB_COMPLETE=bash_source hashdb)"
  zsh    eval "$(_HASHDB_COMPLETE=zsh_source hashdb)"
  fish   _HASHDB_COMPLETE=fish_source hashdb | source

The settings HASHDB_… are environment variables. "hashdb COMMAND --help" describes a command,
and "hashdb codes" lists the labels, reasons and other codes.""",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and the implementation of the index, and exit.",
)
def hashdb() -> None:
    """Recognise content that other platforms have removed as terrorist content.

    Members contribute perceptual hashes of what they removed, and match their uploads against all contributions.
    A match is advice to review, never a command.
    """


def main() -> None:
    """Run a command: exit 0 when done, 1 when something failed, 2 on wrong usage; an error is one sentence."""
    prepare_streams()
    if "_HASHDB_COMPLETE" in os.environ:
        from hashdb.cli.completion import import_declarations_only

        import_declarations_only()
    # Two libraries would load more than a command needs, for a tenth of its start each. httpx would load its own
    # command line: with None in its place, that import fails, which httpx permits. pydantic would search all installed
    # packages for plugins.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    try:
        # A package that a command imports and does not find is one of the extra for the service.
        with needing("server", "this command"):
            status = hashdb.main(prog_name="hashdb", standalone_mode=False)
    except click.ClickException as error:
        vars(error).update(message=escape_controls(error.message))
        error.show()
        sys.exit(_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except HashDBError as error:
        click.echo(f"hashdb: {escape_controls(describe(error))}", err=True)
        sys.exit(_USAGE if isinstance(error, BadSetting | ExtraMissing) else _FAILED)
    except BrokenPipeError:
        # The reader of the output is gone: give the interpreter something to flush to when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILED)
    except Exception as error:
        if (sentence := describe_disk_error(error)) is None:
            raise
        click.echo(f"hashdb: {escape_controls(sentence)}", err=True)
        sys.exit(_FAILED)
    sys.exit(status if isinstance(status, int) else 0)
