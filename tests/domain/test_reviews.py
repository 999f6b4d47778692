"""Reviews: whose contributions hold, each row of the definition; the rest is held against the log elsewhere."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

from hashdb.domain.audit import Event
from hashdb.domain.periods import Period
from hashdb.domain.reports import Precision
from hashdb.domain.reviews import Reviews
from tests.builders import NOON

TODAY = Period(NOON.date(), NOON.date())
ISSUED = (("key:1", 4), ("key:2", 5))


def reviews(said: str, *, only: int | None = None, days: int = 0) -> Reviews:
    """What is said of contribution 17 of member 3, in turn: by a key (`1+`, `2-`), a decision, `!4` (ends), `?4`."""
    taken, numbers = Reviews(TODAY, {17: 3}.get, only), count(10)
    for key, member in ISSUED:
        taken.take(Event(1, NOON, "system:cli", "key.issued", "key", int(key[4:]), {"member": member}, b""))
    at = NOON + timedelta(days=days)
    for word in said.split():
        actor, action, kind, id = "key:9", "case.decided", "case", next(numbers)
        details: dict[str, str | int] = {"contribution": 17}
        if word[0] in "12":
            actor, action, kind = f"key:{word[0]}", "opinion.given", "opinion"
            details |= {"opinion": "confirms" if word[1] == "+" else "disputes", "reason": "other"}
        elif word[0] in "!?":
            action, kind, id = "member.suspended" if word[0] == "!" else "member.reinstated", "member", int(word[1:])
        else:
            details |= {"decision": word}
        taken.take(Event(2, at, actor, action, kind, id, details, b""))
    return taken


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("1+", True),
        ("1-", False),
        ("1+ 2-", False),
        ("1- 1+", True),
        ("1+ 1-", False),
        ("1- uphold", True),
        ("1- quarantine", False),
        ("1- retire", False),
        ("1- retire 2+", False),
        ("1- retire uphold", True),
        ("1- uphold 2-", False),
        ("1- uphold 2- uphold", True),
        ("1+ !4", None),
        ("1+ 2- !5", True),
        ("1+ !4 ?4", True),
    ],
)
def test_a_contribution_holds_or_not(said: str, holds: bool | None) -> None:
    expected = {} if holds is None else {3: Precision(int(holds), int(not holds))}
    assert reviews(said).precision() == expected


def test_only_what_was_said_or_decided_in_the_period_is_judged() -> None:
    assert reviews("1+", days=-1).precision() == {}
    assert reviews("1+", days=-1).reviewed().confirms == 0


def test_of_one_member_only_its_contributions_count() -> None:
    assert reviews("1+", only=3).reviewed().confirms == 1
    assert reviews("1+", only=4).reviewed().confirms == 0
    assert reviews("1+", only=4).precision() == {}
