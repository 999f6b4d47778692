"""Services that are killed and paused, and databases that go away, while members are at work: nothing is lost.

What needs root (a full disk, another clock, hosts of their own) is in scripts/faults.
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
"""Seconds that members are at work before something breaks."""


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
    """Each kind of database in turn."""
    found: Scene = request.getfixturevalue(request.param)
    return found


def test_a_worker_that_is_killed_takes_nothing_with_it(scene: Scene) -> None:
    with scene.busy(1):
        time.sleep(_FIRST)
        scene.services[0].kill_a_worker()
        time.sleep(_FIRST)
    scene.check()


def test_a_whole_service_that_is_killed_takes_nothing_with_it(scene: Scene) -> None:
    one = scene.services[0]
    with scene.busy(2):
        time.sleep(_FIRST)
        one.kill()
        one.start()
    scene.check()


def test_a_replica_that_stood_still_is_level_when_it_goes_on(replicas: Scene) -> None:
    with replicas.busy(4):
        time.sleep(_FIRST)
        replicas.services[1].pause(2)
        time.sleep(_FIRST)
    replicas.check()


def test_while_postgresql_is_away_all_is_refused_and_when_it_is_back_all_is_there(
    replicas: Scene, own_postgres: OwnServer
) -> None:
    before, service = replicas.ledger.counts.copy(), replicas.services[0]
    with replicas.busy(5):
        time.sleep(_FIRST)
        own_postgres.stop()
        time.sleep(1)
        assert (replicas.ledger.counts - before).keys() == {"answered", "refused"}
        service.kill_a_worker()
        # The one in its place comes while there is no database, and says so.
        until = time.monotonic() + 30
        while time.monotonic() < until and not says_busy(service.url):
            time.sleep(0.1)
        assert says_busy(service.url)
        own_postgres.start()
        time.sleep(_FIRST)
    replicas.check()


def test_while_postgresql_says_nothing_all_is_refused_and_then_all_goes_on(
    replicas: Scene, own_postgres: OwnServer
) -> None:
    url, headers = replicas.urls[0], {"Authorization": f"Bearer {replicas.key}"}
    asked = [
        ("GET", "/readyz", None),
        ("POST", "/v1/matches", {"queries": [{"signals": [pdq(1)]}]}),
        ("POST", "/v1/contributions", {"contributions": [item(5)]}),
    ]

    def ask(one: tuple[str, str, object]) -> httpx.Response:
        return httpx.request(one[0], f"{url}{one[1]}", json=one[2], headers=headers, timeout=60)

    with replicas.busy(9), ThreadPoolExecutor(3) as threads:
        time.sleep(_FIRST)
        with own_postgres.paused():
            answers = list(threads.map(ask, asked))
        assert {one.status_code for one in answers} == {503}
        assert all("Retry-After" in one.headers for one in answers)
    replicas.check()


def says_busy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 503
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("all_of_it", [True, False], ids=["all of it", "one connection"])
def test_postgresql_that_is_killed_loses_nothing_that_was_answered(
    replicas: Scene, own_postgres: OwnServer, all_of_it: bool
) -> None:
    broken = replicas.ledger.counts["broken"]
    with replicas.busy(6):
        time.sleep(_FIRST)
        if all_of_it:
            own_postgres.kill()
            own_postgres.start()
        else:
            # The server then ends all others, and recovers by itself.
            os.kill(children(own_postgres.pid)[-1], signal.SIGKILL)
        time.sleep(1)
    assert replicas.ledger.counts["broken"] == broken
    replicas.check()


def test_workers_whose_parent_is_killed_end_and_let_go_of_the_home(embedded: Scene) -> None:
    [one] = embedded.services
    with embedded.busy(3):
        # More than is kept in memory: the index writes its first files meanwhile.
        embedded.fill(4_500)
        workers = one.workers()
        os.kill(one.pid, signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            time.sleep(0.02)
        one.start()
    embedded.check()


@needs_nginx
def test_two_replicas_are_upgraded_and_restarted_in_turn_and_no_request_fails(
    replicas: Scene, own_postgres: OwnServer, tmp_path: Path
) -> None:
    """The schema is a newer version's from then on, with which this one goes on, also when it starts anew."""
    before = replicas.ledger.counts.copy()
    ports = [one.port for one in replicas.services]
    with proxy(tmp_path, (ports[0], ports[1])) as before_them, replicas.busy(8, str(before_them.plain)):
        time.sleep(_FIRST)
        own_postgres.run("ALTER TABLE members ADD COLUMN added_later TEXT NOT NULL DEFAULT ''", replicas.database)
        own_postgres.run("UPDATE alembic_version SET version_num = '0999'", replicas.database)
        for one in replicas.services:
            one.stop()
            one.start()
            # Until the proxy asks it again.
            time.sleep(FAIL_TIMEOUT + _FIRST)
    assert (replicas.ledger.counts - before).keys() == {"answered"}
    replicas.check()
