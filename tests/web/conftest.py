"""A service for each test, and callers of the usual kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.http_server.media import Hashers
from hashdb.settings import Settings
from tests.web.callers import Caller, Service, service_at, stop_hashers


@pytest.fixture(scope="module", autouse=True)
def _shared_hashing_processes() -> Iterator[None]:
    """The processes that compute hashes, shared by the tests of a module: each takes 0.25 seconds to start."""
    hashers = Hashers(Settings())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "hashers", hashers)
        yield
    stop_hashers(hashers)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The application over an empty database on SQLite."""
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        yield service


@pytest.fixture
def platform(service: Service) -> Caller:
    """A member that contributes, matches and reads the feed."""
    return service.caller(Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, name="Platform")


@pytest.fixture
def other(service: Service) -> Caller:
    """Another member with the same scopes."""
    return service.caller(Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, name="Other")


@pytest.fixture
def admin(service: Service) -> Caller:
    """The operator's key."""
    return service.caller(Scope.ADMIN, name="Operator")
