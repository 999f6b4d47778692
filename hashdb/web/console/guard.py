"""The guard at the console's door: who is signed in, and whether a form is one of ours."""

from __future__ import annotations

import hashlib
import secrets
from typing import cast

from flask import Response, g, request, url_for
from itsdangerous import BadSignature, Signer, URLSafeSerializer

from hashdb.domain.accounts.users import Session
from hashdb.errors import FormRefused, NotAuthenticated
from hashdb.service.accounts import sessions
from hashdb.web.context import app_state, hashdb, spend_change

OPEN = {"console.sessions.sign_in", "console.sessions.begin", "console.provider.go", "console.provider.come_back"}
"""Views for who is not signed in."""
_HALF_OPEN = {"console.sessions.code", "console.sessions.confirm", "console.sessions.sign_out"}
_ALWAYS = {"console.sessions.sign_out", "console.theme"}
_FIRST_THINGS = {
    "password": {"console.account.password", "console.account.choose_password"},
    "factor": {"console.account.factor", "console.account.add_factor"},
}
_WRITES_NOTHING = {"console.neighbors.find"}
"""Forms that only ask, and so use no budget of changes: pictures are bounded by the queue in which they are hashed."""
FORM = "form"
POLL = "poll"
"""How the ids of elements begin that htmx asks for by itself."""


def enter() -> Response | None:
    """Let a request in, send it to where it must go first, or raise NotAuthenticated or FormRefused."""
    endpoint = request.endpoint or ""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _require_own_form()
    if endpoint in OPEN:
        return None
    # What a page asks by itself, again and again, is no sign that somebody sits before it.
    by_itself = request.headers.get("HX-Trigger", "").startswith(POLL)
    token, lifetime = get(SESSION), app_state().settings.lifetime
    g.session = sessions.who(hashdb(), token, lifetime, in_use=not by_itself)
    if not session().complete:
        return None if endpoint in _HALF_OPEN else _go("console.sessions.code")
    g.actor = session().user.actor
    if request.method not in ("GET", "HEAD", "OPTIONS") and endpoint not in _WRITES_NOTHING:
        spend_change(g.actor)
    return None if endpoint in _ALWAYS else _first_things(endpoint)


def session() -> Session:
    """The session of this request. Raises NotAuthenticated."""
    if "session" not in g:
        raise NotAuthenticated()
    return cast(Session, g.session)


def form_secret() -> str:
    """What a form must carry to be taken for ours."""
    return derived(FORM)


def _require_own_form() -> None:
    """Raise FormRefused unless this visit's page made the form."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise FormRefused()
    if not is_derived(FORM, request.form.get("csrf", "")):
        raise FormRefused()


def _first_things(endpoint: str) -> Response | None:
    """Send users to what they must do before anything else."""
    user = session().user
    needs_factor = app_state().settings.require_second_factor and user.has_password and not user.second_factor
    for needed, what in ((user.provisional, "password"), (needs_factor, "factor")):
        if needed and endpoint not in _FIRST_THINGS[what]:
            return _go(f"console.account.{what}")
        if needed:
            return None
    return None


def _go(endpoint: str) -> Response:
    return Response(status=303, headers={"Location": url_for(endpoint)})


SESSION = "hashdb_session"
VISIT = "hashdb_visit"
THEME = "hashdb_theme"
NOTICE = "hashdb_notice"
_A_YEAR = 365 * 86_400
_A_MINUTE = 60


def get(name: str) -> str:
    """The cookie of that name, empty where there is none."""
    return request.cookies.get(_named(name), "")


def put(response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Let the browser keep a cookie, for as long as it runs or some seconds; no script reads it."""
    response.set_cookie(_named(name), value, seconds, secure=_secure(), httponly=True, samesite="Lax", path="/")


def drop(response: Response, name: str) -> None:
    """Let the browser forget a cookie."""
    response.delete_cookie(_named(name), secure=_secure(), httponly=True, samesite="Lax", path="/")


def put_theme(response: Response, theme: str) -> None:
    """Keep the theme for a year."""
    put(response, THEME, theme, _A_YEAR)


def put_notice(response: Response, text: str) -> None:
    """Let the next page say something, once."""
    put(response, NOTICE, _notices().dumps(text), _A_MINUTE)


def notice() -> str:
    """What the page before had to say."""
    try:
        return str(_notices().loads(get(NOTICE)))
    except BadSignature:
        return ""


def visit() -> str:
    """The secret of this visit: the session's, else that of a browser which is about to sign in."""
    return get(SESSION) or get(VISIT) or _new_visit()


def derived(purpose: str) -> str:
    """A secret for one purpose, which only who knows this visit's can make."""
    return _signer(purpose).get_signature(purpose.encode()).decode()


def is_derived(purpose: str, value: str) -> bool:
    """Whether it is that one."""
    return _signer(purpose).verify_signature(purpose.encode(), value.encode("utf-8", "replace"))


def _new_visit() -> str:
    """One that the response will set (guard.leave)."""
    if "visit" not in g:
        g.visit = secrets.token_urlsafe(32)
    return str(g.visit)


def _signer(purpose: str) -> Signer:
    return Signer(visit(), salt=f"hashdb.{purpose}", digest_method=hashlib.sha256)


def _notices() -> URLSafeSerializer:
    return URLSafeSerializer(visit(), salt="hashdb.notice", signer_kwargs={"digest_method": hashlib.sha256})


def _secure() -> bool:
    address = app_state().settings.console_url
    return address.startswith("https:") if address else request.is_secure


def _named(name: str) -> str:
    # With this prefix a browser takes it from this host only, over TLS only.
    return f"__Host-{name}" if _secure() else name
