"""Deliveries: all that happens is told at least once, in the background, whatever ends in between."""

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

EGRESS = EgressPolicy((ip_network(LOOPBACK),), plain=True)
ALL = tuple(topic for topic in Topic if topic is not Topic.CASE_DUE)
"""The topics that report events."""


@pytest.fixture(scope="module")
def server() -> Iterator[Receiver]:
    """A receiver of this machine, for all tests."""
    with receiver() as made:
        yield made


@pytest.fixture
def hook(server: Receiver) -> Receiver:
    """The same, to which nothing has come yet."""
    server.received.clear()
    server.status = 204
    return server


@pytest.fixture
def db(db: HashDB) -> HashDB:
    """A service that may send to this machine."""
    db.rules = replace(db.rules, webhook_egress=EGRESS)
    return db


def made(db: HashDB, actor: Actor, url: str = "https://example.org/", *topics: Topic) -> IssuedWebhook:
    return webhooks.add(db, actor, WebhookDraft(url, topics or ALL))


def listed(db: HashDB, actor: Actor, webhook: int) -> tuple[Delivery, ...]:
    return webhooks.deliveries(db, actor, webhook, None, 0, 1000)


def told(db: HashDB, actor: Actor, webhook: int) -> list[tuple[str, dict[str, object]]]:
    return [(one.message.topic, dict(one.message.data)) for one in listed(db, actor, webhook)]


def answers(*status: int) -> Callable[[ClaimedDelivery, datetime], Attempt]:
    """A receiver that answers so, in turn, and with the last for ever."""
    left = list(status)

    def post(claimed: ClaimedDelivery, now: datetime) -> Attempt:
        said = left.pop(0) if len(left) > 1 else left[0]
        return Attempt(said, 1, None if 200 <= said < 300 else Trouble.STATUS)

    return post


def to(url: str) -> ClaimedDelivery:
    """A delivery that is under way to an address."""
    return ClaimedDelivery(1, 1, url, ("whsec_YQ==",), Message("msg_1", "feed.changed", builders.NOON, {}), 0)


def sent(db: HashDB, post: deliveries.Post | None = None) -> list[DeliveryOutcome]:
    """What became of all that was to be sent now, to a receiver that takes it unless another is given."""
    outcomes: list[DeliveryOutcome] = []
    deliveries.make(db)
    while claimed := deliveries.claim(db, (), 8):
        outcomes += [deliveries.send(db, one, post or answers(200)) for one in claimed]
    return outcomes


def test_a_change_is_told_by_numbers_and_the_feed_has_it(db: HashDB, actor: Actor, other: Actor) -> None:
    id = made(db, other).webhook.id
    before = db.store.head()
    assert deliveries.make(db) == 0
    contributed(db, actor, draft(1), draft(2))
    assert deliveries.make(db) == 1
    assert deliveries.make(db) == 0
    head = db.store.head()
    data = {"after": before.seq, "checkpoint": head.seq, "count": 2, "epoch": head.epoch}
    assert told(db, other, id) == [("feed.changed", {**data, "after": before.seq - 1})]


def test_while_one_waits_what_happens_is_gathered(db: HashDB, actor: Actor) -> None:
    id = made(db, actor).webhook.id
    for seed in range(1, 4):
        contributed(db, actor, draft(seed))
        deliveries.make(db)
    assert [data["count"] for _, data in told(db, actor, id)] == [1]
    assert sent(db) == [DeliveryOutcome.DELIVERED]
    assert sent(db) == [DeliveryOutcome.DELIVERED]
    (_, first), (_, second) = told(db, actor, id)
    assert second["after"] == first["checkpoint"]
    assert (second["count"], second["checkpoint"]) == (2, db.store.head().seq)


def test_cases_are_told_to_who_is_a_party(db: HashDB, actor: Actor, other: Actor) -> None:
    third = member_with(db)
    hooks = [
        made(db, one, "https://example.org/", Topic.CASE_OPENED, Topic.CASE_DECIDED) for one in (actor, other, third)
    ]
    (mine,) = contributed(db, actor, draft(1))
    opinions.give(db, other, mine.id, OpinionDraft(Stance.DISPUTES, "other"))
    sent(db)
    (case,) = cases.page(db, other, None, 0, 9)
    cases.decide(db, member_with(db, Scope.REVIEW), case.id, Decision.UPHOLD)
    sent(db)
    for one, hook in zip((actor, other), hooks, strict=False):
        found = told(db, one, hook.webhook.id)
        assert [topic for topic, _ in found] == ["case.opened", "case.decided"]
        assert all(data.keys() == {"seq", "case", "contribution"} for _, data in found)
        assert {(data["case"], data["contribution"]) for _, data in found} == {(case.id, mine.id)}
    assert told(db, third, hooks[2].webhook.id) == []


