"""Services are killed and paused and databases are unreachable while members are at work: nothing is lost.

scripts/faults has the tests that need root: a full disk, another clock, separate hosts.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.faults.scene import Scene
from tests.postgres import OwnServer
from tests.processes import children
from tests.proxy import FAIL_TIMEOUT, needs_nginx, proxy
from tests.web.callers import item, pdq

BUSY = {"HASHDB_BUSY_SECONDS": "2"}
_FIRST = 0.3
"""Seconds that members are at work before the first fault."""


@pytest.fixture(scope="module")
def replicas(own_postgres: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two services over one database on PostgreSQL."""
    folder = tmp_path_factory.mktemp("replicas")
    with own_postgres.new_database() as url, Scene(folder, url, services=2, workers=1, settings=BUSY) as scene:
        yield scene.start()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service with two workers over SQLite."""
    with Scene(tmp_path_factory.mktemp("embedded"), settings=BUSY) as scene:
        yield scene.start()


@pytest.fixture(params=["embedded", pytest.param("replicas", marks=pytest.mark.postgres)])
def scene(request: pytest.FixtureRequest) -> Scene:
    """A scene on SQLite, then a scene on PostgreSQL."""
    scene: Scene = request.getfixturevalue(request.param)
    return scene


def test_no_data_is_lost_if_a_worker_is_killed(scene: Scene) -> None:
    with scene.busy(1):
        time.sleep(_FIRST)
        scene.services[0].kill_a_worker()
        time.sleep(_FIRST)
    scene.check()


def test_no_data_is_lost_if_a_service_is_killed(scene: Scene) -> None:
    service = scene.services[0]
    with scene.busy(2):
        time.sleep(_FIRST)
        service.kill()
        service.start()
    scene.check()


def test_a_paused_replica_catches_up_when_it_continues(replicas: Scene) -> None:
    with replicas.busy(4):
        time.sleep(_FIRST)
        replicas.services[1].pause(2)
        time.sleep(_FIRST)
    replicas.check()


def test_requests_are_rejected_while_postgresql_is_stopped_and_no_data_is_lost(
    replicas: Scene, own_postgres: OwnServer
) -> None:
    before, service = replicas.ledger.counts.copy(), replicas.services[0]
    with replicas.busy(5):
        time.sleep(_FIRST)
        own_postgres.stop()
        time.sleep(1)
        assert (replicas.ledger.counts - before).keys() == {"answered", "refused"}
        service.kill_a_worker()
        # Its replacement starts while the database is unreachable, and answers 503.
        until = time.monotonic() + 30
        while time.monotonic() < until and not is_busy(service.url):
            time.sleep(0.1)
        assert is_busy(service.url)
        own_postgres.start()
        time.sleep(_FIRST)
    replicas.check()


def test_requests_are_rejected_while_postgresql_is_paused_and_no_data_is_lost(
    replicas: Scene, own_postgres: OwnServer
) -> None:
    url, headers = replicas.urls[0], {"Authorization": f"Bearer {replicas.key}"}
    requests = [
        ("GET", "/readyz", None),
        ("POST", "/v1/matches", {"queries": [{"signals": [pdq(1)]}]}),
        ("POST", "/v1/contributions", {"contributions": [item(5)]}),
    ]

    def send(request: tuple[str, str, object]) -> httpx.Response:
        method, path, body = request
        return httpx.request(method, f"{url}{path}", json=body, headers=headers, timeout=60)

    with replicas.busy(9), ThreadPoolExecutor(3) as threads:
        time.sleep(_FIRST)
        with own_postgres.paused():
            responses = list(threads.map(send, requests))
        assert {response.status_code for response in responses} == {503}
        assert all("Retry-After" in response.headers for response in responses)
    replicas.check()


def is_busy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 503
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("whole_server", [True, False], ids=["whole server", "one connection"])
def test_no_answered_contribution_is_lost_if_postgresql_is_killed(
    replicas: Scene, own_postgres: OwnServer, whole_server: bool
) -> None:
    broken = replicas.ledger.counts["broken"]
    with replicas.busy(6):
        time.sleep(_FIRST)
        if whole_server:
            own_postgres.kill()
            own_postgres.start()
        else:
            # The server then ends all other connections, and recovers by itself.
            os.kill(children(own_postgres.pid)[-1], signal.SIGKILL)
        time.sleep(1)
    assert replicas.ledger.counts["broken"] == broken
    replicas.check()


def test_workers_end_and_release_the_home_if_their_parent_is_killed(embedded: Scene) -> None:
    [service] = embedded.services
    with embedded.busy(3):
        # More than fit in memory: the index writes its first files meanwhile.
        embedded.fill(4_500)
        workers = service.workers()
        os.kill(service.pid, signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            time.sleep(0.02)
        service.start()
    embedded.check()


@needs_nginx
def test_no_request_fails_while_two_replicas_are_restarted_one_by_one(
    replicas: Scene, own_postgres: OwnServer, tmp_path: Path
) -> None:
    """Before the restarts, the schema becomes that of a newer version. This version keeps running, and can start."""
    before = replicas.ledger.counts.copy()
    ports = [service.port for service in replicas.services]
    with proxy(tmp_path, (ports[0], ports[1])) as balancer, replicas.busy(8, str(balancer.plain)):
        time.sleep(_FIRST)
        own_postgres.run("ALTER TABLE members ADD COLUMN added_later TEXT NOT NULL DEFAULT ''", replicas.database)
        own_postgres.run("UPDATE alembic_version SET version_num = '0999'", replicas.database)
        for service in replicas.services:
            service.stop()
            service.start()
            # Until the proxy sends requests to it again.
            time.sleep(FAIL_TIMEOUT + _FIRST)
    assert (replicas.ledger.counts - before).keys() == {"answered"}
    replicas.check()
