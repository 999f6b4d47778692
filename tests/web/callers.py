"""A service on a database of its own, and the programs that call it over WSGI, each with its key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from flask.testing import FlaskClient
from sqlalchemy import NullPool, create_engine, func, literal, select, union_all
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, MemberLimits, Scope
from hashdb.http_server.media import Hashers
from hashdb.index.segment_store import SegmentStore
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.index_view import IndexView
from hashdb.service.ledger.signing import Signing
from hashdb.settings import Settings
from hashdb.store.tables import metadata
from hashdb.web import create_app
from hashdb.web.context import AppState
from tests import builders
from tests.service.folders import fill_store

CHUNKED: dict[str, Any] = {
    "data": b"",
    "headers": {"Transfer-Encoding": "chunked"},
    "environ_overrides": {"wsgi.input_terminated": True},
}
"""Arguments, beside an `input_stream`, with which Flask's test client sends a body as a server passes on chunks."""
REMOVED = "2026-11-20T10:00:00Z"
_COUNTS = union_all(*(select(literal(table.name), func.count()).select_from(table) for table in metadata.sorted_tables))
"""The name and the number of rows of each table."""


class Caller:
    """A program that sends requests with a key, or without one."""

    def __init__(self, client: FlaskClient, secret: str | None, member: int = 0, key: int = 0) -> None:
        self.client = client
        self.secret = secret
        self.member = member
        self.key = key

    @property
    def headers(self) -> dict[str, str]:
        """The header with the key."""
        return {} if self.secret is None else {"Authorization": f"Bearer {self.secret}"}

    def request(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
        """The answer to a request."""
        return self.client.open(path, method=method, headers={**self.headers, **(headers or {})}, buffered=True, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        """The answer to a GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, json: object = None, **more: Any) -> TestResponse:
        """The answer to a POST of JSON, or of `data`."""
        arguments = more if "data" in more else {**more, "json": json}
        return self.request("POST", path, **arguments)

    def patch(self, path: str, json: object, **more: Any) -> TestResponse:
        """The answer to a PATCH."""
        return self.request("PATCH", path, json=json, **more)

    def delete(self, path: str, **more: Any) -> TestResponse:
        """The answer to a DELETE."""
        return self.request("DELETE", path, **more)

    def contribute(self, *items: dict[str, Any], **more: Any) -> list[Any]:
        """The items of the answer to these contributions."""
        response = self.post("/v1/contributions", {"contributions": items}, **more)
        assert response.status_code == 201, response.text
        return list(body(response)["contributions"])

    def matched(self, *signals: str, **fields: Any) -> list[int]:
        """The ids of the contributions that match these signals."""
        response = self.post("/v1/matches", {"queries": [{"signals": signals, **fields}]})
        assert response.status_code == 200, response.text
        return [match["contribution"] for match in body(response)["results"][0]["matches"]]


_usual_settings = cache(Settings)
"""The default settings, read once: reading them takes a third of the time that a service takes to start."""


def stop_hashers(hashers: Hashers) -> None:
    """Stop the processes that compute hashes."""
    for name in {"pool", "videos"} & vars(hashers).keys():
        getattr(hashers, name).close()


class Service:
    """The application over an open database, and the clock of both."""

    hashers: ClassVar[Hashers | None] = None
    """The hashing processes that all services with default media settings share; None: each service has its own."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        self.url = url
        self._folder = folder
        self.clock = builders.Clock()
        self.settings = Settings(**settings) if settings else _usual_settings()
        signing = Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example/1")
        self.db: HashDB = builders.hashdb(url, self.clock, self.settings.rules(), signing=signing)
        self.app = create_app(self.db, self.settings)
        if self.hashers is not None and not any(name.startswith(("media_", "video_")) for name in settings):
            self._state.hashers = self.hashers
        self.anonymous = Caller(self.app.test_client(), None)
        self._count = 0
        self._engine = create_engine(url, poolclass=NullPool)

    @property
    def _state(self) -> AppState:
        state = self.app.extensions["hashdb"]
        assert isinstance(state, AppState)
        return state

    def close(self) -> None:
        """Close the database and stop the hashing processes of this service."""
        self._state.later.close()
        if self._state.hashers is not self.hashers:
            stop_hashers(self._state.hashers)
        self.db.close()

    def caller(self, *scopes: Scope, name: str | None = None, daily_limit: int | None = None) -> Caller:
        """A caller with a key of a new member, with these scopes, by default all."""
        self._count += 1
        draft = MemberDraft(name or f"Member {self._count}", MemberKind.PLATFORM, limits=MemberLimits(daily_limit))
        return self.key(members.add(self.db, COMMAND_LINE, draft).id, *scopes)

    def key(self, member: int, *scopes: Scope, hides_distances: bool = False) -> Caller:
        """A caller with a further key of a member."""
        draft = KeyDraft(frozenset(scopes or Scope), hides_distances=hides_distances)
        issued = members.issue_key(self.db, COMMAND_LINE, member, draft)
        return Caller(self.app.test_client(), issued.secret, member, issued.key.id)

    def make_index_unready(self) -> None:
        """Replace the index by an unbuilt one, over a store too large to be read within a request."""
        fill_store(self.db, members.authenticate(self.db, self.caller(name="Large").secret or ""))
        self.db.index = IndexView(
            self.db.store,
            {algorithm: algorithm.radius for algorithm in self.db.rules.searched_algorithms},
            self._folder / "index",
            SegmentStore,
        )

    def rows(self) -> dict[str, int]:
        """The number of rows of each table."""
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(_COUNTS)}


@contextmanager
def service_at(url: str | None, **settings: Any) -> Iterator[Service]:
    """A service for the length of the block; without a URL, on SQLite in a folder of its own."""
    with TemporaryDirectory() as folder:
        service = Service(url or f"sqlite:///{folder}/hashdb.sqlite", Path(folder), **settings)
        try:
            yield service
        finally:
            service.close()


def item(seed: int = 1, /, **fields: Any) -> dict[str, Any]:
    """A draft as a client sends it, with one PDQ signal."""
    default = {"signals": [pdq(seed)], "labels": ["glorification"], "removed_at": REMOVED, "quality": 97}
    return {**default, **fields}


def pdq(seed: int = 1) -> str:
    """The text of a PDQ signal."""
    return str(builders.signal(seed))


def body(response: TestResponse) -> Any:
    """The JSON of an answer, which must have succeeded."""
    assert response.status_code in (200, 201), response.text
    assert response.mimetype == "application/json"
    return json.loads(response.data)


def problem(response: TestResponse, status: int, slug: str | None = None) -> Any:
    """The problem details of an answer, which must be a well-formed rejection with this status."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    details = json.loads(response.data)
    assert details["status"] == status
    assert all(isinstance(details[name], str) and details[name] for name in ("type", "title", "detail"))
    assert details["type"].startswith("/problems/")
    assert "Traceback" not in response.text
    if slug is not None:
        assert details["type"] == f"/problems/{slug}"
    return details


def faults(response: TestResponse) -> dict[str, str]:
    """The place and the reason of each fault in a request that was rejected with 422."""
    return {fault["at"]: fault["reason"] for fault in problem(response, 422, "invalid-input")["errors"]}
