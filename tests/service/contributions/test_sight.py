"""Sight: keys without `feed` or `audit` see what they were answered, and are not told whose it is."""

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
from hashdb.service.sharing import feed
from hashdb.service.stats import counts
from tests.builders import Clock, again, contributed, draft, hashdb, key_of, member_with, query, signal

CONFIRMS = OpinionDraft(Stance.CONFIRMS)
DISPUTES = OpinionDraft(Stance.DISPUTES, "other")


@pytest.fixture
def one(db: HashDB, actor: Actor) -> Contribution:
    return contributed(db, actor, draft(1, reference="ours"))[0]


@pytest.fixture
def matcher(db: HashDB) -> Actor:
    """A key of another member that may match, and nothing else."""
    return member_with(db, Scope.MATCH)


def test_what_was_not_answered_does_not_exist(db: HashDB, matcher: Actor, one: Contribution) -> None:
    for id in (one.id, one.id + 1):
        with pytest.raises(NotFound, match=rf"^contribution {id} does not exist$"):
            contributions.get(db, matcher, id)
        with pytest.raises(NotFound):
            opinions.page(db, matcher, id, 0, 10)
        with pytest.raises(NotFound):
            opinions.give(db, matcher, id, CONFIRMS)
    matches.match(db, matcher, [query(2)])
    with pytest.raises(NotFound):
        contributions.get(db, matcher, one.id)


def test_what_was_answered_is_seen_without_its_member(db: HashDB, matcher: Actor, one: Contribution) -> None:
    matches.match(db, matcher, [query(1)])
    seen = contributions.get(db, matcher, one.id)
    assert seen == one.shown(signals=False, reference=False, member=False)
    assert (seen.member, seen.member_name, seen.signals, seen.reference) == (0, "", (), None)
    assert opinions.give(db, matcher, one.id, CONFIRMS).contribution == one.id
    assert len(opinions.page(db, matcher, one.id, 0, 10)) == 1


def test_only_the_member_that_was_answered_sees_it_with_a_key_that_matches(
    db: HashDB, matcher: Actor, one: Contribution
) -> None:
    matches.match(db, matcher, [query(1)])
    assert contributions.get(db, again(db, matcher, Scope.MATCH), one.id).id == one.id
    for stranger in (member_with(db, Scope.MATCH), again(db, matcher, Scope.CONTRIBUTE)):
        with pytest.raises(NotFound):
            contributions.get(db, stranger, one.id)


@pytest.mark.parametrize("scope", [Scope.FEED, Scope.AUDIT, Scope.ADMIN])
def test_who_reads_everything_is_told_the_member(db: HashDB, one: Contribution, scope: Scope) -> None:
    seen = contributions.get(db, member_with(db, scope), one.id)
    assert (seen.member, seen.member_name) == (one.member, one.member_name)


def test_a_reviewer_is_told_whose_a_contribution_with_a_case_is(db: HashDB, other: Actor, one: Contribution) -> None:
    opinions.give(db, other, one.id, DISPUTES)
    assert contributions.get(db, member_with(db, Scope.REVIEW), one.id).member == one.member


def test_the_member_itself_is_told_that_it_is_its_own(db: HashDB, actor: Actor, one: Contribution) -> None:
    assert contributions.get(db, again(db, actor, Scope.MATCH), one.id).member == one.member


def test_a_party_to_a_case_is_not_told_who_contributed(db: HashDB, matcher: Actor, one: Contribution) -> None:
    matches.match(db, matcher, [query(1)])
    id = opinions.give(db, matcher, one.id, DISPUTES).case
    assert id is not None
    for seen in (cases.get(db, matcher, id), *cases.page(db, matcher, None, 0, 10)):
        assert (seen.contribution, seen.member, seen.member_name) == (one.id, 0, "")
    assert cases.get(db, member_with(db, Scope.REVIEW), id).member == one.member
    assert cases.get(db, key_of(db, one.member, Scope.MATCH), id).member == one.member


