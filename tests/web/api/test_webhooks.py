"""/v1/webhooks: made, shown, changed, tested, and what was delivered."""

from __future__ import annotations

import json

from hashdb.domain.accounts.members import Scope
from hashdb.domain.sharing.webhooks import Attempt, ClaimedDelivery
from hashdb.service.sharing import deliveries
from tests.web.callers import Caller, Service, body, faults, item, problem, service_at

URL = "/v1/webhooks"
DRAFT = {"url": "https://example.org/hook", "topics": ["feed.changed", "case.opened"], "note": "mine"}


def deliver(service: Service, status: int) -> None:
    """Send what is due to a receiver that answers so."""

    def post(claimed: ClaimedDelivery, now: object) -> Attempt:
        return Attempt(status, 7)

    deliveries.make(service.db)
    for claimed in deliveries.claim(service.db, (), 8):
        deliveries.send(service.db, claimed, post)


def test_a_webhook_is_made_shown_changed_and_deleted(platform: Caller) -> None:
    response = platform.post(URL, DRAFT)
    assert response.status_code == 201
    added = body(response)
    secret = added.pop("secret")
    assert secret.startswith("whsec_")
    assert added == {
        "id": added["id"],
        "member": platform.member,
        **DRAFT,
        "enabled": True,
        "created_at": "2026-11-20T12:00:00.000000Z",
        "failing_since": None,
        "overlap_until": None,
    }
    here = f"{URL}/{added['id']}"
    assert body(platform.get(here)) == added
    assert body(platform.get(URL)) == {"webhooks": [added], "next": None}
    assert body(platform.patch(here, {"enabled": False})) == {**added, "enabled": False}
    renewed = platform.post(f"{here}/secret")
    assert renewed.status_code == 201
    assert body(renewed)["secret"] not in ("", secret)
    assert body(renewed)["overlap_until"] == "2026-11-21T12:00:00.000000Z"
    assert platform.delete(here).status_code == 204
    problem(platform.get(here), 404)


def test_what_was_delivered_is_listed_and_sent_again(service: Service, platform: Caller) -> None:
    here = f"{URL}/{body(platform.post(URL, DRAFT))['id']}"
    platform.contribute(item(1))
    deliver(service, 200)
    asked = platform.post(f"{here}/test")
    assert asked.status_code == 202
    (first, second) = body(platform.get(f"{here}/deliveries"))["deliveries"]
    assert second == json.loads(asked.data)
    assert (first["topic"], first["outcome"], first["status"], first["ms"]) == ("feed.changed", "delivered", 200, 7)
    assert first["data"].keys() == {"after", "checkpoint", "count", "epoch"}
    assert body(platform.get(f"{here}/deliveries?outcome=waiting"))["deliveries"] == [second]
    assert body(platform.get(f"{here}/deliveries?limit=1"))["next"] == first["id"]
    again = platform.post(f"{here}/deliveries/{first['id']}/redelivery")
    assert again.status_code == 202
    assert body(platform.get(f"{here}/deliveries/{first['id']}")) == json.loads(again.data)
    assert json.loads(again.data)["outcome"] == "waiting"
    problem(platform.get(f"{here}/deliveries/99"), 404)
    assert list(faults(platform.get(f"{here}/deliveries?outcome=lost"))) == ["outcome"]


def test_what_makes_no_sense_is_refused(platform: Caller) -> None:
    refused = platform.post(URL, {"url": "https://127.0.0.1/", "topics": ["feed.changed"], "secret": "mine"})
    assert faults(refused) == {
        "url": "this is not a public address",
        "secret": "is not a field of this request",
    }
    for _ in range(10):
        platform.post(URL, DRAFT)
    assert problem(platform.post(URL, DRAFT), 409, "too-many-webhooks")["most"] == 10


def test_a_webhook_is_its_members(platform: Caller, other: Caller, admin: Caller, service: Service) -> None:
    here = f"{URL}/{body(platform.post(URL, DRAFT))['id']}"
    problem(other.get(here), 404)
    problem(other.delete(here), 404)
    assert body(other.get(URL))["webhooks"] == []
    assert len(body(admin.get(URL))["webhooks"]) == 1
    problem(admin.patch(here, {"url": "https://example.net/"}), 403, "not-yours")
    problem(service.key(platform.member, Scope.CONTRIBUTE).delete(here), 403, "scope-missing")
    assert body(admin.patch(here, {"enabled": False}))["enabled"] is False
    problem(service.anonymous.get(URL), 401)


def test_where_they_are_off_none_is_made() -> None:
    with service_at(None, webhooks=False) as service:
        problem(service.caller().post(URL, DRAFT), 403, "webhooks-off")


def test_a_network_of_the_operators_is_allowed_by_a_setting() -> None:
    with service_at(None, webhook_networks="10.2.0.0/16, 127.0.0.0/8", webhook_http=True) as service:
        caller = service.caller()
        for url in ("http://10.2.0.7:8080/", "https://127.0.0.1/"):
            assert caller.post(URL, {**DRAFT, "url": url}).status_code == 201
        assert list(faults(caller.post(URL, {**DRAFT, "url": "http://10.3.0.7/"}))) == ["url"]
