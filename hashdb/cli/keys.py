"""hashdb key: what opens the service to a member."""

from __future__ import annotations

from datetime import datetime

import click

from hashdb.cli.home import opened
from hashdb.cli.instants import Instant
from hashdb.cli.members import everybody, find, scopes_option
from hashdb.cli.output import as_json, print_json, print_table
from hashdb.cli.texts import TEXT
from hashdb.domain.members import COMMAND_LINE, Key, KeyDraft, Scope
from hashdb.service import HashDB, checkpoints, members
from hashdb.settings import Settings
from hashdb.wire import LARGEST_ID
from hashdb.wire.accounts import IssuedKeyOut, KeyOut, OwnedKeyOut, OwnedKeysOut


@click.group("key")
def command() -> None:
    """Issue, list and revoke keys, and renew the one that signs the log, on the service's machine."""


@command.command("add")
@click.argument("member", type=TEXT)
@scopes_option
@click.option("--expires-at", type=Instant(), help="When it stops opening anything.")
@click.option("--hide-distances", is_flag=True, help="Answer its matches without how close they are.")
@as_json
def add(member: str, scopes: tuple[str, ...], expires_at: datetime | None, hide_distances: bool, as_json: bool) -> None:
    """Issue a key to a member (its id or name). The secret is shown this once."""
    if not scopes:
        raise click.UsageError("give at least one --scope")
    with opened(Settings.read()) as db:
        draft = KeyDraft(frozenset(map(Scope, scopes)), expires_at, hide_distances)
        issued = members.issue_key(db, COMMAND_LINE, find(db, member).id, draft)
    if as_json:
        print_json(IssuedKeyOut.from_issued(issued))
        return
    click.echo(f"key {issued.key.id} ({' '.join(sorted(issued.key.scopes))}), its secret, shown this once:")
    click.echo(issued.secret)


@command.command("list")
@click.argument("member", type=TEXT, required=False)
@as_json
def browse(member: str | None, as_json: bool) -> None:
    """List the keys of a member (its id or name), or of all members, without their secrets."""
    with opened(Settings.read()) as db:
        owners = everybody(db) if member is None else [find(db, member)]
        found = sorted(((key, owner) for owner in owners for key in _all(db, owner.id)), key=lambda one: one[0].id)
    if as_json:
        print_json(
            OwnedKeysOut.model_construct(keys=[OwnedKeyOut.from_owned(owner, key) for key, owner in found], next=None)
        )
        return
    rows = [
        [
            str(key.id),
            owner.name,
            " ".join(sorted(key.scopes)),
            f"{key.created_at:%Y-%m-%d}",
            f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "",
            f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else "",
            "hidden" if key.hides_distances else "",
        ]
        for key, owner in found
    ]
    print_table([">id", "member", "scopes", "since", "expires", "revoked", "distances"], rows)


@command.command("revoke")
@click.argument("key", type=click.IntRange(1, LARGEST_ID))
@as_json
def revoke(key: int, as_json: bool) -> None:
    """Revoke a key: it opens nothing from the next request on."""
    with opened(Settings.read()) as db:
        revoked = members.revoke_key(db, COMMAND_LINE, key)
    if as_json:
        print_json(KeyOut.from_domain(revoked))
    else:
        click.echo(f"key {key} is revoked")


@command.command("rotate-signing")
@as_json
def rotate_signing(as_json: bool) -> None:
    """Sign the log's checkpoints with a new key from now on; the old one still verifies what it signed.

    The new one is written where the old one was. A service that runs takes it up by itself.
    """
    with opened(Settings.read()) as db:
        verifier = checkpoints.rotate(db, COMMAND_LINE)
    if as_json:
        print_json({"vkey": str(verifier)})
    else:
        click.echo(f"the log is signed by {verifier} from now on")


def _all(db: HashDB, member: int) -> list[Key]:
    found: list[Key] = []
    while page := members.keys(db, COMMAND_LINE, member, found[-1].id if found else 0, 1000):
        found += page
    return found
