"""Reviews: whether contributions hold, for each row of the definition, and which decisions were reversed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Event
from hashdb.domain.stats.reports import Precision
from hashdb.domain.stats.reviews import Reviews
from hashdb.domain.times import Period
from tests.builders import NOON

TODAY = Period(NOON.date(), NOON.date())


def reviews(history: str, *, only: int | None = None, days: int = 0) -> Reviews:
    """The reviews after a history of contribution 17 of member 3.

    Its words are opinions, `+`, `-` (in case 10) or `-11` (in case 11), and events of cases, `uphold` or `open-12`.
    """
    replayed = Reviews(TODAY, {17: 3}.get, only)
    for word in history.split():
        verb, _, number = word.partition("-")
        case, action, kind = int(number or 10), "case.decided", "case"
        details: dict[str, str | int] = {"contribution": 17, "decision": verb}
        if verb == "open":
            action, details = "case.opened", {"contribution": 17}
        if word[0] in "+-":
            action, kind = "opinion.given", "opinion"
            opinion = "confirms" if word == "+" else "disputes"
            details = {"contribution": 17, "opinion": opinion, "reason": "other", "case": case}
        replayed.add_event(Event(2, NOON + timedelta(days=days), "key:1", action, kind, case, details, b""))
    return replayed


@pytest.mark.parametrize(
    ("history", "standing", "holds"),
    [
        ("+", "confirmed", True),
        ("-", "disputed", False),
        ("+", "quarantined", False),
        ("- uphold", "unreviewed", True),
        ("- uphold +", "confirmed", True),
        ("- uphold -11", "disputed", False),
        ("- uphold -11 +", "confirmed", True),
        ("- uphold", "quarantined", False),
        ("- quarantine", "quarantined", False),
        ("- retire +", "retired", False),
        ("- retire uphold-11", "unreviewed", True),
        ("+", "unreviewed", None),
        ("+ open-12", "quarantined", None),
        ("+ open-12 -12", "quarantined", False),
        ("+ open-12 quarantine-12", "quarantined", False),
    ],
)
def test_opinions_and_decisions_set_whether_a_contribution_holds(
    history: str, standing: str, holds: bool | None
) -> None:
    expected = {} if holds is None else {3: Precision(int(holds), int(not holds))}
    assert reviews(history).precision({17: Standing(standing)}.__getitem__) == expected


def test_decisions_on_disputes_are_counted_separately() -> None:
    counts = reviews("+ uphold - retire-10 -11 -11 uphold-11 quarantine-12").reviewed()
    assert counts.decided == {"quarantine": 1, "retire": 1, "uphold": 2}
    assert counts.disputes_decided == {"retire": 1, "uphold": 1}


@pytest.mark.parametrize(
    ("history", "again", "reversed_"),
    [
        ("uphold", 0, 0),
        ("uphold retire-11", 1, 1),
        ("retire uphold-11", 1, 1),
        ("quarantine uphold-11", 1, 1),
        ("quarantine retire-11", 1, 0),
        ("uphold uphold-11", 1, 0),
        # Each decision is compared only with the next one.
        ("uphold retire-11 uphold-12", 2, 2),
        ("quarantine retire-11 uphold-12", 2, 1),
    ],
)
def test_a_decision_is_reversed_if_the_next_one_is_the_opposite(history: str, again: int, reversed_: int) -> None:
    (by,) = reviews(history).deciders().values()
    assert (by.count, by.again, by.reversed) == (len(history.split()), again, reversed_)
    assert by.stood == round(1 - reversed_ / len(history.split()), 4)


def test_a_decision_before_the_period_counts_for_nobody() -> None:
    replayed = reviews("uphold", days=-1)
    details: dict[str, object] = {"contribution": 17, "decision": "retire"}
    replayed.add_event(Event(3, NOON, "user:2", "case.decided", "case", 11, details, b""))  # type: ignore[arg-type]
    assert set(replayed.deciders()) == {"user:2"}
    assert (replayed.deciders()["user:2"].again, replayed.deciders()["user:2"].to_decide.count) == (0, 0)


def test_opinions_and_decisions_before_the_period_are_ignored() -> None:
    before = reviews("+ - retire", days=-1)
    assert before.precision({17: Standing.RETIRED}.__getitem__) == {}
    assert (before.reviewed().confirms, before.reviewed().disputes_decided) == (0, {})


def test_reviews_of_one_member_count_only_its_contributions() -> None:
    assert reviews("+", only=3).reviewed().confirms == 1
    assert reviews("+", only=4).reviewed().confirms == 0
    assert reviews("+", only=4).precision({17: Standing.CONFIRMED}.__getitem__) == {}
