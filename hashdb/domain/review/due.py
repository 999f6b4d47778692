"""Open cases that are due soon: what a webhook and a mail say of them, and when a mail is sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Self

from hashdb.domain.times import format_instant

MOST_IN_MESSAGE = 100
"""The most cases of one message to a webhook; the next one has the others."""
MOST_NAMED = 50
"""The most cases whose numbers are in a mail; it counts all of them."""
MAIL_PAUSES = (60, 300, 900, 3_600, 7_200, 14_400, 28_800, 28_800)
"""The seconds between attempts to send a mail: almost a day in total."""
MAIL_LEASE = timedelta(minutes=2)
"""How long an attempt may run until another process repeats it; an attempt takes at most a minute."""
_LONGEST_ADDRESS, _LONGEST_LOCAL_PART = 254, 64
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*", re.ASCII)


class DueCase(NamedTuple):
    """The number of an open case, and until when it should be decided."""

    id: int
    due_at: datetime


class MailTrouble(StrEnum):
    """Why a mail was not sent."""

    NOT_CONNECTED = "not_connected", "The mail server could not be reached."
    CERTIFICATE = "certificate", "The certificate of the mail server is not valid."
    NOT_OFFERED = (
        "not_offered",
        "The mail server does not offer the encryption or the sign-in that the service needs.",
    )
    PASSWORD_FILE = "password_file", "The service cannot read the file of its password for the mail server."
    SIGN_IN = "sign_in", "The mail server refused the service's user or password."
    TOO_SLOW = "too_slow", "The mail server took too long."
    ADDRESS = "address", "The mail server refused your address."
    REFUSED = "refused", "The mail server did not accept the mail."

    sentence: str
    """What is wrong, for the person who waits for the mail."""

    def __new__(cls, value: str, sentence: str = "") -> Self:
        """A member with its sentence."""
        member = str.__new__(cls, value)
        member._value_, member.sentence = value, sentence
        return member


@dataclass(frozen=True, slots=True)
class MailAddress:
    """Where a user gets mail on cases that are due soon, with the outcome of the last attempts.

    `attempts` is how many have failed since the last mail that was accepted or given up.
    """

    user: int
    address: str
    attempts: int
    sent_at: datetime | None
    trouble: MailTrouble | None


@dataclass(frozen=True, slots=True)
class DueMail:
    """A mail on open cases, of which some may be overdue. The same cases give the same `id`."""

    address: str
    id: str
    soon: tuple[int, ...]
    """The numbers of the cases that are due soon."""
    overdue: tuple[int, ...]

    @property
    def subject(self) -> str:
        """The subject line.

        >>> DueMail("ada@example.org", "1", (3, 4), (1,)).subject
        'hashdb: 2 cases due soon, 1 overdue'
        """
        counts = [f"{_cases(self.soon)} due soon"] if self.soon else []
        if self.overdue:
            counts.append(f"{len(self.overdue)} overdue" if counts else f"{_cases(self.overdue)} overdue")
        return f"hashdb: {', '.join(counts)}"

    def text(self, queue: str) -> str:
        """The body, with the URL of the queue: numbers of cases, and nothing of the content."""
        lists = (_list(self.overdue, "overdue"), _list(self.soon, "due soon"))
        end = f"The queue: {queue}\n\nStop these mails in the console, under My account.\n"
        return "\n".join([*filter(None, lists), "", end])


def due_mail(user: int, address: str, due: Sequence[DueCase], now: datetime) -> DueMail:
    """The mail to a user on cases, in the order of their due times."""
    soon = tuple(case.id for case in due if case.due_at > now)
    overdue = tuple(case.id for case in due if case.due_at <= now)
    digest = sha256(" ".join(map(str, (user, *sorted(soon + overdue)))).encode()).hexdigest()
    return DueMail(address, digest[:32], soon, overdue)


def due_message(due: Sequence[DueCase], now: datetime) -> Mapping[str, object]:
    """The data of a message to a webhook: numbers of cases with their due times."""
    return {
        "count": len(due),
        "overdue": sum(case.due_at <= now for case in due),
        "cases": [{"case": case.id, "due_at": format_instant(case.due_at)} for case in due],
    }


def mail_pause(attempts: int) -> timedelta | None:
    """The pause after so many failed attempts; None: give up.

    >>> mail_pause(1), mail_pause(9)
    (datetime.timedelta(seconds=60), None)
    """
    return timedelta(seconds=MAIL_PAUSES[attempts - 1]) if attempts <= len(MAIL_PAUSES) else None


def address_fault(address: str) -> str | None:
    """Why the service sends no mail to an address, or None."""
    if len(address) > _LONGEST_ADDRESS or len(address.partition("@")[0]) > _LONGEST_LOCAL_PART:
        return f"must have at most {_LONGEST_ADDRESS} characters, and at most {_LONGEST_LOCAL_PART} before the @"
    return None if _ADDRESS.fullmatch(address) else "must be one mail address in ASCII, like ada@example.org"


def _cases(ids: Sequence[int]) -> str:
    return f"{len(ids)} case{'' if len(ids) == 1 else 's'}"


def _list(ids: Sequence[int], what: str) -> str:
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return f"{_cases(ids)} {what}: {', '.join(map(str, ids[:MOST_NAMED]))}{more}" if ids else ""
