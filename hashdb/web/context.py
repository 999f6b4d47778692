"""The context of a request: the service, the actor, the body and the query string, for views."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TypeVar, cast

import flask
from flask import Response, current_app, g
from pydantic import BaseModel
from werkzeug.routing import IntegerConverter

from hashdb.domain.accounts.budgets import CHANGE_COST, Budget
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import IdempotencyKey
from hashdb.errors import NotAuthenticated, reject_field
from hashdb.http_server import bodies, forms
from hashdb.http_server.media import Hashers
from hashdb.http_server.uploads import Upload
from hashdb.service import HashDB
from hashdb.service.accounts.members import authenticate
from hashdb.service.later import Later
from hashdb.settings import Settings
from hashdb.web.limits import RateLimits, budget_headers, budgets_of
from hashdb.web.metrics import Metrics
from hashdb.web.traces import Traces
from hashdb.wire import PageModel, ResponseModel, ValidationContext
from hashdb.wire.pages import PageQuery

_Query = TypeVar("_Query", bound=BaseModel)
_Page = TypeVar("_Page", bound=PageModel)
_KEY_LENGTH = 200
_HEALTH = ("/healthz", "/readyz")
LARGE_BODY = 16 * 1024
"""A larger body, in bytes, takes one of its key's slots for large requests before it is read."""


class InMemoryRequest(forms.InMemoryRequest, flask.Request):
    """A request of the service; see `hashdb.http_server.forms`."""


class Id(IntegerConverter):
    """An id in a URL: without leading zeros, and not larger than the database can store."""

    regex = "(?:0|[1-9][0-9]{0,15})"


class AppState:
    """The state of the application: the service, its settings, metrics, rate limits and hashing processes."""

    def __init__(self, db: HashDB, settings: Settings) -> None:
        """Starts nothing yet. Raises BadSetting."""
        self.db = db
        self.settings = settings
        self.metrics = Metrics(db, settings.home, settings.certificate)
        self.limits = RateLimits(settings)
        self.later = Later(db)
        self.hashers = Hashers(settings)
        self.traces = None if settings.otlp_endpoint is None else Traces(settings.otlp_endpoint)


def app_state() -> AppState:
    """The state of this application."""
    return cast(AppState, current_app.extensions["hashdb"])


def hashdb() -> HashDB:
    """The service."""
    return app_state().db


def count_address() -> None:
    """Count this request for the limit of its client's address, except health checks. Raises LimitReached."""
    if flask.request.path not in _HEALTH:
        app_state().limits.count_address(flask.request.remote_addr or "")


def actor() -> Actor:
    """The actor of this request. Raises NotAuthenticated, LimitReached."""
    if "actor" not in g:
        return authenticate_request(bearer(flask.request.headers.get("Authorization", "")))
    return cast(Actor, g.actor)


def authenticate_request(secret: str) -> Actor:
    """Authenticate this request by a key's secret, and return its actor. A large body takes one of the key's slots.

    Raises NotAuthenticated, LimitReached.
    """
    caller = authenticate_key(app_state(), secret, flask.request.remote_addr or "")
    g.actor, g.secret = caller, secret
    is_large = (flask.request.content_length or 0) > LARGE_BODY or "Transfer-Encoding" in flask.request.headers
    if is_large and "slot_holder" not in g:
        hashdb().request_slots.enter(caller)
        g.slot_holder = caller
    return caller


def release_slot(_: BaseException | None = None) -> None:
    """Release the slot of this request, if it took one."""
    if (holder := g.pop("slot_holder", None)) is not None:
        hashdb().request_slots.leave(holder)


def admit(caller: Actor, *scopes: Scope) -> Actor:
    """Require that the actor has one of these scopes, and count the request. Called once for a request.

    Raises NotAllowed, LimitReached.
    """
    caller.require(*scopes)
    app_state().limits.count_scope(caller, scopes)
    if Budget.CHANGES in budgets_of(flask.request.method, flask.request.endpoint):
        spend_change(caller)
    return caller


def spend_change(caller: Actor) -> None:
    """Count a request that may append to the log. Raises LimitReached."""
    db = hashdb()
    db.budgets.spend(caller, CHANGE_COST, db.now())


def remaining_budget_headers(db: HashDB, caller: Actor, budgets: Sequence[Budget]) -> list[tuple[str, str]]:
    """The RateLimit headers with what is left of a key's budgets. None for an actor without a key."""
    if caller.key is None or not budgets:
        return []
    now = db.now()
    return budget_headers(db.budgets.left(caller, budgets, now), now)


def bearer(authorization: str) -> str:
    """The secret in an `Authorization: Bearer` header; empty if there is none."""
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def authenticate_key(state: AppState, secret: str, address: str) -> Actor:
    """The actor whose key has this secret. Counts the request for the limit of the key.

    If no valid key has the secret, counts the failure for the client's address.

    Raises NotAuthenticated, LimitReached.
    """
    try:
        caller = authenticate(state.db, secret)
    except NotAuthenticated:
        state.limits.count_failure(address)
        raise
    state.limits.count_key(caller)
    return caller


def validation_context() -> ValidationContext:
    """The rules that the models of this request are validated against."""
    return validation_context_of(hashdb())


def validation_context_of(db: HashDB) -> ValidationContext:
    """The rules that the models of a request to this service are validated against."""
    # Most requests have no signals to check. So the intake rules, which may have to catch up, are read on demand.
    return ValidationContext(
        db.rules, db.now(), close_to_benign=lambda signals: db.intake_rules().close_to_benign(signals)
    )


def body(*, may_have_frames: bool = False) -> bytes:
    """The JSON body of this request. If it `may_have_frames` of videos and has some, it may be larger than others.

    Raises WrongContentType, MalformedRequest, TooLarge.
    """
    return bodies.read_json(flask.request, app_state().settings, may_have_frames=may_have_frames)


def query(model: type[_Query]) -> _Query:
    """The query string of this request, validated as `model`. Raises InvalidInput."""
    return bodies.read_query(flask.request, model, validation_context())


def read_idempotency_key(*parts: bytes | Upload) -> IdempotencyKey | None:
    """The idempotency key of this request with the digest of its content; None without the header.

    Raises InvalidInput.
    """
    return parse_idempotency_key(flask.request.headers.get("Idempotency-Key"), flask.request.path, *parts)


def parse_idempotency_key(key: str | None, path: str, *parts: bytes | Upload) -> IdempotencyKey | None:
    """The idempotency key of a request, with the digest of its path and of the parts of its body. None without a `key`.

    Raises InvalidInput.
    """
    if key is None:
        return None
    if not 0 < len(key) <= _KEY_LENGTH or not key.isprintable():
        reject_field("Idempotency-Key", f"must be 1 to {_KEY_LENGTH} printable characters")
    digest = hashlib.sha256(path.encode())
    for part in parts:
        stream = part.stream if isinstance(part, Upload) else BytesIO(part)
        digest.update(hashlib.file_digest(stream, "sha256").digest())
    return IdempotencyKey(key, digest.digest())


def answer(model: ResponseModel, status: int = 200) -> Response:
    """A JSON response with this model."""
    return Response(model.json_text(), status, mimetype="application/json")


def list_page(model: type[_Page], params: PageQuery, select: Callable[[int, int], Sequence[object]]) -> _Page:
    """The page of a list that a query string asks for. `select` returns the rows after a cursor, up to a number."""
    # One row more than the page has shows whether another page follows.
    return model.from_rows(select(params.after, params.limit + 1), params.limit)
