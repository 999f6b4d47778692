"""Cookies of the console: the secret of a session, of a visit before it, the theme, and a notice for the next page."""

from __future__ import annotations

import hashlib
import secrets

from flask import Response, g, request
from itsdangerous import BadSignature, Signer, URLSafeSerializer

from hashdb.web.context import face

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
    address = face().settings.console_url
    return address.startswith("https:") if address else request.is_secure


def _named(name: str) -> str:
    # With this prefix a browser takes it from this host only, over TLS only.
    return f"__Host-{name}" if _secure() else name
