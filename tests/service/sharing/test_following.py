"""Following: what another service lists matches here, and all that happens to it there happens here."""

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
    """Three services, of which each follows the one before."""
    with lists_in(tmp_path, clock, "a", "b", "c") as made:
        a, b, c = made
        b.follow(a)
        c.follow(b)
        yield made


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> Iterator[list[List]]:
    """Two services, of which the second follows the first."""
    with lists_in(tmp_path, clock, "a", "b") as made:
        a, b = made
        b.follow(a)
        yield made


def look(*lists: List) -> None:
    for each in lists:
        each.follow_upstreams()


def verified(*lists: List) -> None:
    for each in lists:
        assert verify(each.db, COMMAND_LINE).findings == ()


def test_a_chain_of_three_shows_where_it_began_and_withdraws_what_is_withdrawn_there(chain: list[List]) -> None:
    a, b, c = chain
    (own,) = a.contribute(draft(1, 2, severity=3, signatures=(signature(1),), expires_at=NOON + timedelta(days=9)))
    (film,) = a.contribute(video(5, 6, 7, 8))
    look(b, c)
    origin = Origin(a.log_name, own.id, own.member)
    assert (a.matched_origins(1), b.matched_origins(2), c.matched_origins(1)) == ((None,), (origin,), (origin,))
    copied = c.get(1)
    assert (copied.signals, copied.signatures, copied.severity) == (own.signals, own.signatures, 3)
    assert (copied.expires_at, copied.removed_at, copied.origin) == (own.expires_at, own.removed_at, origin)
    assert contributions.frames(c.db, COMMAND_LINE, 2) == contributions.frames(a.db, COMMAND_LINE, film.id)
    contributions.withdraw(a.db, a.member, own.id, "removal_reversed")
    look(b, c)
    assert (b.matched_origins(1), c.matched_origins(1)) == ((), ())
    gone = c.get(1)
    assert (gone.withdrawal_reason, gone.erased, gone.origin) == ("removal_reversed", True, origin)
    verified(b, c)


def test_documents_texts_and_addresses_are_followed_matched_and_withdrawn(chain: list[List]) -> None:
    a, b, _ = chain
    listed, address = words(1, 600), Signal(Algorithm.URL, 5 << 128)
    pages = tuple(Frame(page, (signal(40 + page),), 90, unit=Unit.PAGES) for page in range(1, 4))
    document = draft(media=Media.DOCUMENT, quality=None, frames=(*pages, *text(listed).frames))
    of_text, of_document, _ = a.contribute(text(listed), document, draft(address, media=Media.DOCUMENT, quality=None))
    look(b)
    for there, here in ((of_text, 1), (of_document, 2)):
        assert contributions.frames(b.db, COMMAND_LINE, here) == contributions.frames(a.db, COMMAND_LINE, there.id)
    assert [(one.media, one.pages, one.words) for one in map(b.get, (1, 2, 3))] == [
        (Media.TEXT, None, 600),
        (Media.DOCUMENT, 3, 600),
        (Media.DOCUMENT, None, None),
    ]
    asked = [excerpt(listed[100:500]), Query((signal(42),)), Query((address,))]

    def found() -> list[list[int]]:
        return [
            [match.contribution for match in result.matches] for result in matches.match(b.db, b.member, asked).results
        ]

    assert found() == [[1, 2], [2], [3]]
    contributions.withdraw(a.db, a.member, of_document.id, "removal_reversed")
    look(b)
    assert found() == [[1], [], [3]]
    verified(b)