def test_a_reversal_is_told_to_who_had_the_match(db: HashDB, clock: Clock, actor: Actor, other: Actor) -> None:
    mine, theirs = (made(db, one, "https://example.org/", Topic.MATCH_REVERSED) for one in (actor, other))
    one, two = contributed(db, actor, draft(1), draft(2))
    matches.match(db, other, [query(1)])
    counts.flush(db)
    contributions.withdraw(db, actor, one.id, "removal_reversed")
    contributions.withdraw(db, actor, two.id, "removal_reversed")
    # What was answered in the last second may not be written down yet.
    assert sent(db) == []
    clock.go(seconds=4)
    assert sent(db) == [DeliveryOutcome.DELIVERED]
    assert told(db, actor, mine.webhook.id) == []
    ((topic, data),) = told(db, other, theirs.webhook.id)
    assert (topic, data["count"], data["checkpoint"]) == ("match.reversed", 1, db.store.head().seq)


def test_what_is_delivered_is_signed_and_holds_no_hash(db: HashDB, actor: Actor, hook: Receiver) -> None:
    issued = made(db, actor, hook.url)
    renewed = webhooks.renew(db, actor, issued.webhook.id)
    contributed(db, actor, draft(1))
    assert sent(db, partial(deliveries.post, egress=EGRESS)) == [DeliveryOutcome.DELIVERED]
    (received,) = hook.received
    for secret in (issued.secret, renewed.secret):
        message = verify(secret, received.headers, received.body, now=db.now().timestamp())
    assert (message.topic, message.data["count"]) == ("feed.changed", 1)
    assert (received.path, received.headers["Content-Type"]) == ("/hook", "application/json")
    (delivery,) = listed(db, actor, issued.webhook.id)
    assert (delivery.outcome, delivery.status, delivery.attempts, delivery.next_at) == (
        DeliveryOutcome.DELIVERED,
        204,
        1,
        None,
    )
    assert delivery.message.id == received.headers["webhook-id"]
    assert f"{builders.signal(1).value:064x}" not in received.body.decode()


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_what_is_not_taken_is_sent_again_and_no_redirect_followed(
    db: HashDB, clock: Clock, actor: Actor, hook: Receiver, status: int
) -> None:
    id = made(db, actor, hook.url).webhook.id
    contributed(db, actor, draft(1))
    hook.status = status
    assert sent(db, partial(deliveries.post, egress=EGRESS)) == [DeliveryOutcome.WAITING]
    assert sent(db) == []
    assert webhooks.get(db, actor, id).failing_since == clock.at
    clock.go(seconds=RETRY_PAUSES[0] * 1.2)
    hook.status = 200
    assert sent(db, partial(deliveries.post, egress=EGRESS)) == [DeliveryOutcome.DELIVERED]
    first, second = hook.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert webhooks.get(db, actor, id).failing_since is None


def test_a_day_of_failures_is_given_up_and_days_disable(db: HashDB, clock: Clock, actor: Actor) -> None:
    id = made(db, actor).webhook.id
    begun = clock.at
    found = webhooks.get(db, actor, id)
    while found.enabled:
        contributed(db, actor, draft(len(listed(db, actor, id))))
        outcomes, attempts = sent(db, answers(500)), 1
        while outcomes == [DeliveryOutcome.WAITING]:
            clock.at = listed(db, actor, id)[-1].next_at or clock.at
            outcomes, attempts = sent(db, answers(500)), attempts + 1
        assert (outcomes, attempts) == ([DeliveryOutcome.FAILED], len(RETRY_PAUSES) + 1)
        found = webhooks.get(db, actor, id)
        assert found.failing_since == begun
        assert found.enabled == (clock.at - begun < DISABLE_AFTER)
    assert len(listed(db, actor, id)) in (3, 4)
    with db.store.read() as tx:
        events = [one for one in tx.audit.since(0, 1000) if one.action == "webhook.disabled"]
    assert [(one.actor, one.id, one.details) for one in events] == [("system:hashdb", id, {"reason": "failing"})]
    contributed(db, actor, draft(99))
    assert sent(db) == []
    # What was asked for by hand is sent, and what happened meanwhile once it is enabled again.
    webhooks.test(db, actor, id)
    assert sent(db) == [DeliveryOutcome.DELIVERED]
    webhooks.change(db, actor, id, WebhookChange(enabled=True))
    assert sent(db) == [DeliveryOutcome.DELIVERED]
    assert told(db, actor, id)[-1][1]["checkpoint"] == db.store.head().seq


def test_a_receiver_that_is_gone_is_disabled_at_once(db: HashDB, actor: Actor) -> None:
    id = made(db, actor).webhook.id
    contributed(db, actor, draft(1))
    assert sent(db, answers(410)) == [DeliveryOutcome.FAILED]
    assert not webhooks.get(db, actor, id).enabled


def test_a_delivery_is_sent_again_on_demand_with_its_id(db: HashDB, actor: Actor, hook: Receiver) -> None:
    id = made(db, actor, hook.url).webhook.id
    contributed(db, actor, draft(1))
    post = partial(deliveries.post, egress=EGRESS)
    sent(db, post)
    (delivery,) = listed(db, actor, id)
    assert webhooks.redeliver(db, actor, id, delivery.id).outcome is DeliveryOutcome.WAITING
    assert sent(db, post) == [DeliveryOutcome.DELIVERED]
    assert len({one.headers["webhook-id"] for one in hook.received}) == 1
    assert len(hook.received) == 2


