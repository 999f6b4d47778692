"""The HTTP layer: a view reads the request, calls one service function and writes the response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, request
from werkzeug.http import parse_date
from werkzeug.middleware.proxy_fix import ProxyFix

from hashdb.http_server import request_id
from hashdb.http_server.bodies import discard_rest
from hashdb.service import HashDB
from hashdb.settings import Settings
from hashdb.web import access_log, console, problems
from hashdb.web.api import BLUEPRINTS
from hashdb.web.context import AppState, Id, InMemoryRequest, count_address, release_slot
from hashdb.web.fast_path import FastPath
from hashdb.web.limits import RateLimits
from hashdb.web.sharing import hma, stopncii, threatexchange
from hashdb.web.traces import require_installed

__all__ = ["check_settings", "create_app"]

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})


def check_settings(settings: Settings) -> None:
    """Raise the BadSetting that `create_app` would raise, before a worker is started."""
    RateLimits(settings)
    if settings.otlp_endpoint is not None:
        require_installed()


def create_app(db: HashDB, settings: Settings) -> Flask:
    """The WSGI application over an open HashDB."""
    app = Flask("hashdb.web")
    app.request_class = InMemoryRequest
    app.config.update(MAX_CONTENT_LENGTH=settings.max_body, PROPAGATE_EXCEPTIONS=False)
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = Id
    app.extensions["hashdb"] = AppState(db, settings)
    access_log.register(app)
    app.before_request(count_address)
    app.before_request(_ignore_invalid_dates)
    app.teardown_request(release_slot)
    problems.register(app, db)
    systems = (hma.blueprint, stopncii.blueprint, stopncii.tat_blueprint, threatexchange.blueprint)
    for blueprint in (*BLUEPRINTS, *systems):
        app.register_blueprint(blueprint)
    console.register(app)
    app.extensions["hashdb"].metrics.export_zeros(_routes(app))
    application: WSGIApplication = FastPath(hma.rewrite_bank_paths(app.wsgi_app), app.extensions["hashdb"])
    if settings.proxies:
        application = ProxyFix(application, x_for=settings.proxies, x_proto=settings.proxies)
    # Flask documents this assignment for middleware.
    app.wsgi_app = _secure(application, settings)  # type: ignore[method-assign, assignment]
    return app


def _secure(application: WSGIApplication, settings: Settings) -> WSGIApplication:
    """Wrap an application: every response gets the request id, and `_SECURITY_HEADERS` unless the view has set them.

    Behind a proxy, the request may supply the id. A body is read to its end even if the request is rejected: the server
    could not use the connection for the next request otherwise.
    """
    default_headers = [(header[0].lower(), header) for header in _SECURITY_HEADERS.items()]
    trust_headers, largest_body = settings.proxies > 0, settings.largest_body

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        id = request_id.begin(environ, trust_headers=trust_headers)

        def start(status: str, set_by_view: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            discard_rest(environ, largest_body)
            names = {name.lower() for name, _ in set_by_view}
            added = [header for name, header in default_headers if name not in names]
            added.append((request_id.HEADER, id))
            return start_response(status, set_by_view + added, *more)

        return application(environ, start)

    return answer


def _ignore_invalid_dates() -> None:
    """Ignore a condition of this request whose date has no place in the calendar: Werkzeug fails to parse it."""
    for name in ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_RANGE"):
        try:
            parse_date(request.environ.get(name))
        except OverflowError:
            del request.environ[name]


def _routes(app: Flask) -> Iterator[tuple[str, str]]:
    """The method and route of every view, as the metrics count them."""
    yield access_log.NO_ROUTE
    for rule in app.url_map.iter_rules():
        yield from ((method, rule.rule) for method in (rule.methods or set()) & _METHODS)
