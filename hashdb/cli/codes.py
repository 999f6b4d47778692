"""hashdb codes: list the codes of the vocabulary, with what each means."""

from __future__ import annotations

from collections.abc import Mapping

import click

from hashdb.cli.help import Choice, Command
from hashdb.cli.output import as_json, print_json
from hashdb.domain.meanings import EXAMPLES, MEANINGS, TITLES, explain

_KINDS = {kind: title.partition(": ")[2] or title for kind, title in TITLES.items()}
_UNKNOWN = "a code of this service's own"


@click.command("codes", cls=Command, examples=("hashdb codes", "hashdb codes reason", "hashdb codes --service"))
@click.argument("kind", type=Choice(_KINDS), required=False, metavar="[KIND]")
@click.option("--service", is_flag=True, help="List the codes of your service, which may have others than the default.")
@as_json
def codes_command(kind: str | None, service: bool, as_json: bool) -> None:
    """List the labels, reasons and all other codes, what each means, and an example.

    KIND limits the list to codes of one kind. The command needs no service, except with --service.
    """
    codes_of = {each: tuple(codes) for each, codes in MEANINGS.items()} | (_of_service() if service else {})
    chosen = {each: codes for each, codes in codes_of.items() if kind in (None, each)}
    if as_json:
        print_json({each: {code: _meaning(each, code) for code in codes} for each, codes in chosen.items()})
        return
    formatter = click.HelpFormatter(width=100)
    for each, codes in chosen.items():
        with formatter.section(f"{TITLES.get(each, each)} ({each})"):
            formatter.write_dl([(code, explain(each, code) or _UNKNOWN) for code in codes])
    click.echo(formatter.getvalue().strip())


def _meaning(kind: str, code: str) -> Mapping[str, str | None]:
    return {
        "meaning": MEANINGS.get(kind, {}).get(code, _UNKNOWN),
        "example": EXAMPLES.get(kind, {}).get(code),
    }


def _of_service() -> dict[str, tuple[str, ...]]:
    """The codes of the service's own vocabulary, by kind."""
    from hashdb.client import Client

    with Client.from_environment() as client:
        labels = client.me().labels
    return {kind: tuple(codes) for kind, codes in labels.items()}
