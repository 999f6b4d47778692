"""The console: pages for the people who answer for the database, over the same services as the API.

A page is added in three places, all of one name: a noun's module here with its blueprint (`pages.blueprint_of`), the
template `templates/console/<noun>.html`, and a line each in `_NOUNS` and, if it stands in the menu, in
`pages.MENU`. Every view is behind the sign-in unless it is named in `guard.OPEN`. What somebody may do is refused
by the service and only hidden by the page (`may("review")` in a template). A view that changes something is a POST
whose form has `{{ csrf() }}`; it reads `Form.sent()`, answers `pages.done(…)` when it is done, and on a refusal
(`pages.REFUSALS`) the same page again with `form.refused(error)` and status 422; `members.py` is an example.
docs/console.md lists every page (a test compares them).
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, g, request, url_for
from werkzeug.exceptions import HTTPException

from hashdb.errors import Fault, HashDBError, InvalidInput, MethodNotAllowed, NotAuthenticated, NotFound, ScopeMissing
from hashdb.service.stats import refusals
from hashdb.web import problems
from hashdb.web.console import (
    account,
    benign,
    cases,
    contributions,
    events,
    guard,
    incidents,
    labels,
    members,
    neighbors,
    overviews,
    pages,
    proposals,
    provider,
    reports,
    sessions,
    settings,
    users,
    webhooks,
)
from hashdb.web.context import hashdb

__all__ = ["register"]

_NOUNS = (
    sessions,
    provider,
    account,
    overviews,
    contributions,
    cases,
    neighbors,
    members,
    incidents,
    benign,
    proposals,
    webhooks,
    users,
    reports,
    events,
    labels,
    settings,
)
_THEMES = ("light", "dark", "system")


def register(app: Flask) -> None:
    """Put the console under /console."""
    console = Blueprint("console", __name__, url_prefix="/console")
    for noun in _NOUNS:
        console.register_blueprint(noun.blueprint)
    console.add_url_rule("", view_func=landing)
    console.add_url_rule("/theme", view_func=theme, methods=["POST"])
    console.add_url_rule("/<path:rest>", view_func=nowhere, methods=["GET", "POST"])
    console.before_request(guard.enter)
    console.after_request(_protect)
    console.context_processor(pages.context)
    for kind in (HashDBError, HTTPException, Exception):
        console.register_error_handler(kind, respond_with_page)
    app.register_blueprint(console)
    pages.add_filters(app)


def landing() -> Response:
    """Go to the first page."""
    return pages.to(url_for("console.overviews.show"))


def theme() -> Response:
    """Keep a theme, and go back to where one was."""
    chosen = request.form.get("theme", "")
    if chosen not in _THEMES:
        raise InvalidInput((Fault("theme", f"is one of {', '.join(_THEMES)}"),))
    response = pages.to(pages.local(request.form.get("next", "")))
    guard.put_theme(response, chosen)
    return response


def nowhere(rest: str) -> Response:
    """Say that there is no such page."""
    raise NotFound("this page")


def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    if guard.get(guard.NOTICE) and response.mimetype == "text/html" and response.status_code == 200:
        guard.drop(response, guard.NOTICE)
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def respond_with_page(error: Exception) -> Response:
    """The page that tells of an error; who is not signed in is sent to do so, and back."""
    if isinstance(error, NotAuthenticated):
        return _sign_in()
    refusals.note(hashdb(), g.get("actor"), error)
    plain = problems.respond(error)
    if plain.status_code < 400:
        return plain
    said = _sentence(error, plain.status_code)
    response = pages.page("problem.html", status=plain.status_code, said=said, title=_title(error))
    for name in ("Retry-After", "Allow"):
        if name in plain.headers:
            response.headers[name] = plain.headers[name]
    return response


def _sign_in() -> Response:
    here = request.full_path.rstrip("?") if request.method == "GET" else ""
    halves = bool(guard.get(guard.SESSION))
    back = here if here and here != url_for("console.landing") else None
    address = url_for("console.sessions.sign_in", next=back)
    if request.headers.get("HX-Request"):
        # What htmx asks for in the background is not to be replaced by a form to sign in, but left for it.
        return Response(status=204, headers={"HX-Redirect": url_for("console.sessions.sign_in")})
    response = pages.to(address)
    if halves:
        guard.drop(response, guard.SESSION)
    return response


def _title(error: Exception) -> str:
    return error.title if isinstance(error, HashDBError) else "Something went wrong"


def _sentence(error: Exception, status: int) -> str:
    if isinstance(error, ScopeMissing):
        return f"your role may not do this: it takes {error.scope}"
    if isinstance(error, HashDBError) and not isinstance(error, MethodNotAllowed):
        return str(error)
    return "a fault of the service, which it has noted" if status >= 500 else "there is no such page, or not like this"
