"""Sight: keys without `feed` or `audit` see only matched contributions, and not the contributing member."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.stats.counts import MatchLog
from hashdb.errors import InvalidInput, NotActive, NotFound, TooManyAtOnce
from hashdb.service import HashDB
from hashdb.service.accounts.limits import KEY_SLOTS
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import banks, exchanges
from hashdb.service.stats import counts
from tests.builders import Clock, contributed, draft, hashdb, key_of, member_with, query, signal, with_new_key

CONFIRMS = OpinionDraft(Stance.CONFIRMS)
DISPUTES = OpinionDraft(Stance.DISPUTES, "other")


@pytest.fixture
def contribution(db: HashDB, actor: Actor) -> Contribution:
    """A contribution of the first member."""
    return contributed(db, actor, draft(1, reference="ours"))[0]


@pytest.fixture
def matcher(db: HashDB) -> Actor:
    """A key of another member that has only the scope `match`."""
    return member_with(db, Scope.MATCH)


def test_a_match_key_cannot_see_a_contribution_that_it_did_not_match(
    db: HashDB, matcher: Actor, contribution: Contribution
) -> None:
    for id in (contribution.id, contribution.id + 1):
        with pytest.raises(NotFound, match=rf"^contribution {id} does not exist$"):
            contributions.get(db, matcher, id)
        with pytest.raises(NotFound):
            opinions.page(db, matcher, id, 0, 10)
        with pytest.raises(NotFound):
            opinions.give(db, matcher, id, CONFIRMS)
    matches.match(db, matcher, [query(2)])
    with pytest.raises(NotFound):
        contributions.get(db, matcher, contribution.id)


def test_a_matched_contribution_is_visible_without_its_member(
    db: HashDB, matcher: Actor, contribution: Contribution
) -> None:
    matches.match(db, matcher, [query(1)])
    seen = contributions.get(db, matcher, contribution.id)
    assert seen == contribution.shown(signals=False, reference=False, member=False)
    assert (seen.member, seen.member_name, seen.signals, seen.reference) == (0, "", (), None)
    assert opinions.give(db, matcher, contribution.id, CONFIRMS).contribution == contribution.id
    assert len(opinions.page(db, matcher, contribution.id, 0, 10)) == 1


def test_only_match_keys_of_the_member_that_queried_see_the_contribution(
    db: HashDB, matcher: Actor, contribution: Contribution
) -> None:
    matches.match(db, matcher, [query(1)])
    assert contributions.get(db, with_new_key(db, matcher, Scope.MATCH), contribution.id).id == contribution.id
    for stranger in (member_with(db, Scope.MATCH), with_new_key(db, matcher, Scope.CONTRIBUTE)):
        with pytest.raises(NotFound):
            contributions.get(db, stranger, contribution.id)


@pytest.mark.parametrize("scope", [Scope.FEED, Scope.AUDIT, Scope.ADMIN])
def test_keys_that_can_read_everything_see_the_contributing_member(
    db: HashDB, contribution: Contribution, scope: Scope
) -> None:
    seen = contributions.get(db, member_with(db, scope), contribution.id)
    assert (seen.member, seen.member_name) == (contribution.member, contribution.member_name)


def test_a_reviewer_sees_the_member_of_a_contribution_with_a_case(
    db: HashDB, other: Actor, contribution: Contribution
) -> None:
    opinions.give(db, other, contribution.id, DISPUTES)
    assert contributions.get(db, member_with(db, Scope.REVIEW), contribution.id).member == contribution.member


def test_a_member_sees_that_a_contribution_is_its_own(db: HashDB, actor: Actor, contribution: Contribution) -> None:
    assert contributions.get(db, with_new_key(db, actor, Scope.MATCH), contribution.id).member == contribution.member


def test_a_party_to_a_case_does_not_see_the_contributing_member(
    db: HashDB, matcher: Actor, contribution: Contribution
) -> None:
    matches.match(db, matcher, [query(1)])
    id = opinions.give(db, matcher, contribution.id, DISPUTES).case
    assert id is not None
    for seen in (cases.get(db, matcher, id), *cases.page(db, matcher, None, 0, 10)):
        assert (seen.contribution, seen.member, seen.member_name) == (contribution.id, 0, "")
    assert cases.get(db, member_with(db, Scope.REVIEW), id).member == contribution.member
    assert cases.get(db, key_of(db, contribution.member, Scope.MATCH), id).member == contribution.member


def test_only_a_key_that_matched_it_learns_that_a_contribution_ended(
    db: HashDB, actor: Actor, matcher: Actor, contribution: Contribution
) -> None:
    matches.match(db, matcher, [query(1)])
    contributions.withdraw(db, actor, contribution.id, "other")
    with pytest.raises(NotActive):
        opinions.give(db, matcher, contribution.id, CONFIRMS)
    with pytest.raises(NotFound):
        opinions.give(db, member_with(db, Scope.MATCH), contribution.id, CONFIRMS)
    with pytest.raises(NotFound):
        contributions.get(db, matcher, contribution.id)


def test_a_match_key_sees_nothing_of_others_when_only_counts_are_stored(
    db: HashDB, matcher: Actor, contribution: Contribution
) -> None:
    db.match_log = MatchLog.COUNTS
    matches.match(db, matcher, [query(1)])
    with pytest.raises(NotFound):
        contributions.get(db, matcher, contribution.id)
    with pytest.raises(NotFound):
        opinions.give(db, matcher, contribution.id, CONFIRMS)
    feed_key = with_new_key(db, matcher, Scope.MATCH, Scope.FEED)
    assert opinions.give(db, feed_key, contribution.id, CONFIRMS).contribution == contribution.id


def test_a_request_waits_for_a_match_that_another_process_just_returned(
    db: HashDB, database_url: str, clock: Clock, matcher: Actor, contribution: Contribution
) -> None:
    other_process = hashdb(database_url, clock)
    matches.match(other_process, matcher, [query(1)])
    db.hits_within = 20.0
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(contributions.get, db, matcher, contribution.id)
        time.sleep(0.3)
        assert not request.done()
        counts.flush(other_process)
        assert request.result(10).id == contribution.id
    other_process.close()


def test_a_key_can_wait_in_a_limited_number_of_threads(db: HashDB, matcher: Actor, contribution: Contribution) -> None:
    db.hits_within = 60.0
    with ThreadPoolExecutor(KEY_SLOTS + 1) as pool:
        requests = [pool.submit(contributions.get, db, matcher, contribution.id) for _ in range(KEY_SLOTS + 1)]
        (refused,), waiting = wait(requests, timeout=30, return_when=FIRST_COMPLETED)
        assert isinstance(refused.exception(), TooManyAtOnce)
        assert contributions.get(db, member_with(db, Scope.FEED), contribution.id).id == contribution.id
        matches.match(db, matcher, [query(1)])
        counts.flush(db)
        assert [request.result(30).id for request in waiting] == [contribution.id] * KEY_SLOTS


def test_a_request_for_an_own_contribution_does_not_wait(db: HashDB, actor: Actor, contribution: Contribution) -> None:
    db.hits_within = 60.0
    started = time.monotonic()
    assert contributions.get(db, with_new_key(db, actor, Scope.MATCH), contribution.id).id == contribution.id
    assert time.monotonic() - started < 30


def test_the_banks_of_a_match_key_name_no_other_member(db: HashDB, matcher: Actor, contribution: Contribution) -> None:
    names = banks.list_banks(db, matcher)
    assert matcher.member is not None
    assert set(names) == {-1, 0, matcher.member.id}
    assert names[-1] == "HASHDB_SHARED"
    (hit,) = banks.look_up(db, matcher, query(1))
    assert hit.bank == "HASHDB_SHARED"
    assert banks.content(db, matcher, "HASHDB_SHARED", contribution.id).id == contribution.id
    all_banks = banks.list_banks(db, member_with(db, Scope.MATCH, Scope.FEED))
    assert all_banks[contribution.member] == contribution.member_name.upper().replace(" ", "_")
    for bank in (all_banks[contribution.member], "HASHDB_TEST", names[matcher.member.id]):
        with pytest.raises(NotFound):
            banks.content(db, matcher, bank, contribution.id)
    assert banks.content(db, matcher, "HASHDB_TEST", 0).id == 0
    with pytest.raises(NotFound):
        banks.content(db, matcher, "HASHDB_SHARED", 0)


def test_feedback_by_value_applies_only_to_matched_contributions(
    db: HashDB, matcher: Actor, contribution: Contribution
) -> None:
    feedback = [(signal(1), DISPUTES)]
    with pytest.raises(InvalidInput):
        exchanges.give_opinions(db, matcher, feedback, "hashFeedbacks")
    matches.match(db, matcher, [query(1)])
    counts.flush(db)
    assert exchanges.give_opinions(db, matcher, feedback, "hashFeedbacks") == 1
    reader = with_new_key(db, member_with(db), Scope.MATCH, Scope.FEED)
    assert exchanges.give_opinions(db, reader, [(signal(1), replace(DISPUTES, note="seen"))], "hashFeedbacks") == 1
