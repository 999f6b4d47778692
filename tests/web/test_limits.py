"""Limits on the rate of requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.errors import BadSetting
from hashdb.settings import Settings
from hashdb.web.limits import FAILURES, RateLimits
from tests.web.callers import Caller, Service, service_at

WRONG = {"Authorization": "Bearer hdb_wrong"}
MATCH: dict[str, object] = {"queries": [{"signals": []}]}


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
    anyone = service.anyone
    told = {anyone.get("/v1/me", headers=WRONG).status_code for _ in range(int(FAILURES.partition("/")[0]))}
    assert told == {401}
    for refused in (anyone.get("/v1/me", headers=WRONG), anyone.post("/v1/matches", MATCH, headers=WRONG)):
        assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert anyone.get("/v1/me", headers=WRONG, environ_overrides=elsewhere).status_code == 401
    assert platform.get("/v1/me").status_code == 200


def test_behind_proxies_it_is_they_who_say_who_asks(tmp_path: Path) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", proxies=1) as service:
        for number in range(110):
            asked = WRONG | {"X-Forwarded-For": f"203.0.113.9, 192.0.2.{number}"}
            assert service.anyone.get("/v1/me", headers=asked).status_code == 401


@pytest.mark.parametrize("storage", ["nowhere://", "redis://127.0.0.1:1"])
def test_a_storage_that_cannot_be_had_is_told(storage: str) -> None:
    with pytest.raises(BadSetting, match="HASHDB_RATE_LIMIT_STORAGE"):
        RateLimits(Settings(rate_limit_storage=storage))


def test_a_rate_is_a_number_and_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("fast", "0/second", "10/fortnight"):
        monkeypatch.setenv("HASHDB_RATE_LIMIT", wrong)
        with pytest.raises(BadSetting, match="HASHDB_RATE_LIMIT"):
            Settings.read()
