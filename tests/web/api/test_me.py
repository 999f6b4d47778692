"""/v1/me: who a key is, and what the service takes."""

from __future__ import annotations

from hashdb import __version__
from hashdb.domain.members import Scope
from tests.web.callers import Service, body, service_at


def test_any_key_may_ask_who_it_is(service: Service) -> None:
    for scope in Scope:
        caller = service.caller(scope)
        me = body(caller.get("/v1/me"))
        assert me["member"]["id"] == caller.member
        assert me["key"] == {"id": str(caller.key), "scopes": [scope]}
        assert str(caller.secret) not in str(me)


def test_what_the_service_takes_is_told(service: Service) -> None:
    me = body(service.caller(Scope.MATCH, a_day=7).get("/v1/me"))
    assert set(me) == {"member", "key", "limits", "algorithms", "labels", "version"}
    assert me["limits"] == {"contributions_per_day": 7}
    assert list(me["algorithms"]) == ["pdq", "phash256", "phash"]
    assert me["algorithms"]["pdq"] == {"bits": 256, "radius": 31, "max_radius": 31}
    assert "glorification" in me["labels"]["behaviour"]
    assert "removal_reversed" in me["labels"]["reason"]
    assert me["version"] == __version__


def test_a_wider_radius_and_other_algorithms_are_told() -> None:
    with service_at(None, algorithms="dhash,pdq", max_radius="pdq=60") as service:
        told = body(service.caller().get("/v1/me"))["algorithms"]
    assert told == {
        "dhash": {"bits": 64, "radius": 4, "max_radius": 4},
        "pdq": {"bits": 256, "radius": 31, "max_radius": 60},
    }
