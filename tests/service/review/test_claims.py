"""Claims: a case is taken by one reviewer at a time, and nobody waits for a reviewer who has gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.accounts.users import Role, UserChange, UserDraft, UserStatus
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.review.queues import PILE, QueueOrder, QueueQuery
from hashdb.errors import AlreadyDecided, CaseTaken, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import users
from hashdb.service.ledger import events
from hashdb.service.ledger.events import EventFilter
from hashdb.service.review import cases, claims, opinions, queues
from tests.builders import Clock, contributed, draft, hashdb, member_with
from tests.service.concurrently import run_concurrently

ANY = QueueQuery()
GRAVEST = QueueQuery(order=QueueOrder.SEVERITY)


@pytest.fixture
def rosa(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


@pytest.fixture
def lin(db: HashDB) -> Actor:
    return member_with(db, Scope.REVIEW)


@pytest.fixture
def waiting(db: HashDB, actor: Actor) -> list[int]:
    """Four open cases; the last is the gravest."""
    items = contributed(db, actor, *(draft(seed, severity=seed) for seed in range(4)))
    return [cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False).id for one in items]


def holder(db: HashDB, id: int) -> str | None:
    claim = claims.find(db, COMMAND_LINE, id)
    return None if claim is None else claim.actor


def test_each_reviewer_gets_the_next_case_that_nobody_has(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor
) -> None:
    assert claims.take_next(db, rosa, GRAVEST) == waiting[3]
    assert claims.take_next(db, lin, GRAVEST) == waiting[2]
    assert claims.take_next(db, rosa, ANY, after=waiting[0]) == waiting[1]
    assert claims.take_next(db, lin, ANY, after=waiting[1]) == waiting[0], "it goes on from the beginning"
    assert claims.take_next(db, lin, ANY) is None
    assert [claim.case for claim in claims.list_own(db, rosa)] == [waiting[1], waiting[3]]
    shown = {each.case.id: each.claim and each.claim.actor for each in queues.queue(db, lin).waiting}
    assert shown == dict(zip(waiting, map(str, (lin, rosa, lin, rosa)), strict=True))


def test_a_filter_holds_for_the_next_case_and_piles_come_last(
    db: HashDB, actor: Actor, other: Actor, waiting: list[int], rosa: Actor
) -> None:
    dispute = OpinionDraft(Stance.DISPUTES, "other")
    items = contributed(db, actor, *(draft(seed, severity=1) for seed in range(10, 11 + PILE)))
    piled = [opinions.give(db, other, one.id, dispute).case for one in items]
    asked = QueueQuery(severity=1, order=QueueOrder.OPENED, reverse=True)
    assert claims.take_next(db, rosa, asked) == waiting[1], "the newest are in a pile"
    assert claims.take_next(db, rosa, asked) == piled[-1]
    pile = QueueQuery(pile=other.require_member(Scope.MATCH).id)
    assert claims.take_next(db, rosa, pile) == piled[0]


def test_a_taken_case_is_free_again_by_hand_by_idleness_by_the_decision(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor, clock: Clock
) -> None:
    first = claims.take_next(db, rosa, ANY)
    assert first is not None
    with pytest.raises(CaseTaken):
        claims.take(db, lin, first)
    clock.go(minutes=14)
    assert claims.renew(db, rosa, first)
    clock.go(minutes=14)
    with pytest.raises(CaseTaken):
        cases.decide(db, lin, first, Decision.UPHOLD, "it stands", unless_taken=True)
    clock.go(minutes=1)
    assert holder(db, first) is None
    claims.take(db, lin, first)
    assert (holder(db, first), claims.renew(db, rosa, first)) == (str(lin), False)
    claims.release(db, rosa, first)
    assert holder(db, first) == str(lin), "only who has a case releases it"
    claims.release(db, lin, first)
    assert holder(db, first) is None
    claims.take(db, rosa, first)
    clock.go(minutes=15)
    assert claims.renew(db, rosa, first), "nobody took it meanwhile"
    cases.decide(db, rosa, first, Decision.UPHOLD, "it stands", unless_taken=True)
    assert (holder(db, first), claims.list_own(db, rosa)) == (None, ())
    assert not claims.renew(db, rosa, first)
    with pytest.raises(AlreadyDecided):
        claims.take(db, lin, first)
    with pytest.raises(NotFound):
        claims.take(db, lin, 99)


@pytest.mark.parametrize("changed", [UserChange(status=UserStatus.DISABLED), UserChange(role=Role.AUDITOR)])
def test_a_user_who_may_decide_no_longer_has_no_case(
    db: HashDB, waiting: list[int], lin: Actor, changed: UserChange
) -> None:
    ada = users.add(db, COMMAND_LINE, UserDraft("ada", Role.REVIEWER), local=False).user
    claims.take(db, ada.actor, waiting[0])
    claims.take(db, lin, waiting[1])
    users.change(db, COMMAND_LINE, ada.id, changed)
    assert (holder(db, waiting[0]), holder(db, waiting[1])) == (None, str(lin))


def test_who_takes_a_case_over_is_in_the_log_and_the_first_may_not_decide(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor
) -> None:
    claims.take(db, rosa, waiting[0])
    before = db.store.head().seq
    claims.take(db, rosa, waiting[0], over=True)
    assert db.store.head().seq == before, "what is one's own is not taken over"
    claims.take(db, lin, waiting[0], over=True)
    (event,) = events.page(db, COMMAND_LINE, EventFilter(), before, 9)
    assert (event.action, event.subject, event.actor) == ("case.taken-over", f"case:{waiting[0]}", str(lin))
    assert event.details == {"contribution": 1, "from": str(rosa)}
    with pytest.raises(CaseTaken):
        cases.decide(db, rosa, waiting[0], Decision.UPHOLD, "it stands", unless_taken=True)
    # A program is no reviewer before a page: it decides as before.
    cases.decide(db, rosa, waiting[0], Decision.UPHOLD, "it stands")
    assert holder(db, waiting[0]) is None


def test_the_first_person_of_two_has_the_case_no_longer(
    db: HashDB, waiting: list[int], rosa: Actor, lin: Actor
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    first = claims.take_next(db, rosa, ANY)
    assert first is not None
    cases.decide(db, rosa, first, Decision.RETIRE, "a news report", unless_taken=True)
    assert (holder(db, first), claims.take_next(db, rosa, ANY)) == (None, waiting[1])
    cases.decide(db, lin, first, Decision.RETIRE, "so it is", unless_taken=True)
    assert cases.get(db, lin, first).decision is Decision.RETIRE


def test_only_reviewers_take_cases(db: HashDB, waiting: list[int], actor: Actor) -> None:
    auditor = member_with(db, Scope.AUDIT)
    for ask in (
        lambda: claims.take_next(db, auditor, ANY),
        lambda: claims.take(db, auditor, 1),
        lambda: claims.renew(db, auditor, 1),
        lambda: claims.release(db, auditor, 1),
        lambda: claims.find(db, actor, 1),
        lambda: claims.list_own(db, actor),
    ):
        with pytest.raises(ScopeMissing):
            ask()


@pytest.fixture
def workers(db: HashDB, database_url: str, clock: Clock) -> Iterator[list[HashDB]]:
    """Four services on one database, as four processes have them."""
    more = [hashdb(database_url, clock) for _ in range(3)]
    yield [db, *more]
    for one in more:
        one.close()


def test_of_many_at_once_each_gets_another_case_and_none_is_left_out(
    db: HashDB, actor: Actor, workers: list[HashDB]
) -> None:
    reviewers = [member_with(db, Scope.REVIEW) for _ in workers]
    items = contributed(db, actor, *(draft(seed, severity=seed % 5) for seed in range(24)))
    waiting = {cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False).id for one in items}

    def reviews(number: int) -> list[int]:
        """What a reviewer took and decided until nothing was left."""
        worker, who, done = workers[number], reviewers[number], []
        asked = QueueQuery(order=list(QueueOrder)[number % 3])
        while (case := claims.take_next(worker, who, asked)) is not None:
            cases.decide(worker, who, case, Decision.UPHOLD, "it stands", unless_taken=True)
            done.append(case)
        return done

    done = run_concurrently([partial(reviews, number) for number in range(len(workers))])
    decided = [case for each in done for case in each]
    assert sorted(decided) == sorted(waiting)
    by = {id: str(who) for who, each in zip(reviewers, done, strict=True) for id in each}
    assert {id: cases.get(db, COMMAND_LINE, id).decided_by for id in by} == by
