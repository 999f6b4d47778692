"""Limits on the rate of requests."""

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
    said = {"username": f"Member {caller.member}", "password": caller.secret}
    return service.anonymous.post("/tat/token-auth/tcap/", data=said)


PROTOCOLS: tuple[Callable[[Service, Caller], TestResponse], ...] = (
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
    """A service that takes two requests a day of each key."""
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", rate_limit="2/day") as made:
        yield made


def test_a_key_may_make_so_many_requests_by_every_way(limited: Service) -> None:
    caller, another = limited.caller(), limited.caller()
    assert (caller.get("/v1/me").status_code, caller.post("/v1/matches", MATCH).status_code) == (200, 422)
    for refused in (caller.get("/v1/me"), caller.post("/v1/matches", MATCH)):
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 86_400
        assert refused.get_json(force=True)["detail"] == "the limit of 2 requests a day is reached"
    assert caller.get("/healthz").status_code == 200
    assert another.get("/v1/me").status_code == 200


def test_who_has_no_valid_key_is_told_to_wait_and_holds_up_nobody(service: Service, platform: Caller) -> None:
    anyone = service.anonymous
    told = {anyone.get("/v1/me", headers=WRONG).status_code for _ in range(int(FAILURES.partition("/")[0]))}
    assert told == {401}
    for refused in (anyone.get("/v1/me", headers=WRONG), anyone.post("/v1/matches", MATCH, headers=WRONG)):
        assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert anyone.get("/v1/me", headers=WRONG, environ_overrides=elsewhere).status_code == 401
    assert platform.get("/v1/me").status_code == 200


def test_an_address_of_ipv6_counts_as_its_network(tmp_path: Path) -> None:
    def asked(service: Service, address: str, secret: str | None = None) -> int:
        headers = WRONG if secret is None else {"Authorization": f"Bearer {secret}"}
        return service.anonymous.get("/v1/me", headers=headers, environ_overrides={"REMOTE_ADDR": address}).status_code

    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", rate_limit_address="150/day") as service:
        secret = service.caller().secret
        assert {asked(service, f"2001:db8:0:1::{number:x}") for number in range(100)} == {401}
        assert asked(service, "2001:db8:0:1:ffff::1") == 429
        assert asked(service, "2001:db8:0:2::1") == 401
        assert {asked(service, f"2001:db8:0:1::{number:x}", secret) for number in range(49)} == {200}
        assert asked(service, "2001:db8:0:1:ffff::1", secret) == 429
        assert asked(service, "2001:db8:0:2::1", secret) == 200


def test_behind_proxies_it_is_they_who_say_who_asks(tmp_path: Path) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", proxies=1) as service:
        for number in range(110):
            asked = WRONG | {"X-Forwarded-For": f"203.0.113.9, 192.0.2.{number}"}
            assert service.anonymous.get("/v1/me", headers=asked).status_code == 401


def test_a_scope_may_have_a_rate_of_its_own() -> None:
    with service_at(None, rate_limit="5/day, match=2/day,audit=1/hour", accept_media=False) as service:
        caller, auditor = service.caller(Scope.MATCH, Scope.CONTRIBUTE), service.caller(Scope.ADMIN)
        statuses = [caller.post(path, MATCH).status_code for path in ("/v1/matches", "/v1/matches?&", "/v1/matches")]
        assert statuses == [422, 422, 429]
        refused = caller.get("/hma/m/lookup?signal=0&signal_type=pdq")
        assert (refused.status_code, refused.get_json()) == (
            429,
            {"message": "the limit of 2 requests a day is reached"},
        )
        assert caller.get("/v1/me").status_code == 200
        assert caller.get("/v1/me").get_json(force=True)["detail"] == "the limit of 5 requests a day is reached"
        assert [auditor.get("/v1/events").status_code for _ in range(2)] == [200, 429]
        assert auditor.get("/v1/members").status_code == 200


def test_keys_are_counted_by_every_protocol() -> None:
    with service_at(None, rate_limit="1/day") as service:
        for ask in PROTOCOLS:
            caller = service.caller(Scope.FEED)
            assert [ask(service, caller).status_code for _ in range(2)] == [200, 429]


def test_wrong_keys_are_counted_by_every_protocol() -> None:
    for ask in PROTOCOLS:
        with service_at(None) as service:
            wrong = Caller(service.app.test_client(), "hdb_wrong", 1)
            told = [ask(service, wrong).status_code for _ in range(int(FAILURES.partition("/")[0]) + 1)]
            assert told == [401] * (len(told) - 1) + [429]


def test_an_address_may_make_so_many_requests_whoever_asks() -> None:
    with service_at(None, rate_limit_address="3/minute") as service:
        caller = service.caller()
        asked = ("/v1/log", "/console/sign-in", "/v1/me")
        assert all(caller.get(path).status_code in (200, 303, 503) for path in asked)
        for refused in (*(caller.get(path) for path in (*asked, "/nowhere")), caller.post("/v1/matches", MATCH)):
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["Retry-After"]) <= 60
        elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
        assert caller.get("/v1/me", environ_overrides=elsewhere).status_code == 200
        assert caller.get("/healthz").status_code == caller.get("/readyz").status_code == 200


