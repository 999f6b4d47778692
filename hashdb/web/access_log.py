"""The access log: each response writes one line, updates two metrics, and sends a span if tracing is on."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from hashdb.domain.accounts.members import Actor
from hashdb.http_server.log_lines import write_line
from hashdb.web.context import AppState, app_state, hashdb, remaining_budget_headers
from hashdb.web.limits import budgets_of

NO_ROUTE = ("(any)", "(none)")
"""Logged as method and route of a request that no route matches."""


def register(app: Flask) -> None:
    """Log every request of the application when it is answered."""
    app.before_request(_start)
    app.after_request(_log_response)


def log_answer(state: AppState, method: str, route: str, status: int, started: float, actor: Actor | None) -> None:
    """Log, count and trace one response. `started` is the `time.perf_counter()` of the request's start."""
    seconds = time.perf_counter() - started
    write_line(method, route, status, seconds, actor.name if actor else None)
    state.metrics.count_request(method, route, status, seconds)
    if state.traces is not None:
        state.traces.record_span(method, route, status, seconds, actor)


def _start() -> None:
    g.started = time.perf_counter()


def _log_response(response: Response) -> Response:
    # The rule, not the path: a client may put anything into the path, even a hash.
    rule = request.url_rule
    method, route = (request.method, rule.rule) if rule else NO_ROUTE
    if (actor := g.get("actor")) is not None:
        response.headers.extend(remaining_budget_headers(hashdb(), actor, budgets_of(request.method, request.endpoint)))
    log_answer(app_state(), method, route, response.status_code, g.get("started", time.perf_counter()), actor)
    return response
