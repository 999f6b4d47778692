"""What a service says, as one member of another, of a contribution that came from it."""

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


def told(db: HashDB) -> OpinionDraft | None:
    with db.store.read() as tx:
        return draft_opinion(tx.opinions.current([1]).get(1, ()), tx.cases.by_contribution([1]).get(1, ()), db.rules)


def test_a_dispute_goes_before_confirmations_and_a_decision_before_both(db: HashDB) -> None:
    following.apply(db, follow_page(db), UPSTREAM_PAGE)
    assert told(db) is None
    one, two = member_with(db), member_with(db)
    opinions.give(db, one, 1, CONFIRMS)
    assert told(db) == CONFIRMS
    opinions.give(db, two, 1, DISPUTES)
    assert told(db) == OpinionDraft(Stance.DISPUTES, "wrong_label")
    cases.decide(db, COMMAND_LINE, 1, Decision.UPHOLD)
    assert told(db) == CONFIRMS
    cases.open_case(db, COMMAND_LINE, 1, "other", holds=False)
    cases.decide(db, COMMAND_LINE, 2, Decision.RETIRE)
    assert told(db) == OpinionDraft(Stance.DISPUTES, "other")


def test_what_the_other_service_refuses_is_counted_and_not_sent_again(db: HashDB, clock: Clock) -> None:
    following.apply(db, follow_page(db), UPSTREAM_PAGE)
    opinions.give(db, member_with(db), 1, DISPUTES)
    for _ in range(2):
        clock.go(minutes=3)
        following.look(db, connect_to_page)
        (upstream,) = upstreams.list_all(db, COMMAND_LINE)
        assert upstream.refused == {"opinion": 1}