class _Away(MemoryStorage):
    """A storage that does not answer."""

    STORAGE_SCHEME: list[str] = ["away"]  # noqa: RUF012

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        raise StorageError(ConnectionError(key))


def test_where_the_storage_is_away_each_worker_counts_alone() -> None:
    with service_at(None, rate_limit="2/day", rate_limit_storage="away://") as service:
        caller = service.caller()
        assert [caller.get("/v1/me").status_code for _ in range(3)] == [200, 200, 429]


@contextmanager
def redis_at(folder: Path) -> Iterator[str]:
    """A Redis of our own, behind a socket in a folder; ends with the block."""
    socket = folder / "redis.sock"
    words = [REDIS, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 20
            while not socket.exists() and time.monotonic() < until:
                time.sleep(0.01)
            yield f"redis+unix://{socket}"
        finally:
            process.terminate()


@pytest.mark.skipif(not REDIS, reason="no redis-server (apt install redis-server)")
def test_with_redis_all_workers_count_together_and_each_alone_while_it_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with ExitStack() as stack:
        with redis_at(tmp_path) as storage:
            one, other = (
                stack.enter_context(service_at(database, rate_limit="3/day", rate_limit_storage=storage))
                for _ in range(2)
            )
            caller = one.caller()
            there = Caller(other.app.test_client(), caller.secret, caller.member, caller.key)
            asked = [each.get("/v1/me").status_code for each in (caller, there, caller, there, caller)]
            assert asked == [200, 200, 200, 429, 429]
        assert [there.get("/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert caplog.text.count("this worker counts requests by itself") == 1
        (tmp_path / "redis.sock").unlink(missing_ok=True)
        with redis_at(tmp_path):
            monkeypatch.setattr(limits, "RETRY_SECONDS", 0.0)
            face = other.app.extensions["hashdb"]
            assert isinstance(face, AppState)
            face.limits.retry_at = 0.0
            assert [each.get("/v1/me").status_code for each in (there, caller, there, caller)] == [200, 200, 200, 429]


def test_a_storage_that_cannot_be_had_is_told() -> None:
    with pytest.raises(BadSetting, match="HASHDB_RATE_LIMIT_STORAGE"):
        RateLimits(Settings(rate_limit_storage="nowhere://"))


def test_a_rate_is_a_number_and_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("fast", "0/second", "10/fortnight", "delete=1/second", "=", "match=", "1/second;match=1/second"):
        monkeypatch.setenv("HASHDB_RATE_LIMIT", wrong)
        with pytest.raises(BadSetting, match="HASHDB_RATE_LIMIT"):
            Settings.read()


@contextmanager
def _holding(service: Service, caller: Caller, many: int) -> Iterator[None]:
    """So many places held by a key, each by a thread of its own, as by requests that are being answered."""
    actor = authenticate(service.db, str(caller.secret))
    done = Event()

    def hold(took: Event) -> None:
        with service.db.request_slots.hold(actor):
            took.set()
            done.wait(20)

    with ThreadPoolExecutor(many) as pool:
        try:
            for _ in range(many):
                took = Event()
                pool.submit(hold, took)
                assert took.wait(20)
            yield
        finally:
            done.set()


LARGE_MATCH: dict[str, object] = {"queries": [{"signals": [pdq(seed)]} for seed in range(300)]}
LARGE_FORM = {"file": (BytesIO(b"x" * 20_000), "a.jpg")}


@pytest.mark.parametrize(
    ("path", "asked"),
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
def test_a_key_that_holds_its_share_is_refused_before_its_body_is_parsed_and_others_are_not(
    service: Service, platform: Caller, other: Caller, path: str, asked: dict[str, Any]
) -> None:
    with _holding(service, platform, KEY_SLOTS):
        refused = platform.request("POST", path, **copy.deepcopy(asked))
        assert problem(refused, 429, "too-many-at-once")["retry_after"] == int(refused.headers["Retry-After"]) == 1
        # What is quick goes on.
        assert platform.matched(pdq(1)) == []
        assert platform.get("/v1/me").status_code == 200
        assert other.request("POST", path, **copy.deepcopy(asked)).status_code != 429
    assert platform.request("POST", path, **copy.deepcopy(asked)).status_code != 429


def test_a_large_request_gives_its_place_back_however_it_ends(service: Service, platform: Caller) -> None:
    for _ in range(ALL_SLOTS + 1):
        for text in (b"x" * 20_000, json.dumps(LARGE_MATCH).encode()):
            for path in ("/v1/matches", "/v1/matches?&", "/v1/contributions", "/v1/nowhere"):
                platform.post(path, data=text, content_type="application/json")
    with _holding(service, platform, KEY_SLOTS):
        pass
