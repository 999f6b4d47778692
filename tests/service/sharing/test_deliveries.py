"""Deliveries: the service sends each change at least once, in the background, also after a crash."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.sharing.webhooks import (
    ATTEMPT_LEASE,
    DISABLE_AFTER,
    RETRY_PAUSES,
    Attempt,
    ClaimedDelivery,
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Message,
    Topic,
    Trouble,
    WebhookChange,
    WebhookDraft,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.schedule import deliver
from hashdb.service.sharing import deliveries, webhooks
from hashdb.service.stats import counts
from hashdb.webhooks import verify
from tests import builders
from tests.builders import Clock, contributed, draft, member_with, query
from tests.processes import exit_code
from tests.receivers import LOOPBACK, Receiver, receiver

EGRESS = EgressPolicy((ip_network(LOOPBACK),), allows_http=True)
EVENT_TOPICS = tuple(topic for topic in Topic if topic is not Topic.CASE_DUE)
"""The topics that report events."""


@pytest.fixture(scope="module")
def module_receiver() -> Iterator[Receiver]:
    """A receiver on this machine, for all tests of the module."""
    with receiver() as started:
        yield started


@pytest.fixture
def endpoint(module_receiver: Receiver) -> Receiver:
    """The receiver as the endpoint of a webhook, without messages of earlier tests."""
    module_receiver.received.clear()
    module_receiver.status = 204
    return module_receiver


@pytest.fixture
def db(db: HashDB) -> HashDB:
    """A service that may send to this machine."""
    db.rules = replace(db.rules, webhook_egress=EGRESS)
    return db


def add_webhook(db: HashDB, actor: Actor, url: str = "https://example.org/", *topics: Topic) -> IssuedWebhook:
    return webhooks.add(db, actor, WebhookDraft(url, topics or EVENT_TOPICS))


def list_deliveries(db: HashDB, actor: Actor, webhook: int) -> tuple[Delivery, ...]:
    return webhooks.deliveries(db, actor, webhook, None, 0, 1000)


def sent_messages(db: HashDB, actor: Actor, webhook: int) -> list[tuple[str, dict[str, object]]]:
    return [(delivery.message.topic, dict(delivery.message.data)) for delivery in list_deliveries(db, actor, webhook)]


def answer_with(*status: int) -> Callable[[ClaimedDelivery, datetime], Attempt]:
    """A receiver that answers with these statuses in turn, and repeats the last one."""
    remaining = list(status)

    def post(claimed: ClaimedDelivery, now: datetime) -> Attempt:
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return Attempt(answer, 1, None if 200 <= answer < 300 else Trouble.STATUS)

    return post


def claimed_for(url: str) -> ClaimedDelivery:
    """A delivery to this address that a process has claimed."""
    return ClaimedDelivery(1, 1, url, ("whsec_YQ==",), Message("msg_1", "feed.changed", builders.NOON, {}), 0)


def send_all(db: HashDB, post: deliveries.Post | None = None) -> list[DeliveryOutcome]:
    """Send all deliveries that are due; return the outcomes. By default the receiver accepts them."""
    outcomes: list[DeliveryOutcome] = []
    deliveries.make(db)
    while claimed := deliveries.claim(db, (), 8):
        outcomes += [deliveries.send(db, delivery, post or answer_with(200)) for delivery in claimed]
    return outcomes


def test_new_contributions_are_reported_with_the_numbers_of_their_events(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    id = add_webhook(db, other).webhook.id
    head_before = db.store.head()
    assert deliveries.make(db) == 0
    contributed(db, actor, draft(1), draft(2))
    assert deliveries.make(db) == 1
    assert deliveries.make(db) == 0
    head = db.store.head()
    data = {"after": head_before.seq, "checkpoint": head.seq, "count": 2, "epoch": head.epoch}
    assert sent_messages(db, other, id) == [("feed.changed", {**data, "after": head_before.seq - 1})]


def test_changes_are_grouped_while_a_delivery_waits(db: HashDB, actor: Actor) -> None:
    id = add_webhook(db, actor).webhook.id
    for seed in range(1, 4):
        contributed(db, actor, draft(seed))
        deliveries.make(db)
    assert [data["count"] for _, data in sent_messages(db, actor, id)] == [1]
    assert send_all(db) == [DeliveryOutcome.DELIVERED]
    assert send_all(db) == [DeliveryOutcome.DELIVERED]
    (_, first), (_, second) = sent_messages(db, actor, id)
    assert second["after"] == first["checkpoint"]
    assert (second["count"], second["checkpoint"]) == (2, db.store.head().seq)


def test_only_contributor_and_disputer_are_notified_of_a_case(db: HashDB, actor: Actor, other: Actor) -> None:
    third = member_with(db)
    issued_webhooks = [
        add_webhook(db, member, "https://example.org/", Topic.CASE_OPENED, Topic.CASE_DECIDED)
        for member in (actor, other, third)
    ]
    (contribution,) = contributed(db, actor, draft(1))
    opinions.give(db, other, contribution.id, OpinionDraft(Stance.DISPUTES, "other"))
    send_all(db)
    (case,) = cases.page(db, other, None, 0, 9)
    cases.decide(db, member_with(db, Scope.REVIEW), case.id, Decision.UPHOLD)
    send_all(db)
    for member, issued in zip((actor, other), issued_webhooks, strict=False):
        messages = sent_messages(db, member, issued.webhook.id)
        assert [topic for topic, _ in messages] == ["case.opened", "case.decided"]
        assert all(data.keys() == {"seq", "case", "contribution"} for _, data in messages)
        assert {(data["case"], data["contribution"]) for _, data in messages} == {(case.id, contribution.id)}
    assert sent_messages(db, third, issued_webhooks[2].webhook.id) == []


def test_many_cases_of_others_do_not_stop_the_webhook_of_a_member(
    db: HashDB, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_EVENTS_AT_ONCE", 2)
    third = member_with(db)
    id = add_webhook(db, third, "https://example.org/", Topic.CASE_OPENED).webhook.id
    for contribution in contributed(db, actor, draft(1), draft(2), draft(3)):
        opinions.give(db, other, contribution.id, OpinionDraft(Stance.DISPUTES, "other"))
    (own,) = contributed(db, third, draft(4))
    opinions.give(db, other, own.id, OpinionDraft(Stance.DISPUTES, "other"))
    assert [deliveries.make(db) for _ in range(3)] == [0, 1, 0]
    ((topic, data),) = sent_messages(db, third, id)
    assert (topic, data["contribution"]) == ("case.opened", own.id)


def test_only_members_that_got_the_match_are_notified_of_its_reversal(
    db: HashDB, clock: Clock, actor: Actor, other: Actor
) -> None:
    of_contributor, of_matcher = (
        add_webhook(db, member, "https://example.org/", Topic.MATCH_REVERSED) for member in (actor, other)
    )
    matched, unmatched = contributed(db, actor, draft(1), draft(2))
    matches.match(db, other, [query(1)])
    counts.flush(db)
    contributions.withdraw(db, actor, matched.id, "removal_reversed")
    contributions.withdraw(db, actor, unmatched.id, "removal_reversed")
    # Hits of the last seconds may not be stored yet.
    assert send_all(db) == []
    clock.advance(seconds=4)
    assert send_all(db) == [DeliveryOutcome.DELIVERED]
    assert sent_messages(db, actor, of_contributor.webhook.id) == []
    ((topic, data),) = sent_messages(db, other, of_matcher.webhook.id)
    assert (topic, data["count"], data["checkpoint"]) == ("match.reversed", 1, db.store.head().seq)


def test_a_message_is_signed_and_contains_no_hash(db: HashDB, actor: Actor, endpoint: Receiver) -> None:
    issued = add_webhook(db, actor, endpoint.url)
    renewed = webhooks.renew(db, actor, issued.webhook.id)
    contributed(db, actor, draft(1))
    assert send_all(db, partial(deliveries.post, egress=EGRESS)) == [DeliveryOutcome.DELIVERED]
    (received,) = endpoint.received
    for secret in (issued.secret, renewed.secret):
        message = verify(secret, received.headers, received.body, now=db.now().timestamp())
    assert (message.topic, message.data["count"]) == ("feed.changed", 1)
    assert (received.path, received.headers["Content-Type"]) == ("/hook", "application/json")
    (delivery,) = list_deliveries(db, actor, issued.webhook.id)
    assert (delivery.outcome, delivery.status, delivery.attempts, delivery.next_at) == (
        DeliveryOutcome.DELIVERED,
        204,
        1,
        None,
    )
    assert delivery.message.id == received.headers["webhook-id"]
    assert f"{builders.signal(1).value:064x}" not in received.body.decode()


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_a_refused_message_is_retried_and_redirects_are_not_followed(
    db: HashDB, clock: Clock, actor: Actor, endpoint: Receiver, status: int
) -> None:
    id = add_webhook(db, actor, endpoint.url).webhook.id
    contributed(db, actor, draft(1))
    endpoint.status = status
    assert send_all(db, partial(deliveries.post, egress=EGRESS)) == [DeliveryOutcome.WAITING]
    assert send_all(db) == []
    assert webhooks.get(db, actor, id).failing_since == clock.at
    clock.advance(seconds=RETRY_PAUSES[0] * 1.2)
    endpoint.status = 200
    assert send_all(db, partial(deliveries.post, egress=EGRESS)) == [DeliveryOutcome.DELIVERED]
    first, second = endpoint.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert webhooks.get(db, actor, id).failing_since is None


def test_retries_end_after_a_day_and_days_of_failures_disable_a_webhook(db: HashDB, clock: Clock, actor: Actor) -> None:
    id = add_webhook(db, actor).webhook.id
    started = clock.at
    webhook = webhooks.get(db, actor, id)
    while webhook.enabled:
        contributed(db, actor, draft(len(list_deliveries(db, actor, id))))
        outcomes, attempts = send_all(db, answer_with(500)), 1
        while outcomes == [DeliveryOutcome.WAITING]:
            clock.at = list_deliveries(db, actor, id)[-1].next_at or clock.at
            outcomes, attempts = send_all(db, answer_with(500)), attempts + 1
        assert (outcomes, attempts) == ([DeliveryOutcome.FAILED], len(RETRY_PAUSES) + 1)
        webhook = webhooks.get(db, actor, id)
        assert webhook.failing_since == started
        assert webhook.enabled == (clock.at - started < DISABLE_AFTER)
    assert len(list_deliveries(db, actor, id)) in (3, 4)
    with db.store.read() as tx:
        events = [event for event in tx.audit.since(0, 1000) if event.action == "webhook.disabled"]
    assert [(event.actor, event.id, event.details) for event in events] == [
        ("system:hashdb", id, {"reason": "failing"})
    ]
    contributed(db, actor, draft(99))
    assert send_all(db) == []
    # A disabled webhook still gets test messages. Once it is enabled, it gets the missed changes.
    webhooks.test(db, actor, id)
    assert send_all(db) == [DeliveryOutcome.DELIVERED]
    webhooks.change(db, actor, id, WebhookChange(enabled=True))
    assert send_all(db) == [DeliveryOutcome.DELIVERED]
    assert sent_messages(db, actor, id)[-1][1]["checkpoint"] == db.store.head().seq


@pytest.mark.parametrize("is_test", [False, True])
def test_an_answer_410_disables_the_webhook_at_once(db: HashDB, actor: Actor, is_test: bool) -> None:
    id = add_webhook(db, actor).webhook.id
    if is_test:
        webhooks.test(db, actor, id)
    else:
        contributed(db, actor, draft(1))
    assert send_all(db, answer_with(410)) == [DeliveryOutcome.FAILED]
    assert not webhooks.get(db, actor, id).enabled


def test_a_delivery_can_be_sent_again_with_the_same_id(db: HashDB, actor: Actor, endpoint: Receiver) -> None:
    id = add_webhook(db, actor, endpoint.url).webhook.id
    contributed(db, actor, draft(1))
    post = partial(deliveries.post, egress=EGRESS)
    send_all(db, post)
    (delivery,) = list_deliveries(db, actor, id)
    assert webhooks.redeliver(db, actor, id, delivery.id).outcome is DeliveryOutcome.WAITING
    assert send_all(db, post) == [DeliveryOutcome.DELIVERED]
    assert len({received.headers["webhook-id"] for received in endpoint.received}) == 1
    assert len(endpoint.received) == 2


def test_a_suspended_member_gets_no_message_until_it_is_reinstated(db: HashDB, actor: Actor, other: Actor) -> None:
    add_webhook(db, other)
    assert other.member is not None
    members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    contributed(db, actor, draft(1))
    assert send_all(db) == []
    members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.ACTIVE))
    assert send_all(db) == [DeliveryOutcome.DELIVERED]


def test_a_webhook_deleted_during_a_delivery_gets_no_retry(db: HashDB, actor: Actor) -> None:
    id = add_webhook(db, actor).webhook.id
    contributed(db, actor, draft(1))
    deliveries.make(db)
    (claimed,) = deliveries.claim(db, (), 8)
    webhooks.delete(db, actor, id)
    assert deliveries.send(db, claimed, answer_with(500)) is DeliveryOutcome.WAITING
    assert send_all(db) == []


def test_two_processes_do_not_send_one_delivery(db: HashDB, clock: Clock, actor: Actor) -> None:
    add_webhook(db, actor)
    contributed(db, actor, draft(1))
    deliveries.make(db)
    assert len(deliveries.claim(db, (), 8)) == 1
    assert deliveries.claim(db, (), 8) == ()
    clock.advance(seconds=ATTEMPT_LEASE.total_seconds())
    assert len(deliveries.claim(db, (), 8)) == 1


def _die(url: str, at: str) -> None:
    """Make and send deliveries in this process, and kill it at the given step."""
    db = builders.hashdb(url, Clock())

    def post(claimed: ClaimedDelivery, now: datetime) -> Attempt:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    if at == "making":

        def kill_process(*words: object) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

        vars(deliveries)["new_message"] = kill_process
    send_all(db, post)


@pytest.mark.parametrize("at", ["making", "sending"])
def test_another_process_sends_the_deliveries_of_a_killed_process(
    db: HashDB, database_url: str, clock: Clock, actor: Actor, at: str
) -> None:
    id = add_webhook(db, actor).webhook.id
    contributed(db, actor, draft(1), draft(2))
    assert exit_code(_die, database_url, at) == -signal.SIGKILL
    assert len(sent_messages(db, actor, id)) == (at == "sending")
    if at == "sending":
        assert send_all(db) == []  # until the claim of the killed process expires
    clock.advance(seconds=ATTEMPT_LEASE.total_seconds())
    assert send_all(db) == [DeliveryOutcome.DELIVERED]
    ((_, data),) = sent_messages(db, actor, id)
    assert (data["count"], data["checkpoint"]) == (2, db.store.head().seq)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:9/", "https://localhost:9/", "https://[::1]:9/", "https://0.0.0.0:9/", "https://10.0.0.1/",
        "https://169.254.169.254/", "https://[fd00::1]/", "https://[::ffff:127.0.0.1]:9/", "https://100.64.0.1/",
        "http://example.org/", "https://2130706433/", "https://0x7f.1/",
    ],
)  # fmt: skip
def test_the_sender_never_connects_to_a_forbidden_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The address is checked again at each delivery, also if it was allowed when the webhook was added."""

    def fail(*words: object) -> None:
        raise AssertionError(words)

    monkeypatch.setattr(socket.socket, "connect", fail)
    assert deliveries.post(claimed_for(url), builders.NOON, EgressPolicy()).trouble is Trouble.ADDRESS_REFUSED


