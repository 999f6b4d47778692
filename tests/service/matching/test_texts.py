"""Texts and documents, whose frames are windows of words and pages, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Addition, Contribution, Draft, Filter, Media, Standing, Status
from hashdb.domain.frames import Unit
from hashdb.domain.listings import Place
from hashdb.domain.matching import frames as matching_frames
from hashdb.domain.matching.benign import BenignDraft, BenignEntry, BenignFilter, BenignSort
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.matching.segments import Segment
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import Proposal
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput
from hashdb.service import HashDB, index_check
from hashdb.service.accounts import members
from hashdb.service.contributions import additions, contributions
from hashdb.service.matching import benign
from hashdb.service.matching.matches import match
from hashdb.service.review import cases, opinions
from hashdb.store.tables import SIGNAL_TABLES, SUPPRESSED_TABLES, benign_signals, masks, shots, signals, text_masks
from hashdb.store.tables import benign as benign_table
from tests.builders import (
    Clock,
    contributed,
    document,
    draft,
    excerpt,
    hashdb,
    member_with,
    near,
    pages,
    signal,
    text,
    words,
)

LISTED = words(1, 1_200)
DRAFTS: dict[str, Draft] = {"text": text(LISTED), "document": document((1, 2, 3, 4), LISTED)}
QUERIES: dict[str, Query] = {
    "text": excerpt(words(2, 1_000), LISTED[450:750], words(3, 1_000)),
    "document": Query((), frames=pages(90, 91, 2, 3, 92, away=6)),
}
"""What finds each of the drafts."""
NARROW = {Algorithm.SIMHASH256: 20}
"""The radius of a benign window that does not touch the next ones."""


@pytest.fixture(params=["text", "document"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of what a test is."""
    return str(request.param)


def matches(db: HashDB, actor: Actor, query: Query, *, quarantined: bool = False) -> tuple[Match, ...]:
    (result,) = match(db, actor, [query], quarantined=quarantined).results
    return result.matches


def retire(db: HashDB, by: Actor, id: int) -> None:
    case = opinions.give(db, by, id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)


def test_an_excerpt_inside_another_text_matches_with_the_words_of_both(db: HashDB, actor: Actor) -> None:
    (listed,) = contributed(db, actor, text(LISTED))
    assert (listed.words, listed.pages, listed.media) == (1_200, None, "text")
    (found,) = matches(db, actor, QUERIES["text"])
    (segment,) = found.segments
    assert segment.unit is Unit.WORDS
    for stretch, expected in ((segment.query, (1_000, 1_300)), (segment.listed, (450, 750))):
        assert stretch == pytest.approx(expected, abs=40)
    assert found.covered is not None and 0.1 < found.covered.query < 0.2
    assert matches(db, actor, excerpt(words(2, 1_000), words(3, 1_000))) == ()


def test_pages_inside_another_document_match_by_their_numbers(db: HashDB, actor: Actor) -> None:
    (listed,) = contributed(db, actor, DRAFTS["document"])
    assert (listed.pages, listed.words, listed.media) == (4, 1_200, "document")
    (found,) = matches(db, actor, QUERIES["document"])
    assert found.segments == (Segment((3, 4), (2, 3), 1.0, 2, 2, 6, unit=Unit.PAGES),)
    assert found.covered == (0.4, 0.5)
    (one,) = matches(db, actor, Query((), frames=pages(90, 4)))
    assert [(each.query, each.listed) for each in one.segments] == [((2, 2), (4, 4))]


def test_a_document_matches_by_its_words_and_its_pages_and_its_words_say_how_much(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, DRAFTS["document"])
    asked = (*pages(3, 95), *excerpt(words(2, 100), LISTED, words(3, 100)).frames)
    (found,) = matches(db, actor, Query((), frames=asked))
    assert [segment.unit for segment in found.segments] == [Unit.WORDS, Unit.PAGES]
    assert found.covered is not None and found.covered.listed > 0.9


