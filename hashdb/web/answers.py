"""What is told of every answer: a line of the log, two counts, and where that is set, a span."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from hashdb.domain.accounts.members import Actor
from hashdb.web import logs
from hashdb.web.context import Face, face, hashdb, told_budgets
from hashdb.web.limits import budgets_of

NOWHERE = ("(any)", "(none)")
"""The method and the route of a request for which there is none."""


def register(app: Flask) -> None:
    """Tell of every request of the application when it is answered."""
    app.before_request(_start)
    app.after_request(_tell)


def tell(face: Face, method: str, route: str, status: int, started: float, actor: Actor | None) -> None:
    """Tell of one answer, to a request begun at `started` of the performance counter."""
    seconds = time.perf_counter() - started
    logs.tell(method, route, status, seconds, actor)
    face.metrics.tell(method, route, status, seconds)
    if face.traces is not None:
        face.traces.tell(method, route, status, seconds, actor)


def _start() -> None:
    g.started = time.perf_counter()


def _tell(response: Response) -> Response:
    # The rule, not the path: what somebody else put into an address may be anything.
    rule = request.url_rule
    method, route = (request.method, rule.rule) if rule else NOWHERE
    if (who := g.get("actor")) is not None:
        response.headers.extend(told_budgets(hashdb(), who, budgets_of(request.method, request.endpoint)))
    tell(face(), method, route, response.status_code, g.get("started", time.perf_counter()), who)
    return response
