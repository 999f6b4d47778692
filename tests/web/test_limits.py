"""Limits on the rate of requests, and on the number of large requests at once."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from limits.errors import StorageError
from limits.storage import MemoryStorage
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import Scope
from hashdb.errors import BadSetting
from hashdb.service.accounts.limits import ALL_SLOTS, KEY_SLOTS
from hashdb.service.accounts.members import authenticate
from hashdb.service.matching.matches import MOST_SINGLE
from hashdb.settings import Settings
from hashdb.web import limits
from hashdb.web.context import AppState
from hashdb.web.limits import FAILURES, RateLimits
from tests.hashing.samples import draw_picture, encode_picture
from tests.web.callers import CHUNKED, Caller, Service, item, pdq, problem, service_at

REDIS = shutil.which("redis-server") or ""
WRONG = {"Authorization": "Bearer hdb_wrong"}
MATCH: dict[str, object] = {"queries": [{"signals": []}]}


def _login(service: Service, caller: Caller) -> TestResponse:
    fields = {"username": f"Member {caller.member}", "password": caller.secret}
    return service.anonymous.post("/tat/token-auth/tcap/", data=fields)


REQUESTS_BY_PROTOCOL: tuple[Callable[[Service, Caller], TestResponse], ...] = (
    lambda _, caller: caller.get("/v1/changes"),
    lambda _, caller: caller.get("/tat/api/hash-list/v2/all"),
    lambda service, caller: service.anonymous.get(
        "/stopncii/v1/FetchHashes", headers={"x-functions-key": str(caller.secret)}
    ),
    lambda service, caller: service.anonymous.get(f"/graph/1/?access_token={caller.member}|{caller.secret}"),
    _login,
)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Service]:
    """A service with a limit of two requests a day for each key."""
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", rate_limit="2/day") as service:
        yield service


def test_a_key_has_one_limit_for_the_fast_path_and_the_other_routes(limited: Service) -> None:
    caller, another = limited.caller(), limited.caller()
    assert (caller.get("/v1/me").status_code, caller.post("/v1/matches", MATCH).status_code) == (200, 422)
    for rejected in (caller.get("/v1/me"), caller.post("/v1/matches", MATCH)):
        assert rejected.status_code == 429
        assert 1 <= int(rejected.headers["Retry-After"]) <= 86_400
        assert rejected.get_json(force=True)["detail"] == "the limit of 2 requests a day is reached"
    assert caller.get("/healthz").status_code == 200
    assert another.get("/v1/me").status_code == 200


def test_an_address_that_sends_wrong_keys_must_wait_and_valid_keys_need_not(service: Service, platform: Caller) -> None:
    anonymous = service.anonymous
    statuses = {anonymous.get("/v1/me", headers=WRONG).status_code for _ in range(int(FAILURES.partition("/")[0]))}
    assert statuses == {401}
    for rejected in (anonymous.get("/v1/me", headers=WRONG), anonymous.post("/v1/matches", MATCH, headers=WRONG)):
        assert rejected.status_code == 429 and 1 <= int(rejected.headers["Retry-After"]) <= 60
    other_address = {"REMOTE_ADDR": "192.0.2.7"}
    assert anonymous.get("/v1/me", headers=WRONG, environ_overrides=other_address).status_code == 401
    assert platform.get("/v1/me").status_code == 200


def test_all_addresses_of_an_ipv6_network_share_one_limit(tmp_path: Path) -> None:
    def status_of(service: Service, address: str, secret: str | None = None) -> int:
        headers = WRONG if secret is None else {"Authorization": f"Bearer {secret}"}
        return service.anonymous.get("/v1/me", headers=headers, environ_overrides={"REMOTE_ADDR": address}).status_code

    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", rate_limit_address="150/day") as service:
        secret = service.caller().secret
        assert {status_of(service, f"2001:db8:0:1::{number:x}") for number in range(100)} == {401}
        assert status_of(service, "2001:db8:0:1:ffff::1") == 429
        assert status_of(service, "2001:db8:0:2::1") == 401
        assert {status_of(service, f"2001:db8:0:1::{number:x}", secret) for number in range(49)} == {200}
        assert status_of(service, "2001:db8:0:1:ffff::1", secret) == 429
        assert status_of(service, "2001:db8:0:2::1", secret) == 200


def test_behind_a_proxy_the_limit_is_for_the_address_that_the_proxy_reports(tmp_path: Path) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", proxies=1) as service:
        for number in range(110):
            headers = WRONG | {"X-Forwarded-For": f"203.0.113.9, 192.0.2.{number}"}
            assert service.anonymous.get("/v1/me", headers=headers).status_code == 401


def test_a_scope_can_have_a_limit_of_its_own() -> None:
    with service_at(None, rate_limit="5/day, match=2/day,audit=1/hour", accept_media=False) as service:
        caller, auditor = service.caller(Scope.MATCH, Scope.CONTRIBUTE), service.caller(Scope.ADMIN)
        statuses = [caller.post(path, MATCH).status_code for path in ("/v1/matches", "/v1/matches?&", "/v1/matches")]
        assert statuses == [422, 422, 429]
        rejected = caller.get("/hma/m/lookup?signal=0&signal_type=pdq")
        assert (rejected.status_code, rejected.get_json()) == (
            429,
            {"message": "the limit of 2 requests a day is reached"},
        )
        assert caller.get("/v1/me").status_code == 200
        assert caller.get("/v1/me").get_json(force=True)["detail"] == "the limit of 5 requests a day is reached"
        assert [auditor.get("/v1/events").status_code for _ in range(2)] == [200, 429]
        assert auditor.get("/v1/members").status_code == 200


def test_every_protocol_counts_the_requests_of_a_key() -> None:
    with service_at(None, rate_limit="1/day") as service:
        for request in REQUESTS_BY_PROTOCOL:
            caller = service.caller(Scope.FEED)
            assert [request(service, caller).status_code for _ in range(2)] == [200, 429]


def test_every_protocol_counts_wrong_keys() -> None:
    for request in REQUESTS_BY_PROTOCOL:
        with service_at(None) as service:
            wrong = Caller(service.app.test_client(), "hdb_wrong", 1)
            statuses = [request(service, wrong).status_code for _ in range(int(FAILURES.partition("/")[0]) + 1)]
            assert statuses == [401] * (len(statuses) - 1) + [429]


def test_an_address_has_a_limit_for_requests_with_and_without_a_key() -> None:
    with service_at(None, rate_limit_address="3/minute") as service:
        caller = service.caller()
        paths = ("/v1/log", "/console/sign-in", "/v1/me")
        assert all(caller.get(path).status_code in (200, 303, 503) for path in paths)
        for rejected in (*(caller.get(path) for path in (*paths, "/nowhere")), caller.post("/v1/matches", MATCH)):
            assert rejected.status_code == 429
            assert 1 <= int(rejected.headers["Retry-After"]) <= 60
        other_address = {"REMOTE_ADDR": "192.0.2.7"}
        assert caller.get("/v1/me", environ_overrides=other_address).status_code == 200
        assert caller.get("/healthz").status_code == caller.get("/readyz").status_code == 200


class _Unreachable(MemoryStorage):
    """A storage that cannot be reached."""

    STORAGE_SCHEME: list[str] = ["unreachable"]  # noqa: RUF012

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        raise StorageError(ConnectionError(key))


def test_without_a_reachable_storage_each_worker_counts_alone() -> None:
    with service_at(None, rate_limit="2/day", rate_limit_storage="unreachable://") as service:
        caller = service.caller()
        assert [caller.get("/v1/me").status_code for _ in range(3)] == [200, 200, 429]


@contextmanager
def redis_at(folder: Path) -> Iterator[str]:
    """A Redis on a socket in a folder, for the length of the block."""
    socket = folder / "redis.sock"
    command = [REDIS, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while not socket.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield f"redis+unix://{socket}"
        finally:
            process.terminate()


@pytest.mark.skipif(not REDIS, reason="no redis-server (apt install redis-server)")
def test_workers_count_together_in_redis_and_alone_while_it_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with ExitStack() as stack:
        with redis_at(tmp_path) as storage:
            first, second = (
                stack.enter_context(service_at(database, rate_limit="3/day", rate_limit_storage=storage))
                for _ in range(2)
            )
            caller = first.caller()
            same_key = Caller(second.app.test_client(), caller.secret, caller.member, caller.key)
            statuses = [each.get("/v1/me").status_code for each in (caller, same_key, caller, same_key, caller)]
            assert statuses == [200, 200, 200, 429, 429]
        assert [same_key.get("/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert caplog.text.count("this worker counts requests by itself") == 1
        (tmp_path / "redis.sock").unlink(missing_ok=True)
        with redis_at(tmp_path):
            monkeypatch.setattr(limits, "RETRY_SECONDS", 0.0)
            state = second.app.extensions["hashdb"]
            assert isinstance(state, AppState)
            state.limits.retry_at = 0.0
            assert [each.get("/v1/me").status_code for each in (same_key, caller, same_key, caller)] == [
                200,
                200,
                200,
                429,
            ]


@pytest.mark.parametrize(
    "address", ["nowhere://", "redsi://:letmein@redis:6379", "redis://:letmein@x:y", "async+memory://"]
)
def test_an_unsupported_storage_is_rejected_without_its_password(address: str) -> None:
    with pytest.raises(BadSetting, match=r"^HASHDB_RATE_LIMIT_STORAGE: must be memory:// or an address") as caught:
        RateLimits(Settings(rate_limit_storage=address))
    assert "letmein" not in str(caught.value)


def test_an_invalid_rate_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    for invalid in ("fast", "0/second", "10/fortnight", "delete=1/second", "=", "match=", "1/second;match=1/second"):
        monkeypatch.setenv("HASHDB_RATE_LIMIT", invalid)
        with pytest.raises(BadSetting, match="HASHDB_RATE_LIMIT"):
            Settings.read()


@contextmanager
def _slots_held(service: Service, caller: Caller, count: int) -> Iterator[None]:
    """A number of slots held by a key, each in a thread of its own, as by requests in progress."""
    actor = authenticate(service.db, str(caller.secret))
    released = Event()

    def hold(held: Event) -> None:
        with service.db.request_slots.hold(actor):
            held.set()
            released.wait(20)

    with ThreadPoolExecutor(count) as pool:
        try:
            for _ in range(count):
                held = Event()
                pool.submit(hold, held)
                assert held.wait(20)
            yield
        finally:
            released.set()


LARGE_MATCH: dict[str, object] = {"queries": [{"signals": [pdq(seed)]} for seed in range(300)]}
LARGE_FORM = {"file": (BytesIO(b"x" * 20_000), "a.jpg")}


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/matches", {"json": LARGE_MATCH}),
        ("/v1/matches?&", {"json": LARGE_MATCH}),
        ("/v1/matches", {"json": {"queries": [{"signals": [pdq(seed)]} for seed in range(MOST_SINGLE + 1)]}}),
        ("/v1/contributions", {"json": {"contributions": [item(seed) for seed in range(200)]}}),
        ("/v1/contributions", CHUNKED | {"input_stream": BytesIO(b"{}"), "content_type": "application/json"}),
        ("/v1/signals", {"data": LARGE_FORM}),
        ("/v1/signals", {"data": {"file": (BytesIO(encode_picture(draw_picture(8, 8))), "a.png")}}),
    ],
)
def test_a_key_with_no_free_slot_is_rejected_and_other_keys_are_not(
    service: Service, platform: Caller, other: Caller, path: str, arguments: dict[str, Any]
) -> None:
    with _slots_held(service, platform, KEY_SLOTS):
        rejected = platform.request("POST", path, **copy.deepcopy(arguments))
        assert problem(rejected, 429, "too-many-at-once")["retry_after"] == int(rejected.headers["Retry-After"]) == 1
        # Small requests are still answered.
        assert platform.matched(pdq(1)) == []
        assert platform.get("/v1/me").status_code == 200
        assert other.request("POST", path, **copy.deepcopy(arguments)).status_code != 429
    assert platform.request("POST", path, **copy.deepcopy(arguments)).status_code != 429


def test_a_large_request_frees_its_slot_however_it_ends(service: Service, platform: Caller) -> None:
    for _ in range(ALL_SLOTS + 1):
        for text in (b"x" * 20_000, json.dumps(LARGE_MATCH).encode()):
            for path in ("/v1/matches", "/v1/matches?&", "/v1/contributions", "/v1/nowhere"):
                platform.post(path, data=text, content_type="application/json")
    with _slots_held(service, platform, KEY_SLOTS):
        pass
