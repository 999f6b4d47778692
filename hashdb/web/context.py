"""The context of a request: the service, the actor, the body and the query string, for views."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from typing import IO, Any, TypeVar, cast

import flask
from flask import Response, current_app, g
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.routing import IntegerConverter

from hashdb.domain.accounts.budgets import CHANGE_COST, Budget
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import IdempotencyKey
from hashdb.errors import (
    Fault,
    HashDBError,
    MalformedRequest,
    NotAuthenticated,
    TooLarge,
    WrongContentType,
    reject,
    reject_field,
)
from hashdb.hashing import Limits
from hashdb.hashing.video_queue import VideoQueue
from hashdb.hashing.videos import VideoLimits
from hashdb.hashing.workers import HashingPool
from hashdb.service import HashDB
from hashdb.service.accounts.members import authenticate
from hashdb.service.later import Later
from hashdb.settings import Settings
from hashdb.web.limits import RateLimits, budget_headers, budgets_of
from hashdb.web.metrics import Metrics
from hashdb.web.traces import Traces
from hashdb.web.uploads import Room, Upload
from hashdb.wire import ResponseModel, ValidationContext, error_from_validation, path

_Query = TypeVar("_Query", bound=BaseModel)
_KEY_LENGTH = 200
_HEALTH = ("/healthz", "/readyz")
LARGE = 16 * 1024
"""A larger body, in bytes, takes one of its key's places before it is read."""
_PIECE = 1024


class _CutAtBoundaries:
    """A stream that is read in pieces of 1 kB or more, which end before a boundary wherever they can.

    Werkzeug looks for a boundary that is in a piece by a regular expression, which for a picture before it takes half
    as long as decoding the picture.
    """

    def __init__(self, stream: IO[bytes], boundary: str) -> None:
        self._stream, self._boundary = stream, b"--" + boundary.encode("ascii", "ignore")
        self._octets, self._start = b"", 0

    def read(self, size: int) -> bytes:
        if self._start == len(self._octets):
            self._octets, self._start = self._stream.read(size), 0
        cut = self._octets.find(self._boundary, self._start + _PIECE)
        start, self._start = self._start, cut if cut >= 0 else len(self._octets)
        return self._octets[start : self._start]


class _FormParser(FormDataParser):
    """Werkzeug's parser of forms, which reads multipart/form-data in such pieces."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        pieces = cast(IO[bytes], _CutAtBoundaries(stream, (options or {}).get("boundary", "")))
        is_multipart = mimetype == "multipart/form-data"
        _, form, files = super().parse(pieces if is_multipart else stream, mimetype, content_length, options)
        return stream, form, files


class InMemoryRequest(flask.Request):
    """A request whose pictures are never written to a disk: only the videos that a view takes are, without a name."""

    form_data_parser_class = _FormParser

    def __init__(self, *args: Any, **more: Any) -> None:
        """As Flask makes one."""
        super().__init__(*args, **more)
        self.room: Room | None = None
        """Set by a view that takes videos, too."""
        self._uploads: list[Upload] = []

    def make_form_data_parser(self) -> FormDataParser:
        """A parser whose files are in memory or `Upload`s, and which rejects a malformed form."""
        parser = super().make_form_data_parser()
        parser.stream_factory = lambda *_, **__: self._new_stream()
        parser.silent = False
        return parser

    def _new_stream(self) -> IO[bytes]:
        if self.room is None:
            return BytesIO()
        self._uploads.append(Upload(self.room))
        return cast(IO[bytes], self._uploads[-1])

    def close(self) -> None:
        """Delete the uploads, also those of a form that was not read to its end."""
        super().close()
        for upload in self._uploads:
            upload.close()


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
        self.traces = None if settings.otlp_endpoint is None else Traces(settings.otlp_endpoint)

    @cached_property
    def pool(self) -> HashingPool:
        """The hashing processes of this worker, started at first use."""
        s = self.settings
        limits = Limits(max_bytes=s.media_max_bytes, max_pixels=s.media_max_pixels)
        return HashingPool(
            workers=s.media_workers,
            queue=s.media_queue,
            seconds=s.media_seconds,
            memory_bytes=s.media_memory,
            limits=limits,
        )

    @cached_property
    def videos(self) -> VideoQueue:
        """The hashing process for videos of this worker, started at first use."""
        s = self.settings
        limits = VideoLimits(
            max_seconds=s.video_max_seconds,
            max_pixels=s.media_max_pixels,
            processing_seconds=s.video_processing_seconds,
        )
        return VideoQueue(s.media_memory, limits)


def app_state() -> AppState:
    """The state of this application."""
    return cast(AppState, current_app.extensions["hashdb"])


def hashdb() -> HashDB:
    """The service."""
    return app_state().db


def count_visit() -> None:
    """Count this request of its client address, except health checks. Raises LimitReached."""
    if flask.request.path not in _HEALTH:
        app_state().limits.visit(flask.request.remote_addr or "")


def actor() -> Actor:
    """The actor of this request. Raises NotAuthenticated, LimitReached."""
    if "actor" not in g:
        return authenticate_request(bearer(flask.request.headers.get("Authorization", "")))
    return cast(Actor, g.actor)


def authenticate_request(secret: str) -> Actor:
    """Authenticate this request by a key's secret, and return its actor. A large body takes one of the key's places.

    Raises NotAuthenticated, LimitReached.
    """
    caller = authenticate_key(app_state(), secret, flask.request.remote_addr or "")
    g.actor, g.secret = caller, secret
    is_large = (flask.request.content_length or 0) > LARGE or "Transfer-Encoding" in flask.request.headers
    if is_large and "placed" not in g:
        hashdb().places.enter(caller)
        g.placed = caller
    return caller


def release_place(_: BaseException | None = None) -> None:
    """Release the place of this request, if it took one."""
    if (placed := g.pop("placed", None)) is not None:
        hashdb().places.leave(placed)


def admit(who: Actor, *scopes: Scope) -> Actor:
    """Authorise the actor by one of these scopes, and count the request. Called once for a request.

    Raises NotAllowed, LimitReached.
    """
    who.require(*scopes)
    app_state().limits.use(who, scopes)
    if Budget.CHANGES in budgets_of(flask.request.method, flask.request.endpoint):
        spend_change(who)
    return who


def spend_change(who: Actor) -> None:
    """Count a request that may append to the log. Raises LimitReached."""
    db = hashdb()
    db.budgets.spend(who, CHANGE_COST, db.now())


def remaining_budget_headers(db: HashDB, who: Actor, budgets: Sequence[Budget]) -> list[tuple[str, str]]:
    """The RateLimit headers with what is left of a key's budgets. None for an actor without a key."""
    if who.key is None or not budgets:
        return []
    now = db.now()
    return budget_headers(db.budgets.left(who, budgets, now), now)


