"""All that a view may ask of its request: the service, the actor, the body, the query string."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from typing import TypeVar, cast

import flask
from flask import Response, current_app, g
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.routing import IntegerConverter

from hashdb.domain.accounts.budgets import A_CHANGE, Budget
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import IdempotencyKey
from hashdb.errors import (
    Fault,
    HashDBError,
    InvalidInput,
    MalformedRequest,
    NotAuthenticated,
    TooLarge,
    WrongContentType,
)
from hashdb.hashing import Limits
from hashdb.hashing.workers import HashingPool
from hashdb.service import HashDB
from hashdb.service.accounts.members import authenticate
from hashdb.settings import Settings
from hashdb.web.limits import RateLimits, budget_headers, budgets_of
from hashdb.web.metrics import Metrics
from hashdb.web.traces import Traces
from hashdb.wire import Answered, ValidationContext, path, refusal, refused

_Query = TypeVar("_Query", bound=BaseModel)
_Item = TypeVar("_Item")
_KEY_LENGTH = 200
_HEALTH = ("/healthz", "/readyz")
LARGE = 16 * 1024
"""Bytes of a body above which a request holds one of its key's places, before the body is read."""


class InMemoryRequest(flask.Request):
    """A request whose uploads are held in memory only: what was removed is never written to a disk."""

    def make_form_data_parser(self) -> FormDataParser:
        """A parser that keeps uploads in memory, and does not take a broken form for an empty one."""
        parser = super().make_form_data_parser()
        parser.stream_factory = lambda *_, **__: BytesIO()
        parser.silent = False
        return parser


class Id(IntegerConverter):
    """An id in an address: one spelling each, and none larger than a database can hold."""

    regex = "(?:0|[1-9][0-9]{0,15})"


class AppState:
    """What the application holds: the service, its settings, and the processes that hash pictures."""

    def __init__(self, db: HashDB, settings: Settings) -> None:
        """Starts nothing yet. Raises BadSetting."""
        self.db = db
        self.settings = settings
        self.metrics = Metrics(db, settings.home, settings.certificate)
        self.limits = RateLimits(settings)
        self.traces = None if settings.otlp_endpoint is None else Traces(settings.otlp_endpoint)

    @cached_property
    def pool(self) -> HashingPool:
        """The hashing processes of this worker, started when first needed."""
        s = self.settings
        limits = Limits(max_bytes=s.media_max_bytes, max_pixels=s.media_max_pixels)
        return HashingPool(
            workers=s.media_workers,
            queue=s.media_queue,
            seconds=s.media_seconds,
            memory_bytes=s.media_memory,
            limits=limits,
        )


def app_state() -> AppState:
    """What the application holds."""
    return cast(AppState, current_app.extensions["hashdb"])


def hashdb() -> HashDB:
    """The service."""
    return app_state().db


def visit() -> None:
    """Count this request of its address, unless it only asks how the service is. Raises LimitReached."""
    if flask.request.path not in _HEALTH:
        app_state().limits.visit(flask.request.remote_addr or "")


def actor() -> Actor:
    """Who makes this request. Raises NotAuthenticated, LimitReached."""
    if "actor" not in g:
        return recognise(bearer(flask.request.headers.get("Authorization", "")))
    return cast(Actor, g.actor)


def recognise(secret: str) -> Actor:
    """Who holds the key of this secret: the actor of this request, which holds a place where its body is large.

    Raises NotAuthenticated, LimitReached.
    """
    found = holder(app_state(), secret, flask.request.remote_addr or "")
    g.actor = found
    is_large = (flask.request.content_length or 0) > LARGE or "Transfer-Encoding" in flask.request.headers
    if is_large and "placed" not in g:
        hashdb().places.enter(found)
        g.placed = found
    return found


def leave(_: BaseException | None = None) -> None:
    """Give back the place that this request held, if it did."""
    if (placed := g.pop("placed", None)) is not None:
        hashdb().places.leave(placed)


