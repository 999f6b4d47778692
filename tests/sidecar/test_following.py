"""The process that follows: it says what it does once, and goes on whatever the service does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import httpx
import pytest

from hashdb.client import Client
from hashdb.index.folder import lock_folder
from hashdb.local import lookback
from hashdb.sidecar import following as module
from hashdb.sidecar.following import Follower
from tests.sidecar.conftest import Pair
from tests.web.callers import item, pdq


def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def following(pair: Pair, connect: Callable[[], Client]) -> Iterator[None]:
    """A follower of the copy, for the block."""
    stop = Event()
    thread = Thread(target=Follower(pair.state.folder, connect).run, args=[stop], daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        # It may wait for a change, which then comes.
        pair.member.contribute(item(99))
        thread.join(30)
        assert not thread.is_alive()


def connection(pair: Pair, secret: str | None = None) -> Client:
    return Client(
        "http://hashdb.test",
        secret or pair.member.secret or "",
        retries=0,
        transport=httpx.WSGITransport(app=pair.service.app),
    )


def matched(pair: Pair, seed: int) -> list[object]:
    """What the sidecar answers."""
    pair.state._cached = None
    answer = pair.ask("POST", "/v1/matches", json={"queries": [{"signals": [pdq(seed)]}]})
    return answer.get_json()["results"][0]["matches"] if answer.status_code == 200 else []


def test_a_key_that_is_refused_is_told_once_and_read_again(
    pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "hashdb.sidecar")
    monkeypatch.setattr(module, "RETRY", 0.1)
    pair.member.contribute(item(1))
    secrets = iter(["hdb_wrong", "hdb_wrong", pair.member.secret])
    with following(pair, lambda: connection(pair, next(secrets))):
        eventually(lambda: matched(pair, 1))
        pair.member.contribute(item(2))
        eventually(lambda: matched(pair, 2))
    texts = [record.getMessage() for record in caplog.records if record.name == "hashdb.sidecar"]
    assert sum("key" in text for text in texts) == 1
    assert texts[-1] == "the local copy follows the service" and texts.count(texts[-1]) == 1
    assert "hdb_wrong" not in str(texts) and pdq(1) not in str(texts)


def test_while_another_process_syncs_it_only_says_so(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hashdb.sidecar")
    with lock_folder(pair.state.folder) as is_free, following(pair, lambda: connection(pair)):
        assert is_free
        eventually(lambda: "another process syncs the local copy" in caplog.text)
        assert not (pair.state.folder / "current").exists()


class Hanging(httpx.BaseTransport):
    """To a service that accepts requests, and never answers."""

    def __init__(self) -> None:
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        time.sleep(0.1)
        raise httpx.ReadTimeout("no answer", request=request)


def test_a_service_that_hangs_does_not_hold_up_look_back(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookback, "PAIRS_A_STEP", 1)
    pair.sync()
    asked = [{"signals": [pdq(seed)], "remember": str(seed)} for seed in range(12)]
    assert pair.ask("POST", "/v1/matches", json={"queries": asked}).status_code == 200
    pair.member.contribute(*map(item, range(12)))
    pair.sync()
    hanging = Hanging()
    with following(pair, lambda: Client("http://hashdb.test", "hdb_key", retries=0, transport=hanging)):
        begun = time.monotonic()
        eventually(lambda: pair.state.reports.state().last == 12)
        took = time.monotonic() - begun
    # Between two attempts there is a second, or more.
    assert hanging.asked <= took + 3