def test_what_ended_since_is_told_to_who_was_answered_it_only(
    db: HashDB, actor: Actor, matcher: Actor, one: Contribution
) -> None:
    matches.match(db, matcher, [query(1)])
    contributions.withdraw(db, actor, one.id, "other")
    with pytest.raises(NotActive):
        opinions.give(db, matcher, one.id, CONFIRMS)
    with pytest.raises(NotFound):
        opinions.give(db, member_with(db, Scope.MATCH), one.id, CONFIRMS)
    with pytest.raises(NotFound):
        contributions.get(db, matcher, one.id)


def test_where_only_numbers_are_kept_a_key_that_only_matches_sees_nothing_of_others(
    db: HashDB, matcher: Actor, one: Contribution
) -> None:
    db.match_log = MatchLog.COUNTS
    matches.match(db, matcher, [query(1)])
    with pytest.raises(NotFound):
        contributions.get(db, matcher, one.id)
    with pytest.raises(NotFound):
        opinions.give(db, matcher, one.id, CONFIRMS)
    both = again(db, matcher, Scope.MATCH, Scope.FEED)
    assert opinions.give(db, both, one.id, CONFIRMS).contribution == one.id


def test_what_another_process_has_just_answered_is_waited_for(
    db: HashDB, database_url: str, clock: Clock, matcher: Actor, one: Contribution
) -> None:
    elsewhere = hashdb(database_url, clock)
    matches.match(elsewhere, matcher, [query(1)])
    db.hits_within = 20.0
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(contributions.get, db, matcher, one.id)
        time.sleep(0.3)
        assert not asked.done()
        counts.flush(elsewhere)
        assert asked.result(10).id == one.id
    elsewhere.close()


def test_a_key_waits_in_a_few_threads_at_most(db: HashDB, matcher: Actor, one: Contribution) -> None:
    db.hits_within = 60.0
    with ThreadPoolExecutor(KEY_SLOTS + 1) as pool:
        asked = [pool.submit(contributions.get, db, matcher, one.id) for _ in range(KEY_SLOTS + 1)]
        (refused,), waiting = wait(asked, timeout=30, return_when=FIRST_COMPLETED)
        assert isinstance(refused.exception(), TooManyAtOnce)
        assert contributions.get(db, member_with(db, Scope.FEED), one.id).id == one.id
        matches.match(db, matcher, [query(1)])
        counts.flush(db)
        assert [each.result(30).id for each in waiting] == [one.id] * KEY_SLOTS


def test_ones_own_is_not_waited_for(db: HashDB, actor: Actor, one: Contribution) -> None:
    db.hits_within = 60.0
    started = time.monotonic()
    assert contributions.get(db, again(db, actor, Scope.MATCH), one.id).id == one.id
    assert time.monotonic() - started < 30


def test_the_banks_of_a_key_that_only_matches_name_no_member(db: HashDB, matcher: Actor, one: Contribution) -> None:
    names = feed.list_banks(db, matcher)
    assert matcher.member is not None
    assert set(names) == {-1, 0, matcher.member.id}
    assert names[-1] == "HASHDB_SHARED"
    (hit,) = feed.look_up(db, matcher, query(1))
    assert hit.bank == "HASHDB_SHARED"
    assert feed.content(db, matcher, "HASHDB_SHARED", one.id).id == one.id
    every = feed.list_banks(db, member_with(db, Scope.MATCH, Scope.FEED))
    assert every[one.member] == one.member_name.upper().replace(" ", "_")
    for bank in (every[one.member], "HASHDB_TEST", names[matcher.member.id]):
        with pytest.raises(NotFound):
            feed.content(db, matcher, bank, one.id)
    assert feed.content(db, matcher, "HASHDB_TEST", 0).id == 0
    with pytest.raises(NotFound):
        feed.content(db, matcher, "HASHDB_SHARED", 0)


def test_feedback_by_a_value_reaches_what_was_answered_only(db: HashDB, matcher: Actor, one: Contribution) -> None:
    said = [(signal(1), DISPUTES)]
    with pytest.raises(InvalidInput):
        feed.give_opinions(db, matcher, said, "hashFeedbacks")
    matches.match(db, matcher, [query(1)])
    counts.flush(db)
    assert feed.give_opinions(db, matcher, said, "hashFeedbacks") == 1
    reader = again(db, member_with(db), Scope.MATCH, Scope.FEED)
    assert feed.give_opinions(db, reader, [(signal(1), replace(DISPUTES, note="seen"))], "hashFeedbacks") == 1
