"""hashdb incident: crises, at whose end contributions may expire."""

from __future__ import annotations

from datetime import datetime

import click

from hashdb.cli.home import opened
from hashdb.cli.instants import Instant
from hashdb.cli.output import as_json, print_json, print_table
from hashdb.cli.texts import TEXT
from hashdb.domain.contributions import UNSET
from hashdb.domain.incidents import Incident, IncidentChange, IncidentDraft
from hashdb.domain.members import COMMAND_LINE
from hashdb.service import incidents
from hashdb.settings import Settings
from hashdb.wire import LARGEST_ID, read
from hashdb.wire.review import IncidentIn, IncidentOut, IncidentsOut


@click.group("incident")
def command() -> None:
    """Open, list and change incidents, on the service's machine."""


@command.command("add")
@click.argument("label", type=TEXT)
@click.option("--start", type=Instant(), required=True, help="When it began: RFC 3339, or `now`.")
@click.option("--end", type=Instant(), help="When it ends, where that is known.")
@click.option("--expires", is_flag=True, help="Let what is contributed under the label expire at the end.")
@as_json
def add(label: str, start: datetime, end: datetime | None, expires: bool, as_json: bool) -> None:
    """Open an incident of this label (`CIP:` or `CI:` and a slug)."""
    draft = IncidentDraft(label, start, end, expires)
    with opened(Settings.read()) as db:
        added = incidents.add(
            db, COMMAND_LINE, read(IncidentIn, IncidentIn.from_domain(draft).model_dump_json()).to_domain()
        )
    _tell(added, as_json)


@command.command("list")
@as_json
def browse(as_json: bool) -> None:
    """List the incidents."""
    with opened(Settings.read()) as db:
        found = incidents.page(db, COMMAND_LINE, 0, 1000)
    if as_json:
        print_json(IncidentsOut.model_construct(incidents=[IncidentOut.from_domain(one) for one in found], next=None))
        return
    rows = [[str(one.id), one.label, _spelled(one.start), _spelled(one.end), _kept(one)] for one in found]
    print_table([">id", "label", "start", "end", "contributions"], rows)


@command.command("change")
@click.argument("incident", type=click.IntRange(1, LARGEST_ID))
@click.option("--start", type=Instant(), help="When it began.")
@click.option("--end", type=Instant(), help="When it ends.")
@click.option("--no-end", is_flag=True, help="Let it go on.")
@click.option("--expires/--lasts", default=None, help="Whether its contributions expire at its end.")
@as_json
def change(
    incident: int, start: datetime | None, end: datetime | None, no_end: bool, expires: bool | None, as_json: bool
) -> None:
    """Change an incident; what was contributed under its label follows at once."""
    if no_end and end is not None:
        raise click.UsageError("give --end or --no-end, not both")
    asked = IncidentChange(
        UNSET if start is None else start,
        UNSET if end is None and not no_end else end,
        UNSET if expires is None else expires,
    )
    with opened(Settings.read()) as db:
        changed = incidents.change(db, COMMAND_LINE, incident, asked)
    _tell(changed, as_json)


def _tell(incident: Incident, as_json: bool) -> None:
    if as_json:
        print_json(IncidentOut.from_domain(incident))
    else:
        until = f", until {_spelled(incident.end)}" if incident.end else ""
        since = f"incident {incident.id}: {incident.label} since {_spelled(incident.start)}{until}"
        click.echo(f"{since}; its contributions {_kept(incident)}")


def _kept(incident: Incident) -> str:
    return "expire at its end" if incident.expires else "stay"


def _spelled(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
