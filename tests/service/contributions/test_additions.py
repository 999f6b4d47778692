"""Additions: a member adds signals of the same picture to its own contributions; nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor
from hashdb.domain.contributions import Addition, Amendment, Contribution, Recorded, Standing
from hashdb.domain.ledger.commitments import commit_lines
from hashdb.domain.ledger.events import Event
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN, BenignDraft
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind, Signature
from hashdb.errors import InvalidInput, NotActive, NotFound, NotYours, UnderReview
from hashdb.service import HashDB
from hashdb.service.contributions import additions, contributions
from hashdb.service.ledger import events
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign, matches
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import feed
from hashdb.store import Store
from tests.builders import Clock, contributed, draft, member_with, near, query, signal, video

SHA256, PHASH256 = Algorithm.SHA256, Algorithm.PHASH256


@pytest.fixture
def own(db: HashDB, actor: Actor) -> Contribution:
    """A contribution of the first member with two signals."""
    return contributed(db, actor, draft(1, signal(1, PHASH256)))[0]


def add(db: HashDB, actor: Actor, id: int, *signals: Signal | int) -> Recorded:
    added = tuple(signal(seed) if isinstance(seed, int) else seed for seed in signals)
    return additions.add_one(db, actor, Addition(id, added))


def faults(error: pytest.ExceptionInfo[InvalidInput]) -> dict[str, str]:
    return {fault.at: fault.reason for fault in error.value.faults}


def matched_ids(db: HashDB, *signals: Signal | int) -> list[int]:
    (result,) = matches.match(db, SYSTEM, [query(*signals)]).results
    return [match.contribution for match in result.matches]


def log_events(db: HashDB) -> Sequence[Event]:
    with db.store.read() as tx:
        return tx.audit.events(0, 99, None, None, None)


def dispute(db: HashDB, id: int) -> int:
    case = opinions.give(db, member_with(db), id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    return case


def test_added_signals_match_and_the_log_and_the_feed_report_the_addition(
    db: HashDB, actor: Actor, own: Contribution
) -> None:
    assert matched_ids(db, 2) == []
    head = db.store.head().seq
    recorded = add(db, actor, own.id, 1, 2, signal(3, SHA256))
    assert recorded.contribution == contributions.get(db, actor, own.id) and not recorded.known
    assert recorded.contribution.signals == (*own.signals, signal(2), signal(3, SHA256))
    assert matched_ids(db, near(signal(2), 20)) == matched_ids(db, signal(3, SHA256)) == matched_ids(db, 1) == [own.id]
    (event,) = log_events(db)[head:]
    assert (event.action, event.subject) == ("contribution.amended", f"contribution:{own.id}")
    assert recorded.contribution.salt == own.salt and own.salt is not None
    commitment = commit_lines(own.salt, map(str, recorded.contribution.signals))
    assert recorded.contribution.commitment == commitment != own.commitment
    assert event.details == {"fields": ["signals"], "added": 2, "commitment": commitment.hex()}
    (change,) = feed.read(db, actor, head, 10).changes
    assert change.what == recorded.contribution.shown(signals=True, reference=False, member=True)
    assert verify(db, COMMAND_LINE).findings == ()


def test_other_processes_match_added_signals(db: HashDB, database_url: str, actor: Actor, own: Contribution) -> None:
    other = HashDB(Store(database_url), db.rules, db.now)
    assert matched_ids(other, 2) == []
    add(db, actor, own.id, 1, 2)
    assert matched_ids(other, 2) == [own.id]
    other.close()


def test_a_repeated_addition_changes_nothing(db: HashDB, actor: Actor, own: Contribution) -> None:
    added = add(db, actor, own.id, 1, 2).contribution
    head = db.store.head().seq
    assert add(db, actor, own.id, 1, 2) == add(db, actor, own.id, 2) == Recorded(added, known=True)
    assert db.store.head().seq == head


@pytest.mark.parametrize("sent", [(1, 5, 6), (5, 6, 1, signal(1, PHASH256)), (1, signal(1, PHASH256))])
def test_a_draft_with_the_old_the_added_or_all_signals_is_known(
    db: HashDB, actor: Actor, other: Actor, own: Contribution, sent: tuple[Signal | int, ...]
) -> None:
    add(db, actor, own.id, 1, 5, 6)
    (again,) = contributions.contribute(db, actor, [draft(*sent)]).recorded
    assert (again.contribution.id, again.known) == (own.id, True)
    # The same signals from another member, or after a withdrawal, are a new contribution.
    assert not contributions.contribute(db, other, [draft(*sent)]).recorded[0].known
    contributions.withdraw(db, actor, own.id, "other")
    assert not contributions.contribute(db, actor, [draft(*sent)]).recorded[0].known


def test_signatures_are_added_alone_or_with_signals(db: HashDB, actor: Actor, own: Contribution) -> None:
    first, second = (Signature(Kind.COLOUR, bytes([i] * 32)) for i in (1, 2))
    for sent in ((first,), (second, first)):
        head = db.store.head().seq
        recorded = additions.add_one(db, actor, Addition(own.id, (signal(1),), sent))
        assert (recorded.known, recorded.contribution) == (False, contributions.get(db, actor, own.id))
        (event,) = log_events(db)[head:]
        assert recorded.contribution.commitment is not None
        commitment = recorded.contribution.commitment.hex()
        assert event.details == {"fields": ["signatures"], "added": 0, "commitment": commitment}
    assert recorded.contribution.signatures == (first, second)
    more = tuple(Signature(Kind.COLOUR, bytes([i] * 32)) for i in range(3, 12))
    full = additions.add_one(db, actor, Addition(own.id, (signal(1), signal(2)), more)).contribution
    assert (len(full.signatures), full.signals[-1]) == (8, signal(2))
    assert additions.add_one(db, actor, Addition(own.id, (signal(1),), more)).known
    # The fingerprint covers the signals only.
    assert contributions.contribute(db, actor, [draft(1, 2, signal(1, PHASH256))]).recorded[0].known


def test_additions_fill_a_contribution_up_to_64_signals_in_order(db: HashDB, actor: Actor, own: Contribution) -> None:
    full = add(db, actor, own.id, 1, *range(100, 200)).contribution
    assert full.signals == (*own.signals, *map(signal, range(100, 162)))
    assert add(db, actor, own.id, 1, 300) == Recorded(full, known=True)


def test_an_addition_without_a_signal_of_the_picture_is_rejected(db: HashDB, actor: Actor) -> None:
    phash = signal(9, Algorithm.PHASH)
    (own,) = contributed(db, actor, draft(1, phash, signal(1, SHA256)))
    for sent in ((2, 3), (near(signal(1), 1), 2), (phash, 2)):
        with pytest.raises(InvalidInput) as error:
            add(db, actor, own.id, *sent)
        assert faults(error) == {"signals": additions.UNLIKE}
    assert contributions.get(db, actor, own.id).signals == own.signals
    # The digest of the same file is also a signal of the picture.
    assert not add(db, actor, own.id, signal(1, SHA256), 4).known


def test_only_own_active_contributions_without_a_case_accept_additions(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    soon = clock() + timedelta(hours=1)
    ids = [added.id for added in contributed(db, actor, *(draft(i) for i in range(1, 6)), draft(6, expires_at=soon))]
    contributions.withdraw(db, actor, ids[0], "other")
    contributions.erase(db, actor, ids[1])
    cases.open_case(db, COMMAND_LINE, ids[2], "other", holds=True)
    dispute(db, ids[3])
    cases.decide(db, COMMAND_LINE, dispute(db, ids[4]), Decision.RETIRE)
    clock.advance(hours=2)
    head = db.store.head().seq
    expected = {0: "withdrawn", 1: "withdrawn", 2: "quarantined", 4: "retired", 5: "expired"}
    for place, no_match_reason in expected.items():
        with pytest.raises(NotActive, match=no_match_reason):
            add(db, actor, ids[place], place + 1, 99)
    with pytest.raises(UnderReview):
        add(db, actor, ids[3], 4, 99)
    with pytest.raises(NotYours):
        add(db, other, ids[3], 4, 99)
    with pytest.raises(NotFound):
        add(db, actor, 77, 4, 99)
    assert db.store.head().seq == head


def test_a_request_stores_all_of_its_additions_or_none(db: HashDB, actor: Actor, other: Actor) -> None:
    first, second, withdrawn = contributed(db, actor, draft(1), draft(2), draft(3))
    (film,) = contributed(db, actor, video(31, 32, signals=(signal(31, SHA256),)))
    (foreign,) = contributed(db, other, draft(4))
    contributions.withdraw(db, actor, withdrawn.id, "other")
    ids = (first.id, withdrawn.id, foreign.id, 77, film.id, second.id)
    sent = [(1, 10), (3, 30), (4, 40), (5,), (signal(31, SHA256), 50), (60,)]
    request = [
        Addition(id, tuple(signal(s) if isinstance(s, int) else s for s in part))
        for id, part in zip(ids, sent, strict=True)
    ]
    with pytest.raises(InvalidInput) as error:
        additions.add(db, actor, request)
    assert faults(error) == {
        "contributions[1].id": str(NotActive(withdrawn.id, "withdrawn")),
        "contributions[2].id": str(NotYours("contribution", foreign.id)),
        "contributions[3].id": str(NotFound("contribution 77")),
        "contributions[4].signals": additions.WITH_FRAMES,
        "contributions[5].signals": additions.UNLIKE,
    }
    with pytest.raises(InvalidInput) as error:
        additions.add(db, actor, [request[0], request[5], request[0]])
    assert faults(error) == {"contributions[0].id": additions.TWICE}
    assert matched_ids(db, 10) == []
    receipt = additions.add(db, actor, [request[0], Addition(second.id, (signal(2),))])
    assert [(item.contribution.id, item.known) for item in receipt.recorded] == [(first.id, False), (second.id, True)]
    assert receipt.checkpoint == db.store.head().seq and matched_ids(db, 10) == [first.id]


def test_a_new_signal_near_a_benign_one_is_rejected_and_an_old_stays_suppressed(db: HashDB, actor: Actor) -> None:
    (own,) = contributed(db, actor, draft(1, 2))
    benign.add(db, COMMAND_LINE, BenignDraft((signal(2), signal(3)), note="test cards"))
    with pytest.raises(InvalidInput) as error:
        add(db, actor, own.id, 1, 2, near(signal(3), 4), 5)
    assert faults(error) == {"signals[2]": CLOSE_TO_BENIGN}
    after = add(db, actor, own.id, 1, 2, 5).contribution
    assert (after.signals, after.masked) == ((signal(1), signal(5)), 1)
    # A suppressed signal is also a signal of the picture, and is not added again.
    assert add(db, actor, own.id, 2, 6).contribution.signals == (signal(1), signal(5), signal(6))


def test_an_addition_near_a_retired_contribution_is_quarantined(db: HashDB, actor: Actor, other: Actor) -> None:
    (wrong,) = contributed(db, other, draft(7))
    cases.decide(db, COMMAND_LINE, dispute(db, wrong.id), Decision.RETIRE)
    (own,) = contributed(db, actor, draft(1))
    assert add(db, actor, own.id, 1, 2).contribution.standing is Standing.UNREVIEWED
    quarantined = add(db, actor, own.id, 1, near(signal(7), 10)).contribution
    assert quarantined.standing is contributions.get(db, actor, own.id).standing is Standing.QUARANTINED
    assert [event.action for event in log_events(db)][-3:] == [
        "contribution.amended",
        "case.opened",
        "contribution.quarantined",
    ]
    assert matched_ids(db, 1) == []
    assert verify(db, COMMAND_LINE).findings == ()


def test_the_retirement_of_a_contribution_also_covers_added_signals(db: HashDB, actor: Actor, other: Actor) -> None:
    """A contribution with an added signal near the retired one, and a new one near an added signal, are quarantined."""
    retired, twin = contributed(db, actor, draft(1), draft(9))
    add(db, actor, retired.id, 1, near(signal(1), 20))
    add(db, actor, twin.id, 9, near(signal(1), 8, seed=5))
    case = dispute(db, retired.id)
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    assert contributions.get(db, actor, twin.id).standing is Standing.QUARANTINED
    (reupload,) = contributed(db, other, draft(near(near(signal(1), 20), 25, seed=3)))
    assert reupload.standing is Standing.QUARANTINED


def test_a_member_finds_its_own_contributions_by_their_signals(db: HashDB, actor: Actor, other: Actor) -> None:
    first, second, withdrawn = contributed(db, actor, draft(1, 2, signal(1, SHA256)), draft(3, 2), draft(2, 4))
    contributed(db, other, draft(1, 2))
    contributed(db, actor, video(1, 2))
    contributions.withdraw(db, actor, withdrawn.id, "other")
    signals = [signal(2), near(signal(3), 1)]
    assert additions.list_holding(db, actor, signals, 0, 9) == (first, second)
    assert additions.list_holding(db, actor, signals, 0, 1) == (first,)
    assert additions.list_holding(db, actor, signals, first.id, 9) == (second,)
    assert additions.list_holding(db, actor, [signal(1, SHA256)], 0, 9) == (first,)


def test_the_history_shows_the_old_values_of_changed_fields(db: HashDB, actor: Actor, own: Contribution) -> None:
    add(db, actor, own.id, 1, 2)
    contributions.amend(db, actor, own.id, Amendment(severity=4))
    moments = events.timeline(db, COMMAND_LINE, own.id).moments
    assert [(moment.details.get("fields"), moment.before) for moment in moments[1:]] == [
        (["signals"], {}),
        (["severity"], {"severity": None}),
    ]


def test_additions_use_the_budget_of_contributions(db: HashDB, actor: Actor, own: Contribution) -> None:
    before = db.budgets.left(actor, [Budget.CONTRIBUTIONS], db.now())
    add(db, actor, own.id, 1, 2)
    after = db.budgets.left(actor, [Budget.CONTRIBUTIONS], db.now())
    assert before[0][2] - after[0][2] == 1


def test_an_erasure_deletes_the_fingerprints(db: HashDB, actor: Actor, own: Contribution) -> None:
    add(db, actor, own.id, 1, 2)
    contributions.erase(db, actor, own.id)
    with db.store.read() as tx:
        assert tx.connection.exec_driver_sql("SELECT count(*) FROM fingerprints").scalar_one() == 0
