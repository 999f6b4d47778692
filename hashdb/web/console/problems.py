"""Errors as pages: the same status as in the API, the sentence, and a way on."""

from __future__ import annotations

from flask import Response, g, request, url_for

from hashdb.errors import HashDBError, MethodNotAllowed, NotAuthenticated, ScopeMissing
from hashdb.service.stats import refusals
from hashdb.web import problems
from hashdb.web.console import guard, pages
from hashdb.web.context import hashdb


def respond(error: Exception) -> Response:
    """The page that tells of an error; who is not signed in is sent to do so, and back."""
    if isinstance(error, NotAuthenticated):
        return _sign_in()
    refusals.note(hashdb(), g.get("actor"), error)
    plain = problems.respond(error)
    if plain.status_code < 400:
        return plain
    said = _said(error, plain.status_code)
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


def _said(error: Exception, status: int) -> str:
    if isinstance(error, ScopeMissing):
        return f"your role may not do this: it takes {error.scope}"
    if isinstance(error, HashDBError) and not isinstance(error, MethodNotAllowed):
        return str(error)
    return "a fault of the service, which it has noted" if status >= 500 else "there is no such page, or not like this"
