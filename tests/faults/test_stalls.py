"""What stands still: a PostgreSQL that is there and says nothing, and a process amid its transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from hashdb.domain.audit import Action, Entry
from hashdb.domain.members import COMMAND_LINE
from hashdb.errors import StoreBusy
from hashdb.store import Store, Transaction
from tests.faults.scene import Scene
from tests.postgres import OwnServer, PostgresMissing, own_server
from tests.web.callers import item, pdq

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 3, 1, tzinfo=UTC)
BUSY = 0.4


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[OwnServer]:
    """A server that may be stopped, whatever TEST_DATABASE_URL says."""
    try:
        with own_server() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture
def url(own_postgres: OwnServer) -> Iterator[str]:
    with own_postgres.new_database() as url:
        with closing(Store(url)) as store:
            store.migrate()
        yield url


def append(transaction: Transaction) -> int:
    return transaction.audit.append(NOW, COMMAND_LINE, [Entry(Action.BACKUP_MADE, "log", 0, {})])


def test_who_stands_still_and_holds_the_log_loses_it_and_the_others_go_on(url: str) -> None:
    with closing(Store(url, BUSY)) as still, closing(Store(url, BUSY)) as other:
        with pytest.raises(StoreBusy), still.begin() as amid_it:
            append(amid_it)
            refused = 0
            while True:
                try:
                    with other.begin() as transaction:
                        assert append(transaction) == 1
                    break
                except StoreBusy:
                    refused += 1
            assert 1 <= refused < 20
            append(amid_it)
        with still.begin() as transaction:
            assert append(transaction) == 2


def test_a_reader_may_take_its_time(url: str) -> None:
    with closing(Store(url, BUSY / 4)) as store, store.read() as transaction:
        before = transaction.audit.head()
        time.sleep(BUSY)
        assert transaction.audit.head() == before


def test_a_server_that_says_nothing_is_given_up_wherever_it_is_asked(own_postgres: OwnServer, url: str) -> None:
    with closing(Store(url, BUSY)) as store:
        store.head()
        with pytest.raises(StoreBusy), store.begin() as transaction, own_postgres.standing_still():
            append(transaction)
        with store.begin():
            pass
        with own_postgres.standing_still():
            # On a connection that is kept, on one from the pool, and on the new one in its place.
            with pytest.raises(StoreBusy):
                store.head()
            with pytest.raises(StoreBusy), store.read():
                pass
        with store.begin() as transaction:
            assert append(transaction) == 1
        assert store.head().seq == 1


def test_a_service_says_503_while_its_database_says_nothing_and_goes_on_after(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    with (
        own_postgres.new_database() as url,
        Scene(tmp_path, url, workers=1, settings={"HASHDB_BUSY_SECONDS": "1"}) as scene,
    ):
        scene.start()
        headers = {"Authorization": f"Bearer {scene.key}"}
        with scene.busy(1), httpx.Client(base_url=scene.urls[0], headers=headers, timeout=60) as client:
            time.sleep(0.3)
            with own_postgres.standing_still():
                answers = [
                    client.get("/readyz"),
                    client.post("/v1/matches", json={"queries": [{"signals": [pdq(1)]}]}),
                    client.post("/v1/contributions", json={"contributions": [item(5)]}),
                ]
            assert {one.status_code for one in answers} == {503}
            assert all("Retry-After" in one.headers for one in answers)
        scene.check()
