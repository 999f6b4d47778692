"""A service in this process, an operator that may be dishonest, and monitors of the service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import parse_checkpoint
from hashdb.domain.ledger.commitments import seal
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.monitor.alarms import Alarm
from hashdb.monitor.monitor import Monitor, MonitorPlan
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import active_set, checkpoints, witnesses
from hashdb.service.ledger.signing import Signing
from hashdb.service.ledger.witnesses import Reply, Send
from hashdb.service.matching import benign
from hashdb.settings import Settings
from hashdb.web import create_app
from tests import schemas
from tests.builders import Clock, contributed
from tests.service.tamperer import Tamperer, tamper

ORIGIN = "log.example/1"

Forge = Callable[[str, bytes], bytes | None]
"""Returns the forged answer for a path and its true answer, or None for the true answer."""


@dataclass
class ForgingTransport(httpx.BaseTransport):
    """A transport to the application. The operator can forge its answers."""

    app: httpx.BaseTransport
    forge: Forge | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.app.handle_request(request)
        content = b"".join(response.stream)  # type: ignore[arg-type]
        forged = None if self.forge is None else self.forge(request.url.path, content)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx.Response(response.status_code, headers=headers, content=content if forged is None else forged)


class Witness:
    """A witness as in c2sp.org/tlog-witness. It serves the newest checkpoint that it cosigned."""

    def __init__(self, clock: Clock) -> None:
        self.key, self._clock = Cosigner.new("witness.example"), clock
        self.size, self.root, self.note = 0, b"", ""
        self.serves = True
        witness = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
                is_served = witness.serves and self.path == path and bool(witness.note)
                self.send_response(200 if is_served else 404)
                self.end_headers()
                self.wfile.write(witness.note.encode() if is_served else b"")

            def log_message(self, format: str, *arguments: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.policy = Policy.parse(f"witness w {self.key.key} {url}\nquorum w\n")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def connect(self, _: object) -> Iterator[Send]:
        """A connection from a service to this witness."""
        yield self.add_checkpoint

    def add_checkpoint(self, submission: Submission) -> Reply:
        body, _ = split_note(submission.note)
        checkpoint = parse_checkpoint(body)
        if submission.old_size != self.size:
            return Reply(409, f"{self.size}\n")
        if self.size and not merkle.extends(self.size, checkpoint.size, self.root, checkpoint.root, submission.proof):
            return Reply(422, "")
        line = self.key.cosign(body, int(self._clock().timestamp()))
        self.size, self.root, self.note = checkpoint.size, checkpoint.root, submission.note + line
        return Reply(200, line)


@dataclass
class World:
    """A service, its witness, its monitors, and the means of its operator. Monitors check every 10 seconds."""

    home: Path
    clock: Clock
    witness: Witness
    secret: str = ""
    logs_changes: bool = True
    """Whether the service logs changes that come with time, such as expiries."""
    monitors: list[Monitor] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the service in the home. Create the service if the home does not exist."""
        self.settings = Settings(home=self.home)
        is_new = not self.home.exists()
        self.home.mkdir(exist_ok=True)
        if is_new:
            schemas.make(self.settings.database)
        signing = Signing(self.settings.signing_key, self.home / "checkpoints.txt", ORIGIN)
        rules = replace(self.settings.rules(), witnesses=self.witness.policy)
        self.db = open_hashdb(self.settings.database, rules, clock=self.clock, signing=signing)
        checkpoints.start(self.db)
        if is_new:
            self.member = members.add(self.db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
            self.secret = members.issue_key(self.db, COMMAND_LINE, self.member.id, KeyDraft(frozenset(Scope))).secret
        self.actor = members.authenticate(self.db, self.secret)
        self.transport = ForgingTransport(httpx.WSGITransport(app=create_app(self.db, self.settings)))
        self.client = Client("http://hashdb.test", self.secret, retries=0, transport=self.transport)

    def close(self) -> None:
        for monitor in self.monitors:
            monitor.close()
        self.client.close()
        self.db.close()

    def contribute(self, *drafts: Draft) -> tuple[Contribution, ...]:
        """Contribute as the member."""
        return contributed(self.db, self.actor, *drafts)

    def tamper(self, act: Callable[[Tamperer], object]) -> None:
        """Write to the database directly, as an operator can."""
        tamper(self.settings.database, act)

    def monitor(self, name: str = "monitor", **plan: Any) -> Monitor:
        """A monitor with a folder of this name. It requires cosignatures of the witness."""
        folder = self.home.parent / name
        folder.mkdir(exist_ok=True)
        default = MonitorPlan(self.witness.policy, round_period=timedelta(seconds=20))
        monitor = Monitor(folder, self.client, replace(default, **plan), self.clock)
        self.monitors.append(monitor)
        return monitor

    def advance(self, seconds: int = 5) -> None:
        """Let time pass while the background tasks of the service run."""
        for _ in range(0, seconds, 5):
            self.clock.advance(seconds=5)
            if self.logs_changes:
                contributions.emit_pending(self.db)
                benign.settle(self.db)
            active_set.keep(self.db)
            checkpoints.keep(self.db)
            witnesses.ask(self.db, self.witness.connect)

    def watch(self, monitor: Monitor, seconds: int = 120) -> tuple[list[Alarm], int]:
        """Let time pass until the monitor raises alarms. Return these and the seconds that passed."""
        for passed in range(10, seconds + 10, 10):
            self.advance(10)
            if alarms := monitor.check():
                return alarms, passed
        return [], seconds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = Clock()
    with closing(Witness(clock)) as witness, closing(World(tmp_path / "home", clock, witness)) as world:
        yield world


def kinds(alarms: list[Alarm]) -> list[str]:
    """The kind and the subject of each alarm."""
    return [alarm.key for alarm in alarms]


def hide(id: int) -> Forge:
    """Hide a contribution in the feed."""
    return _forge_feed(id, lambda line: None)


def suppress_all(id: int) -> Forge:
    """Show a contribution in the feed as if all its signals were suppressed."""
    return _forge_feed(
        id,
        lambda line: {
            "seq": line["seq"],
            "gone": id,
            "reason": "masked",
            **{name: line["contribution"][name] for name in ("standing", "commitment")},
        },
    )


def suppress_first(id: int) -> Forge:
    """Show the first signal of a contribution in the feed as if it were suppressed: only its seal."""

    def seal_first(line: dict[str, Any]) -> dict[str, Any]:
        contribution = line["contribution"]
        first, *others = contribution["signals"]
        undisclosed = seal(bytes.fromhex(contribution["salt"]), first).hex()
        return line | {"contribution": contribution | {"signals": others, "undisclosed": [undisclosed]}}

    return _forge_feed(id, seal_first)


def _forge_feed(id: int, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Forge:
    """Change the lines of a contribution in the feed, or leave them out."""

    def forge(path: str, content: bytes) -> bytes | None:
        if path != "/v1/changes":
            return None
        lines = [json.loads(line) for line in content.splitlines()]
        forged = [change(line) if line.get("contribution", {}).get("id") == id else line for line in lines]
        return b"".join(json.dumps(line).encode() + b"\n" for line in forged if line is not None)

    return forge
