"""hashdb member, key, user: manage members, their keys, and the users of the console."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from hashdb.cli.home import list_all, open_home
from hashdb.cli.options import TEXT, Instant
from hashdb.cli.output import as_json, print_json, print_proposal, print_result, print_table
from hashdb.domain.accounts.members import (
    COMMAND_LINE,
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
from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.domain.review.incidents import Proposal
from hashdb.errors import NotFound
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.review import opinions
from hashdb.settings import Settings
from hashdb.wire import LARGEST_ID, read
from hashdb.wire.accounts import (
    IssuedKeyOut,
    KeyOut,
    MemberIn,
    MemberOut,
    MembersOut,
    MemberWithKeyOut,
    OwnedKeyOut,
    OwnedKeysOut,
    UserIn,
    UserOut,
    UsersOut,
)

_SCOPES = click.Choice(list(map(str, Scope)))
scopes_option = click.option("--scope", "scopes", multiple=True, type=_SCOPES, help="May be repeated.")


@click.group("member")
def member_command() -> None:
    """Manage members.

    Add, list, suspend and reinstate members, on the service's machine.
    """


@member_command.command("add")
@click.argument("name", type=TEXT)
@click.option("--kind", required=True, type=click.Choice(list(map(str, MemberKind))), help="What the member is.")
@click.option("--contact", type=TEXT, default="", help="Whom to write to.")
@click.option("--a-day", type=click.IntRange(0, 2**31 - 1), help="How many contributions it may send a day.")
@scopes_option
@as_json
def add_member(name: str, kind: str, contact: str, a_day: int | None, scopes: tuple[str, ...], as_json: bool) -> None:
    """Add a member, with a first key where scopes are given. The key's secret is shown this once."""
    draft = validate_member(MemberDraft(name, MemberKind(kind), contact, MemberLimits(a_day)))
    with open_home(Settings.read()) as db:
        member = members.add(db, COMMAND_LINE, draft)
        key_draft = KeyDraft(frozenset(map(Scope, scopes)))
        issued = members.issue_key(db, COMMAND_LINE, member.id, key_draft) if scopes else None
    if as_json:
        fields = {"member": MemberOut.from_domain(member)} | (
            {"key": IssuedKeyOut.from_issued(issued)} if issued else {}
        )
        print_json(MemberWithKeyOut.model_construct(None, **fields))
        return
    click.echo(f"member {member.id}: {member.name} ({member.kind})")
    if issued is not None:
        click.echo(f"key {issued.key.id} ({' '.join(sorted(issued.key.scopes))}), its secret, shown this once:")
        click.echo(issued.secret)


@member_command.command("list")
@as_json
def list_members(as_json: bool) -> None:
    """List the members."""
    with open_home(Settings.read()) as db:
        listed = list_all(db, members.page)
    if as_json:
        print_json(MembersOut.model_construct(members=[MemberOut.from_domain(member) for member in listed], next=None))
        return
    rows = [
        [str(member.id), member.name, member.kind, member.status, f"{member.created_at:%Y-%m-%d}"] for member in listed
    ]
    print_table([">id", "name", "kind", "status", "since"], rows)


@member_command.command("limit")
@click.argument("member", type=TEXT)
@click.option("--a-day", type=click.IntRange(0, 2**31 - 1), help="How many contributions it may send a day.")
@click.option("--none", "unlimited", is_flag=True, help="As many as it likes.")
@click.option("--budget-factor", type=click.IntRange(1, 1000), help="By how much its keys' budgets are widened.")
@as_json
def limit(member: str, a_day: int | None, unlimited: bool, budget_factor: int | None, as_json: bool) -> None:
    """Limit how many contributions a member (its id or name) may send a day, from the next request on.

    The budgets of its keys are everybody's, times the budget factor.
    """
    if (a_day is not None and unlimited) or (a_day is None and not unlimited and budget_factor is None):
        raise click.UsageError("give --a-day or --none, or --budget-factor")
    with open_home(Settings.read()) as db:
        limits = None if a_day is None and not unlimited else MemberLimits(a_day)
        change = MemberChange(limits=limits, budget_factor=budget_factor)
        changed = members.change(db, COMMAND_LINE, find_member(db, member).id, change)
        assert isinstance(changed, Member)  # Only a suspension may wait for a second person.
    print_result(
        MemberOut.from_domain(changed),
        f"member {changed.id} ({changed.name}) may send {_format_limit(changed)}",
        as_json,
    )


@member_command.command("suspend")
@click.argument("member", type=TEXT)
@as_json
def suspend(member: str, as_json: bool) -> None:
    """Suspend a member (its id or name): its keys open nothing, and its contributions no longer match, at once."""
    _set_status(member, MemberStatus.SUSPENDED, as_json)