@pytest.mark.parametrize(
    ("url", "trouble"),
    [
        ("http://hashdb.invalid/", Trouble.NAME_UNKNOWN),
        ("http://127.0.0.1:9/", Trouble.NOT_CONNECTED),
    ],
)
def test_the_reason_of_a_failed_delivery_is_recorded(url: str, trouble: Trouble) -> None:
    attempt = deliveries.post(claimed_for(url), builders.NOON, EGRESS)
    assert (attempt.status, attempt.trouble) == (None, trouble)


def test_a_receiver_without_tls_is_recorded_as_no_answer(endpoint: Receiver) -> None:
    assert (
        deliveries.post(claimed_for(endpoint.url.replace("http:", "https:")), builders.NOON, EGRESS).trouble
        is Trouble.NO_ANSWER
    )


def test_old_deliveries_are_deleted(db: HashDB, clock: Clock, actor: Actor) -> None:
    add_webhook(db, actor)
    contributed(db, actor, draft(1))
    send_all(db)
    assert deliveries.prune(db) == 0
    clock.advance(days=31)
    assert deliveries.prune(db) == 1


def test_one_of_several_workers_delivers_in_the_background(
    db: HashDB, tmp_path: Path, actor: Actor, endpoint: Receiver
) -> None:
    add_webhook(db, actor, endpoint.url)
    stop = Event()
    outcomes: list[DeliveryOutcome] = []
    arguments = db, tmp_path / "lock", partial(deliveries.post, egress=EGRESS), outcomes.append, stop
    workers = [Thread(target=deliver, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        contributed(db, actor, draft(1))
        endpoint.wait(1)
        contributed(db, actor, draft(2))
        assert [received.json["data"]["count"] for received in endpoint.wait(2)] == [1, 1]
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert outcomes == [DeliveryOutcome.DELIVERED] * 2
