"""Access to the console: sessions, cookies, and the protection of forms against CSRF.

A *visit* is a session, or the use of a browser before the sign-in. Both have a secret in a cookie.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import cast

from flask import Response, g, request, url_for
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from hashdb.domain.accounts.users import Session
from hashdb.errors import FormRefused, NotAuthenticated
from hashdb.http_server.bodies import reading_body
from hashdb.http_server.forms import InMemoryRequest, allow_videos
from hashdb.service.accounts import sessions
from hashdb.web.context import app_state, hashdb, spend_change

OPEN = {"console.sessions.sign_in", "console.sessions.begin", "console.provider.go", "console.provider.come_back"}
"""Views that need no session."""
BEFORE_SECOND_FACTOR = {"console.sessions.code", "console.sessions.confirm", "console.sessions.sign_out"}
"""Views that are open to a session whose second factor is still to come."""
ALWAYS = {"console.sessions.sign_out", "console.theme"}
"""Views that are open before a user has chosen a password and set up a second factor."""
FIRST_PAGES = {
    "password": {"console.account.password", "console.account.choose_password"},
    "factor": {"console.account.factor", "console.account.add_factor"},
}
"""The pages of the account that may have to come first, each with the views that it needs."""
_SEARCHES = {"console.neighbors.find", "console.find.look_up", "console.compare.compare"}
"""POST views that write nothing, and so use no budget of changes. The hashing queue limits their files.

They take videos, and hashes in a field as large as the body of a request. Other views take 500 kB a field.
"""
_FORM = "form"
"""The purpose of the secret in forms, for `derive_secret`."""
_POLL = "poll"
"""The prefix of the ids of elements that htmx polls without the user."""


def enter() -> Response | None:
    """Admit a request (None), or redirect it to a page that must come first.

    Raises NotAuthenticated, FormRefused, LimitReached, MalformedRequest.
    """
    endpoint = request.endpoint or ""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        if endpoint in _SEARCHES and _is_signed_in():
            _accept_large_form()
        _require_own_form()
    if endpoint in OPEN:
        return None
    # A page that polls does not show that the user is still there.
    is_poll = request.headers.get("HX-Trigger", "").startswith(_POLL)
    token, lifetime = cookie(SESSION), app_state().settings.session_lifetime
    g.session = sessions.find_session(hashdb(), token, lifetime, in_use=not is_poll)
    if not session().complete:
        return None if endpoint in BEFORE_SECOND_FACTOR else _redirect("console.sessions.code")
    g.actor = session().user.actor
    if request.method not in ("GET", "HEAD", "OPTIONS") and endpoint not in _SEARCHES:
        spend_change(g.actor)
    return None if endpoint in ALWAYS else _redirect_to_first_page(endpoint)


def _is_signed_in() -> bool:
    """Whether this request has a session: only then is a large form read, before its secret is known."""
    with suppress(NotAuthenticated):
        return sessions.find_session(
            hashdb(), cookie(SESSION), app_state().settings.session_lifetime, in_use=False
        ).complete
    return False


def _accept_large_form() -> None:
    """Let the form of this request be large. Raises VideoTooLarge."""
    settings = app_state().settings
    request.max_form_memory_size = settings.max_body
    if settings.accept_media:
        allow_videos(cast(InMemoryRequest, request), settings)


def session() -> Session:
    """The session of this request. Raises NotAuthenticated."""
    if "session" not in g:
        raise NotAuthenticated()
    return cast(Session, g.session)


def form_secret() -> str:
    """The CSRF token of the forms of this visit."""
    return derive_secret(_FORM)


def _require_own_form() -> None:
    """Raise FormRefused unless a page of this visit made the form, and MalformedRequest if it cannot be read."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise FormRefused()
    with reading_body("the form does not match its headers"):
        secret = request.form.get("csrf", "")
    if not verify_secret(_FORM, secret):
        raise FormRefused()


def _redirect_to_first_page(endpoint: str) -> Response | None:
    """Redirect users who must first choose a password or set up a second factor; None for others."""
    user = session().user
    needs_factor = app_state().settings.require_second_factor and user.has_password and not user.second_factor
    page = "password" if user.provisional else "factor" if needs_factor else None
    return None if page is None or endpoint in FIRST_PAGES[page] else _redirect(f"console.account.{page}")


def _redirect(endpoint: str) -> Response:
    return Response(status=303, headers={"Location": url_for(endpoint)})


# The names of the cookies.
SESSION = "hashdb_session"
VISIT = "hashdb_visit"
THEME = "hashdb_theme"
NOTICE = "hashdb_notice"
YEAR_SECONDS = 365 * 86_400
_NOTICE_SECONDS = 60


def cookie(name: str) -> str:
    """The value of a cookie; empty if there is none."""
    return request.cookies.get(_cookie_name(name), "")


def set_cookie(response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie for some seconds, or until the browser closes. Scripts cannot read it."""
    response.set_cookie(_cookie_name(name), value, seconds, secure=_is_https(), httponly=True, samesite="Lax", path="/")


def delete_cookie(response: Response, name: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(_cookie_name(name), secure=_is_https(), httponly=True, samesite="Lax", path="/")


def put_notice(response: Response, text: str) -> None:
    """Show a message on the next page, once."""
    set_cookie(response, NOTICE, _signer(NOTICE).sign(base64_encode(text)).decode(), _NOTICE_SECONDS)


def notice() -> str:
    """The message that the previous page left; empty if there is none."""
    try:
        return base64_decode(_signer(NOTICE).unsign(cookie(NOTICE))).decode("utf-8", "replace")
    except BadData:
        return ""


def visit_secret() -> str:
    """The secret of this visit."""
    return cookie(SESSION) or cookie(VISIT) or _new_visit_secret()


def derive_secret(purpose: str) -> str:
    """A secret for one purpose, derived from the secret of this visit."""
    return _signer(purpose).get_signature(purpose.encode()).decode()


def verify_secret(purpose: str, value: str) -> bool:
    """Whether `value` is the derived secret of this visit for the purpose."""
    return _signer(purpose).verify_signature(purpose.encode(), value.encode("utf-8", "replace"))


def _new_visit_secret() -> str:
    """A new secret, the same throughout this request; the view sets its cookie."""
    if "visit" not in g:
        g.visit = secrets.token_urlsafe(32)
    return str(g.visit)


def _signer(purpose: str) -> Signer:
    return Signer(visit_secret(), salt=f"hashdb.{purpose}", digest_method=hashlib.sha256)


def _is_https() -> bool:
    """Whether browsers reach the console over TLS."""
    address = app_state().settings.console_url
    return address.startswith("https:") if address else request.is_secure


def _cookie_name(name: str) -> str:
    # A browser accepts a cookie with this prefix only from this host, and only over TLS.
    return f"__Host-{name}" if _is_https() else name
