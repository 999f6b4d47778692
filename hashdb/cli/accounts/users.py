"""hashdb user: who may use the console."""

from __future__ import annotations

import sys

import click

from hashdb.cli.home import opened
from hashdb.cli.options import TEXT
from hashdb.cli.output import as_json, print_json, print_table
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.service import HashDB
from hashdb.service.accounts import users
from hashdb.settings import Settings
from hashdb.wire import read
from hashdb.wire.accounts import UserIn, UserOut, UsersOut

_ROLES = click.Choice(list(map(str, Role)))


@click.group("user")
def user_command() -> None:
    """Add, list, change and disable the users of the console, on the service's machine."""


@user_command.command("add")
@click.argument("name", type=TEXT)
@click.option("--role", required=True, type=_ROLES, help="What the user may do.")
@click.option("--password", "prompted", is_flag=True, help="Ask for the password instead of making one.")
@click.option("--provider", is_flag=True, help="No password: the user signs in by OpenID Connect.")
@as_json
def add(name: str, role: str, prompted: bool, provider: bool, as_json: bool) -> None:
    """Add a user. The password is made and shown this once, and to be changed at the first sign-in."""
    if prompted and provider:
        raise click.UsageError("--password and --provider exclude each other")
    draft = UserDraft(name, Role(role))
    draft = read(UserIn, UserIn.from_domain(draft).model_dump_json()).to_domain()
    chosen = _password() if prompted else None
    with opened(Settings.read()) as db:
        added = users.add(db, COMMAND_LINE, draft, chosen, local=not provider)
    _print(added, as_json)


@user_command.command("list")
@as_json
def browse(as_json: bool) -> None:
    """List the users."""
    with opened(Settings.read()) as db:
        found = users.page(db, COMMAND_LINE, 0, 1000)
    if as_json:
        print_json(UsersOut.model_construct(users=[UserOut.from_domain(user) for user in found]))
        return
    rows = [
        [
            str(one.id),
            one.name,
            one.role,
            one.status,
            one.sign_in,
            "on" if one.second_factor else "off",
            f"{one.created_at:%Y-%m-%d}",
        ]
        for one in found
    ]
    print_table([">id", "name", "role", "status", "signs in by", "second factor", "since"], rows)


@user_command.command("role")
@click.argument("name", type=TEXT)
@click.argument("role", type=_ROLES)
@as_json
def change_role(name: str, role: str, as_json: bool) -> None:
    """Give a user another role, from the next request on."""
    _change(name, UserChange(role=Role(role)), as_json)


@user_command.command("disable")
@click.argument("name", type=TEXT)
@as_json
def disable(name: str, as_json: bool) -> None:
    """Disable a user: signed out everywhere at once, and let in no more."""
    _change(name, UserChange(status=UserStatus.DISABLED), as_json)


@user_command.command("enable")
@click.argument("name", type=TEXT)
@as_json
def enable(name: str, as_json: bool) -> None:
    """Let a disabled user in again."""
    _change(name, UserChange(status=UserStatus.ACTIVE), as_json)


@user_command.command("reset-password")
@click.argument("name", type=TEXT)
@as_json
def reset_password(name: str, as_json: bool) -> None:
    """Give a user a new password, shown this once, and delete the second factor and all sessions.

    From then on the user signs in by this password, and not by the provider.
    """
    with opened(Settings.read()) as db:
        added = users.reset(db, COMMAND_LINE, _found(db, name).id)
    _print(added, as_json)


@user_command.command("use-provider")
@click.argument("name", type=TEXT)
@as_json
def use_provider(name: str, as_json: bool) -> None:
    """Let a user sign in by OpenID Connect only, and delete the password, the second factor and all sessions.

    The next sign-in by the provider binds the user to the account that has this name there.

    Example: hashdb user use-provider ada
    """
    with opened(Settings.read()) as db:
        user = users.use_provider(db, COMMAND_LINE, _found(db, name).id)
    if as_json:
        print_json(UserOut.from_domain(user))
    else:
        click.echo(f"user {user.id} ({user.name}) signs in by the provider")


def _change(name: str, asked: UserChange, as_json: bool) -> None:
    with opened(Settings.read()) as db:
        user = users.change(db, COMMAND_LINE, _found(db, name).id, asked)
    if as_json:
        print_json(UserOut.from_domain(user))
    else:
        click.echo(f"user {user.id} ({user.name}) is {user.role}, {user.status}")


def _found(db: HashDB, name: str) -> User:
    return users.named(db, COMMAND_LINE, name)


def _print(added: AddedUser, as_json: bool) -> None:
    if as_json:
        print_json(UserOut.from_added(added))
        return
    click.echo(f"user {added.user.id}: {added.user.name} ({added.user.role})")
    if added.password is not None:
        click.echo("password, shown this once, to be changed at the first sign-in:")
        click.echo(added.password)


def _password() -> str:
    """Asked for twice at a terminal, else one line of standard input."""
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    return sys.stdin.readline().rstrip("\n")
