"""Following an upstream: its contributions match here, and each change there takes effect here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy import text as sql

from hashdb.cli.remotes import HTTPRemote
from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Addition, Amendment, Filter, Media, Standing, Status
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.matching.matches import Query
from hashdb.domain.origins import Origin
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.sharing.upstreams import UpstreamChange, UpstreamPage
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.service.accounts import members
from hashdb.service.contributions import additions, contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign, matches
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import following, upstreams
from tests.builders import NOON, Clock, draft, excerpt, member_with, query, signal, signature, text, video, words
from tests.service.lists import List, Lists, lists_in
from tests.service.pages import follow_page

DISPUTES, CONFIRMS = OpinionDraft(Stance.DISPUTES, "wrong_label"), OpinionDraft(Stance.CONFIRMS)


@pytest.fixture
def chain(tmp_path: Path, clock: Clock) -> Iterator[list[List]]:
    """Three services; each follows the one before it."""
    with lists_in(tmp_path, clock, "a", "b", "c") as services:
        a, b, c = services
        b.follow(a)
        c.follow(b)
        yield services


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> Iterator[list[List]]:
    """Two services; the second follows the first."""
    with lists_in(tmp_path, clock, "a", "b") as services:
        a, b = services
        b.follow(a)
        yield services


def follow_all(*lists: List) -> None:
    for each in lists:
        each.follow_upstreams()


def assert_verified(*lists: List) -> None:
    for each in lists:
        assert verify(each.db, COMMAND_LINE).findings == ()


def test_a_chain_of_services_keeps_the_origin_and_passes_withdrawals_on(chain: list[List]) -> None:
    a, b, c = chain
    (own,) = a.contribute(draft(1, 2, severity=3, signatures=(signature(1),), expires_at=NOON + timedelta(days=9)))
    (film,) = a.contribute(video(5, 6, 7, 8))
    follow_all(b, c)
    origin = Origin(a.log_name, own.id, own.member)
    assert (a.matched_origins(1), b.matched_origins(2), c.matched_origins(1)) == ((None,), (origin,), (origin,))
    copied = c.get(1)
    assert (copied.signals, copied.signatures, copied.severity) == (own.signals, own.signatures, 3)
    assert (copied.expires_at, copied.removed_at, copied.origin) == (own.expires_at, own.removed_at, origin)
    assert contributions.frames(c.db, COMMAND_LINE, 2) == contributions.frames(a.db, COMMAND_LINE, film.id)
    contributions.withdraw(a.db, a.member, own.id, "removal_reversed")
    follow_all(b, c)
    assert (b.matched_origins(1), c.matched_origins(1)) == ((), ())
    withdrawn = c.get(1)
    assert (withdrawn.withdrawal_reason, withdrawn.erased, withdrawn.origin) == ("removal_reversed", True, origin)
    assert_verified(b, c)


def test_texts_documents_and_urls_are_followed_matched_and_withdrawn(chain: list[List]) -> None:
    a, b, _ = chain
    listed, address = words(1, 600), Signal(Algorithm.URL, 5 << 128)
    pages = tuple(Frame(page, (signal(40 + page),), 90, unit=Unit.PAGES) for page in range(1, 4))
    document = draft(media=Media.DOCUMENT, quality=None, frames=(*pages, *text(listed).frames))
    of_text, of_document, _ = a.contribute(text(listed), document, draft(address, media=Media.DOCUMENT, quality=None))
    follow_all(b)
    for original, copy_id in ((of_text, 1), (of_document, 2)):
        assert contributions.frames(b.db, COMMAND_LINE, copy_id) == contributions.frames(
            a.db, COMMAND_LINE, original.id
        )
    assert [(each.media, each.pages, each.words) for each in map(b.get, (1, 2, 3))] == [
        (Media.TEXT, None, 600),
        (Media.DOCUMENT, 3, 600),
        (Media.DOCUMENT, None, None),
    ]
    queries = [excerpt(listed[100:500]), Query((signal(42),)), Query((address,))]

    def matching_ids() -> list[list[int]]:
        return [
            [match.contribution for match in result.matches]
            for result in matches.match(b.db, b.member, queries).results
        ]

    assert matching_ids() == [[1, 2], [2], [3]]
    contributions.withdraw(a.db, a.member, of_document.id, "removal_reversed")
    follow_all(b)
    assert matching_ids() == [[1], [], [3]]
    assert_verified(b)


def test_disputes_pass_up_the_chain_and_standings_pass_down(chain: list[List]) -> None:
    a, b, c = chain
    (own,) = a.contribute(draft(1))
    follow_all(b, c)
    opinions.give(c.db, c.member, 1, DISPUTES)
    follow_all(c, b, c)
    (received,) = opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)
    assert (received.stance, received.reason, received.note) == (Stance.DISPUTES, "wrong_label", None)
    assert [each.get(1).standing for each in chain] == [Standing.DISPUTED] * 3
    (case,) = cases.page(a.db, COMMAND_LINE, None, 0, 9)
    cases.decide(a.db, COMMAND_LINE, case.id, Decision.RETIRE)
    follow_all(b, c)
    assert [each.matched_origins(1) for each in chain] == [(), (), ()]
    # Retiring a contribution there quarantines no contribution of other members here.
    assert [each.get(1).standing for each in chain] == [Standing.RETIRED, Standing.QUARANTINED, Standing.QUARANTINED]
    assert c.contribute(draft(1))[0].standing is Standing.UNREVIEWED
    assert_verified(*chain)


def test_an_opinion_is_sent_once_and_again_only_if_it_changes(pair: list[List]) -> None:
    a, b = pair
    (own,) = a.contribute(draft(1))
    follow_all(b)
    opinions.give(b.db, b.member, 1, CONFIRMS)
    follow_all(b, b)
    opinions.give(b.db, member_with(b.db), 1, DISPUTES)
    follow_all(b, b)
    received = opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)
    assert [(opinion.stance, opinion.counts) for opinion in received] == [
        (Stance.CONFIRMS, False),
        (Stance.DISPUTES, True),
    ]
    seq = a.db.store.head().seq
    follow_all(b, b)
    assert a.db.store.head().seq == seq
    cases.decide(b.db, COMMAND_LINE, 1, Decision.UPHOLD)
    follow_all(b)
    assert opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)[-1].stance is Stance.CONFIRMS
    # This service has decided, so the open case there no longer makes the contribution disputed here.
    assert (a.get(own.id).standing, b.get(1).standing) == (Standing.CONFIRMED, Standing.CONFIRMED)


def test_two_services_that_follow_each_other_do_not_return_contributions(pair: list[List]) -> None:
    a, b = pair
    a.follow(b)
    a.contribute(draft(1))
    b.contribute(draft(2))
    follow_all(b, a, b, a)
    (origin_at_a,), (origin_at_b,) = a.matched_origins(2), b.matched_origins(1)
    assert (origin_at_a, origin_at_b) == (Origin(b.log_name, 1, 1), Origin(a.log_name, 1, 1))
    assert [len(a.matched_origins(1)), len(b.matched_origins(2)), a.member_count(1), b.member_count(1)] == [1, 1, 1, 1]
    opinions.give(b.db, b.member, 2, DISPUTES)
    follow_all(b, a, b, a)
    seqs = [each.db.store.head().seq for each in pair]
    assert [a.get(1).standing, b.get(2).standing] == [Standing.DISPUTED] * 2
    follow_all(b, a, b, a)
    assert [each.db.store.head().seq for each in pair] == seqs


def test_two_paths_from_one_origin_count_once_and_end_separately(tmp_path: Path, clock: Clock) -> None:
    with lists_in(tmp_path, clock, "a", "b", "c", "d") as (a, b, c, d):
        for middle in (b, c):
            middle.follow(a)
            d.follow(middle)
        (own,) = a.contribute(draft(1))
        follow_all(b, c, d)
        origin = Origin(a.log_name, own.id, own.member)
        assert (d.matched_origins(1), d.member_count(1)) == ((origin, origin), 1)
        d.contribute(draft(1))
        assert d.member_count(1) == 2
        # The operator of B erases its copy; A keeps the original.
        contributions.erase(b.db, COMMAND_LINE, 1)
        follow_all(d)
        assert d.matched_origins(1) == (origin, None)
        contributions.withdraw(a.db, a.member, own.id, "other")
        follow_all(b, c, d)
        assert d.matched_origins(1) == (None,)


def test_amendments_additions_and_expiry_there_apply_here(pair: list[List], clock: Clock) -> None:
    a, b = pair
    (own,) = a.contribute(draft(1))
    follow_all(b)
    contributions.amend(
        a.db, a.member, own.id, Amendment(severity=4, labels=("recruitment",), expires_at=NOON + timedelta(days=2))
    )
    additions.add_one(a.db, a.member, Addition(own.id, (signal(1), signal(9)), (signature(4),)))
    follow_all(b)
    copied = b.get(1)
    assert (copied.severity, copied.labels, copied.signals) == (4, ("recruitment",), (signal(1), signal(9)))
    assert (copied.signatures, b.matched_origins(9)) == ((signature(4),), (Origin(a.log_name, 1, 1),))
    clock.advance(days=3)
    contributions.emit_pending(a.db)
    contributions.emit_pending(b.db)
    follow_all(b)
    assert (b.matched_origins(1), b.get(1).status) == ((), Status.EXPIRED)
    assert_verified(b)


def test_a_contribution_suspended_there_does_not_match_here_meanwhile(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1))
    follow_all(b)
    assert a.member.member is not None
    for status, match_count in ((MemberStatus.SUSPENDED, 0), (MemberStatus.ACTIVE, 1)):
        members.change(a.db, COMMAND_LINE, a.member.member.id, MemberChange(status=status))
        contributions.emit_pending(a.db)
        follow_all(b)
        assert len(b.matched_origins(1)) == match_count
    # It is still the same contribution, so opinions given here are kept.
    assert b.get(1).standing is Standing.UNREVIEWED
    with pytest.raises(Exception, match="contribution 2"):
        b.get(2)


def test_rejected_contributions_are_counted_by_field_and_retried_on_request(pair: list[List]) -> None:
    a, b = pair
    benign.add(b.db, COMMAND_LINE, BenignDraft((signal(2),)))
    vocabulary = replace(b.db.rules.vocabulary, context=("nothing",))
    b.db.rules = replace(b.db.rules, vocabulary=vocabulary, algorithms=(Algorithm.PDQ,))
    a.contribute(
        draft(1, signal(1, Algorithm.PHASH)),
        draft(2),
        draft(3, context=a.db.rules.vocabulary.context[:1]),
    )
    follow_all(b)
    assert b.get(1).signals == (signal(1),)
    (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
    assert upstream.refused == {"benign": 1, "context": 1}
    assert (b.matched_origins(2), b.matched_origins(3)) == ((), ())
    benign.delete(b.db, COMMAND_LINE, 1)
    upstreams.resume(b.db, COMMAND_LINE, upstream.id, b.connect, again=True)
    follow_all(b)
    assert (len(b.matched_origins(1)), len(b.matched_origins(2))) == (1, 1)
    (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
    assert (upstream.refused, upstream.state) == ({"context": 1}, "following")
    assert_verified(b)


def test_a_restored_upstream_is_read_again_and_ends_only_missing_ones(pair: list[List]) -> None:
    a, b = pair
    a.contribute(*map(draft, range(1, 5)))
    follow_all(b)
    opinions.give(b.db, b.member, 2, CONFIRMS)
    with a.db.store.begin() as tx:
        # Like a backup without number 4 and with other signals of number 3.
        tx.audit.renew_epoch()
        for statement in (
            "DELETE FROM events WHERE subject_kind = 'contribution' AND subject_id = 4",
            "UPDATE signals SET value = zeroblob(32) WHERE contribution_id = 3",
        ):
            tx.connection.execute(sql(statement))
        tx.connection.execute(
            sql("UPDATE signals SET value = :value WHERE contribution_id = 3"), {"value": signal(30).to_bytes()}
        )
    follow_all(b)
    assert [len(b.matched_origins(number)) for number in (1, 2, 3, 4, 30)] == [1, 1, 0, 0, 1]
    assert b.get(2).standing is Standing.CONFIRMED
    assert [b.get(id).status for id in (3, 4, 5)] == [Status.WITHDRAWN, Status.WITHDRAWN, Status.ACTIVE]
    assert_verified(b)


class Killed(BaseException):
    """Stands for SIGKILL: changes that were not committed are lost."""


def test_a_killed_sync_never_stores_a_contribution_or_sends_an_opinion_twice(pair: list[List], clock: Clock) -> None:
    a, b = pair
    steps, finished = 0, False
    while not finished:
        steps += 1
        (own,) = a.contribute(draft(steps))
        a.contribute(draft(1000 + steps))
        if steps > 1:
            contributions.withdraw(a.db, a.member, own.id - 1, "other")
            opinions.give(b.db, b.member, 2 * steps - 3, DISPUTES)
        commits_left = steps

        def count_commit(connection: object) -> None:
            nonlocal commits_left
            commits_left -= 1
            if not commits_left:
                raise Killed

        event.listen(b.db.store.engine, "commit", count_commit)
        try:
            follow_all(b)
            finished = True
        except Killed:
            pass
        finally:
            event.remove(b.db.store.engine, "commit", count_commit)
        clock.advance(minutes=3)
        follow_all(b)
        active = contributions.page(b.db, COMMAND_LINE, Filter(status=Status.ACTIVE), 0, 999)
        numbers = [each.origin.contribution for each in active if each.origin is not None]
        assert numbers == [*range(1, 2 * steps, 2), 2 * steps]
    assert steps > 5
    received = [opinion for id in range(1, 2 * steps) for opinion in opinions.page(a.db, COMMAND_LINE, id, 0, 9)]
    assert [opinion.contribution for opinion in received] == [*range(1, 2 * steps - 2, 2)]
    assert_verified(a, b)


def test_an_upstream_can_be_followed_and_removed_on_both_databases(
    tmp_path: Path, clock: Clock, database_url: str
) -> None:
    lists = Lists(tmp_path, clock)
    with closing(lists.add("a").db), closing(lists.add("b", database_url).db):
        a, b = lists.lists
        id = b.follow(a)
        first, second, _ = a.contribute(draft(1), draft(2), video(5, 6, 7))
        follow_all(b)
        additions.add_one(a.db, a.member, Addition(first.id, (signal(1), signal(9))))
        contributions.withdraw(a.db, a.member, second.id, "removal_reversed")
        opinions.give(b.db, b.member, 1, DISPUTES)
        follow_all(b, b)
        assert (len(b.matched_origins(9)), len(b.matched_origins(2)), b.get(1).standing) == (1, 0, Standing.DISPUTED)
        upstreams.resume(b.db, COMMAND_LINE, id, b.connect, again=True)
        follow_all(b)
        assert [b.get(number).status for number in (1, 2, 3)] == [Status.ACTIVE, Status.WITHDRAWN, Status.ACTIVE]
        assert upstreams.remove(b.db, COMMAND_LINE, id) == (2, False)
        assert (upstreams.list_all(b.db, COMMAND_LINE), b.matched_origins(1)) == ((), ())
        assert b.get(1).origin == Origin(a.log_name, first.id, first.member)
        # Version 0.1.0 knows no other kinds of members.
        kinds = {str(each.kind) for each in members.page(b.db, COMMAND_LINE, 0, 9)}
        assert kinds <= {"platform", "trusted_flagger", "authority", "operator"}
        assert_verified(b)


def test_one_process_syncs_and_an_outdated_page_is_not_applied(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1))
    (outdated,) = upstreams.list_all(b.db, COMMAND_LINE)

    def connect(url: str, key: str) -> HTTPRemote:
        # Meanwhile, another process finds nothing to do.
        assert following.look(b.db, b.connect) == 0
        return b.connect(url, key)

    b.lists.clock.advance(seconds=6)
    assert following.look(b.db, connect) == 1
    with closing(b.connect("http://a", b.keys[0])) as remote:
        page = remote.page(0, None, 10)
    assert following.apply(b.db, outdated, page) is None
    assert len(b.matched_origins(1)) == 1


def test_the_daily_limit_of_an_upstream_stops_the_sync_until_midnight(tmp_path: Path, clock: Clock) -> None:
    with lists_in(tmp_path, clock, "a", "b") as (a, b):
        b.follow(a, a_day=2)
        a.contribute(*map(draft, range(1, 6)))
        for day in range(3):
            follow_all(b, b)
            assert sum(len(b.matched_origins(number)) for number in range(1, 6)) == min(5, 2 + 2 * day)
            (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
            assert upstream.state == ("following" if day == 2 else "day_limit")
            clock.advance(hours=12 if day == 0 else 24)


def test_opinions_are_sent_once_the_upstream_key_has_the_match_scope(tmp_path: Path, clock: Clock) -> None:
    with lists_in(tmp_path, clock, "a", "b") as (a, b):
        id = b.follow(a, Scope.FEED)
        (own,) = a.contribute(draft(1))
        follow_all(b)
        opinions.give(b.db, b.member, 1, DISPUTES)
        follow_all(b)
        (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
        assert (upstream.judges, upstream.state, opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)) == (
            False,
            "following",
            (),
        )
        upstreams.resume(b.db, COMMAND_LINE, id, b.connect, key=b.key_at(a))
        follow_all(b)
        assert [each.stance for each in opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)] == [Stance.DISPUTES]


def test_a_failing_sync_states_the_reason_and_is_retried(pair: list[List], clock: Clock) -> None:
    a, b = pair
    a.contribute(draft(1))
    app = b.lists.apps.pop("a")
    follow_all(b)
    (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
    assert (upstream.state, upstream.failures, upstream.failing_since) == ("unreachable", 1, clock())
    b.lists.apps["a"] = app
    clock.advance(minutes=11)
    follow_all(b)
    assert len(b.matched_origins(1)) == 1
    members.revoke_key(a.db, COMMAND_LINE, 3)
    follow_all(b)
    assert upstreams.list_all(b.db, COMMAND_LINE)[0].state == "key_refused"
    # Another service at the same address does not withdraw the contributions.
    b.lists.add("other")
    b.lists.apps["a"] = b.lists.apps["other"]
    with pytest.raises(InvalidInput, match="does not know the key"):
        upstreams.resume(b.db, COMMAND_LINE, 1, b.connect)
    upstreams.resume(b.db, COMMAND_LINE, 1, b.connect, key=b.key_at(b.lists.lists[-1]), again=True)
    follow_all(b)
    assert (upstreams.list_all(b.db, COMMAND_LINE)[0].state, len(b.matched_origins(1))) == ("other_log", 1)
    b.lists.lists[-1].db.close()


def test_a_false_origin_lowers_the_member_count_but_hides_no_match(pair: list[List]) -> None:
    a, b = pair
    (own,) = a.contribute(draft(1, severity=4))
    claim = UpstreamChange(1, 9, draft(1, severity=0), Origin(a.log_name, own.id, own.member), 5)
    other_upstream = follow_page(b.db)
    following.apply(b.db, other_upstream, UpstreamPage((claim,), 1, False, "epoch"))
    follow_all(b)
    origin = Origin(a.log_name, own.id, own.member)
    assert (b.matched_origins(1), b.member_count(1)) == ((origin, origin), 1)
    (result,) = matches.match(b.db, b.member, [query(1)]).results
    assert result.severity == 4


def test_a_held_copy_stays_out_if_one_of_its_signals_is_suppressed_there(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1, 2), draft(3, 4))
    follow_all(b)
    cases.open_case(b.db, COMMAND_LINE, 1, "other", holds=True)
    benign.add(a.db, COMMAND_LINE, BenignDraft((signal(2),)))
    benign.add(a.db, COMMAND_LINE, BenignDraft((signal(4),)))
    follow_all(b)
    assert [len(b.matched_origins(number)) for number in (1, 2, 3, 4)] == [0, 0, 1, 0]


def test_a_key_without_the_feed_scope_sees_no_origin(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1))
    follow_all(b)
    matcher = member_with(b.db, Scope.MATCH)
    for reader, is_shown in ((b.member, True), (matcher, False)):
        (result,) = matches.match(b.db, reader, [query(1)]).results
        origins = result.matches[0].origin, contributions.get(b.db, reader, 1).origin
        assert [origin is not None for origin in origins] == [is_shown, is_shown]
