"""/v1/webhooks: added, shown, changed and tested; and their deliveries."""

from __future__ import annotations

import json

from hashdb.domain.accounts.members import Scope
from hashdb.domain.sharing.webhooks import Attempt, ClaimedDelivery
from hashdb.service.sharing import deliveries
from tests.web.callers import Caller, Service, body, faults, item, problem, service_at

URL = "/v1/webhooks"
DRAFT = {"url": "https://example.org/hook", "topics": ["feed.changed", "case.opened"], "note": "mine"}


def deliver(service: Service, status: int) -> None:
    """Send the deliveries that are due to a receiver that answers with this status."""

    def post(claimed: ClaimedDelivery, now: object) -> Attempt:
        return Attempt(status, 7)

    deliveries.make(service.db)
    for claimed in deliveries.claim(service.db, (), 8):
        deliveries.send(service.db, claimed, post)


def test_a_webhook_is_added_shown_changed_and_deleted(platform: Caller) -> None:
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
    webhook_url = f"{URL}/{added['id']}"
    assert body(platform.get(webhook_url)) == added
    assert body(platform.get(URL)) == {"webhooks": [added], "next": None}
    assert body(platform.patch(webhook_url, {"enabled": False})) == {**added, "enabled": False}
    renewed = platform.post(f"{webhook_url}/secret")
    assert renewed.status_code == 201
    assert body(renewed)["secret"] not in ("", secret)
    assert body(renewed)["overlap_until"] == "2026-11-21T12:00:00.000000Z"
    assert platform.delete(webhook_url).status_code == 204
    problem(platform.get(webhook_url), 404)


def test_deliveries_are_listed_and_can_be_sent_again(service: Service, platform: Caller) -> None:
    webhook_url = f"{URL}/{body(platform.post(URL, DRAFT))['id']}"
    platform.contribute(item(1))
    deliver(service, 200)
    response = platform.post(f"{webhook_url}/test")
    assert response.status_code == 202
    (first, second) = body(platform.get(f"{webhook_url}/deliveries"))["deliveries"]
    assert second == json.loads(response.data)
    assert (first["topic"], first["outcome"], first["status"], first["ms"]) == ("feed.changed", "delivered", 200, 7)
    assert first["data"].keys() == {"after", "checkpoint", "count", "epoch"}
    assert body(platform.get(f"{webhook_url}/deliveries?outcome=waiting"))["deliveries"] == [second]
    assert body(platform.get(f"{webhook_url}/deliveries?limit=1"))["next"] == first["id"]
    repeated = platform.post(f"{webhook_url}/deliveries/{first['id']}/redelivery")
    assert repeated.status_code == 202
    assert body(platform.get(f"{webhook_url}/deliveries/{first['id']}")) == json.loads(repeated.data)
    assert json.loads(repeated.data)["outcome"] == "waiting"
    problem(platform.get(f"{webhook_url}/deliveries/99"), 404)
    assert list(faults(platform.get(f"{webhook_url}/deliveries?outcome=lost"))) == ["outcome"]


def test_an_invalid_webhook_or_one_too_many_is_rejected(platform: Caller) -> None:
    rejected = platform.post(URL, {"url": "https://127.0.0.1/", "topics": ["feed.changed"], "secret": "mine"})
    assert faults(rejected) == {
        "url": "this is not a public address",
        "secret": "is not a field of this request",
    }
    for _ in range(10):
        platform.post(URL, DRAFT)
    assert problem(platform.post(URL, DRAFT), 409, "too-many-webhooks")["most"] == 10


def test_only_the_member_and_the_operator_have_access_to_a_webhook(
    platform: Caller, other: Caller, admin: Caller, service: Service
) -> None:
    webhook_url = f"{URL}/{body(platform.post(URL, DRAFT))['id']}"
    problem(other.get(webhook_url), 404)
    problem(other.delete(webhook_url), 404)
    assert body(other.get(URL))["webhooks"] == []
    assert len(body(admin.get(URL))["webhooks"]) == 1
    problem(admin.patch(webhook_url, {"url": "https://example.net/"}), 403, "not-yours")
    problem(service.key(platform.member, Scope.CONTRIBUTE).delete(webhook_url), 403, "scope-missing")
    assert body(admin.patch(webhook_url, {"enabled": False}))["enabled"] is False
    problem(service.anonymous.get(URL), 401)


def test_a_service_without_webhooks_rejects_them() -> None:
    with service_at(None, webhooks=False) as service:
        problem(service.caller().post(URL, DRAFT), 403, "webhooks-off")


def test_a_setting_allows_webhooks_in_private_networks() -> None:
    with service_at(None, webhook_networks="10.2.0.0/16, 127.0.0.0/8", webhook_http=True) as service:
        caller = service.caller()
        for url in ("http://10.2.0.7:8080/", "https://127.0.0.1/"):
            assert caller.post(URL, {**DRAFT, "url": url}).status_code == 201
        assert list(faults(caller.post(URL, {**DRAFT, "url": "http://10.3.0.7/"}))) == ["url"]
