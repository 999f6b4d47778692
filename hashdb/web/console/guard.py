"""The guard at the console's door: who is signed in, and whether a form is one of ours."""

from __future__ import annotations

from typing import cast

from flask import Response, g, request, url_for

from hashdb.domain.accounts.users import Session
from hashdb.errors import FormRefused, NotAuthenticated
from hashdb.service.accounts import sessions
from hashdb.web.console import cookies
from hashdb.web.context import face, hashdb, spend_change

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
    token, lifetime = cookies.get(cookies.SESSION), face().settings.lifetime
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
    return cookies.derived(FORM)


def _require_own_form() -> None:
    """Raise FormRefused unless this visit's page made the form."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise FormRefused()
    if not cookies.is_derived(FORM, request.form.get("csrf", "")):
        raise FormRefused()


def _first_things(endpoint: str) -> Response | None:
    """Send users to what they must do before anything else."""
    user = session().user
    needs_factor = face().settings.require_second_factor and user.has_password and not user.second_factor
    for needed, what in ((user.provisional, "password"), (needs_factor, "factor")):
        if needed and endpoint not in _FIRST_THINGS[what]:
            return _go(f"console.account.{what}")
        if needed:
            return None
    return None


def _go(endpoint: str) -> Response:
    return Response(status=303, headers={"Location": url_for(endpoint)})
