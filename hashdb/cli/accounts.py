"""hashdb member, key: manage members and their keys."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import click

from hashdb.cli.help import SCOPES, Choice, Group
from hashdb.cli.home import list_all, open_home
from hashdb.cli.options import NAME_OR_ID, TEXT, Id, Instant
from hashdb.cli.output import as_json, print_json, print_list, print_proposal, print_result, print_table
from hashdb.domain.accounts.members import (
    COMMAND_LINE,
    IssuedKey,
    Key,
    KeyDraft,
    Member,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
)
from hashdb.domain.meanings import explain_all
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.spelling import did_you_mean, read_id
from hashdb.errors import NameTaken, NotFound
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.review import opinions
from hashdb.wire import validate
from hashdb.wire.accounts import (
    IssuedKeyOut,
    KeyOut,
    MemberIn,
    MemberOut,
    MembersOut,
    MemberWithKeyOut,
    OwnedKeyOut,
    OwnedKeysOut,
)

_KINDS = explain_all("member_kind")
scopes_option = click.option(
    "--scope", "scopes", multiple=True, type=Choice(SCOPES), help="What the key may do; may be repeated."
)


@click.group(
    "member",
    cls=Group,
    examples=(
        "hashdb member add 'Example Video' --kind platform --scope contribute --scope match",
        "hashdb member suspend 'Example Video'",
    ),
)
def member_command() -> None:
    """Manage members.

    A member is an organisation that takes part. Run this command on the service's machine.
    """


@member_command.command(
    "add",
    examples=(
        "hashdb member add 'Example Video' --kind platform --scope contribute --scope match",
        "hashdb member add 'Example Regulator' --kind authority --contact ts@example.org --scope audit",
    ),
)
@click.argument("name", type=TEXT)
@click.option("--kind", required=True, type=Choice(_KINDS), help="The kind of organisation.")
@click.option("--contact", type=TEXT, default="", help="Contact of the member, like an email address.")
@click.option("--a-day", type=click.IntRange(0, 2**31 - 1), help="Contributions that the member may send a day.")
@scopes_option
@as_json
def add_member(name: str, kind: str, contact: str, a_day: int | None, scopes: tuple[str, ...], as_json: bool) -> None:
    """Add a member, and a first key if you give scopes.

    The secret of the key is shown only once.
    """
    draft = validate(MemberIn, MemberDraft(name, MemberKind(kind), contact, MemberLimits(a_day)))
    with open_home() as db:
        try:
            member = members.add(db, COMMAND_LINE, draft)
        except NameTaken as error:
            if scopes:
                error.add_note("; `hashdb key add` makes another key for it")
            raise
        key_draft = KeyDraft(frozenset(map(Scope, scopes)))
        issued = members.issue_key(db, COMMAND_LINE, member.id, key_draft) if scopes else None
    key = {"key": IssuedKeyOut.from_issued(issued)} if issued else {}
    lines = [f"member {member.id}: {member.name} ({member.kind})", *(_format_issued(issued) if issued else ())]
    print_result(MemberWithKeyOut.build(member=MemberOut.from_domain(member), **key), "\n".join(lines), as_json)


@member_command.command("list", examples=("hashdb member list",))
@as_json
def list_members(as_json: bool) -> None:
    """List the members."""
    with open_home() as db:
        listed = list_all(db, members.page)
    print_list(
        MembersOut,
        listed,
        [">id", "name", "kind", "status", "since"],
        lambda member: [member.id, member.name, member.kind, member.status, f"{member.created_at:%Y-%m-%d}"],
        as_json,
    )


@member_command.command(
    "limit", examples=("hashdb member limit 3 --a-day 50000", "hashdb member limit 'Example Video' --budget-factor 4")
)
@click.argument("member", type=NAME_OR_ID)
@click.option("--a-day", type=click.IntRange(0, 2**31 - 1), help="Contributions that the member may send a day.")
@click.option("--none", "unlimited", is_flag=True, help="Remove the limit.")
@click.option("--budget-factor", type=click.IntRange(1, 1000), help="Multiply the budgets of its keys by this.")
@as_json
def limit(member: str, a_day: int | None, unlimited: bool, budget_factor: int | None, as_json: bool) -> None:
    """Limit how many contributions a member may send a day.

    MEMBER is its id or name. The change applies from the next request on. The budgets of the member's keys are the
    service's budgets, times the budget factor.
    """
    if (a_day is not None and unlimited) or (a_day is None and not unlimited and budget_factor is None):
        raise click.UsageError("give --a-day or --none, or --budget-factor")
    with open_home() as db:
        limits = None if a_day is None and not unlimited else MemberLimits(a_day)
        change = MemberChange(limits=limits, budget_factor=budget_factor)
        changed = members.change(db, COMMAND_LINE, find_member(db, member).id, change)
        assert isinstance(changed, Member)  # Only a suspension may wait for a second person.
    print_result(
        MemberOut.from_domain(changed),
        f"member {changed.id} ({changed.name}) may send {_format_limit(changed)}",
        as_json,
    )


@member_command.command("suspend", examples=("hashdb member suspend 'Example Video'",))
@click.argument("member", type=NAME_OR_ID)
@as_json
def suspend(member: str, as_json: bool) -> None:
    """Suspend a member.

    MEMBER is its id or name. At once its keys stop working, and its contributions no longer match. If the service needs
    two persons, the command proposes it and prints the proposal: nothing changes until another person suspends the
    member within 72 hours. The command line counts as one person, so the second person uses the console or the API.
    """
    _set_status(member, MemberStatus.SUSPENDED, as_json)


@member_command.command("reinstate", examples=("hashdb member reinstate 'Example Video'",))
@click.argument("member", type=NAME_OR_ID)
@as_json
def reinstate(member: str, as_json: bool) -> None:
    """Reinstate a suspended member.

    MEMBER is its id or name. Its keys work again, and its contributions match again.
    """
    _set_status(member, MemberStatus.ACTIVE, as_json)


def find_member(db: HashDB, text: str) -> Member:
    """The member with this id or name. Raises NotFound, with a note of the nearest name."""
    kind, number = read_id(text) or (None, 0)
    number = number if kind in (None, "member") else 0
    if number:
        with suppress(NotFound):
            return members.get(db, COMMAND_LINE, number)
    try:
        return members.named(db, COMMAND_LINE, text)
    except NotFound as error:
        if number:
            raise NotFound(f"member {number}") from None
        error.add_note(did_you_mean(text, (member.name for member in list_all(db, members.page))))
        raise


def _set_status(text: str, status: MemberStatus, as_json: bool) -> None:
    with open_home() as db:
        member = members.change(db, COMMAND_LINE, find_member(db, text).id, MemberChange(status=status))
        if isinstance(member, Proposal):
            print_proposal(member, as_json)
            return
        # Each call logs and counts some of the contributions and opinions of the member.
        while contributions.emit_pending(db) or opinions.recount(db):
            pass
    print_result(MemberOut.from_domain(member), f"member {member.id} ({member.name}) is {member.status}", as_json)


def _format_limit(member: Member) -> str:
    a_day = member.limits.contributions_per_day
    contributions = "any number of contributions a day" if a_day is None else f"{a_day} contributions a day"
    factor = member.limits.budget_factor
    return (
        contributions if factor == 1 else f"{contributions}; the budgets of its keys are {factor} times the service's"
    )


@click.group("key", cls=Group, examples=("hashdb key add 3 --scope match", "hashdb key revoke 12"))
def key_command() -> None:
    """Manage keys.

    The command issues, lists and revokes the keys of members, and replaces the key that signs the audit log.
    Run it on the service's machine.
    """


@key_command.command(
    "add",
    examples=(
        "hashdb key add 'Example Video' --scope contribute --scope match",
        "hashdb key add 3 --scope match --hide-distances --expires-at 2027-01-01T00:00:00Z",
    ),
)
@click.argument("member", type=NAME_OR_ID)
@scopes_option
@click.option("--expires-at", type=Instant(), help="When the key stops working: RFC 3339.")
@click.option("--hide-distances", is_flag=True, help="Leave the distances out of the matches that this key gets.")
@as_json
def add_key(
    member: str, scopes: tuple[str, ...], expires_at: datetime | None, hide_distances: bool, as_json: bool
) -> None:
    """Issue a key to a member.

    MEMBER is its id or name. The secret is shown only once.
    """
    if not scopes:
        raise click.UsageError("give at least one --scope")
    with open_home() as db:
        draft = KeyDraft(frozenset(map(Scope, scopes)), expires_at, hide_distances)
        issued = members.issue_key(db, COMMAND_LINE, find_member(db, member).id, draft)
    print_result(IssuedKeyOut.from_issued(issued), "\n".join(_format_issued(issued)), as_json)


def _format_issued(issued: IssuedKey) -> tuple[str, str]:
    """The lines that show the secret of a new key."""
    return f"key {issued.key.id} ({' '.join(sorted(issued.key.scopes))}), its secret, shown only once:", issued.secret


def _keys_of(db: HashDB, member: Member) -> list[Key]:
    return list_all(db, lambda db, actor, after, limit: members.keys(db, actor, member.id, after, limit))


@key_command.command("list", examples=("hashdb key list", "hashdb key list 'Example Video'"))
@click.argument("member", type=NAME_OR_ID, required=False)
@as_json
def list_keys(member: str | None, as_json: bool) -> None:
    """List the keys of a member, or of all members, without their secrets.

    MEMBER is its id or name.
    """
    with open_home() as db:
        owners = list_all(db, members.page) if member is None else [find_member(db, member)]
        keys = sorted(((key, owner) for owner in owners for key in _keys_of(db, owner)), key=lambda pair: pair[0].id)
    if as_json:
        print_json(OwnedKeysOut.build(keys=[OwnedKeyOut.from_owned(owner, key) for key, owner in keys], next=None))
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
        for key, owner in keys
    ]
    print_table([">id", "member", "scopes", "since", "expires", "revoked", "distances"], rows)


@key_command.command("revoke", examples=("hashdb key revoke 12",))
@click.argument("key", type=Id("key"))
@as_json
def revoke(key: int, as_json: bool) -> None:
    """Revoke a key.

    KEY is its id, as `hashdb key list` prints it. The key stops working with the next request.
    """
    with open_home() as db:
        revoked = members.revoke_key(db, COMMAND_LINE, key)
    print_result(KeyOut.from_domain(revoked), f"key {key} revoked", as_json)


@key_command.command("rotate-signing", examples=("hashdb key rotate-signing",))
@as_json
def rotate_signing(as_json: bool) -> None:
    """Replace the key that signs the checkpoints of the audit log.

    The new key replaces the file of the old one. The old key still verifies what it signed. A running service uses the
    new key without a restart.
    """
    with open_home() as db:
        verifier = checkpoints.rotate(db, COMMAND_LINE)
    print_result({"vkey": str(verifier)}, f"{verifier} signs the audit log from now on", as_json)
