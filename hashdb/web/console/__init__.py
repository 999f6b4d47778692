"""The console: web pages for administrators, reviewers and auditors, over the same services as the API.

To add a page, add three things of one name: a module here with its blueprint (`pages.blueprint_of`), the template
`templates/console/<noun>.html`, and an entry in `_MODULES` and, for a page in the menu, in `pages.MENU`.
Every view requires a signed-in user unless `guard.OPEN` names it. The service checks what the user may do; the page
only hides the rest (`may("review")` in a template). A view that changes something is a POST whose form has
`{{ csrf() }}`. It reads `Form.sent()` and returns `pages.redirect_with_notice(…)`. On an error of `pages.REFUSALS` it
returns the same page with `form.refused(error)`, whose status is then 422; `members.py` is an example.
docs/console.md lists every page, which a test checks.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, g, request, url_for
from werkzeug.exceptions import HTTPException

from hashdb.errors import HashDBError, MethodNotAllowed, NotAuthenticated, NotFound, ScopeMissing, reject_field
from hashdb.http_server.problems import refusal_of
from hashdb.service.stats import refusals
from hashdb.web import problems
from hashdb.web.console import (
    account,
    batches,
    benign,
    cases,
    claims,
    compare,
    contributions,
    events,
    filters,
    find,
    guard,
    incidents,
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
    views,
    vocabulary,
    webhooks,
)
from hashdb.web.console.signals import grid
from hashdb.web.context import hashdb

_MODULES = (
    sessions, provider, account, overviews, find, views, contributions, cases, claims, neighbors, compare,
    members, incidents, benign, proposals, batches, webhooks, users, reports, events, vocabulary, settings,
)  # fmt: skip
_THEMES = ("light", "dark", "system")
_FAILED = "the service failed and logged the error: try again, and tell the operator if it fails again"
_NO_PAGE = "this page does not exist, or does not accept this kind of request: choose one from the menu"


def register(app: Flask) -> None:
    """Mount the console under /console."""
    console = Blueprint("console", __name__, url_prefix="/console")
    for module in _MODULES:
        console.register_blueprint(module.blueprint)
    console.add_url_rule("", view_func=landing)
    console.add_url_rule("/theme", view_func=theme, methods=["POST"])
    console.add_url_rule("/<path:rest>", view_func=nowhere, methods=["GET", "POST"])
    console.before_request(guard.enter)
    console.after_request(_protect)
    console.context_processor(pages.context)
    console.context_processor(lambda: {"grid": grid, "view_row": views.row, "view_address": views.view_address})
    for kind in (HashDBError, HTTPException, Exception):
        console.register_error_handler(kind, respond_with_page)
    app.register_blueprint(console)
    app.jinja_env.filters |= filters.FILTERS


def landing() -> Response:
    """Redirect to the first page."""
    return pages.redirect(url_for("console.overviews.show"))


def theme() -> Response:
    """Store the theme in a cookie, and return to the page that the user came from. Raises InvalidInput."""
    chosen = request.form.get("theme", "")
    if chosen not in _THEMES:
        reject_field("theme", f"must be one of {', '.join(_THEMES)}")
    response = pages.redirect(pages.local_address(request.form.get("next", "")))
    guard.set_cookie(response, guard.THEME, chosen, guard.YEAR_SECONDS)
    return response


def nowhere(rest: str) -> Response:
    """Respond to unknown addresses. Raises NotFound."""
    raise NotFound("this page")


def _protect(response: Response) -> Response:
    """Add the headers of every page to a response, and delete the cookie of a notice that the page has shown."""
    response.headers.setdefault("Content-Security-Policy", pages.POLICY)
    if guard.cookie(guard.NOTICE) and response.mimetype == "text/html" and response.status_code == 200:
        guard.delete_cookie(response, guard.NOTICE)
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def respond_with_page(error: Exception) -> Response:
    """The page for an error, which is counted as a refusal. Without a session, a redirect to the sign-in."""
    if isinstance(error, NotAuthenticated):
        return _redirect_to_sign_in()
    if isinstance(error, HTTPException):
        error = refusal_of(error, request) or error
    refusals.note_access(hashdb(), g.get("actor"), error)
    problem = problems.respond(error)
    if problem.status_code < 400:
        return problem
    message = _message(error, problem.status_code)
    title = error.title if isinstance(error, HashDBError) else "Something went wrong"
    response = pages.page("problem.html", status=problem.status_code, message=message, title=title)
    for name in ("Retry-After", "Allow"):
        if name in problem.headers:
            response.headers[name] = problem.headers[name]
    return response


def _redirect_to_sign_in() -> Response:
    """Redirect to the sign-in, which leads back to this page."""
    here = request.full_path.rstrip("?") if request.method == "GET" else None
    back = None if here == url_for("console.landing") else here
    if request.headers.get("HX-Request"):
        # htmx would put the sign-in form into part of the page: make it load the sign-in page instead.
        return Response(status=204, headers={"HX-Redirect": url_for("console.sessions.sign_in")})
    response = pages.redirect(url_for("console.sessions.sign_in", next=back))
    if guard.cookie(guard.SESSION):
        guard.delete_cookie(response, guard.SESSION)
    return response


def _message(error: Exception, status: int) -> str:
    if isinstance(error, ScopeMissing):
        return f"your role does not have the scope {error.scope}, which this needs: ask an admin"
    if isinstance(error, HashDBError) and not isinstance(error, MethodNotAllowed):
        return str(error)
    return _FAILED if status >= 500 else _NO_PAGE