def admit(who: Actor, *scopes: Scope) -> Actor:
    """The actor, once in a request, if it takes part and has one of these scopes. Raises NotAllowed, LimitReached."""
    who.require(*scopes)
    app_state().limits.use(who, scopes)
    if Budget.CHANGES in budgets_of(flask.request.method, flask.request.endpoint):
        spend_change(who)
    return who


def spend_change(who: Actor) -> None:
    """Count a request that may write to the log. Raises LimitReached."""
    db = hashdb()
    db.budgets.spend(who, A_CHANGE, db.now())


def told_budgets(db: HashDB, who: Actor, budgets: Sequence[Budget]) -> list[tuple[str, str]]:
    """The headers that tell a key what is left of its budgets; of nobody else there are none."""
    if who.key is None or not budgets:
        return []
    now = db.now()
    return budget_headers(db.budgets.left(who, budgets, now), now)


def bearer(authorization: str) -> str:
    """The secret of an `Authorization` header; empty where there is none."""
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def holder(face: AppState, secret: str, address: str) -> Actor:
    """Who holds the key of this secret, of which a request is counted. Raises NotAuthenticated, LimitReached."""
    try:
        found = authenticate(face.db, secret)
    except NotAuthenticated:
        face.limits.failed(address)
        raise
    face.limits.count(found)
    return found


def validation_context() -> ValidationContext:
    """What a request is checked against."""
    db = hashdb()
    return ValidationContext(db.rules, db.now(), touched=lambda signals: db.intake.rules().touched(signals))


def body() -> bytes:
    """The JSON text of this request. Raises WrongContentType, TooLarge."""
    request = flask.request
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise WrongContentType("application/json")
    return raw_body()


def raw_body(*, keep: bool = False) -> bytes:
    """The body of this request, kept for who reads a form from it. Raises MalformedRequest, TooLarge."""
    request = flask.request
    with sent_whole("the body is not sent as its headers say"):
        octets = request.get_data(cache=keep)
    limit = request.max_content_length
    if limit is not None and request.content_length is None and len(octets) >= limit:
        # Werkzeug cuts a chunked body at the limit without a word.
        raise TooLarge("a request here, in bytes,", limit)
    return octets


@contextmanager
def sent_whole(otherwise: str) -> Iterator[None]:
    """What the server raises while it reads a body (of another length, in broken chunks) is MalformedRequest."""
    try:
        yield
    except (HTTPException, HashDBError):
        raise
    except Exception:
        # Each server has its own errors for it, and nothing else is read here.
        raise MalformedRequest(otherwise) from None


def query(model: type[_Query]) -> _Query:
    """The query string of this request as a model. Raises InvalidInput."""
    if not flask.request.query_string:
        return _validated(model, {})
    given = flask.request.args
    if twice := [Fault(path([name]), "is given twice") for name in given if len(given.getlist(name)) > 1]:
        raise refused(twice)
    return _validated(model, given.to_dict())


def _validated(model: type[_Query], given: dict[str, str]) -> _Query:
    try:
        return model.model_validate(given, context=validation_context())
    except ValidationError as error:
        raise refusal(error) from None


def once(*parts: bytes) -> IdempotencyKey | None:
    """The idempotency of this request, whose content is `parts`. Raises InvalidInput."""
    key = flask.request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= _KEY_LENGTH or not key.isprintable():
        raise InvalidInput((Fault("Idempotency-Key", f"takes 1 to {_KEY_LENGTH} printable characters"),))
    digest = hashlib.sha256(flask.request.path.encode())
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return IdempotencyKey(key, digest.digest())


def answer(said: Answered, status: int = 200) -> Response:
    """A JSON response."""
    return Response(said.json_text(), status, mimetype="application/json")


def nothing() -> Response:
    """A response without content."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def page_of(found: tuple[_Item, ...], limit: int) -> tuple[tuple[_Item, ...], bool]:
    """A page of at most `limit` of what was found, and whether there is more."""
    return found[:limit], len(found) > limit
