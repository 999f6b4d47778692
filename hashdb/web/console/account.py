"""/console/account: the user's own password, second factor, mail and sessions."""

from __future__ import annotations

from flask import Response
from markupsafe import Markup

from hashdb.errors import reject_field
from hashdb.service.accounts import passwords, sessions, users
from hashdb.service.review import due
from hashdb.web.console import filters, guard, pages
from hashdb.web.console.pages import Form
from hashdb.web.context import hashdb

blueprint = pages.blueprint_of("account")


@blueprint.get("")
def show() -> Response:
    """Show the signed-in user and the user's sessions."""
    return _account_page(Form())


@blueprint.post("/mail")
def change_mail() -> Response:
    """Start, change or stop mail on cases that are due soon."""
    sent = Form.sent()
    address = "" if sent.text("stop") else sent.text("address")
    try:
        due.set_address(hashdb(), guard.session(), address)
    except pages.REFUSALS as error:
        return _account_page(sent.refused(error))
    notice = "You get mail on cases that are due soon." if address else "You get no mail."
    return pages.redirect_with_notice(notice, "account.show")


@blueprint.get("/password")
def password() -> Response:
    """Ask for a new password."""
    return pages.page("password.html", form=Form())


@blueprint.post("/password")
def choose_password() -> Response:
    """Change the password."""
    sent = Form.sent()
    # `take` removes them from the form, so that the page does not show them again if the change is rejected.
    present, chosen, again = (sent.take(name) for name in ("present", "password", "again"))
    try:
        reject_field("again", None if chosen == again else "must be the same as the new password")
        users.choose_password(hashdb(), guard.session(), present, chosen)
    except pages.REFUSALS as error:
        return pages.page("password.html", form=sent.refused(error))
    return pages.redirect_with_notice("Your password was changed. Your other sessions were ended.", "account.show")


@blueprint.get("/second-factor")
def factor() -> Response:
    """Show how to set up a second factor or remove it."""
    return _factor_page(Form({"secret": passwords.new_secret()}))


@blueprint.post("/second-factor")
def add_factor() -> Response:
    """Turn the second factor on, and show the recovery codes once."""
    sent = Form.sent()
    secret, present = sent.text("secret"), sent.take("present")
    try:
        codes = users.add_factor(hashdb(), guard.session(), present, secret, sent.take("code"))
    except pages.REFUSALS as error:
        return _factor_page(sent.refused(error))
    return pages.page("recovery.html", codes=codes)


@blueprint.post("/second-factor/removal")
def remove_factor() -> Response:
    """Turn the second factor off."""
    sent = Form.sent()
    try:
        users.remove_factor(hashdb(), guard.session(), sent.take("present"))
    except pages.REFUSALS as error:
        return _factor_page(sent.refused(error))
    return pages.redirect_with_notice("Your second factor was removed.", "account.show")


@blueprint.post("/sessions")
def end_sessions() -> Response:
    """End every other session of this user."""
    ended = sessions.end_others(hashdb(), guard.session())
    return pages.redirect_with_notice(f"{filters.counted(ended, 'other session')} ended.", "account.show")


def _account_page(form: Form) -> Response:
    # None: the user stored no address, and gets no mail.
    mail = due.mail_address(hashdb(), guard.session())
    if mail is not None:
        form.values.setdefault("address", mail.address)
    rules = hashdb().rules
    own_sessions = sessions.list_of_user(hashdb(), guard.session())
    return pages.page(
        "account.html", form=form, mail=mail, sends_mail=rules.mails, due_soon=rules.due_soon, sessions=own_sessions
    )


def _factor_page(form: Form) -> Response:
    """The page that turns the second factor on, with a QR code for the authenticator, or that turns it off.

    A user without a password signs in with the provider: the page says to set up a second factor there.
    """
    user = guard.session().user
    if user.second_factor or not user.has_password:
        return pages.page("factor.html", form=form)
    if not passwords.is_secret(form.text("secret")):
        form.values["secret"] = passwords.new_secret()
    uri = passwords.provisioning(form.text("secret"), user.name, "hashdb")
    # Slow to import, and needed once for each user.
    import segno

    svg = segno.make(uri, micro=False).svg_inline(border=3, omitsize=True, svgclass=None, lineclass=None)
    return pages.page("factor.html", form=form, qr=Markup(svg))