@member_command.command("reinstate")
@click.argument("member", type=TEXT)
@as_json
def reinstate(member: str, as_json: bool) -> None:
    """Reinstate a suspended member (its id or name): its keys open again, and its contributions match."""
    _set_status(member, MemberStatus.ACTIVE, as_json)


def find_member(db: HashDB, text: str) -> Member:
    """The member with this id or name. Raises NotFound."""
    if text.isascii() and text.isdecimal() and len(text) < 16:
        try:
            return members.get(db, COMMAND_LINE, int(text))
        except NotFound:
            pass
    return members.named(db, COMMAND_LINE, text)


def validate_member(draft: MemberDraft) -> MemberDraft:
    """The draft, checked as the API checks it. Raises InvalidInput."""
    return read(MemberIn, MemberIn.from_domain(draft).model_dump_json()).to_domain()


def _set_status(text: str, status: MemberStatus, as_json: bool) -> None:
    with open_home(Settings.read()) as db:
        member = members.change(db, COMMAND_LINE, find_member(db, text).id, MemberChange(status=status))
        if isinstance(member, Proposal):
            print_proposal(member, as_json)
            return
        while contributions.emit_pending(db) or opinions.recount(db):
            pass
    print_result(MemberOut.from_domain(member), f"member {member.id} ({member.name}) is {member.status}", as_json)


def _format_limit(member: Member) -> str:
    a_day = member.limits.contributions_per_day
    contributions = "as many contributions as it likes" if a_day is None else f"{a_day:,} contributions a day"
    factor = member.limits.budget_factor
    return contributions if factor == 1 else f"{contributions}; its keys' budgets are {factor:,} times everybody's"


@click.group("key")
def key_command() -> None:
    """Manage keys.

    Issue, list and revoke keys, and renew the one that signs the log, on the service's machine.
    """


@key_command.command("add")
@click.argument("member", type=TEXT)
@scopes_option
@click.option("--expires-at", type=Instant(), help="When it stops opening anything.")
@click.option("--hide-distances", is_flag=True, help="Answer its matches without how close they are.")
@as_json
def add_key(
    member: str, scopes: tuple[str, ...], expires_at: datetime | None, hide_distances: bool, as_json: bool
) -> None:
    """Issue a key to a member (its id or name). The secret is shown this once."""
    if not scopes:
        raise click.UsageError("give at least one --scope")
    with open_home(Settings.read()) as db:
        draft = KeyDraft(frozenset(map(Scope, scopes)), expires_at, hide_distances)
        issued = members.issue_key(db, COMMAND_LINE, find_member(db, member).id, draft)
    if as_json:
        print_json(IssuedKeyOut.from_issued(issued))
        return
    click.echo(f"key {issued.key.id} ({' '.join(sorted(issued.key.scopes))}), its secret, shown this once:")
    click.echo(issued.secret)


def _keys_of(db: HashDB, member: Member) -> list[Key]:
    return list_all(db, lambda db, actor, after, limit: members.keys(db, actor, member.id, after, limit))


@key_command.command("list")
@click.argument("member", type=TEXT, required=False)
@as_json
def list_keys(member: str | None, as_json: bool) -> None:
    """List the keys of a member (its id or name), or of all members, without their secrets."""
    with open_home(Settings.read()) as db:
        owners = list_all(db, members.page) if member is None else [find_member(db, member)]
        keys = sorted(((key, owner) for owner in owners for key in _keys_of(db, owner)), key=lambda pair: pair[0].id)
    if as_json:
        print_json(
            OwnedKeysOut.model_construct(keys=[OwnedKeyOut.from_owned(owner, key) for key, owner in keys], next=None)
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
        for key, owner in keys
    ]
    print_table([">id", "member", "scopes", "since", "expires", "revoked", "distances"], rows)


@key_command.command("revoke")
@click.argument("key", type=click.IntRange(1, LARGEST_ID))
@as_json
def revoke(key: int, as_json: bool) -> None:
    """Revoke a key: it opens nothing from the next request on."""
    with open_home(Settings.read()) as db:
        revoked = members.revoke_key(db, COMMAND_LINE, key)
    print_result(KeyOut.from_domain(revoked), f"key {key} is revoked", as_json)


@key_command.command("rotate-signing")
@as_json
def rotate_signing(as_json: bool) -> None:
    """Sign the log's checkpoints with a new key from now on; the old one still verifies what it signed.

    The new one is written where the old one was. A service that runs takes it up by itself.
    """
    with open_home(Settings.read()) as db:
        verifier = checkpoints.rotate(db, COMMAND_LINE)
    print_result({"vkey": str(verifier)}, f"the log is signed by {verifier} from now on", as_json)


