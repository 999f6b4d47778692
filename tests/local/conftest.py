"""A service without a network, and a local copy of its list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.ledger.active_set import CommittedSet
from hashdb.domain.ledger.cosignatures import Cosigner, SetRoot
from hashdb.domain.signals import Algorithm
from hashdb.local import LocalIndex
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.settings import Settings
from hashdb.web import create_app
from tests import schemas
from tests.builders import Clock

ORGANISATIONS = tuple([Cosigner.new(f"{name}.example") for name in ("north", "south", "west")])
NAMES = tuple(organisation.name.partition(".")[0] for organisation in ORGANISATIONS)
QUORUM = "\n".join(
    (
        *(f"witness {name} {organisation.key}" for name, organisation in zip(NAMES, ORGANISATIONS, strict=True)),
        f"group organisations 2 {' '.join(NAMES)}",
        "quorum organisations",
    )
)
"""Two of three organisations sign the root of the active set."""


class Cut(httpx.SyncByteStream):
    """A response that breaks off after some bytes."""

    def __init__(self, inner: httpx.Response, remaining: int) -> None:
        self._inner, self._remaining = inner, remaining

    def __iter__(self) -> Iterator[bytes]:
        for part in self._inner.iter_bytes():
            yield part[: self._remaining]
            self._remaining -= len(part)
            if self._remaining <= 0:
                raise httpx.ReadError("cut")

    def close(self) -> None:
        self._inner.close()


@dataclass
class Wire(httpx.BaseTransport):
    """A transport to the application. It can be down, or break off the next streams after some bytes."""

    app: httpx.WSGITransport
    is_down: bool = False
    cut_after: list[int] = field(default_factory=list)
    later_seqs: dict[int, int] = field(default_factory=dict)
    """By contribution, a false seq that the feed shows for its last change."""
    _seen: dict[int, dict[str, Any]] = field(default_factory=dict)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_down:
            raise httpx.ConnectError("away", request=request)
        response = self.app.handle_request(request)
        if self.later_seqs and "ndjson" in request.headers["Accept"]:
            *lines, end = map(json.loads, response.read().splitlines())
            self._seen |= {line["contribution"]["id"]: line for line in lines if "contribution" in line}
            moved = [{**self._seen[id], "seq": seq} for id, seq in self.later_seqs.items() if id in self._seen]
            others = [line for line in lines if line.get("contribution", {}).get("id") not in self.later_seqs]
            changes = sorted((*others, *moved), key=lambda line: line["seq"])
            return httpx.Response(200, text="".join(f"{json.dumps(line)}\n" for line in (*changes, end)))
        if self.cut_after and "ndjson" in request.headers["Accept"]:
            return httpx.Response(
                response.status_code, headers=response.headers, stream=Cut(response, self.cut_after.pop(0))
            )
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

    def root(self, *organisations: Cosigner) -> CommittedSet:
        """Record the root of the active set, let these organisations sign it, and return it."""
        active_set.keep(self.db, at_once=True)
        committed = self.client.set_root()
        body = SetRoot("log.example/1", committed.seq, committed.root).body
        if organisations:
            seconds = int(self.clock().timestamp())
            self.client.sign_set("".join(organisation.cosign(body, seconds) for organisation in organisations))
        return committed

    def write(self, statement: str) -> None:
        """Write to the database without a log entry, as the operator could."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def replace_log(self) -> None:
        """Replace the log by another one, as after a restore."""
        self.write("UPDATE log SET epoch = lower(hex(randomblob(16)))")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    clock = Clock()
    settings = Settings(home=tmp_path / "home", max_radius={Algorithm.PDQ: 40}, quorum=tmp_path / "quorum.txt")
    settings.home.mkdir()
    (tmp_path / "quorum.txt").write_text(QUORUM)
    schemas.make(settings.database)
    signing = Signing(settings.home / "signing.key", settings.home / "checkpoints.txt", "log.example/1")
    db = open_hashdb(settings.database, settings.rules(), clock=clock, signing=signing)
    checkpoints.start(db)
    member = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
    secret = members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset(Scope))).secret
    wire = Wire(httpx.WSGITransport(app=create_app(db, settings)))
    with Client("http://hashdb.test", secret, retries=0, transport=wire) as client:
        yield Service(settings.database, db, clock, members.authenticate(db, secret), secret, wire, client)
    db.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the copy."""
    return tmp_path / "local"


@pytest.fixture
def index(service: Service, folder: Path) -> Iterator[LocalIndex]:
    """The copy, before its first sync."""
    with LocalIndex(folder, clock=service.clock) as index:
        yield index
