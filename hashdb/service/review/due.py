"""Cases that are due soon: each is reported once to each webhook with the topic, and to each user who wants mail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from hashdb.domain.accounts.members import Scope
from hashdb.domain.accounts.users import Session
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.review.due import (
    MAIL_LEASE,
    MOST_IN_MESSAGE,
    DueMail,
    MailAddress,
    MailTrouble,
    address_fault,
    due_mail,
    due_message,
    mail_pause,
)
from hashdb.domain.sharing.webhooks import Topic
from hashdb.errors import reject_field
from hashdb.service import HashDB
from hashdb.service.accounts.sessions import lock_user
from hashdb.service.sharing.webhooks import new_message
from hashdb.store.review.due import RecipientKind

log = logging.getLogger("hashdb.mail")

Send = Callable[[DueMail, datetime], MailTrouble | None]
"""Sends a mail that is made at this time; returns why that failed, None if the server accepted the mail."""


def mail_address(db: HashDB, session: Session) -> MailAddress | None:
    """The mail address of the signed-in user; None if the user stored none."""
    with db.store.read() as tx:
        return tx.mail_addresses.get(session.user.id)


def set_address(db: HashDB, session: Session, text: str) -> None:
    """Send the user mail on cases that are due soon; an empty text ends it and deletes the address.

    Raises InvalidInput, ScopeMissing, NotAuthenticated.
    """
    actor = session.user.actor
    actor.require(Scope.REVIEW)
    if text:
        reject_field("address", address_fault(text) if db.rules.mails else "this service sends no mail")
    with db.store.begin() as tx:
        # A user that no longer decides cases gets no mail, and has no address.
        lock_user(tx, session).actor.require(Scope.REVIEW)
        before = tx.mail_addresses.get(session.user.id)
        if (before.address if before else "") == text:
            return
        if text:
            tx.mail_addresses.put(session.user.id, text)
        else:
            tx.mail_addresses.remove(session.user.id)
            tx.due.forget_recipient(RecipientKind.USER, session.user.id)
        entry = LogEntry(Action.USER_AMENDED, "user", session.user.id, {"fields": ["mail"]})
        tx.audit.append(db.now(), actor, [entry])


def report(db: HashDB) -> int:
    """Make a delivery of cases that are due soon to each webhook with the topic `case.due`; return how many were made.

    A delivery has the cases that its webhook has not reported yet. They are recorded in the same transaction, so each
    webhook reports a case once, also if a process is killed.
    """
    now = db.now()
    until = now + db.rules.due_soon
    with db.store.read() as tx:
        webhooks = tx.webhooks.reporting_due_cases()
        due = {webhook: tx.due.pending(until, RecipientKind.WEBHOOK, webhook, MOST_IN_MESSAGE) for webhook in webhooks}
    due = {webhook: cases for webhook, cases in due.items() if cases}
    if not due:
        return 0
    made = 0
    with db.store.begin() as tx:
        tx.webhooks.lock(due)
        present = set(tx.webhooks.reporting_due_cases())
        # In one order, so that two machines cannot deadlock.
        for webhook in sorted(present & due.keys()):
            added = tx.due.add([case.id for case in due[webhook]], RecipientKind.WEBHOOK, webhook, now)
            if cases := [case for case in due[webhook] if case.id in added]:
                tx.deliveries.add(webhook, new_message(db, Topic.CASE_DUE, dict(due_message(cases, now))))
                made += 1
    return made


def mail(db: HashDB, send: Send) -> int:
    """Send each user who wants mail one on the cases that are due soon; return how many the server accepted.

    A mail has the cases on which the user got none before. Processes share the work. After a failure the mail is sent
    again later, and after several failures it is given up. If this process is killed while it sends, the mail is sent
    again after two minutes, with the same id.
    """
    until = db.now() + db.rules.due_soon
    with db.store.read() as tx:
        addresses = tx.mail_addresses.ready(db.now()) if tx.due.has_due(until) else ()
        recipients = [row for row in addresses if tx.due.pending(until, RecipientKind.USER, row.user, 1)]
    sent = 0
    for recipient in recipients:
        now = db.now()
        with db.store.begin() as tx:
            # Read after the claim: another process may have sent a mail since.
            claimed = tx.mail_addresses.claim(recipient, now, MAIL_LEASE)
            cases = tx.due.pending(until, RecipientKind.USER, recipient.user) if claimed else ()
        if not cases:
            continue
        trouble = send(due_mail(recipient.user, recipient.address, cases, now), now)
        _record_outcome(db, recipient, [case.id for case in cases], trouble)
        sent += trouble is None
        if trouble not in (None, MailTrouble.ADDRESS):
            # The server would refuse the others, too. They are tried the next time.
            break
    return sent


def _record_outcome(db: HashDB, address: MailAddress, cases: list[int], trouble: MailTrouble | None) -> None:
    """Store the outcome of an attempt; cases that were sent, or given up, are not sent again."""
    now = db.now()
    # None: there is no further attempt. A refused address is not tried again; after other failures `mail_pause` says.
    pause = None if trouble in (None, MailTrouble.ADDRESS) else mail_pause(address.attempts + 1)
    if trouble is not None:
        what = "is not sent again" if pause is None else f"is sent again in {pause.total_seconds():.0f} s"
        log.warning("mail to user %d failed (%s): it %s", address.user, trouble, what)
    with db.store.begin() as tx:
        tx.mail_addresses.record_attempt(address, trouble, now, None if pause is None else now + pause)
        if pause is None:
            tx.due.add(cases, RecipientKind.USER, address.user, now)
