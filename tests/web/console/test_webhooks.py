"""The pages of webhooks."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.accounts.users import Role
from hashdb.domain.sharing.webhooks import (
    ATTEMPT_LEASE,
    Attempt,
    DeliveryOutcome,
    Topic,
    Trouble,
    Webhook,
    WebhookDraft,
)
from hashdb.service import HashDB
from hashdb.service.accounts.members import authenticate
from hashdb.service.sharing import webhooks
from tests.web.callers import Service, service_at
from tests.web.console.visitors import Visitor, heading, page_text, sign_in_new_user

PAGE = "/console/webhooks"
URL = "https://example.org/hook?place=4"
WEBHOOK = {"url": URL, "topics": ["case.opened", "match.reversed"], "note": "ours"}


@pytest.fixture
def hooked(service: Service) -> Service:
    """A service with a member that has a webhook."""
    assert service.caller(name="Alpha").post("/v1/webhooks", WEBHOOK).status_code == 201
    return service


def test_an_auditor_sees_webhooks_and_cannot_change_them(hooked: Service, otto: Visitor) -> None:
    page = page_text(otto.get(PAGE))
    assert all(text in page for text in ("Alpha", "case.opened match.reversed", URL, "active"))
    page = otto.get(f"{PAGE}/1").text
    assert "No deliveries yet." in page and "Send a test" not in page
    assert heading(otto.post(f"{PAGE}/1/test")) == "Scope missing"
    assert otto.get(f"{PAGE}/2").status_code == 404
    assert f'<dt>Webhooks</dt><dd><a href="{PAGE}/1">1</a></dd>' in otto.get("/console/members/1").text


def test_a_webhook_of_a_member_that_was_added_meanwhile_is_listed(
    service: Service, otto: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = webhooks.page

    def add_member_and_read(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Webhook, ...]:
        if after == 0:
            member = authenticate(service.db, str(service.caller(name="Alpha").secret))
            webhooks.add(service.db, member, WebhookDraft(URL, (Topic.CASE_OPENED,), ""))
        return read(db, actor, after, limit)

    monkeypatch.setattr(webhooks, "page", add_member_and_read)
    page = otto.get(f"{PAGE}?sort=member")
    assert (page.status_code, f"Alpha active case.opened {URL}" in page_text(page)) == (200, True)


def test_an_admin_sends_a_test_and_sees_its_outcome(hooked: Service, ada: Visitor) -> None:
    page = ada.follow(ada.post(f"{PAGE}/1/test")).text
    assert all(
        text in page for text in ("The service sends a test message", "webhook.tested", ">waiting<", "not tried yet")
    )
    assert "Send again" not in page
    hooked.clock.advance(seconds=1)
    now = hooked.clock()
    with hooked.db.store.begin() as tx:
        (claimed,) = tx.deliveries.claim([1], now, now + ATTEMPT_LEASE)
        assert tx.deliveries.record_attempt(
            claimed, Attempt(503, 41, Trouble.STATUS), DeliveryOutcome.FAILED, now, None
        )
    page = page_text(ada.get(f"{PAGE}/1"))
    assert all(text in page for text in ("failed", "status 503 after 41 ms", "Send again"))
    page = ada.follow(ada.post(f"{PAGE}/1/deliveries/1")).text
    assert "Delivery 1 is sent again." in page and ">waiting<" in page
    assert ada.post(f"{PAGE}/1/deliveries/2").status_code == 404


def test_an_admin_disables_and_enables_a_webhook(hooked: Service, ada: Visitor) -> None:
    assert ">disabled<" in ada.follow(ada.post(f"{PAGE}/1/status", {"enabled": "no"})).text
    assert not webhooks.get(hooked.db, COMMAND_LINE, 1).enabled
    assert ">active<" in ada.follow(ada.post(f"{PAGE}/1/status", {"enabled": "yes"})).text


def test_a_test_is_rejected_if_too_many_deliveries_wait(hooked: Service, ada: Visitor) -> None:
    for _ in range(100):
        webhooks.test(hooked.db, COMMAND_LINE, 1)
    answer = ada.post(f"{PAGE}/1/test")
    assert answer.status_code == 422
    assert "waiting deliveries" in answer.text


def test_the_page_says_that_webhooks_are_off(ada: Visitor) -> None:
    off = "Webhooks are turned off on this service"
    assert off not in page_text(ada.get(PAGE))
    with service_at(None, webhooks=False) as service:
        page = page_text(sign_in_new_user(service, "ada", Role.ADMIN).get(PAGE))
        assert off in page and "No webhooks." in page
