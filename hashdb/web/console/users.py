"""/console/users: the users of the console."""

from __future__ import annotations

from functools import partial

from flask import Response, request

from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserStatus
from hashdb.service.accounts import users
from hashdb.web.console import pages
from hashdb.web.console.lists import Column, page_of_all
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, app_state, hashdb, query
from hashdb.wire.pages import ListQuery
from hashdb.wire.users import UserChangeIn, UserIn

blueprint = pages.blueprint_of("users")
_COLUMNS: tuple[Column[User], ...] = (
    Column("User", "name", lambda user: user.name.casefold(), ascending_first=True),
    Column("Role", "role", lambda user: str(user.role), ascending_first=True),
    Column("Status", "status", lambda user: str(user.status), ascending_first=True),
    Column("Signs in with", "signs", lambda user: str(user.sign_in), ascending_first=True),
    Column("Second factor", "factor", lambda user: user.second_factor),
    Column("Added", "added", lambda user: user.id),
)
ROLES = {
    Role.ADMIN: "sees and changes everything: members, keys, users and cases",
    Role.REVIEWER: "sees everything and decides cases",
    Role.AUDITOR: "sees everything and changes nothing",
}


@blueprint.get("")
def browse() -> Response:
    """List the users."""
    return _list_page(Form({"role": str(Role.AUDITOR)}))


@blueprint.post("")
def add() -> Response:
    """Add a user, with a password that is shown once, or with sign-in with the provider."""
    sent = Form.sent()
    try:
        draft = pages.read_fields(UserIn, {"name": sent.text("name"), "role": sent.text("role")}).to_domain()
        added = users.add(hashdb(), actor(), draft, local=sent.text("by") != "provider")
    except pages.REFUSALS as error:
        return _list_page(sent.refused(error))
    if added.password:
        return _password_page(added)
    return _redirect(added.user, "was added")


@blueprint.get("/<id:user_id>")
def show(user_id: int) -> Response:
    """Show a user with forms to change it."""
    user = users.get(hashdb(), actor(), user_id)
    return _user_page(user, Form({"role": str(user.role)}))


@blueprint.post("/<id:user_id>")
def change(user_id: int) -> Response:
    """Change the role of a user."""
    user, sent = users.get(hashdb(), actor(), user_id), Form.sent()
    try:
        requested = pages.read_fields(UserChangeIn, {"role": sent.text("role")}).to_domain()
        changed = users.change(hashdb(), actor(), user_id, requested)
    except pages.REFUSALS as error:
        return _user_page(user, sent.refused(error))
    return _redirect(changed, f"is {changed.role} from the next request")


@blueprint.post("/<id:user_id>/status")
def set_status(user_id: int) -> Response:
    """Disable or enable a user."""
    disables = request.form.get("status") == UserStatus.DISABLED
    status = UserStatus.DISABLED if disables else UserStatus.ACTIVE
    try:
        changed = users.change(hashdb(), actor(), user_id, UserChange(status=status))
    except pages.REFUSALS as error:
        return _user_page(users.get(hashdb(), actor(), user_id), Form.sent().refused(error))
    return _redirect(changed, f"is now {changed.status}")


@blueprint.post("/<id:user_id>/password")
def reset(user_id: int) -> Response:
    """Give a user a new password, shown once, and remove the second factor."""
    return _password_page(users.reset(hashdb(), actor(), user_id))


@blueprint.post("/<id:user_id>/provider")
def use_provider(user_id: int) -> Response:
    """Make a user sign in with the provider only."""
    changed = users.use_provider(hashdb(), actor(), user_id)
    return _redirect(changed, "now signs in with the provider")


def _password_page(added: AddedUser) -> Response:
    return pages.page("user_password.html", user=added.user, password=added.password)


def _list_page(form: Form) -> Response:
    rows = pages.read_all(partial(users.page, hashdb(), actor()))
    shown, list = page_of_all(rows, _COLUMNS, query(ListQuery), "console.users.browse", first="name")
    provider = app_state().settings.oidc_issuer
    return pages.page("users.html", users=shown, list=list, form=form, roles=ROLES, provider=provider)


def _user_page(user: User, form: Form) -> Response:
    provider = app_state().settings.oidc_issuer
    return pages.page("user.html", user=user, form=form, roles=ROLES, provider=provider)


def _redirect(user: User, change: str) -> Response:
    """Redirect to the page of a user, which shows the change, such as `was added`."""
    return pages.redirect_with_notice(f"{user.name} {change}.", "users.show", user_id=user.id)
