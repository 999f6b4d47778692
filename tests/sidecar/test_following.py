"""The process that follows the service: it logs each state once, and continues after errors of the service."""

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


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def following(pair: Pair, connect: Callable[[], Client]) -> Iterator[None]:
    """Follow the service for the length of the block."""
    stop = Event()
    thread = Thread(target=Follower(pair.state.folder, connect).run, args=[stop], daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        # The follower may be waiting for a change: send one.
        pair.member.contribute(item(99))
        thread.join(30)
        assert not thread.is_alive()


def connect_to(pair: Pair, secret: str | None = None) -> Client:
    return Client(
        "http://hashdb.test",
        secret or pair.member.secret or "",
        retries=0,
        transport=httpx.WSGITransport(app=pair.service.app),
    )


def matches_of(pair: Pair, seed: int) -> list[object]:
    """Return the matches that the sidecar finds for a seed."""
    pair.state._cached = None
    answer = pair.ask("POST", "/v1/matches", json={"queries": [{"signals": [pdq(seed)]}]})
    return answer.get_json()["results"][0]["matches"] if answer.status_code == 200 else []


def test_a_rejected_key_is_logged_once_and_read_again(
    pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "hashdb.sidecar")
    monkeypatch.setattr(module, "RETRY", 0.1)
    pair.member.contribute(item(1))
    secrets = iter(["hdb_wrong", "hdb_wrong", pair.member.secret])
    with following(pair, lambda: connect_to(pair, next(secrets))):
        wait_until(lambda: matches_of(pair, 1))
        pair.member.contribute(item(2))
        wait_until(lambda: matches_of(pair, 2))
    texts = [record.getMessage() for record in caplog.records if record.name == "hashdb.sidecar"]
    assert sum("key" in text for text in texts) == 1
    assert texts[-1] == "the local copy follows the service" and texts.count(texts[-1]) == 1
    assert "hdb_wrong" not in str(texts) and pdq(1) not in str(texts)


def test_the_follower_waits_while_another_process_syncs(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hashdb.sidecar")
    with lock_folder(pair.state.folder) as is_free, following(pair, lambda: connect_to(pair)):
        assert is_free
        wait_until(lambda: "another process syncs the local copy" in caplog.text)
        assert not (pair.state.folder / "current").exists()


class Hanging(httpx.BaseTransport):
    """A connection to a service that accepts requests and never answers."""

    def __init__(self) -> None:
        self.request_count = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.request_count += 1
        time.sleep(0.1)
        raise httpx.ReadTimeout("no answer", request=request)


def test_look_back_continues_while_the_service_hangs(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookback, "PAIRS_A_STEP", 1)
    pair.sync()
    queries = [{"signals": [pdq(seed)], "remember": str(seed)} for seed in range(12)]
    assert pair.ask("POST", "/v1/matches", json={"queries": queries}).status_code == 200
    pair.member.contribute(*map(item, range(12)))
    pair.sync()
    hanging = Hanging()
    with following(pair, lambda: Client("http://hashdb.test", "hdb_key", retries=0, transport=hanging)):
        started = time.monotonic()
        wait_until(lambda: pair.state.reports.state().last == 12)
        seconds = time.monotonic() - started
    # The follower waits at least a second between two attempts.
    assert hanging.request_count <= seconds + 3
