"""Cases that are due soon: the mail, the message, and valid mail addresses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.review.due import (
    MAIL_PAUSES,
    DueCase,
    MailTrouble,
    address_fault,
    due_mail,
    due_message,
    mail_pause,
)
from tests.builders import NOON

HOUR = timedelta(hours=1)
DUE = (DueCase(9, NOON - HOUR), DueCase(4, NOON), DueCase(7, NOON + HOUR))


def test_a_mail_counts_due_and_overdue_cases() -> None:
    mail = due_mail(3, "ada@example.org", DUE, NOON)
    assert (mail.overdue, mail.soon) == ((9, 4), (7,))
    assert mail.subject == "hashdb: 1 case due soon, 2 overdue"
    assert due_mail(3, "ada@example.org", DUE[:1], NOON).subject == "hashdb: 1 case overdue"


def test_a_mail_lists_at_most_fifty_case_numbers() -> None:
    many = [DueCase(id, NOON + HOUR) for id in range(1, 2001)]
    text = due_mail(3, "ada@example.org", many, NOON).text("https://console.example/console/cases")
    assert text.startswith("2000 cases due soon: 1, 2, 3, ") and ", 49, 50 and 1950 more\n" in text
    assert len(text) < 500


def test_the_id_of_a_mail_depends_only_on_its_user_and_cases() -> None:
    id = due_mail(3, "ada@example.org", DUE, NOON).id
    assert due_mail(3, "ada@example.org", DUE, NOON + 2 * HOUR).id == id
    assert len({id, due_mail(4, "ada@example.org", DUE, NOON).id, due_mail(3, "", DUE[:2], NOON).id}) == 3


def test_a_message_lists_case_numbers_and_due_times() -> None:
    assert due_message(DUE, NOON) == {
        "count": 3,
        "overdue": 2,
        "cases": [
            {"case": 9, "due_at": "2026-11-20T11:00:00.000000Z"},
            {"case": 4, "due_at": "2026-11-20T12:00:00.000000Z"},
            {"case": 7, "due_at": "2026-11-20T13:00:00.000000Z"},
        ],
    }


def test_attempts_to_send_a_mail_end_within_a_day() -> None:
    pauses = [mail_pause(attempts) for attempts in range(1, len(MAIL_PAUSES) + 2)]
    assert pauses.pop() is None
    assert timedelta(hours=20) < sum((pause for pause in pauses if pause), timedelta()) < timedelta(days=1)


@pytest.mark.parametrize(
    "address", ["ada@example.org", "a.d+a@x-1.example", "o'neil@localhost", "a@" + "b" * 63 + ".de"]
)
def test_a_valid_mail_address_is_accepted(address: str) -> None:
    assert address_fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example.org\r\nBcc: all@example.org",
        "ada@example.org\n",
        "ada@exa mple.org",
        "ada@example.org, bob@example.org",
        "Ada <ada@example.org>",
        "ada@-example.org",
        "ada@example..org",
        "äda@example.org",
        "ada@exämple.org",
        "a" * 65 + "@example.org",
        "a@" + "b." * 126 + "example",
        "a@" + "a" * 250 + "!",
    ],
)
def test_an_invalid_mail_address_is_rejected(address: str) -> None:
    assert address_fault(address)


@given(st.text() | st.from_regex(r"[^\s@]{1,70}@[^\s@]{1,70}"))
def test_an_accepted_mail_address_is_one_ascii_word(text: str) -> None:
    if address_fault(text) is None:
        assert text.isascii() and text.isprintable() and text.count("@") == 1 and not set(text) & set(' ,;:<>()[]"\\')


def test_every_mail_error_is_a_sentence() -> None:
    assert {trouble.sentence[-1] for trouble in MailTrouble} == {"."}
