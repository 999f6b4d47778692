"""Each webhook and each user with an address is notified once of each case that is due soon, also after failures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from hashdb.store.review.due import RecipientKind
from tests.builders import NOON, Clock, contributed, draft, hashdb, member_with
from tests.postgres import on_postgres

PASSWORD = "correct horse battery staple"
DUE_AT = NOON + timedelta(hours=72)
HOUR = timedelta(hours=1)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests with the same behaviour on both databases: neither the SQL dialect nor concurrency matters."""


@pytest.fixture
def db(db: HashDB) -> HashDB:
    """A service that sends mail, 24 hours before a case is due."""
    db.rules = replace(db.rules, mails=True)
    return db


@pytest.fixture
def reviewer(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


def open_cases(db: HashDB, actor: Actor, *seeds: int) -> tuple[int, ...]:
    """Contribute items and open a case on each; return the cases."""
    items = contributed(db, actor, *map(draft, seeds))
    return tuple(cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False).id for item in items)


def add_webhook(db: HashDB, actor: Actor) -> int:
    return webhooks.add(db, actor, WebhookDraft("https://example.org/", (Topic.CASE_DUE,))).webhook.id


def reported_cases(db: HashDB, actor: Actor, webhook: int) -> list[list[int]]:
    """The case numbers in each delivery."""
    sent = webhooks.deliveries(db, actor, webhook, None, 0, 1000)
    messages: list[dict[str, list[dict[str, int]]]] = [dict(delivery.message.data) for delivery in sent]  # type: ignore[arg-type]
    return [[case["case"] for case in data["cases"]] for data in messages]


def deliver_all(db: HashDB) -> None:
    for claimed in deliveries.claim(db, (), 8):
        assert deliveries.send(db, claimed, lambda claimed, now: Attempt(204, 1)) is DeliveryOutcome.DELIVERED


def add_and_sign_in(db: HashDB, name: str, role: Role = Role.REVIEWER) -> Session:
    users.add(db, COMMAND_LINE, UserDraft(name, role), PASSWORD)
    return sessions.sign_in(db, name, PASSWORD, name).session


class FakeMailServer:
    """A mail server that records the mails and fails with the given troubles, one for each next mail."""

    def __init__(self, *troubles: MailTrouble | None) -> None:
        self.mails: list[DueMail] = []
        self.troubles = list(troubles)

    def __call__(self, mail: DueMail, now: datetime) -> MailTrouble | None:
        self.mails.append(mail)
        return self.troubles.pop(0) if self.troubles else None


def test_a_webhook_reports_each_case_once_and_groups_cases(
    db: HashDB, actor: Actor, reviewer: Actor, clock: Clock
) -> None:
    id = add_webhook(db, reviewer)
    first, second, decided = open_cases(db, actor, 1, 2, 3)
    assert due.report(db) == 0
    clock.at = DUE_AT - 24 * HOUR
    cases.decide(db, COMMAND_LINE, decided, Decision.UPHOLD)
    assert (due.report(db), due.report(db)) == (1, 0)
    (third,) = open_cases(db, actor, 4)
    clock.at = DUE_AT + 72 * HOUR
    # No further message is created while one is undelivered.
    assert due.report(db) == 0
    deliver_all(db)
    assert (due.report(db), due.report(db)) == (1, 0)
    assert reported_cases(db, reviewer, id) == [[first, second], [third]]
    assert deliveries.make(db) == 0


@on_sqlite
def test_a_message_has_a_limited_number_of_cases_and_the_next_has_the_rest(
    db: HashDB, actor: Actor, reviewer: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "MOST_IN_MESSAGE", 2)
    id = add_webhook(db, reviewer)
    first, second, third = open_cases(db, actor, 1, 2, 3)
    clock.at = DUE_AT
    for _ in range(2):
        assert due.report(db) == 1
        deliver_all(db)
    assert reported_cases(db, reviewer, id) == [[first, second], [third]]


@on_sqlite
def test_only_a_review_key_may_subscribe_to_cases(db: HashDB, actor: Actor, reviewer: Actor) -> None:
    with pytest.raises(ScopeMissing):
        add_webhook(db, actor)
    webhook = webhooks.add(db, reviewer, WebhookDraft("https://example.org/", (Topic.CASE_OPENED,))).webhook
    changed = webhooks.change(db, reviewer, webhook.id, WebhookChange(topics=(Topic.CASE_DUE, Topic.CASE_OPENED)))
    assert changed.topics == webhooks.get(db, reviewer, webhook.id).topics == (Topic.CASE_OPENED, Topic.CASE_DUE)
    assert webhooks.change(db, reviewer, webhook.id, WebhookChange(topics=(Topic.CASE_OPENED,))).topics == (
        Topic.CASE_OPENED,
    )