def test_a_dispute_goes_back_step_by_step_and_the_standing_comes_forward(chain: list[List]) -> None:
    a, b, c = chain
    (own,) = a.contribute(draft(1))
    look(b, c)
    opinions.give(c.db, c.member, 1, DISPUTES)
    look(c, b, c)
    (heard,) = opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)
    assert (heard.stance, heard.reason, heard.note) == (Stance.DISPUTES, "wrong_label", None)
    assert [each.get(1).standing for each in chain] == [Standing.DISPUTED] * 3
    (case,) = cases.page(a.db, COMMAND_LINE, None, 0, 9)
    cases.decide(a.db, COMMAND_LINE, case.id, Decision.RETIRE)
    look(b, c)
    assert [each.matched_origins(1) for each in chain] == [(), (), ()]
    # What is retired there quarantines nothing of others here.
    assert [each.get(1).standing for each in chain] == [Standing.RETIRED, Standing.QUARANTINED, Standing.QUARANTINED]
    assert c.contribute(draft(1))[0].standing is Standing.UNREVIEWED
    verified(*chain)


def test_what_was_said_is_said_once_and_only_what_changes_is_said_again(pair: list[List]) -> None:
    a, b = pair
    (own,) = a.contribute(draft(1))
    look(b)
    opinions.give(b.db, b.member, 1, CONFIRMS)
    look(b, b)
    opinions.give(b.db, member_with(b.db), 1, DISPUTES)
    look(b, b)
    told = opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)
    assert [(opinion.stance, opinion.counts) for opinion in told] == [(Stance.CONFIRMS, False), (Stance.DISPUTES, True)]
    seq = a.db.store.head().seq
    look(b, b)
    assert a.db.store.head().seq == seq
    cases.decide(b.db, COMMAND_LINE, 1, Decision.UPHOLD)
    look(b)
    assert opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)[-1].stance is Stance.CONFIRMS
    # It is decided here: the open case there no longer makes it disputed here.
    assert (a.get(own.id).standing, b.get(1).standing) == (Standing.CONFIRMED, Standing.CONFIRMED)


def test_in_a_circle_nothing_comes_back(pair: list[List]) -> None:
    a, b = pair
    a.follow(b)
    a.contribute(draft(1))
    b.contribute(draft(2))
    look(b, a, b, a)
    (here,), (there,) = a.matched_origins(2), b.matched_origins(1)
    assert (here, there) == (Origin(b.log_name, 1, 1), Origin(a.log_name, 1, 1))
    assert [len(a.matched_origins(1)), len(b.matched_origins(2)), a.member_count(1), b.member_count(1)] == [1, 1, 1, 1]
    opinions.give(b.db, b.member, 2, DISPUTES)
    look(b, a, b, a)
    seqs = [each.db.store.head().seq for each in pair]
    assert [a.get(1).standing, b.get(2).standing] == [Standing.DISPUTED] * 2
    look(b, a, b, a)
    assert [each.db.store.head().seq for each in pair] == seqs


def test_two_paths_from_one_origin_count_once_and_one_that_ends_leaves_the_other(tmp_path: Path, clock: Clock) -> None:
    with lists_in(tmp_path, clock, "a", "b", "c", "d") as (a, b, c, d):
        for middle in (b, c):
            middle.follow(a)
            d.follow(middle)
        (own,) = a.contribute(draft(1))
        look(b, c, d)
        origin = Origin(a.log_name, own.id, own.member)
        assert (d.matched_origins(1), d.member_count(1)) == ((origin, origin), 1)
        d.contribute(draft(1))
        assert d.member_count(1) == 2
        # B's operator takes it back, and A does not.
        contributions.erase(b.db, COMMAND_LINE, 1)
        look(d)
        assert d.matched_origins(1) == (origin, None)
        contributions.withdraw(a.db, a.member, own.id, "other")
        look(b, c, d)
        assert d.matched_origins(1) == (None,)


