"""/console/sign-in: sign-in by password and second factor, and sign-out."""

from __future__ import annotations

from flask import Response, request, url_for

from hashdb.domain.accounts.users import OpenedSession
from hashdb.errors import LimitReached, SignInRefused
from hashdb.service.accounts import sessions
from hashdb.web.console import guard, pages
from hashdb.web.console.pages import Form
from hashdb.web.context import app_state, hashdb

blueprint = pages.blueprint_of("sessions", "/sign-in")


@blueprint.get("")
def sign_in() -> Response:
    """Show the form for name and password."""
    return sign_in_page(Form({"next": request.args.get("next", "")}))


@blueprint.post("")
def begin() -> Response:
    """Begin a session, or ask for the second factor."""
    sent = Form.sent()
    try:
        opened = sessions.sign_in(hashdb(), sent.text("name"), sent.take("password"), client_address())
    except (SignInRefused, LimitReached) as error:
        return sign_in_page(sent.refused(error), status=status_of(error))
    if not opened.session.complete:
        return redirect_signed_in(opened, url_for("console.sessions.code", next=sent.text("next") or None))
    return redirect_signed_in(opened, pages.local_address(sent.text("next")))


@blueprint.get("/code")
def code() -> Response:
    """Show the form for a code of the second factor."""
    return pages.page("code.html", form=Form({"next": request.args.get("next", "")}))


@blueprint.post("/code")
def confirm() -> Response:
    """Complete a session with a code of the second factor."""
    sent = Form.sent()
    try:
        opened = sessions.confirm(hashdb(), guard.cookie(guard.SESSION), sent.take("code"), client_address())
    except (SignInRefused, LimitReached) as error:
        return pages.page("code.html", form=sent.refused(error), status=status_of(error))
    return redirect_signed_in(opened, pages.local_address(sent.text("next")))


@blueprint.post("/out")
def sign_out() -> Response:
    """End this session."""
    sessions.sign_out(hashdb(), guard.session())
    response = pages.redirect(url_for("console.sessions.sign_in"))
    guard.delete_cookie(response, guard.SESSION)
    return response


def redirect_signed_in(opened: OpenedSession, next_page: str) -> Response:
    """Redirect with the cookie of a new session, whose secret is new."""
    response = pages.redirect(next_page)
    guard.set_cookie(response, guard.SESSION, opened.token)
    guard.delete_cookie(response, guard.VISIT)
    return response


def sign_in_page(form: Form, status: int | None = None) -> Response:
    """The page with the form for name and password, and its error."""
    response = pages.page("sign_in.html", form=form, provider=app_state().settings.oidc_issuer, status=status)
    if not guard.cookie(guard.SESSION):
        guard.set_cookie(response, guard.VISIT, guard.visit_secret())
    return response


def client_address() -> str:
    """The network address of the client."""
    return request.remote_addr or ""


def status_of(error: Exception) -> int:
    """The HTTP status for a rejected sign-in."""
    return 429 if isinstance(error, LimitReached) else 422