def test_a_disabled_deleted_or_suspended_webhook_gets_nothing(
    db: HashDB, actor: Actor, reviewer: Actor, clock: Clock
) -> None:
    ids = [add_webhook(db, reviewer) for _ in range(2)]
    suspended = member_with(db, Scope.REVIEW)
    add_webhook(db, suspended)
    assert suspended.member
    open_cases(db, actor, 1)
    clock.at = DUE_AT
    webhooks.change(db, reviewer, ids[0], WebhookChange(enabled=False))
    members.change(db, COMMAND_LINE, suspended.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    assert due.report(db) == 1
    webhooks.delete(db, reviewer, ids[1])
    assert due.report(db) == 0
    webhooks.change(db, reviewer, ids[0], WebhookChange(enabled=True))
    assert due.report(db) == 1


def test_two_processes_do_not_report_a_case_twice(
    database_url: str, db: HashDB, actor: Actor, reviewer: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = add_webhook(db, reviewer)
    open_cases(db, actor, 1)
    clock.at = DUE_AT
    other_process = hashdb(database_url, clock)
    _run_after_next_read(monkeypatch, lambda: due.report(other_process))
    # The other process reports the case after this process has read the due cases, before its transaction.
    assert due.report(db) == 0
    assert len(reported_cases(db, reviewer, id)) == 1
    other_process.close()


def test_two_processes_do_not_send_a_mail_twice(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cases(db, actor, 1)
    due.set_address(db, add_and_sign_in(db, "ada"), "ada@example.org")
    clock.at = DUE_AT
    other_process, server = hashdb(database_url, clock), FakeMailServer()
    other_process.rules = db.rules
    _run_after_next_read(monkeypatch, lambda: due.mail(other_process, server))
    # The other process sends the mail after this process has read the due cases, before its claim.
    assert due.mail(db, server) == 0
    assert len(server.mails) == 1
    other_process.close()


@on_postgres
def test_a_user_may_set_an_address_twice_at_the_same_time(database_url: str, db: HashDB, clock: Clock) -> None:
    ada = add_and_sign_in(db, "ada")
    other_process = hashdb(database_url, clock)
    with ThreadPoolExecutor(1) as pool:
        with other_process.store.begin() as tx:
            tx.mail_addresses.put(ada.user.id, "first@example.org")
            second = pool.submit(due.set_address, db, ada, "second@example.org")
            with pytest.raises(TimeoutError):
                second.result(0.5)
        second.result()
    with db.store.read() as tx:
        address = tx.mail_addresses.get(ada.user.id)
    assert address is not None and address.address == "second@example.org"
    other_process.close()


def test_a_user_that_no_longer_decides_cases_stores_no_address(db: HashDB) -> None:
    ada = add_and_sign_in(db, "ada")
    # Since the request began.
    users.change(db, COMMAND_LINE, ada.user.id, UserChange(Role.AUDITOR))
    with pytest.raises(ScopeMissing):
        due.set_address(db, ada, "ada@example.org")
    assert due.mail_address(db, ada) is None


def _run_after_next_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Run `act` once, directly after the next caller has read which cases are due."""
    from hashdb.store.review.due import DueNotices

    read_pending = DueNotices.pending

    def read_and_act(self: DueNotices, *arguments: object, **named: object) -> object:
        pending = read_pending(self, *arguments, **named)  # type: ignore[arg-type]
        monkeypatch.setattr(DueNotices, "pending", read_pending)
        act()
        return pending

    monkeypatch.setattr(DueNotices, "pending", read_and_act)


def test_a_user_gets_one_mail_for_each_case(db: HashDB, actor: Actor, clock: Clock) -> None:
    first, second = open_cases(db, actor, 1, 2)
    ada, _ = add_and_sign_in(db, "ada"), add_and_sign_in(db, "bob")
    due.set_address(db, ada, "ada@example.org")
    server = FakeMailServer()
    assert due.mail(db, server) == 0
    clock.at = DUE_AT - 24 * HOUR
    assert (due.mail(db, server), due.mail(db, server)) == (1, 0)
    (third,) = open_cases(db, actor, 3)
    clock.at = DUE_AT + 72 * HOUR
    assert (due.mail(db, server), due.mail(db, server)) == (1, 0)
    assert [(mail.address, mail.soon, mail.overdue) for mail in server.mails] == [
        ("ada@example.org", (first, second), ()),
        ("ada@example.org", (), (third,)),
    ]
    mail = due.mail_address(db, ada)
    assert mail and (mail.sent_at, mail.trouble) == (clock.at, None)


@on_sqlite
def test_a_failed_mail_is_retried_a_limited_number_of_times(db: HashDB, actor: Actor, clock: Clock) -> None:
    open_cases(db, actor, 1)
    ada = add_and_sign_in(db, "ada")
    due.set_address(db, ada, "ada@example.org")
    clock.at = DUE_AT
    server = FakeMailServer(*[MailTrouble.REFUSED] * 99)
    for pause in MAIL_PAUSES:
        assert due.mail(db, server) == 0
        clock.advance(seconds=pause - 1)
        assert due.mail(db, server) == 0
        clock.advance(seconds=1)
    assert len(server.mails) == len(MAIL_PAUSES)
    assert due.mail(db, server) == 0
    clock.advance(days=9)
    assert due.mail(db, server) == 0
    assert len(server.mails) == len(MAIL_PAUSES) + 1 and len({mail.id for mail in server.mails}) == 1
    mail = due.mail_address(db, ada)
    assert mail and (mail.attempts, mail.trouble, mail.sent_at) == (0, MailTrouble.REFUSED, None)
    open_cases(db, actor, 2)
    clock.advance(days=9)
    assert due.mail(db, FakeMailServer()) == 1


@on_sqlite
def test_a_refused_address_is_not_retried_and_delays_no_other_mail(db: HashDB, actor: Actor, clock: Clock) -> None:
    open_cases(db, actor, 1)
    for name in ("ada", "bob", "cy"):
        due.set_address(db, add_and_sign_in(db, name), f"{name}@example.org")
    clock.at = DUE_AT
    server = FakeMailServer(MailTrouble.ADDRESS, MailTrouble.NOT_CONNECTED)
    # An unreachable server is tried once per run. The next run tries the remaining mails.
    assert (due.mail(db, server), due.mail(db, server), due.mail(db, server)) == (0, 1, 0)
    clock.advance(seconds=MAIL_PAUSES[0])
    assert due.mail(db, server) == 1
    assert [mail.address[:3] for mail in server.mails] == ["ada", "bob", "cy@", "bob"]


def test_an_interrupted_mail_is_sent_again_with_the_same_id(db: HashDB, actor: Actor, clock: Clock) -> None:
    open_cases(db, actor, 1)
    due.set_address(db, add_and_sign_in(db, "ada"), "ada@example.org")
    clock.at = DUE_AT
    server, ids = FakeMailServer(), []

    def send_and_die(mail: DueMail, now: datetime) -> MailTrouble | None:
        ids.append(mail.id)
        # While this process sends the mail, another process finds nothing to send.
        assert due.mail(db, server) == 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        due.mail(db, send_and_die)
    assert due.mail(db, server) == 0
    clock.at += MAIL_LEASE
    assert due.mail(db, server) == 1
    assert [mail.id for mail in server.mails] == ids


def test_only_users_who_may_decide_get_mail(db: HashDB, actor: Actor, clock: Clock) -> None:
    open_cases(db, actor, 1)
    with pytest.raises(ScopeMissing):
        due.set_address(db, add_and_sign_in(db, "otto", Role.AUDITOR), "otto@example.org")
    ada, bob, root = add_and_sign_in(db, "ada"), add_and_sign_in(db, "bob"), add_and_sign_in(db, "root", Role.ADMIN)
    for session in (ada, bob, root):
        due.set_address(db, session, f"{session.user.name}@example.org")
    users.change(db, COMMAND_LINE, ada.user.id, UserChange(Role.AUDITOR))
    users.change(db, COMMAND_LINE, bob.user.id, UserChange(status=UserStatus.DISABLED))
    clock.at = DUE_AT
    server = FakeMailServer()
    assert due.mail(db, server) == 1
    assert [mail.address for mail in server.mails] == ["root@example.org"]
    # The address of a user who no longer gets mail is deleted.
    assert (due.mail_address(db, bob), due.mail_address(db, ada)) == (None, None)


@on_sqlite
def test_an_address_can_be_changed_and_deleted_and_is_in_no_event(db: HashDB, actor: Actor, clock: Clock) -> None:
    ada = add_and_sign_in(db, "ada")
    for invalid in ("ada", "ada@example.org\r\nBcc: all@example.org"):
        with pytest.raises(InvalidInput, match="address"):
            due.set_address(db, ada, invalid)
    for text in ("ada@example.org", "ada@example.org", "ada@example.net", "", ""):
        due.set_address(db, ada, text)
    assert due.mail_address(db, ada) is None
    with db.store.read() as tx:
        events = [event for event in tx.audit.since(0, 100) if event.action == "user.amended"]
    assert [dict(event.details) for event in events] == [{"fields": ["mail"]}] * 3
    db.rules = replace(db.rules, mails=False)
    with pytest.raises(InvalidInput, match="sends no mail"):
        due.set_address(db, ada, "ada@example.org")


def test_the_notices_of_a_decided_case_are_deleted(db: HashDB, actor: Actor, reviewer: Actor, clock: Clock) -> None:
    (case,) = open_cases(db, actor, 1)
    add_webhook(db, reviewer)
    due.set_address(db, add_and_sign_in(db, "ada"), "ada@example.org")
    clock.at = DUE_AT
    assert (due.report(db), due.mail(db, FakeMailServer())) == (1, 1)
    cases.decide(db, COMMAND_LINE, case, Decision.UPHOLD)
    with db.store.begin() as tx:
        assert tx.due.add([case], RecipientKind.USER, 1, clock.at) == frozenset()
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM due_notices").scalar_one() == 0