def test_what_is_amended_and_added_and_expires_there_does_here(pair: list[List], clock: Clock) -> None:
    a, b = pair
    (own,) = a.contribute(draft(1))
    look(b)
    contributions.amend(
        a.db, a.member, own.id, Amendment(severity=4, labels=("recruitment",), expires_at=NOON + timedelta(days=2))
    )
    additions.add_one(a.db, a.member, Addition(own.id, (signal(1), signal(9)), (signature(4),)))
    look(b)
    copied = b.get(1)
    assert (copied.severity, copied.labels, copied.signals) == (4, ("recruitment",), (signal(1), signal(9)))
    assert (copied.signatures, b.matched_origins(9)) == ((signature(4),), (Origin(a.log_name, 1, 1),))
    clock.go(days=3)
    contributions.emit_pending(a.db)
    contributions.emit_pending(b.db)
    look(b)
    assert (b.matched_origins(1), b.get(1).status) == ((), Status.EXPIRED)
    verified(b)


def test_what_does_not_match_there_for_a_while_does_not_match_here(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1))
    look(b)
    assert a.member.member is not None
    for status, found in ((MemberStatus.SUSPENDED, 0), (MemberStatus.ACTIVE, 1)):
        members.change(a.db, COMMAND_LINE, a.member.member.id, MemberChange(status=status))
        contributions.emit_pending(a.db)
        look(b)
        assert len(b.matched_origins(1)) == found
    # It is the same contribution: what is said of it here stays.
    assert b.get(1).standing is Standing.UNREVIEWED
    with pytest.raises(Exception, match="contribution 2"):
        b.get(2)