def test_a_picture_is_found_on_a_page_and_a_page_is_found_as_a_picture(db: HashDB, actor: Actor) -> None:
    of_pages, picture = contributed(db, actor, document((1, 2, 3, 2), LISTED), draft(7))
    (found,) = matches(db, actor, Query((near(signal(2), 4),)))
    assert (found.contribution, found.pages, found.at, found.words) == (of_pages.id, (2, 4), (), ())
    (found,) = matches(db, actor, Query((), frames=pages(90, 91, 7)))
    assert (found.contribution, found.segments) == (picture.id, ())
    assert [(frame.at, frame.unit) for frame in found.frames] == [(3, Unit.PAGES)]


def test_a_window_that_is_asked_alone_is_found_with_its_words(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, text(LISTED))
    (found,) = matches(db, actor, Query(DRAFTS["text"].frames[3].signals))
    assert (150, 300) in found.words
    assert found.distance[Algorithm.SIMHASH256] == 0


def test_a_few_lines_of_a_long_text_are_no_segment_and_a_short_text_is(db: HashDB, actor: Actor) -> None:
    (_, short) = contributed(db, actor, text(LISTED), text(words(5, 60)))
    assert matches(db, actor, excerpt(words(6, 300), LISTED[310:395], words(7, 300))) == ()
    (found,) = matches(db, actor, excerpt(words(5, 60)))
    assert (found.contribution, found.segments[0].listed) == (short.id, (0, 60))
    assert found.covered == (1.0, 1.0)


def test_a_query_says_how_many_words_must_agree(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, text(LISTED))
    assert matches(db, actor, replace(QUERIES["text"], min_words=600)) == ()
    assert matches(db, actor, replace(QUERIES["text"], min_words=300))


def test_the_signals_of_texts_are_where_version_0_1_0_does_not_look(db: HashDB, actor: Actor, kind: str) -> None:
    entry = benign.add(db, COMMAND_LINE, BenignDraft(DRAFTS[kind].frames[-1].signals, NARROW))
    assert not isinstance(entry, Proposal)
    contributed(db, actor, DRAFTS[kind])
    with db.store.read() as tx:
        for table in (signals, masks, benign_signals):
            assert "simhash256" not in set(tx.connection.scalars(select(table.c.algorithm)))
        stored = tx.connection.exec_driver_sql("SELECT media FROM contributions").scalar_one()
        assert stored == "document"
        assert tx.connection.execute(select(func.count()).select_from(text_masks)).scalar_one() == 1


def test_every_medium_comes_back_as_it_was_sent(db: HashDB, actor: Actor) -> None:
    sent = [
        text(LISTED),
        text(words(5, 100), media=Media.DOCUMENT),
        draft(1, media=Media.DOCUMENT),
        draft(2, media=Media.TEXT),
        document((1, 2), LISTED),
    ]
    made = contributed(db, actor, *sent)
    listed = contributions.page(db, actor, Filter(), 0, 10)
    assert [one.media for one in made] == [one.media for one in listed] == [one.media for one in sent]
    assert [(one.pages, one.words) for one in listed] == [
        (None, 1_200), (None, 100), (None, None), (None, None), (2, 1_200),
    ]  # fmt: skip
    for media in Media:
        chosen = contributions.page(db, actor, Filter(media=media), 0, 10)
        assert [one.id for one in chosen] == [
            one.id for one, draft in zip(made, sent, strict=True) if draft.media is media
        ]
    by_algorithm = contributions.page(db, actor, Filter(algorithm=Algorithm.SIMHASH256), 0, 10)
    assert [one.id for one in by_algorithm] == [made[0].id, made[1].id, made[4].id]


def test_its_frames_come_back(db: HashDB, actor: Actor, kind: str) -> None:
    (one,) = contributed(db, actor, DRAFTS[kind])
    assert contributions.frames(db, actor, one.id) == DRAFTS[kind].frames
    assert (one.signals, one.frame_count) == ((), len(DRAFTS[kind].frames))
    (again,) = contributions.contribute(db, actor, [DRAFTS[kind]]).recorded
    assert (again.contribution.id, again.known) == (one.id, True)


def _withdrawn(db: HashDB, actor: Actor, other: Actor, clock: Clock, one: Contribution) -> None:
    contributions.withdraw(db, actor, one.id, "other")


