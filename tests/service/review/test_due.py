"""What is due soon is told once to each webhook and to each user that asks, whatever fails or ends in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.accounts.users import Role, Session, UserChange, UserDraft, UserStatus
from hashdb.domain.review.cases import Decision
from hashdb.domain.review.due import MAIL_LEASE, MAIL_PAUSES, DueMail, MailTrouble
from hashdb.domain.sharing.webhooks import Attempt, DeliveryOutcome, Topic, WebhookChange, WebhookDraft
from hashdb.errors import InvalidInput, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members, sessions, users
from hashdb.service.review import cases, due
from hashdb.service.sharing import deliveries, webhooks
from tests.builders import NOON, Clock, contributed, draft, hashdb, member_with

PASSWORD = "correct horse battery staple"
DUE_AT = NOON + timedelta(hours=72)
HOUR = timedelta(hours=1)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is the same on both databases: neither statements of its own, nor two processes at once."""


@pytest.fixture
def db(db: HashDB) -> HashDB:
    """A service that sends mail, 24 hours before a case is due."""
    db.rules = replace(db.rules, mails=True)
    return db


@pytest.fixture
def reviewer(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


def opened(db: HashDB, actor: Actor, *seeds: int) -> tuple[int, ...]:
    """Cases on contributions, just opened."""
    found = contributed(db, actor, *map(draft, seeds))
    return tuple(cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False).id for one in found)


def hook(db: HashDB, actor: Actor) -> int:
    return webhooks.add(db, actor, WebhookDraft("https://example.org/", (Topic.CASE_DUE,))).webhook.id


def told(db: HashDB, actor: Actor, webhook: int) -> list[list[int]]:
    """The numbers of cases of each delivery."""
    found = webhooks.deliveries(db, actor, webhook, None, 0, 1000)
    messages: list[dict[str, list[dict[str, int]]]] = [dict(one.message.data) for one in found]  # type: ignore[arg-type]
    return [[case["case"] for case in data["cases"]] for data in messages]


def delivered(db: HashDB) -> None:
    for claimed in deliveries.claim(db, (), 8):
        assert deliveries.send(db, claimed, lambda claimed, now: Attempt(204, 1)) is DeliveryOutcome.DELIVERED


def signed_in(db: HashDB, name: str, role: Role = Role.REVIEWER) -> Session:
    users.add(db, COMMAND_LINE, UserDraft(name, role), PASSWORD)
    return sessions.sign_in(db, name, PASSWORD, name).session


class Post:
    """A mail server: what was sent, and what fails next."""

    def __init__(self, *troubles: MailTrouble | None) -> None:
        self.mails: list[DueMail] = []
        self.troubles = list(troubles)

    def __call__(self, mail: DueMail, now: datetime) -> MailTrouble | None:
        self.mails.append(mail)
        return self.troubles.pop(0) if self.troubles else None


def test_a_webhook_reports_each_case_once_and_gathers(db: HashDB, actor: Actor, reviewer: Actor, clock: Clock) -> None:
    id = hook(db, reviewer)
    first, second, decided = opened(db, actor, 1, 2, 3)
    assert due.report(db) == 0
    clock.at = DUE_AT - 24 * HOUR
    cases.decide(db, COMMAND_LINE, decided, Decision.UPHOLD)
    assert (due.report(db), due.report(db)) == (1, 0)
    (third,) = opened(db, actor, 4)
    clock.at = DUE_AT + 72 * HOUR
    # While a message waits, none follows.
    assert due.report(db) == 0
    delivered(db)
    assert (due.report(db), due.report(db)) == (1, 0)
    assert told(db, reviewer, id) == [[first, second], [third]]
    assert deliveries.make(db) == 0


@on_sqlite
def test_a_message_has_a_limited_number_of_cases_and_the_next_one_has_the_others(
    db: HashDB, actor: Actor, reviewer: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "MOST_IN_MESSAGE", 2)
    id = hook(db, reviewer)
    first, second, third = opened(db, actor, 1, 2, 3)
    clock.at = DUE_AT
    for _ in range(2):
        assert due.report(db) == 1
        delivered(db)
    assert told(db, reviewer, id) == [[first, second], [third]]