def test_what_this_service_does_not_accept_is_counted_by_field_and_tried_again_on_request(pair: list[List]) -> None:
    a, b = pair
    benign.add(b.db, COMMAND_LINE, BenignDraft((signal(2),)))
    vocabulary = replace(b.db.rules.vocabulary, context=("nothing",))
    b.db.rules = replace(b.db.rules, vocabulary=vocabulary, algorithms=(Algorithm.PDQ,))
    a.contribute(
        draft(1, signal(1, Algorithm.PHASH)),
        draft(2),
        draft(3, context=a.db.rules.vocabulary.context[:1]),
    )
    look(b)
    assert b.get(1).signals == (signal(1),)
    (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
    assert upstream.refused == {"benign": 1, "context": 1}
    assert (b.matched_origins(2), b.matched_origins(3)) == ((), ())
    benign.delete(b.db, COMMAND_LINE, 1)
    upstreams.resume(b.db, COMMAND_LINE, upstream.id, b.connect, again=True)
    look(b)
    assert (len(b.matched_origins(1)), len(b.matched_origins(2))) == (1, 1)
    (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
    assert (upstream.refused, upstream.state) == ({"context": 1}, "following")
    verified(b)


def test_a_list_that_was_restored_is_read_again_and_only_what_is_gone_ends(pair: list[List]) -> None:
    a, b = pair
    a.contribute(*map(draft, range(1, 5)))
    look(b)
    opinions.give(b.db, b.member, 2, CONFIRMS)
    with a.db.store.begin() as tx:
        # As a backup from before number 4, and from before number 3 was what it is now.
        tx.audit.renew_epoch()
        for statement in (
            "DELETE FROM events WHERE subject_kind = 'contribution' AND subject_id = 4",
            "UPDATE signals SET value = zeroblob(32) WHERE contribution_id = 3",
        ):
            tx.connection.execute(sql(statement))
        tx.connection.execute(
            sql("UPDATE signals SET value = :value WHERE contribution_id = 3"), {"value": signal(30).to_bytes()}
        )
    look(b)
    assert [len(b.matched_origins(number)) for number in (1, 2, 3, 4, 30)] == [1, 1, 0, 0, 1]
    assert b.get(2).standing is Standing.CONFIRMED
    assert [b.get(id).status for id in (3, 4, 5)] == [Status.WITHDRAWN, Status.WITHDRAWN, Status.ACTIVE]
    verified(b)


class Killed(BaseException):
    """As by SIGKILL: what was not committed is lost."""


def test_whenever_it_is_killed_nothing_is_contributed_or_said_twice(pair: list[List], clock: Clock) -> None:
    a, b = pair
    steps, finished = 0, False
    while not finished:
        steps += 1
        (own,) = a.contribute(draft(steps))
        a.contribute(draft(1000 + steps))
        if steps > 1:
            contributions.withdraw(a.db, a.member, own.id - 1, "other")
            opinions.give(b.db, b.member, 2 * steps - 3, DISPUTES)
        left = steps

        def commit(connection: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed

        event.listen(b.db.store.engine, "commit", commit)
        try:
            look(b)
            finished = True
        except Killed:
            pass
        finally:
            event.remove(b.db.store.engine, "commit", commit)
        clock.go(minutes=3)
        look(b)
        active = contributions.page(b.db, COMMAND_LINE, Filter(status=Status.ACTIVE), 0, 999)
        numbers = [one.origin.contribution for one in active if one.origin is not None]
        assert numbers == [*range(1, 2 * steps, 2), 2 * steps]
    assert steps > 5
    heard = [opinion for id in range(1, 2 * steps) for opinion in opinions.page(a.db, COMMAND_LINE, id, 0, 9)]
    assert [opinion.contribution for opinion in heard] == [*range(1, 2 * steps - 2, 2)]
    verified(a, b)


def test_on_either_database_a_list_is_followed_and_removed(tmp_path: Path, clock: Clock, database_url: str) -> None:
    lists = Lists(tmp_path, clock)
    with closing(lists.add("a").db), closing(lists.add("b", database_url).db):
        a, b = lists.lists
        id = b.follow(a)
        first, second, _ = a.contribute(draft(1), draft(2), video(5, 6, 7))
        look(b)
        additions.add_one(a.db, a.member, Addition(first.id, (signal(1), signal(9))))
        contributions.withdraw(a.db, a.member, second.id, "removal_reversed")
        opinions.give(b.db, b.member, 1, DISPUTES)
        look(b, b)
        assert (len(b.matched_origins(9)), len(b.matched_origins(2)), b.get(1).standing) == (1, 0, Standing.DISPUTED)
        upstreams.resume(b.db, COMMAND_LINE, id, b.connect, again=True)
        look(b)
        assert [b.get(number).status for number in (1, 2, 3)] == [Status.ACTIVE, Status.WITHDRAWN, Status.ACTIVE]
        assert upstreams.remove(b.db, COMMAND_LINE, id) == (2, False)
        assert (upstreams.list_all(b.db, COMMAND_LINE), b.matched_origins(1)) == ((), ())
        assert b.get(1).origin == Origin(a.log_name, first.id, first.member)
        # Processes and clients of version 0.1.0 know no other kinds.
        kinds = {str(each.kind) for each in members.page(b.db, COMMAND_LINE, 0, 9)}
        assert kinds <= {"platform", "trusted_flagger", "authority", "operator"}
        verified(b)


def test_only_one_process_looks_and_a_slow_one_does_not_apply_what_another_has(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1))
    (before,) = upstreams.list_all(b.db, COMMAND_LINE)

    def connect(url: str, key: str) -> HTTPRemote:
        # Another process looks, and finds nothing to do.
        assert following.look(b.db, b.connect) == 0
        return b.connect(url, key)

    b.lists.clock.go(seconds=6)
    assert following.look(b.db, connect) == 1
    with closing(b.connect("http://a", b.keys[0])) as remote:
        page = remote.page(0, None, 10)
    assert following.apply(b.db, before, page) is None
    assert len(b.matched_origins(1)) == 1


def test_a_list_may_add_so_many_a_day_and_goes_on_at_midnight(tmp_path: Path, clock: Clock) -> None:
    with lists_in(tmp_path, clock, "a", "b") as (a, b):
        b.follow(a, a_day=2)
        a.contribute(*map(draft, range(1, 6)))
        for day in range(3):
            look(b, b)
            assert sum(len(b.matched_origins(number)) for number in range(1, 6)) == min(5, 2 + 2 * day)
            (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
            assert upstream.state == ("following" if day == 2 else "day_limit")
            clock.go(hours=12 if day == 0 else 24)


def test_without_the_scope_no_opinion_is_sent_and_with_it_all_are(tmp_path: Path, clock: Clock) -> None:
    with lists_in(tmp_path, clock, "a", "b") as (a, b):
        id = b.follow(a, Scope.FEED)
        (own,) = a.contribute(draft(1))
        look(b)
        opinions.give(b.db, b.member, 1, DISPUTES)
        look(b)
        (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
        assert (upstream.judges, upstream.state, opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)) == (
            False,
            "following",
            (),
        )
        upstreams.resume(b.db, COMMAND_LINE, id, b.connect, key=b.key_at(a))
        look(b)
        assert [each.stance for each in opinions.page(a.db, COMMAND_LINE, own.id, 0, 9)] == [Stance.DISPUTES]


def test_what_cannot_be_followed_says_why_and_is_tried_again(pair: list[List], clock: Clock) -> None:
    a, b = pair
    a.contribute(draft(1))
    app = b.lists.apps.pop("a")
    look(b)
    (upstream,) = upstreams.list_all(b.db, COMMAND_LINE)
    assert (upstream.state, upstream.failures, upstream.failing_since) == ("unreachable", 1, clock())
    b.lists.apps["a"] = app
    clock.go(minutes=11)
    look(b)
    assert len(b.matched_origins(1)) == 1
    members.revoke_key(a.db, COMMAND_LINE, 3)
    look(b)
    assert upstreams.list_all(b.db, COMMAND_LINE)[0].state == "key_refused"
    # Another service at the same address withdraws nothing.
    b.lists.add("other")
    b.lists.apps["a"] = b.lists.apps["other"]
    with pytest.raises(InvalidInput, match="does not know the key"):
        upstreams.resume(b.db, COMMAND_LINE, 1, b.connect)
    upstreams.resume(b.db, COMMAND_LINE, 1, b.connect, key=b.key_at(b.lists.lists[-1]), again=True)
    look(b)
    assert (upstreams.list_all(b.db, COMMAND_LINE)[0].state, len(b.matched_origins(1))) == ("other_log", 1)
    b.lists.lists[-1].db.close()


def test_a_claimed_origin_hides_nothing_and_only_lowers_the_count(pair: list[List]) -> None:
    a, b = pair
    (own,) = a.contribute(draft(1, severity=4))
    claim = UpstreamChange(1, 9, draft(1, severity=0), Origin(a.log_name, own.id, own.member), 5)
    other = follow_page(b.db)
    following.apply(b.db, other, UpstreamPage((claim,), 1, False, "epoch"))
    look(b)
    origin = Origin(a.log_name, own.id, own.member)
    assert (b.matched_origins(1), b.member_count(1)) == ((origin, origin), 1)
    (result,) = matches.match(b.db, b.member, [query(1)]).results
    assert result.severity == 4


def test_what_was_taken_out_here_stays_out_when_some_of_it_is_suppressed_there(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1, 2), draft(3, 4))
    look(b)
    cases.open_case(b.db, COMMAND_LINE, 1, "other", holds=True)
    benign.add(a.db, COMMAND_LINE, BenignDraft((signal(2),)))
    benign.add(a.db, COMMAND_LINE, BenignDraft((signal(4),)))
    look(b)
    assert [len(b.matched_origins(number)) for number in (1, 2, 3, 4)] == [0, 0, 1, 0]


def test_a_key_that_only_matches_sees_no_origin(pair: list[List]) -> None:
    a, b = pair
    a.contribute(draft(1))
    look(b)
    matcher = member_with(b.db, Scope.MATCH)
    for reader, told in ((b.member, True), (matcher, False)):
        (result,) = matches.match(b.db, reader, [query(1)]).results
        origins = result.matches[0].origin, contributions.get(b.db, reader, 1).origin
        assert [origin is not None for origin in origins] == [told, told]
