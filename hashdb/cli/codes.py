"""hashdb codes: list the codes of the vocabulary, with what each means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click

from hashdb.cli.help import Choice, Command
from hashdb.cli.output import as_json, escape_controls, print_json
from hashdb.domain.meanings import EXAMPLES, MEANINGS, TITLES, explain

# The help lists the kinds with the part of the title that explains them: `Labels: what the content does`.
_KINDS = {kind: title.partition(": ")[2] or title for kind, title in TITLES.items()}
_UNKNOWN = "a code defined by this operator"


class _Kind(Choice):
    """The type of KIND: `label`, as the option of other commands is called, stands for `behaviour`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("behaviour" if value in ("label", "labels") else value, param, ctx)


@click.command("codes", cls=Command, examples=("hashdb codes", "hashdb codes reason", "hashdb codes --service"))
@click.argument("kind", type=_Kind(_KINDS), required=False, metavar="[KIND]")
@click.option("--service", is_flag=True, help="List the codes of your service, which may have others than the default.")
@as_json
def codes_command(kind: str | None, service: bool, as_json: bool) -> None:
    """List the labels, reasons and all other codes, what each means, and an example.

    KIND limits the list to codes of one kind. The command needs no service, except with --service.
    """
    by_kind: Mapping[str, Collection[str]] = {**MEANINGS, **(_read_service_codes() if service else {})}
    chosen = {name: codes for name, codes in by_kind.items() if kind in (None, name)}
    if as_json:
        print_json({name: {code: _code_to_json(name, code) for code in codes} for name, codes in chosen.items()})
        return
    formatter = click.HelpFormatter(width=100)
    for name, codes in chosen.items():
        with formatter.section(escape_controls(f"{TITLES.get(name, name)} ({name})")):
            formatter.write_dl([(escape_controls(code), explain(name, code) or _UNKNOWN) for code in codes])
    click.echo(formatter.getvalue().strip())


def _code_to_json(kind: str, code: str) -> Mapping[str, str | None]:
    return {"meaning": MEANINGS.get(kind, {}).get(code, _UNKNOWN), "example": EXAMPLES.get(kind, {}).get(code)}


def _read_service_codes() -> Mapping[str, Collection[str]]:
    """The codes of the service's own vocabulary, by kind."""
    from hashdb.client import Client

    with Client.from_environment() as client:
        # The field is named after the labels, and has the codes of the other kinds, too.
        return client.me().labels