def _expired(db: HashDB, actor: Actor, other: Actor, clock: Clock, one: Contribution) -> None:
    clock.go(days=40)


def _suspended(db: HashDB, actor: Actor, other: Actor, clock: Clock, one: Contribution) -> None:
    members.change(db, COMMAND_LINE, one.member, MemberChange(status=MemberStatus.SUSPENDED))


def _erased(db: HashDB, actor: Actor, other: Actor, clock: Clock, one: Contribution) -> None:
    contributions.erase(db, actor, one.id)


def _retired(db: HashDB, actor: Actor, other: Actor, clock: Clock, one: Contribution) -> None:
    retire(db, other, one.id)


Ending = Callable[[HashDB, Actor, Actor, Clock, Contribution], None]


@pytest.mark.parametrize("end", [_withdrawn, _expired, _suspended, _erased, _retired])
def test_what_has_ended_matches_no_more(
    db: HashDB, actor: Actor, other: Actor, clock: Clock, kind: str, end: Ending
) -> None:
    (one,) = contributed(db, actor, replace(DRAFTS[kind], expires_at=clock.at + timedelta(days=30)))
    assert [each.contribution for each in matches(db, other, QUERIES[kind])] == [one.id]
    end(db, actor, other, clock, one)
    assert matches(db, other, QUERIES[kind]) == ()


def test_what_is_quarantined_is_found_by_who_audits_alone(
    db: HashDB, actor: Actor, other: Actor, clock: Clock, kind: str
) -> None:
    (first,) = contributed(db, actor, DRAFTS[kind])
    retire(db, other, first.id)
    (second,) = contributed(db, other, DRAFTS[kind])
    auditor = member_with(db, Scope.MATCH, Scope.AUDIT)
    assert matches(db, other, QUERIES[kind]) == ()
    found = matches(db, auditor, QUERIES[kind], quarantined=True)
    assert {one.contribution: one.standing for one in found} == {
        first.id: Standing.RETIRED,
        second.id: Standing.QUARANTINED,
    }


@pytest.mark.parametrize("part", [slice(None), slice(300, 900)])
def test_what_is_near_a_retired_one_waits_for_a_reviewer(db: HashDB, actor: Actor, other: Actor, part: slice) -> None:
    first, unlike = contributed(db, actor, text(LISTED), text(words(7, 500)))
    retire(db, other, first.id)
    (again, free) = contributed(db, other, text(LISTED[part], words(8, 300)), text(words(9, 500)))
    assert (again.standing, free.standing) == (Standing.QUARANTINED, Standing.UNREVIEWED)
    assert unlike.standing is Standing.UNREVIEWED


def test_a_page_of_a_retired_document_holds_another_document(db: HashDB, actor: Actor, other: Actor) -> None:
    (first,) = contributed(db, actor, DRAFTS["document"])
    retire(db, other, first.id)
    again, free = contributed(db, other, document((50, 3), words(8, 500)), document((51, 52), words(9, 500)))
    assert (again.standing, free.standing) == (Standing.QUARANTINED, Standing.UNREVIEWED)


def test_to_retire_a_text_quarantines_its_members_further_copies(db: HashDB, actor: Actor, other: Actor) -> None:
    first, second, third = contributed(db, actor, text(LISTED), text(words(8, 100), LISTED), text(words(9, 500)))
    retire(db, other, first.id)
    found = {one.id: one.standing for one in contributions.page(db, actor, Filter(), 0, 10)}
    assert found == {
        first.id: Standing.RETIRED, second.id: Standing.QUARANTINED, third.id: Standing.UNREVIEWED,
    }  # fmt: skip


def test_a_case_goes_on_after_a_withdrawal(db: HashDB, actor: Actor, other: Actor) -> None:
    (first,) = contributed(db, actor, text(LISTED))
    opinions.give(db, other, first.id, OpinionDraft(Stance.DISPUTES, "other"))
    contributions.withdraw(db, actor, first.id, "other")
    (again,) = contributed(db, actor, text(LISTED[:900]))
    assert again.standing is Standing.DISPUTED


