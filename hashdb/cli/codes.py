"""hashdb codes: list the codes of the vocabulary, with what each means."""

from __future__ import annotations

from collections.abc import Mapping

import click

from hashdb.cli.help import Choice, Command
from hashdb.cli.output import as_json, print_json
from hashdb.domain.meanings import MEANINGS, TITLES

_KINDS = {kind: title.partition(": ")[2] or title for kind, title in TITLES.items()}
_UNKNOWN = "a code of this service's own"


@click.command("codes", cls=Command, examples=("hashdb codes", "hashdb codes reason", "hashdb codes --service"))
@click.argument("kind", type=Choice(_KINDS), required=False, metavar="[KIND]")
@click.option("--service", is_flag=True, help="List the codes of your service, which may have others than the default.")
@as_json
def codes_command(kind: str | None, service: bool, as_json: bool) -> None:
    """List the labels, reasons and other codes, and what each means.

    KIND limits the list to codes of one kind. The command needs no service, except with --service.
    """
    vocabulary = _of_service() if service else MEANINGS
    chosen = {each: dict(codes) for each, codes in vocabulary.items() if kind in (None, each)}
    if as_json:
        print_json(chosen)
        return
    formatter = click.HelpFormatter(width=100)
    for each, codes in chosen.items():
        with formatter.section(f"{TITLES.get(each, each)} ({each})"):
            formatter.write_dl(list(codes.items()))
    click.echo(formatter.getvalue().strip())


def _of_service() -> Mapping[str, Mapping[str, str]]:
    from hashdb.client import Client

    with Client.from_environment() as client:
        labels = client.me().labels
    return {
        kind: {code: MEANINGS.get(kind, {}).get(code, _UNKNOWN) for code in codes} for kind, codes in labels.items()
    }
