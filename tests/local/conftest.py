"""A service without a network, and a copy of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.signals import Algorithm
from hashdb.local import LocalIndex
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from hashdb.web import create_app
from tests import schemas
from tests.builders import Clock


class Cut(httpx.SyncByteStream):
    """An answer that breaks off after some bytes."""

    def __init__(self, inner: httpx.Response, left: int) -> None:
        self._inner, self._left = inner, left

    def __iter__(self) -> Iterator[bytes]:
        for part in self._inner.iter_bytes():
            yield part[: self._left]
            self._left -= len(part)
            if self._left <= 0:
                raise httpx.ReadError("cut")

    def close(self) -> None:
        self._inner.close()


@dataclass
class Wire(httpx.BaseTransport):
    """To the application; `away`, or with streams that are cut after so many bytes."""

    app: httpx.WSGITransport
    away: bool = False
    cut: list[int] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away", request=request)
        response = self.app.handle_request(request)
        if self.cut and "ndjson" in request.headers["Accept"]:
            return httpx.Response(response.status_code, headers=response.headers, stream=Cut(response, self.cut.pop(0)))
        return response


@dataclass
class Service:
    """A service at noon, its wire, and a client of it."""

    url: str
    db: HashDB
    clock: Clock
    actor: Actor
    key: str
    wire: Wire
    client: Client

    def restore(self) -> None:
        """Let the log be another one."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE log SET epoch = lower(hex(randomblob(16)))")
        engine.dispose()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    clock = Clock()
    settings = Settings(home=tmp_path / "home", max_radius={Algorithm.PDQ: 40})
    settings.home.mkdir()
    schemas.make(settings.database)
    db = open_hashdb(settings.database, settings.rules(), clock=clock)
    member = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
    secret = members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset(Scope))).secret
    wire = Wire(httpx.WSGITransport(app=create_app(db, settings)))
    with Client("http://hashdb.test", secret, retries=0, transport=wire) as client:
        yield Service(settings.database, db, clock, members.authenticate(db, secret), secret, wire, client)
    db.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the copy is kept."""
    return tmp_path / "local"


@pytest.fixture
def index(service: Service, folder: Path) -> Iterator[LocalIndex]:
    """The copy; nothing is synced yet."""
    with LocalIndex(folder, clock=service.clock) as index:
        yield index