def bearer(authorization: str) -> str:
    """The secret in an `Authorization: Bearer` header; empty if there is none."""
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def authenticate_key(state: AppState, secret: str, address: str) -> Actor:
    """The actor whose key has this secret; counts the request. Raises NotAuthenticated, LimitReached."""
    try:
        caller = authenticate(state.db, secret)
    except NotAuthenticated:
        state.limits.failed(address)
        raise
    state.limits.count(caller)
    return caller


def validation_context() -> ValidationContext:
    """The rules that the models of this request are validated against."""
    return validation_context_of(hashdb())


def validation_context_of(db: HashDB) -> ValidationContext:
    """The rules that the models of a request are validated against."""
    return ValidationContext(db.rules, db.now(), touched=lambda signals: db.intake.rules().touched(signals))


def body(*, frames: bool = False) -> bytes:
    """The JSON body of this request, which may be larger if it may have `frames` of videos, and has some.

    Raises WrongContentType, MalformedRequest, TooLarge.
    """
    request, settings = flask.request, app_state().settings
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise WrongContentType("application/json")
    if frames:
        request.max_content_length = max(settings.max_body, settings.video_max_body)
    text = raw_body()
    if len(text) > settings.max_body and b'"frames"' not in text:
        raise TooLarge("the bytes of a request without frames", settings.max_body)
    return text


def raw_body(*, keep: bool = False) -> bytes:
    """The body of this request; with `keep`, a form can still be read from it. Raises MalformedRequest, TooLarge."""
    request = flask.request
    with reading_body("the body does not match its headers"):
        data = request.get_data(cache=keep)
    limit = request.max_content_length
    if limit is not None and request.content_length is None and len(data) >= limit:
        # Werkzeug silently truncates a chunked body at the limit.
        raise TooLarge("the bytes of a request", limit)
    return data


@contextmanager
def reading_body(otherwise: str) -> Iterator[None]:
    """Raise MalformedRequest with this text for any error of the server while it reads a body (length, chunks)."""
    try:
        yield
    except (HTTPException, HashDBError):
        raise
    except Exception:
        # Each server raises its own errors, and nothing but the body is read here.
        raise MalformedRequest(otherwise) from None


def query(model: type[_Query]) -> _Query:
    """The query string of this request, validated as `model`. Raises InvalidInput."""
    if not flask.request.query_string:
        return _validated(model, {})
    arguments = flask.request.args
    reject(Fault(path([name]), "is given twice") for name in arguments if len(arguments.getlist(name)) > 1)
    return _validated(model, arguments.to_dict())


def _validated(model: type[_Query], arguments: dict[str, str]) -> _Query:
    try:
        return model.model_validate(arguments, context=validation_context())
    except ValidationError as error:
        raise error_from_validation(error) from None


def read_idempotency_key(*parts: bytes | Upload) -> IdempotencyKey | None:
    """The idempotency key of this request with the digest of its content; None without the header.

    Raises InvalidInput.
    """
    return parse_idempotency_key(flask.request.headers.get("Idempotency-Key"), flask.request.path, *parts)


def parse_idempotency_key(key: str | None, address: str, *parts: bytes | Upload) -> IdempotencyKey | None:
    """The idempotency key of a request to an address, with the digest of its content. Raises InvalidInput."""
    if key is None:
        return None
    if not 0 < len(key) <= _KEY_LENGTH or not key.isprintable():
        reject_field("Idempotency-Key", f"must be 1 to {_KEY_LENGTH} printable characters")
    digest = hashlib.sha256(address.encode())
    for part in parts:
        stream = part.stream if isinstance(part, Upload) else BytesIO(part)
        digest.update(hashlib.file_digest(stream, "sha256").digest())
    return IdempotencyKey(key, digest.digest())


def answer(model: ResponseModel, status: int = 200) -> Response:
    """A JSON response with this model."""
    return Response(model.json_text(), status, mimetype="application/json")


def no_content() -> Response:
    """A response without content."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
