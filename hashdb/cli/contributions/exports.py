"""hashdb export: print the own contributions as a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime

import click

from hashdb.cli.contributions.columns import FIELDS
from hashdb.cli.help import TIERS, Choice, Command
from hashdb.cli.output import as_json, progress_bar
from hashdb.client import Client
from hashdb.domain.contributions import Contribution, Draft, Filter, Status
from hashdb.domain.tiers import Tier
from hashdb.wire.cells import csv_line
from hashdb.wire.drafts import DraftIn
from hashdb.wire.sharing.exports import misp_event, stix_bundle

Fields = Mapping[str, object]
_LISTS = frozenset({"signals", "signatures", "labels", "context"})
_EXPORTS = {
    "csv": "a table whose first line names the columns",
    "jsonl": "one JSON object per line",
    "misp": "one MISP event",
    "stix": "one bundle of STIX 2.1",
}


@click.command(
    "export",
    cls=Command,
    examples=("hashdb export > contributions.csv", "hashdb export --tier crisis --format stix > bundle.json"),
)
@click.option("--format", "form", type=Choice(_EXPORTS), default="csv", show_default=True, help="Format.")
@click.option("--tier", type=Choice(TIERS), help="Only contributions whose codes imply this tier.")
@as_json
def export_command(form: str, tier: str | None, as_json: bool) -> None:
    """Export your active contributions as a list.

    The command prints one row for each contribution. `hashdb import` reads the formats `csv` and `jsonl`. The formats
    `misp` and `stix` also contain contributions that no longer match, marked as deleted or revoked.
    """
    chosen = None if tier is None else Tier(tier)
    if form in ("misp", "stix"):
        _print_bundle(form, chosen)
        return
    with Client.from_environment() as client, progress_bar("exporting") as advance:
        contributions = client.contributions(Filter(member=client.me().member.id, status=Status.ACTIVE, tier=chosen))
        write = _print_array if as_json else _print_lines if form == "jsonl" else _print_csv
        write(_to_rows(client, contributions, advance))


def _print_bundle(form: str, tier: Tier | None) -> None:
    """Print the contributions for MISP or STIX.

    Erased ones, and items with frames and without a digest, have nothing to be identified by, and are left out.
    """
    with Client.from_environment() as client, progress_bar("exporting") as advance:
        url, me = client.url, client.me().member
        contributions = _identified(client.contributions(Filter(member=me.id, tier=tier)), advance)
        is_stix, now = form == "stix", datetime.now(UTC)
        for part in stix_bundle(url, contributions) if is_stix else misp_event(url, me.name, now, contributions):
            click.echo(part, nl=False)


def _identified(contributions: Iterable[Contribution], advance: Callable[[int], None]) -> Iterator[Contribution]:
    """The contributions that other systems can identify; how many are left out is printed on standard error."""
    unidentified = 0
    for contribution in contributions:
        advance(1)
        if contribution.frame_count and not contribution.signals:
            unidentified += 1
        elif not contribution.erased:
            yield contribution
    if unidentified:
        what = "videos, documents and texts without a digest of their file, which are left out"
        click.echo(f"hashdb: {what}: {unidentified}", err=True)


def _to_rows(client: Client, contributions: Iterable[Contribution], advance: Callable[[int], None]) -> Iterator[Fields]:
    for contribution in contributions:
        draft = Draft(**{field.name: getattr(contribution, field.name) for field in fields(Draft)})
        if contribution.frame_count:
            # A frame whose signals are all suppressed has none.
            draft = replace(draft, frames=tuple(frame for frame in client.frames(contribution.id) if frame.signals))
        yield to_row(draft)
        advance(1)


def to_row(draft: Draft) -> Fields:
    """The fields of a draft as a list has them."""
    sent = DraftIn.from_domain(draft)
    frames = [frame.model_dump(mode="json", exclude_unset=True) for frame in sent.frames]
    return {**json.loads(sent.model_dump_json(exclude={"frames"})), "frames": frames}


def _print_csv(rows: Iterable[Fields]) -> None:
    click.echo(csv_line(FIELDS), nl=False)
    for row in rows:
        click.echo(csv_line(_cell(name, row[name]) for name in FIELDS), nl=False)


def _print_lines(rows: Iterable[Fields]) -> None:
    for row in rows:
        click.echo(json.dumps(without_empty(row)))


def _print_array(rows: Iterable[Fields]) -> None:
    click.echo("[", nl=False)
    for number, row in enumerate(rows):
        click.echo(f"{',' if number else ''}\n{json.dumps(without_empty(row))}", nl=False)
    click.echo("\n]")


def without_empty(row: Fields) -> dict[str, object]:
    """The fields of a row that have a value, in the order of the columns."""
    return {name: row[name] for name in FIELDS if row[name] not in (None, [])}


def _cell(name: str, value: object) -> object:
    if name in _LISTS and isinstance(value, Iterable):
        return " ".join(map(str, value))
    if name == "frames":
        return json.dumps(value, separators=(",", ":")) if value else ""
    return "" if value is None else value
