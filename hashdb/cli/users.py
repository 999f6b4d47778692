"""hashdb user: manage the users of the console."""

from __future__ import annotations

import sys

import click

from hashdb.cli.help import Choice, Group
from hashdb.cli.home import list_all, open_home
from hashdb.cli.options import NAME_OR_ID, TEXT
from hashdb.cli.output import as_json, print_json, print_result, print_table
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.domain.meanings import explain_all
from hashdb.domain.spelling import did_you_mean, read_id
from hashdb.errors import NotFound
from hashdb.service import HashDB
from hashdb.service.accounts import users
from hashdb.wire import validate
from hashdb.wire.users import UserIn, UserOut, UsersOut

_ROLES = Choice(explain_all("role"))


@click.group("user", cls=Group, examples=("hashdb user add ada --role reviewer", "hashdb user disable ada"))
def user_command() -> None:
    """Manage the users of the console.

    A user is a person who signs in to the console. Run this command on the service's machine.
    """


@user_command.command(
    "add", examples=("hashdb user add ada --role admin", "hashdb user add grace --role auditor --provider")
)
@click.argument("name", type=TEXT)
@click.option("--role", required=True, type=_ROLES, help="What the user may do.")
@click.option("--password", "prompted", is_flag=True, help="Prompt for the password instead of generating one.")
@click.option("--provider", is_flag=True, help="Without a password: the user signs in with OpenID Connect.")
@as_json
def add_user(name: str, role: str, prompted: bool, provider: bool, as_json: bool) -> None:
    """Add a user.

    The password is generated and shown only once. The user must change it at the first sign-in.
    """
    if prompted and provider:
        raise click.UsageError("give --password or --provider, not both")
    draft = validate(UserIn, UserDraft(name, Role(role)))
    password = _read_password() if prompted else None
    with open_home() as db:
        added = users.add(db, COMMAND_LINE, draft, password, local=not provider)
    _print_user(added, as_json)


@user_command.command("list", examples=("hashdb user list",))
@as_json
def list_users(as_json: bool) -> None:
    """List the users."""
    with open_home() as db:
        listed = list_all(db, users.page)
    if as_json:
        print_json(UsersOut.build(users=list(map(UserOut.from_domain, listed))))
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


@user_command.command("role", examples=("hashdb user role ada reviewer",))
@click.argument("name", type=NAME_OR_ID)
@click.argument("role", type=_ROLES)
@as_json
def change_role(name: str, role: str, as_json: bool) -> None:
    """Change the role of a user, from the next request on."""
    _change_user(name, UserChange(role=Role(role)), as_json)


@user_command.command("disable", examples=("hashdb user disable ada",))
@click.argument("name", type=NAME_OR_ID)
@as_json
def disable(name: str, as_json: bool) -> None:
    """Disable a user.

    The service ends all sessions of the user at once and refuses new sign-ins.
    """
    _change_user(name, UserChange(status=UserStatus.DISABLED), as_json)


@user_command.command("enable", examples=("hashdb user enable ada",))
@click.argument("name", type=NAME_OR_ID)
@as_json
def enable(name: str, as_json: bool) -> None:
    """Enable a disabled user again."""
    _change_user(name, UserChange(status=UserStatus.ACTIVE), as_json)


@user_command.command("reset-password", examples=("hashdb user reset-password ada",))
@click.argument("name", type=NAME_OR_ID)
@as_json
def reset_password(name: str, as_json: bool) -> None:
    """Give a user a new password.

    The password is shown only once. The command also deletes the second factor and all sessions of the user, who from
    then on signs in with this password and not with OpenID Connect.
    """
    with open_home() as db:
        added = users.reset(db, COMMAND_LINE, _find_user(db, name).id)
    _print_user(added, as_json)


@user_command.command("use-provider", examples=("hashdb user use-provider ada",))
@click.argument("name", type=NAME_OR_ID)
@as_json
def use_provider(name: str, as_json: bool) -> None:
    """Let a user sign in with OpenID Connect only.

    The command deletes the password, the second factor and all sessions of the user. The next sign-in with OpenID
    Connect binds the user to the account that has this name at the provider.
    """
    with open_home() as db:
        user = users.use_provider(db, COMMAND_LINE, _find_user(db, name).id)
    print_result(UserOut.from_domain(user), f"user {user.id} ({user.name}) signs in with OpenID Connect", as_json)


def _change_user(name: str, change: UserChange, as_json: bool) -> None:
    with open_home() as db:
        user = users.change(db, COMMAND_LINE, _find_user(db, name).id, change)
    print_result(UserOut.from_domain(user), f"user {user.id} ({user.name}) is {user.role}, {user.status}", as_json)


def _find_user(db: HashDB, name: str) -> User:
    """The user with this name or id. Raises NotFound, with a note of the nearest name."""
    kind, number = read_id(name) or (None, 0)
    try:
        return users.named(db, COMMAND_LINE, name)
    except NotFound as error:
        all_users = list_all(db, users.page)
        for user in all_users if kind in (None, "user") else ():
            if user.id == number:
                return user
        error.add_note(did_you_mean(name, (user.name for user in all_users)))
        raise


def _print_user(added: AddedUser, as_json: bool) -> None:
    lines = [f"user {added.user.id}: {added.user.name} ({added.user.role})"]
    if added.password is not None:
        lines += ["password, shown only once, to be changed at the first sign-in:", added.password]
    print_result(UserOut.from_added(added), "\n".join(lines), as_json)


def _read_password() -> str:
    """The password: at a terminal prompted for twice, else one line of standard input."""
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    return sys.stdin.readline().rstrip("\n")
