"""A service, a member's local copy of its list, and the sidecar that answers from the copy, all without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.test import Client as TestClient
from werkzeug.test import TestResponse

from hashdb.client import Client
from hashdb.domain.accounts.members import Scope
from hashdb.settings import Settings
from hashdb.sidecar.application import Sidecar
from hashdb.sidecar.metrics import Metrics
from hashdb.sidecar.state import SidecarState
from tests.builders import NOON, near, signal
from tests.web.callers import Service, item, service_at

MAX_AGE = 300


class Pair:
    """A service and the sidecar of one of its members. Tests compare their answers."""

    def __init__(self, service: Service, home: Path) -> None:
        self.service = service
        self.member = service.caller(*Scope, name="Alpha Video")
        self.other = service.caller(Scope.CONTRIBUTE, Scope.MATCH, name="Beta Photos")
        self.client = Client(
            "http://hashdb.test", self.member.secret or "", transport=httpx.WSGITransport(app=service.app)
        )
        self.state = SidecarState(Settings(home=home), MAX_AGE, service.clock)
        self.application = Sidecar(self.state, Metrics())
        self.sidecar = TestClient(self.application)

    def sync(self) -> None:
        """Bring the copy up to date, and let the sidecar use it at once."""
        self.state.index.sync(self.client)
        self.state._cached = None

    def ask(self, method: str, path: str, **more: Any) -> TestResponse:
        """Send a request without a key to the sidecar."""
        return self.sidecar.open(path, method=method, buffered=True, **more)

    def ask_both(self, method: str, path: str, **more: Any) -> tuple[TestResponse, TestResponse]:
        """Send a request to the service and to the sidecar."""
        if "json" in more:
            # The two test clients would write the JSON differently.
            more |= {"data": json.dumps(more.pop("json")), "content_type": "application/json"}
        return self.member.request(method, path, **more), self.ask(method, path, **more)

    def close(self) -> None:
        self.client.close()
        self.state.close()


def same_answer(pair: tuple[TestResponse, TestResponse]) -> Any:
    """Check that two answers are equal, and return their JSON. `members` is ignored: the copy has no confirmations."""
    served, local = pair
    assert (local.status_code, local.mimetype) == (served.status_code, served.mimetype), local.text
    assert _plain(json.loads(local.data)) == _plain(json.loads(served.data))
    return json.loads(local.data)


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items() if name != "members"}
    return [_plain(element) for element in content] if isinstance(content, list) else content


@contextmanager
def pair_in(folder: Path) -> Iterator[Pair]:
    """Create a service with an empty database in a folder, and a sidecar without a copy."""
    with service_at(f"sqlite:///{folder}/hashdb.sqlite") as service:
        pair = Pair(service, folder / "member")
        try:
            yield pair
        finally:
            pair.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """An empty service and a sidecar without a copy."""
    with pair_in(tmp_path) as pair:
        yield pair


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair_in(tmp_path_factory.mktemp("pair")) as pair:
        pair.member.contribute(item(1), item(2), item(3, severity=4, context=["synthetic"]))
        (withdrawn,) = pair.other.contribute(item(4))
        pair.other.contribute(item(1), item(2, signals=[str(near(signal(2), 8))]))
        pair.other.post(f"/v1/contributions/{withdrawn['id']}/withdrawal", {"reason": "other"})
        pair.sync()
        yield pair


@pytest.fixture
def filled(_filled: Pair) -> Pair:
    """A service with contributions of two members, one withdrawn, and a sidecar.

    Tests only read them, and may move the clock.
    """
    _filled.service.clock.at = NOON
    return _filled
