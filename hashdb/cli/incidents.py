"""hashdb proposal, incident: list what waits for a second person, and open, list and change incidents."""

from __future__ import annotations

from datetime import datetime

import click

from hashdb.cli.help import Group
from hashdb.cli.home import list_all, open_home
from hashdb.cli.options import TEXT, Id, Instant
from hashdb.cli.output import as_json, print_list, print_result
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import UNSET
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft
from hashdb.service.review import incidents, proposals
from hashdb.wire import validate
from hashdb.wire.review import IncidentIn, IncidentOut, IncidentsOut, ProposalsOut


@click.group("proposal", cls=Group, examples=("hashdb proposal list", "hashdb proposal drop 4"))
def proposal_command() -> None:
    """List and drop proposals that wait for a second person.

    To approve a proposal, a second person makes the same request. Run this command on the service's machine.
    """


@proposal_command.command("list", examples=("hashdb proposal list",))
@as_json
def list_proposals(as_json: bool) -> None:
    """List the proposals that wait for a second person."""
    with open_home() as db:
        pending = list_all(db, proposals.page)
    print_list(
        ProposalsOut,
        pending,
        [">id", "act", "subject", "by", "expires"],
        lambda proposal: [
            proposal.id,
            proposal.request.act,
            proposal.request.subject,
            proposal.actor,
            f"{proposal.expires_at:%Y-%m-%d %H:%M}",
        ],
        as_json,
    )


@proposal_command.command("drop", examples=("hashdb proposal drop 4",))
@click.argument("proposal", type=Id("proposal"))
@as_json
def drop(proposal: int, as_json: bool) -> None:
    """Drop a proposal: its request is not carried out."""
    with open_home() as db:
        proposals.drop(db, COMMAND_LINE, proposal)
    print_result({"dropped": proposal}, f"proposal {proposal} dropped", as_json)


@click.group(
    "incident", cls=Group, examples=("hashdb incident add CIP:example-2026 --start now", "hashdb incident list")
)
def incident_command() -> None:
    """Manage incidents.

    Members contribute under the label of an incident. Run this command on the service's machine.
    """


@incident_command.command(
    "add",
    examples=(
        "hashdb incident add CIP:example-2026 --start now",
        "hashdb incident add CI:example-2026 --start 2026-11-20T10:00:00Z --end 2026-12-20T10:00:00Z --expires",
    ),
)
@click.argument("label", type=TEXT)
@click.option(
    "--start", type=Instant(), required=True, help="When it began: RFC 3339, like `2026-11-20T10:00:00Z`, or `now`."
)
@click.option("--end", type=Instant(), help="When it ends, if that is known.")
@click.option("--expires", is_flag=True, help="Contributions under the label expire when the incident ends.")
@as_json
def add(label: str, start: datetime, end: datetime | None, expires: bool, as_json: bool) -> None:
    """Open an incident.

    LABEL is `PCI:`, `CIP:` or `CI:` and a slug.
    """
    draft = validate(IncidentIn, IncidentDraft(label, start, end, expires))
    with open_home() as db:
        added = incidents.add(db, COMMAND_LINE, draft)
    _print_incident(added, as_json)


@incident_command.command("list", examples=("hashdb incident list",))
@as_json
def list_incidents(as_json: bool) -> None:
    """List the incidents."""
    with open_home() as db:
        listed = list_all(db, incidents.page)
    print_list(
        IncidentsOut,
        listed,
        [">id", "label", "start", "end", "contributions"],
        lambda row: [row.id, row.label, _format_time(row.start), _format_time(row.end), _format_expiry(row)],
        as_json,
    )


@incident_command.command("change", examples=("hashdb incident change 2 --end now --expires",))
@click.argument("incident", type=Id("incident"))
@click.option("--start", type=Instant(), help="When it began.")
@click.option("--end", type=Instant(), help="When it ends.")
@click.option("--no-end", is_flag=True, help="Remove the end: the incident continues.")
@click.option("--expires/--lasts", default=None, help="Whether its contributions expire when it ends.")
@as_json
def change(
    incident: int, start: datetime | None, end: datetime | None, no_end: bool, expires: bool | None, as_json: bool
) -> None:
    """Change an incident.

    INCIDENT is its id. The change applies to contributions under its label at once.
    """
    if no_end and end is not None:
        raise click.UsageError("give --end or --no-end, not both")
    incident_change = IncidentChange(
        UNSET if start is None else start,
        UNSET if end is None and not no_end else end,
        UNSET if expires is None else expires,
    )
    with open_home() as db:
        changed = incidents.change(db, COMMAND_LINE, incident, incident_change)
    _print_incident(changed, as_json)


def _print_incident(incident: Incident, as_json: bool) -> None:
    until = f", until {_format_time(incident.end)}" if incident.end else ""
    since = f"incident {incident.id}: {incident.label} since {_format_time(incident.start)}{until}"
    print_result(IncidentOut.from_domain(incident), f"{since}; its contributions {_format_expiry(incident)}", as_json)


def _format_expiry(incident: Incident) -> str:
    return "expire at its end" if incident.expires else "stay"


def _format_time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