def test_a_member_that_is_suspended_is_told_nothing_until_it_is_reinstated(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    made(db, other)
    assert other.member is not None
    members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    contributed(db, actor, draft(1))
    assert sent(db) == []
    members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.ACTIVE))
    assert sent(db) == [DeliveryOutcome.DELIVERED]


def test_one_that_was_deleted_while_it_was_sent_is_forgotten(db: HashDB, actor: Actor) -> None:
    id = made(db, actor).webhook.id
    contributed(db, actor, draft(1))
    deliveries.make(db)
    (claimed,) = deliveries.claim(db, (), 8)
    webhooks.delete(db, actor, id)
    assert deliveries.send(db, claimed, answers(500)) is DeliveryOutcome.WAITING
    assert sent(db) == []


def test_two_processes_do_not_send_one_delivery(db: HashDB, clock: Clock, actor: Actor) -> None:
    made(db, actor)
    contributed(db, actor, draft(1))
    deliveries.make(db)
    assert len(deliveries.claim(db, (), 8)) == 1
    assert deliveries.claim(db, (), 8) == ()
    clock.go(seconds=ATTEMPT_LEASE.total_seconds())
    assert len(deliveries.claim(db, (), 8)) == 1


def _die(url: str, at: str) -> None:
    """Make and send deliveries in a process of its own, which is killed at a place."""
    db = builders.hashdb(url, Clock())

    def post(claimed: ClaimedDelivery, now: datetime) -> Attempt:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    if at == "making":

        def killed(*words: object) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

        vars(deliveries)["new_message"] = killed
    sent(db, post)


@pytest.mark.parametrize("at", ["making", "sending"])
def test_what_a_killed_process_left_is_sent_by_the_next(
    db: HashDB, database_url: str, clock: Clock, actor: Actor, at: str
) -> None:
    id = made(db, actor).webhook.id
    contributed(db, actor, draft(1), draft(2))
    assert exit_code(_die, database_url, at) == -signal.SIGKILL
    assert len(told(db, actor, id)) == (at == "sending")
    if at == "sending":
        assert sent(db) == []  # until it is taken for lost
    clock.go(seconds=ATTEMPT_LEASE.total_seconds())
    assert sent(db) == [DeliveryOutcome.DELIVERED]
    ((_, data),) = told(db, actor, id)
    assert (data["count"], data["checkpoint"]) == (2, db.store.head().seq)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:9/", "https://localhost:9/", "https://[::1]:9/", "https://0.0.0.0:9/", "https://10.0.0.1/",
        "https://169.254.169.254/", "https://[fd00::1]/", "https://[::ffff:127.0.0.1]:9/", "https://100.64.0.1/",
        "http://example.org/", "https://2130706433/", "https://0x7f.1/",
    ],
)  # fmt: skip
def test_nothing_is_connected_to_that_is_not_of_the_internet(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Whatever was allowed when the webhook was made."""

    def never(*words: object) -> None:
        raise AssertionError(words)

    monkeypatch.setattr(socket.socket, "connect", never)
    assert deliveries.post(to(url), builders.NOON, EgressPolicy()).trouble is Trouble.ADDRESS_REFUSED


@pytest.mark.parametrize(
    ("url", "trouble"),
    [
        ("http://hashdb.invalid/", Trouble.NAME_UNKNOWN),
        ("http://127.0.0.1:9/", Trouble.NOT_CONNECTED),
    ],
)
def test_why_nothing_arrived_is_told(url: str, trouble: Trouble) -> None:
    attempt = deliveries.post(to(url), builders.NOON, EGRESS)
    assert (attempt.status, attempt.trouble) == (None, trouble)


def test_a_receiver_that_speaks_no_tls_gave_no_answer(hook: Receiver) -> None:
    assert deliveries.post(to(hook.url.replace("http:", "https:")), builders.NOON, EGRESS).trouble is Trouble.NO_ANSWER


def test_old_deliveries_are_forgotten(db: HashDB, clock: Clock, actor: Actor) -> None:
    made(db, actor)
    contributed(db, actor, draft(1))
    sent(db)
    assert deliveries.prune(db) == 0
    clock.go(days=31)
    assert deliveries.prune(db) == 1


def test_one_process_delivers_in_the_background(db: HashDB, tmp_path: Path, actor: Actor, hook: Receiver) -> None:
    made(db, actor, hook.url)
    stop = Event()
    outcomes: list[DeliveryOutcome] = []
    words = db, tmp_path / "lock", partial(deliveries.post, egress=EGRESS), outcomes.append, stop
    workers = [Thread(target=deliver, args=words) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        contributed(db, actor, draft(1))
        hook.wait(1)
        contributed(db, actor, draft(2))
        assert [one.said["data"]["count"] for one in hook.wait(2)] == [1, 1]
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert outcomes == [DeliveryOutcome.DELIVERED] * 2
