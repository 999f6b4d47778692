"""The opinion that a service sends to its upstream about a contribution from there."""

from __future__ import annotations

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.service import HashDB
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import following, upstreams
from hashdb.service.sharing.sent_opinions import draft_opinion
from tests.builders import Clock, member_with
from tests.service.pages import UPSTREAM_PAGE, connect_to_page, follow_page

CONFIRMS, DISPUTES = OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "wrong_label", "a note")


def opinion_to_send(db: HashDB) -> OpinionDraft | None:
    with db.store.read() as tx:
        return draft_opinion(tx.opinions.current([1]).get(1, ()), tx.cases.by_contribution([1]).get(1, ()), db.rules)


def test_a_decision_overrides_disputes_and_a_dispute_overrides_confirmations(db: HashDB) -> None:
    following.apply(db, follow_page(db), UPSTREAM_PAGE)
    assert opinion_to_send(db) is None
    confirming, disputing = member_with(db), member_with(db)
    opinions.give(db, confirming, 1, CONFIRMS)
    assert opinion_to_send(db) == CONFIRMS
    opinions.give(db, disputing, 1, DISPUTES)
    assert opinion_to_send(db) == OpinionDraft(Stance.DISPUTES, "wrong_label")
    cases.decide(db, COMMAND_LINE, 1, Decision.UPHOLD)
    assert opinion_to_send(db) == CONFIRMS
    cases.open_case(db, COMMAND_LINE, 1, "other", holds=False)
    cases.decide(db, COMMAND_LINE, 2, Decision.RETIRE)
    assert opinion_to_send(db) == OpinionDraft(Stance.DISPUTES, "other")


def test_a_refused_opinion_is_counted_and_not_sent_again(db: HashDB, clock: Clock) -> None:
    following.apply(db, follow_page(db), UPSTREAM_PAGE)
    opinions.give(db, member_with(db), 1, DISPUTES)
    for _ in range(2):
        clock.advance(minutes=3)
        following.look(db, connect_to_page)
        (upstream,) = upstreams.list_all(db, COMMAND_LINE)
        assert upstream.refused == {"opinion": 1}