@on_sqlite
def test_only_a_key_that_reviews_may_ask_for_cases(db: HashDB, actor: Actor, reviewer: Actor) -> None:
    with pytest.raises(ScopeMissing):
        hook(db, actor)
    other = webhooks.add(db, reviewer, WebhookDraft("https://example.org/", (Topic.CASE_OPENED,))).webhook
    changed = webhooks.change(db, reviewer, other.id, WebhookChange(topics=(Topic.CASE_DUE, Topic.CASE_OPENED)))
    assert changed.topics == webhooks.get(db, reviewer, other.id).topics == (Topic.CASE_OPENED, Topic.CASE_DUE)
    assert webhooks.change(db, reviewer, other.id, WebhookChange(topics=(Topic.CASE_OPENED,))).topics == (
        Topic.CASE_OPENED,
    )


def test_a_webhook_that_is_off_or_gone_gets_nothing(db: HashDB, actor: Actor, reviewer: Actor, clock: Clock) -> None:
    ids = [hook(db, reviewer) for _ in range(2)]
    quiet = member_with(db, Scope.REVIEW)
    hook(db, quiet)
    assert quiet.member
    opened(db, actor, 1)
    clock.at = DUE_AT
    webhooks.change(db, reviewer, ids[0], WebhookChange(enabled=False))
    members.change(db, COMMAND_LINE, quiet.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    assert due.report(db) == 1
    webhooks.delete(db, reviewer, ids[1])
    assert due.report(db) == 0
    webhooks.change(db, reviewer, ids[0], WebhookChange(enabled=True))
    assert due.report(db) == 1


def test_two_machines_do_not_report_a_case_twice(
    database_url: str, db: HashDB, actor: Actor, reviewer: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = hook(db, reviewer)
    opened(db, actor, 1)
    clock.at = DUE_AT
    other = hashdb(database_url, clock)
    _between(monkeypatch, lambda: due.report(other))
    # The other machine reports it between this one's look and its transaction, and has delivered it.
    assert due.report(db) == 0
    assert len(told(db, reviewer, id)) == 1
    other.close()


def test_two_machines_do_not_send_a_mail_twice(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(db, actor, 1)
    due.set_address(db, signed_in(db, "ada"), "ada@example.org")
    clock.at = DUE_AT
    other, post = hashdb(database_url, clock), Post()
    other.rules = db.rules
    _between(monkeypatch, lambda: due.mail(other, post))
    # The other machine sends it between this one's look and its claim.
    assert due.mail(db, post) == 0
    assert len(post.mails) == 1
    other.close()


def _between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have `act` done once, when the next one has looked what is due."""
    from hashdb.store.review.due import DueNotices

    look = DueNotices.pending

    def looked(self: DueNotices, *asked: object, **more: object) -> object:
        found = look(self, *asked, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(DueNotices, "pending", look)
        act()
        return found

    monkeypatch.setattr(DueNotices, "pending", looked)


def test_a_user_gets_one_mail_on_each_case(db: HashDB, actor: Actor, clock: Clock) -> None:
    first, second = opened(db, actor, 1, 2)
    ada, _ = signed_in(db, "ada"), signed_in(db, "bob")
    due.set_address(db, ada, "ada@example.org")
    post = Post()
    assert due.mail(db, post) == 0
    clock.at = DUE_AT - 24 * HOUR
    assert (due.mail(db, post), due.mail(db, post)) == (1, 0)
    (third,) = opened(db, actor, 3)
    clock.at = DUE_AT + 72 * HOUR
    assert (due.mail(db, post), due.mail(db, post)) == (1, 0)
    assert [(mail.address, mail.soon, mail.overdue) for mail in post.mails] == [
        ("ada@example.org", (first, second), ()),
        ("ada@example.org", (), (third,)),
    ]
    mail = due.address(db, ada)
    assert mail and (mail.sent_at, mail.trouble) == (clock.at, None)


@on_sqlite
def test_a_mail_that_fails_is_sent_again_and_given_up_in_the_end(db: HashDB, actor: Actor, clock: Clock) -> None:
    opened(db, actor, 1)
    ada = signed_in(db, "ada")
    due.set_address(db, ada, "ada@example.org")
    clock.at = DUE_AT
    post = Post(*[MailTrouble.REFUSED] * 99)
    for pause in MAIL_PAUSES:
        assert due.mail(db, post) == 0
        clock.go(seconds=pause - 1)
        assert due.mail(db, post) == 0
        clock.go(seconds=1)
    assert len(post.mails) == len(MAIL_PAUSES)
    assert due.mail(db, post) == 0
    clock.go(days=9)
    assert due.mail(db, post) == 0
    assert len(post.mails) == len(MAIL_PAUSES) + 1 and len({mail.id for mail in post.mails}) == 1
    mail = due.address(db, ada)
    assert mail and (mail.attempts, mail.trouble, mail.sent_at) == (0, MailTrouble.REFUSED, None)
    opened(db, actor, 2)
    clock.go(days=9)
    assert due.mail(db, Post()) == 1


@on_sqlite
def test_an_address_that_is_refused_is_not_tried_again_and_holds_nobody_up(
    db: HashDB, actor: Actor, clock: Clock
) -> None:
    opened(db, actor, 1)
    for name in ("ada", "bob", "cy"):
        due.set_address(db, signed_in(db, name), f"{name}@example.org")
    clock.at = DUE_AT
    post = Post(MailTrouble.ADDRESS, MailTrouble.NOT_CONNECTED)
    # The server that is away is asked once; what is left is tried the next time.
    assert (due.mail(db, post), due.mail(db, post), due.mail(db, post)) == (0, 1, 0)
    clock.go(seconds=MAIL_PAUSES[0])
    assert due.mail(db, post) == 1
    assert [mail.address[:3] for mail in post.mails] == ["ada", "bob", "cy@", "bob"]


def test_a_mail_that_is_cut_off_is_sent_again_with_the_same_id(db: HashDB, actor: Actor, clock: Clock) -> None:
    opened(db, actor, 1)
    due.set_address(db, signed_in(db, "ada"), "ada@example.org")
    clock.at = DUE_AT
    post, ids = Post(), []

    def killed(mail: DueMail, now: datetime) -> MailTrouble | None:
        ids.append(mail.id)
        # Meanwhile, another process has nothing to send.
        assert due.mail(db, post) == 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        due.mail(db, killed)
    assert due.mail(db, post) == 0
    clock.at += MAIL_LEASE
    assert due.mail(db, post) == 1
    assert [mail.id for mail in post.mails] == ids


def test_only_who_may_decide_gets_mail(db: HashDB, actor: Actor, clock: Clock) -> None:
    opened(db, actor, 1)
    with pytest.raises(ScopeMissing):
        due.set_address(db, signed_in(db, "otto", Role.AUDITOR), "otto@example.org")
    ada, bob, root = signed_in(db, "ada"), signed_in(db, "bob"), signed_in(db, "root", Role.ADMIN)
    for session in (ada, bob, root):
        due.set_address(db, session, f"{session.user.name}@example.org")
    users.change(db, COMMAND_LINE, ada.user.id, UserChange(Role.AUDITOR))
    users.change(db, COMMAND_LINE, bob.user.id, UserChange(status=UserStatus.DISABLED))
    clock.at = DUE_AT
    post = Post()
    assert due.mail(db, post) == 1
    assert [mail.address for mail in post.mails] == ["root@example.org"]
    # Of a user who gets no mail, no address is kept.
    assert (due.address(db, bob), due.address(db, ada)) == (None, None)


@on_sqlite
def test_an_address_is_changed_and_deleted_and_no_event_has_it(db: HashDB, actor: Actor, clock: Clock) -> None:
    ada = signed_in(db, "ada")
    for wrong in ("ada", "ada@example.org\r\nBcc: all@example.org"):
        with pytest.raises(InvalidInput, match="address"):
            due.set_address(db, ada, wrong)
    for text in ("ada@example.org", "ada@example.org", "ada@example.net", "", ""):
        due.set_address(db, ada, text)
    assert due.address(db, ada) is None
    with db.store.read() as tx:
        events = [one for one in tx.audit.since(0, 100) if one.action == "user.amended"]
    assert [dict(one.details) for one in events] == [{"fields": ["mail"]}] * 3
    db.rules = replace(db.rules, mails=False)
    with pytest.raises(InvalidInput, match="sends no mail"):
        due.set_address(db, ada, "ada@example.org")


def test_nothing_is_kept_of_a_case_that_is_decided(db: HashDB, actor: Actor, reviewer: Actor, clock: Clock) -> None:
    (case,) = opened(db, actor, 1)
    hook(db, reviewer)
    due.set_address(db, signed_in(db, "ada"), "ada@example.org")
    clock.at = DUE_AT
    assert (due.report(db), due.mail(db, Post())) == (1, 1)
    cases.decide(db, COMMAND_LINE, case, Decision.UPHOLD)
    with db.store.begin() as tx:
        assert tx.due.add([case], "user", 1, clock.at) == frozenset()
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM due_notices").scalar_one() == 0
