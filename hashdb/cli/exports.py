"""hashdb export: your own active contributions, as `hashdb import` reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime

import click

from hashdb.cli.output import as_json, counted
from hashdb.cli.rows import FIELDS, LISTS
from hashdb.client import Client
from hashdb.domain.contributions import Contribution, Draft, Filter, Status
from hashdb.settings import Settings
from hashdb.wire.cells import line
from hashdb.wire.contributions import DraftIn
from hashdb.wire.interop.misp import event
from hashdb.wire.interop.stix import bundle

Said = Mapping[str, object]


@click.command("export")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "misp", "stix"]), default="csv", show_default=True)
@as_json
def command(form: str, as_json: bool) -> None:
    """Print your own active contributions, a row each, so that `hashdb import` reads them again.

    `misp` prints one event, `stix` one bundle (STIX 2.1); both have what matches no more too, as deleted and revoked.
    """
    if form in ("misp", "stix"):
        _print_foreign(form)
        return
    bar, advance = counted("exporting")
    with Client.from_environment() as client, bar:
        own = client.contributions(Filter(member=client.me().member.id, status=Status.ACTIVE))
        write = _array if as_json else _lines if form == "jsonl" else _table
        write(_counted(own, advance))


def _print_foreign(form: str) -> None:
    """Print what another system takes in: all but what was erased, of which nothing is left to name it by."""
    bar, advance = counted("exporting")
    url = Settings.read().url
    with Client.from_environment() as client, bar:
        me = client.me().member
        left = _left(client.contributions(Filter(member=me.id)), advance)
        for part in bundle(url, left) if form == "stix" else event(url, me.name, datetime.now(UTC), left):
            click.echo(part, nl=False)


def _left(own: Iterable[Contribution], advance: Callable[[int], None]) -> Iterator[Contribution]:
    for one in own:
        advance(1)
        if not one.erased:
            yield one


def _counted(own: Iterable[Contribution], advance: Callable[[int], None]) -> Iterator[Said]:
    for one in own:
        yield json.loads(DraftIn.from_domain(_draft(one)).model_dump_json())
        advance(1)


def _table(rows: Iterable[Said]) -> None:
    click.echo(line(FIELDS), nl=False)
    for said in rows:
        click.echo(line(_cell(name, said[name]) for name in FIELDS), nl=False)


def _lines(rows: Iterable[Said]) -> None:
    for said in rows:
        click.echo(_object(said))


def _array(rows: Iterable[Said]) -> None:
    click.echo("[", nl=False)
    for number, said in enumerate(rows):
        click.echo(f"{',' if number else ''}\n{_object(said)}", nl=False)
    click.echo("\n]")


def _object(said: Said) -> str:
    return json.dumps({name: said[name] for name in FIELDS if said[name] not in (None, [])})


def _draft(contribution: Contribution) -> Draft:
    return Draft(**{field.name: getattr(contribution, field.name) for field in fields(Draft)})


def _cell(name: str, value: object) -> object:
    if name in LISTS and isinstance(value, Iterable):
        return " ".join(map(str, value))
    return "" if value is None else value