def test_benign_windows_match_nothing_until_the_entry_is_deleted(db: HashDB, actor: Actor) -> None:
    """Whether the text or the entry is first."""
    shared = words(11, 400)
    (before,) = contributed(db, actor, text(LISTED[:800], shared))
    asked = excerpt(words(12, 300), shared, words(13, 300))
    assert matches(db, actor, asked)
    passage = excerpt(shared)
    every = tuple(dict.fromkeys(one for frame in passage.frames for one in frame.signals))
    draft = BenignDraft(every[:64])
    expected = benign.impact(db, COMMAND_LINE, draft)
    entry = benign.add(db, COMMAND_LINE, draft)
    assert isinstance(entry, BenignEntry)
    assert entry.masked == expected.signals > 0
    assert benign.suppressed_by(db, COMMAND_LINE, entry.id) == expected
    assert matches(db, actor, asked) == ()
    (after,) = contributed(db, actor, text(words(15, 300), shared))
    assert contributions.get(db, actor, before.id).masked == expected.signals
    assert contributions.get(db, actor, after.id).masked > 0
    chosen = BenignFilter(algorithm=Algorithm.SIMHASH256)
    page = benign.listed(db, COMMAND_LINE, chosen, BenignSort.ADDED, Place(), 10, descending=False)
    assert [row.id for row in page.rows] == [entry.id]
    benign.delete(db, COMMAND_LINE, entry.id)
    assert {one.contribution for one in matches(db, actor, asked)} == {before.id, after.id}
    assert contributions.get(db, actor, before.id).masked == 0


def test_an_entry_that_version_0_1_0_settled_is_applied_to_texts_all_the_same(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, text(LISTED))
    with db.store.begin() as tx:
        added = tx.benign.add(BenignDraft(DRAFTS["text"].frames[2].signals, NARROW), db.now())
        tx.connection.execute(update(benign_table).values(settled=True))
    assert benign.settle(db) == 1
    assert contributions.get(db, actor, one.id).masked == 1
    with db.store.begin() as tx:
        tx.benign.delete(added.id, db.now())
        tx.connection.execute(update(benign_table).values(settled=True))
    assert benign.settle(db) == 1
    assert contributions.get(db, actor, one.id).masked == 0
    assert benign.settle(db) == 0


def test_of_an_erased_one_nothing_is_left(db: HashDB, actor: Actor, kind: str) -> None:
    benign.add(db, COMMAND_LINE, BenignDraft(DRAFTS[kind].frames[-1].signals, NARROW))
    (one,) = contributed(db, actor, DRAFTS[kind])
    contributions.erase(db, COMMAND_LINE, one.id, at_once=True)
    with db.store.read() as tx:
        for table in (*SIGNAL_TABLES, *SUPPRESSED_TABLES, shots):
            assert tx.connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
        assert tx.erasures.with_rows_left() == ()
    erased = contributions.get(db, actor, one.id)
    assert (erased.words, erased.pages, erased.frame_count, erased.status) == (None, None, 0, Status.WITHDRAWN)


def test_a_process_that_starts_later_finds_them(
    db: HashDB, database_url: str, clock: Clock, actor: Actor, kind: str
) -> None:
    contributed(db, actor, DRAFTS[kind])
    later = hashdb(database_url, clock)
    assert matches(later, actor, QUERIES[kind])
    compared = index_check.check(later, 10, lambda count: None)
    assert compared[Algorithm.SIMHASH256].values > 0 and compared[Algorithm.SIMHASH256].same
    later.close()


def test_to_a_text_nothing_is_added(db: HashDB, actor: Actor, kind: str) -> None:
    (one,) = contributed(db, actor, DRAFTS[kind])
    with pytest.raises(InvalidInput, match="contribute it again"):
        additions.add(db, actor, [Addition(one.id, (signal(1),))])


def test_a_passage_that_a_thousand_texts_share_is_answered_within_bounds(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_frames, "MOST_WORK", 3_000)
    licence = words(20, 600)
    contributed(db, actor, *(text(words(100 + number, 100), licence) for number in range(40)))
    (result,) = match(db, actor, [excerpt(licence)]).results
    assert result.truncated
    assert 0 < len(result.matches) < 40