_ROLES = click.Choice(list(map(str, Role)))


@click.group("user")
def user_command() -> None:
    """Manage the users of the console.

    Add, list, change and disable the users of the console, on the service's machine.
    """


@user_command.command("add")
@click.argument("name", type=TEXT)
@click.option("--role", required=True, type=_ROLES, help="What the user may do.")
@click.option("--password", "prompted", is_flag=True, help="Ask for the password instead of making one.")
@click.option("--provider", is_flag=True, help="No password: the user signs in by OpenID Connect.")
@as_json
def add_user(name: str, role: str, prompted: bool, provider: bool, as_json: bool) -> None:
    """Add a user. The password is made and shown this once, and to be changed at the first sign-in."""
    if prompted and provider:
        raise click.UsageError("--password and --provider exclude each other")
    draft = UserDraft(name, Role(role))
    draft = read(UserIn, UserIn.from_domain(draft).model_dump_json()).to_domain()
    password = _read_password() if prompted else None
    with open_home(Settings.read()) as db:
        added = users.add(db, COMMAND_LINE, draft, password, local=not provider)
    _print_user(added, as_json)


@user_command.command("list")
@as_json
def list_users(as_json: bool) -> None:
    """List the users."""
    with open_home(Settings.read()) as db:
        listed = list_all(db, users.page)
    if as_json:
        print_json(UsersOut.model_construct(users=[UserOut.from_domain(user) for user in listed]))
        return
    rows = [
        [
            str(user.id),
            user.name,
            user.role,
            user.status,
            user.sign_in,
            "on" if user.second_factor else "off",
            f"{user.created_at:%Y-%m-%d}",
        ]
        for user in listed
    ]
    print_table([">id", "name", "role", "status", "signs in by", "second factor", "since"], rows)


@user_command.command("role")
@click.argument("name", type=TEXT)
@click.argument("role", type=_ROLES)
@as_json
def change_role(name: str, role: str, as_json: bool) -> None:
    """Give a user another role, from the next request on."""
    _change_user(name, UserChange(role=Role(role)), as_json)


@user_command.command("disable")
@click.argument("name", type=TEXT)
@as_json
def disable(name: str, as_json: bool) -> None:
    """Disable a user: signed out everywhere at once, and let in no more."""
    _change_user(name, UserChange(status=UserStatus.DISABLED), as_json)


@user_command.command("enable")
@click.argument("name", type=TEXT)
@as_json
def enable(name: str, as_json: bool) -> None:
    """Let a disabled user in again."""
    _change_user(name, UserChange(status=UserStatus.ACTIVE), as_json)


@user_command.command("reset-password")
@click.argument("name", type=TEXT)
@as_json
def reset_password(name: str, as_json: bool) -> None:
    """Give a user a new password, shown this once, and delete the second factor and all sessions.

    From then on the user signs in by this password, and not by the provider.
    """
    with open_home(Settings.read()) as db:
        added = users.reset(db, COMMAND_LINE, _found(db, name).id)
    _print_user(added, as_json)


@user_command.command("use-provider")
@click.argument("name", type=TEXT)
@as_json
def use_provider(name: str, as_json: bool) -> None:
    """Let a user sign in by OpenID Connect only, and delete the password, the second factor and all sessions.

    The next sign-in by the provider binds the user to the account that has this name there.

    Example: hashdb user use-provider ada
    """
    with open_home(Settings.read()) as db:
        user = users.use_provider(db, COMMAND_LINE, _found(db, name).id)
    print_result(UserOut.from_domain(user), f"user {user.id} ({user.name}) signs in by the provider", as_json)


def _change_user(name: str, change: UserChange, as_json: bool) -> None:
    with open_home(Settings.read()) as db:
        user = users.change(db, COMMAND_LINE, _found(db, name).id, change)
    print_result(UserOut.from_domain(user), f"user {user.id} ({user.name}) is {user.role}, {user.status}", as_json)


def _found(db: HashDB, name: str) -> User:
    return users.named(db, COMMAND_LINE, name)


def _print_user(added: AddedUser, as_json: bool) -> None:
    if as_json:
        print_json(UserOut.from_added(added))
        return
    click.echo(f"user {added.user.id}: {added.user.name} ({added.user.role})")
    if added.password is not None:
        click.echo("password, shown this once, to be changed at the first sign-in:")
        click.echo(added.password)


def _read_password() -> str:
    """The password: at a terminal prompted for twice, else one line of standard input."""
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    return sys.stdin.readline().rstrip("\n")
