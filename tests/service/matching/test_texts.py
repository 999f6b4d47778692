"""Texts and documents, on both databases. Their frames are windows of words and pages."""

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
from hashdb.domain.review.proposals import Proposal
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
"""Queries that match each of the drafts."""
NARROW = {Algorithm.SIMHASH256: 20}
"""A radius of a benign window that is too small for its neighboring windows."""


@pytest.fixture(params=["text", "document"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of item that the test contributes."""
    return str(request.param)


def matches(db: HashDB, actor: Actor, query: Query, *, quarantined: bool = False) -> tuple[Match, ...]:
    (result,) = match(db, actor, [query], quarantined=quarantined).results
    return result.matches


def retire(db: HashDB, by: Actor, id: int) -> None:
    case = opinions.give(db, by, id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)


def test_an_excerpt_in_another_text_matches_with_word_numbers_of_both(db: HashDB, actor: Actor) -> None:
    (listed,) = contributed(db, actor, text(LISTED))
    assert (listed.words, listed.pages, listed.media) == (1_200, None, "text")
    (matched,) = matches(db, actor, QUERIES["text"])
    (segment,) = matched.segments
    assert segment.unit is Unit.WORDS
    for interval, expected in ((segment.query, (1_000, 1_300)), (segment.listed, (450, 750))):
        assert interval == pytest.approx(expected, abs=40)
    assert matched.covered is not None and 0.1 < matched.covered.query < 0.2
    assert matches(db, actor, excerpt(words(2, 1_000), words(3, 1_000))) == ()


def test_pages_in_another_document_match_with_page_numbers_of_both(db: HashDB, actor: Actor) -> None:
    (listed,) = contributed(db, actor, DRAFTS["document"])
    assert (listed.pages, listed.words, listed.media) == (4, 1_200, "document")
    (matched,) = matches(db, actor, QUERIES["document"])
    assert matched.segments == (Segment((3, 4), (2, 3), 1.0, 2, 2, 6, unit=Unit.PAGES),)
    assert matched.covered == (0.4, 0.5)
    (matched_page,) = matches(db, actor, Query((), frames=pages(90, 4)))
    assert [(segment.query, segment.listed) for segment in matched_page.segments] == [((2, 2), (4, 4))]


def test_a_document_matches_by_words_and_pages_and_words_set_the_coverage(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, DRAFTS["document"])
    frames = (*pages(3, 95), *excerpt(words(2, 100), LISTED, words(3, 100)).frames)
    (matched,) = matches(db, actor, Query((), frames=frames))
    assert [segment.unit for segment in matched.segments] == [Unit.WORDS, Unit.PAGES]
    assert matched.covered is not None and matched.covered.listed > 0.9


def test_a_picture_matches_a_page_and_a_page_matches_a_picture(db: HashDB, actor: Actor) -> None:
    document_with_picture, picture = contributed(db, actor, document((1, 2, 3, 2), LISTED), draft(7))
    (matched,) = matches(db, actor, Query((near(signal(2), 4),)))
    assert (matched.contribution, matched.pages, matched.at, matched.words) == (
        document_with_picture.id,
        (2, 4),
        (),
        (),
    )
    (matched,) = matches(db, actor, Query((), frames=pages(90, 91, 7)))
    assert (matched.contribution, matched.segments) == (picture.id, ())
    assert [(frame.at, frame.unit) for frame in matched.frames] == [(3, Unit.PAGES)]


def test_a_single_window_matches_with_its_word_numbers(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, text(LISTED))
    (matched,) = matches(db, actor, Query(DRAFTS["text"].frames[3].signals))
    assert (150, 300) in matched.words
    assert matched.distance[Algorithm.SIMHASH256] == 0


def test_a_short_text_matches_and_a_few_lines_of_a_long_text_do_not(db: HashDB, actor: Actor) -> None:
    (_, short) = contributed(db, actor, text(LISTED), text(words(5, 60)))
    assert matches(db, actor, excerpt(words(6, 300), LISTED[310:395], words(7, 300))) == ()
    (matched,) = matches(db, actor, excerpt(words(5, 60)))
    assert (matched.contribution, matched.segments[0].listed) == (short.id, (0, 60))
    assert matched.covered == (1.0, 1.0)


def test_a_query_may_set_how_many_words_must_agree(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, text(LISTED))
    assert matches(db, actor, replace(QUERIES["text"], min_words=600)) == ()
    assert matches(db, actor, replace(QUERIES["text"], min_words=300))


def test_signals_of_texts_are_in_tables_that_version_0_1_0_does_not_read(db: HashDB, actor: Actor, kind: str) -> None:
    entry = benign.add(db, COMMAND_LINE, BenignDraft(DRAFTS[kind].frames[-1].signals, NARROW))
    assert not isinstance(entry, Proposal)
    contributed(db, actor, DRAFTS[kind])
    with db.store.read() as tx:
        for table in (signals, masks, benign_signals):
            assert "simhash256" not in set(tx.connection.scalars(select(table.c.algorithm)))
        stored = tx.connection.exec_driver_sql("SELECT media FROM contributions").scalar_one()
        assert stored == "document"
        assert tx.connection.execute(select(func.count()).select_from(text_masks)).scalar_one() == 1


def test_every_medium_is_returned_as_it_was_sent(db: HashDB, actor: Actor) -> None:
    sent = [
        text(LISTED),
        text(words(5, 100), media=Media.DOCUMENT),
        draft(1, media=Media.DOCUMENT),
        draft(2, media=Media.TEXT),
        document((1, 2), LISTED),
    ]
    added = contributed(db, actor, *sent)
    listed = contributions.page(db, actor, Filter(), 0, 10)
    assert [each.media for each in added] == [each.media for each in listed] == [each.media for each in sent]
    assert [(each.pages, each.words) for each in listed] == [
        (None, 1_200), (None, 100), (None, None), (None, None), (2, 1_200),
    ]  # fmt: skip
    for media in Media:
        chosen = contributions.page(db, actor, Filter(media=media), 0, 10)
        assert [each.id for each in chosen] == [
            each.id for each, draft in zip(added, sent, strict=True) if draft.media is media
        ]
    by_algorithm = contributions.page(db, actor, Filter(algorithm=Algorithm.SIMHASH256), 0, 10)
    assert [each.id for each in by_algorithm] == [added[0].id, added[1].id, added[4].id]


def test_frames_are_returned_as_sent_and_a_repeated_draft_is_known(db: HashDB, actor: Actor, kind: str) -> None:
    (first,) = contributed(db, actor, DRAFTS[kind])
    assert contributions.frames(db, actor, first.id) == DRAFTS[kind].frames
    assert (first.signals, first.frame_count) == ((), len(DRAFTS[kind].frames))
    (again,) = contributions.contribute(db, actor, [DRAFTS[kind]]).recorded
    assert (again.contribution.id, again.known) == (first.id, True)


def _withdrawn(db: HashDB, actor: Actor, other: Actor, clock: Clock, contribution: Contribution) -> None:
    contributions.withdraw(db, actor, contribution.id, "other")


def _expired(db: HashDB, actor: Actor, other: Actor, clock: Clock, contribution: Contribution) -> None:
    clock.advance(days=40)


def _suspended(db: HashDB, actor: Actor, other: Actor, clock: Clock, contribution: Contribution) -> None:
    members.change(db, COMMAND_LINE, contribution.member, MemberChange(status=MemberStatus.SUSPENDED))


def _erased(db: HashDB, actor: Actor, other: Actor, clock: Clock, contribution: Contribution) -> None:
    contributions.erase(db, actor, contribution.id)


def _retired(db: HashDB, actor: Actor, other: Actor, clock: Clock, contribution: Contribution) -> None:
    retire(db, other, contribution.id)


Ending = Callable[[HashDB, Actor, Actor, Clock, Contribution], None]


@pytest.mark.parametrize("end", [_withdrawn, _expired, _suspended, _erased, _retired])
def test_an_ended_contribution_no_longer_matches(
    db: HashDB, actor: Actor, other: Actor, clock: Clock, kind: str, end: Ending
) -> None:
    (contribution,) = contributed(db, actor, replace(DRAFTS[kind], expires_at=clock.at + timedelta(days=30)))
    assert [matched.contribution for matched in matches(db, other, QUERIES[kind])] == [contribution.id]
    end(db, actor, other, clock, contribution)
    assert matches(db, other, QUERIES[kind]) == ()


def test_only_auditors_find_quarantined_contributions(
    db: HashDB, actor: Actor, other: Actor, clock: Clock, kind: str
) -> None:
    (first,) = contributed(db, actor, DRAFTS[kind])
    retire(db, other, first.id)
    (second,) = contributed(db, other, DRAFTS[kind])
    auditor = member_with(db, Scope.MATCH, Scope.AUDIT)
    assert matches(db, other, QUERIES[kind]) == ()
    matched = matches(db, auditor, QUERIES[kind], quarantined=True)
    assert {each.contribution: each.standing for each in matched} == {
        first.id: Standing.RETIRED,
        second.id: Standing.QUARANTINED,
    }


@pytest.mark.parametrize("part", [slice(None), slice(300, 900)])
def test_a_text_close_to_a_retired_one_is_quarantined(db: HashDB, actor: Actor, other: Actor, part: slice) -> None:
    first, unlike = contributed(db, actor, text(LISTED), text(words(7, 500)))
    retire(db, other, first.id)
    (again, free) = contributed(db, other, text(LISTED[part], words(8, 300)), text(words(9, 500)))
    assert (again.standing, free.standing) == (Standing.QUARANTINED, Standing.UNREVIEWED)
    assert unlike.standing is Standing.UNREVIEWED


def test_a_document_with_a_page_of_a_retired_one_is_quarantined(db: HashDB, actor: Actor, other: Actor) -> None:
    (first,) = contributed(db, actor, DRAFTS["document"])
    retire(db, other, first.id)
    again, free = contributed(db, other, document((50, 3), words(8, 500)), document((51, 52), words(9, 500)))
    assert (again.standing, free.standing) == (Standing.QUARANTINED, Standing.UNREVIEWED)


def test_retiring_a_text_quarantines_its_members_other_copies(db: HashDB, actor: Actor, other: Actor) -> None:
    first, second, third = contributed(db, actor, text(LISTED), text(words(8, 100), LISTED), text(words(9, 500)))
    retire(db, other, first.id)
    standings = {each.id: each.standing for each in contributions.page(db, actor, Filter(), 0, 10)}
    assert standings == {
        first.id: Standing.RETIRED, second.id: Standing.QUARANTINED, third.id: Standing.UNREVIEWED,
    }  # fmt: skip


def test_a_dispute_of_a_withdrawn_text_applies_to_its_next_copy(db: HashDB, actor: Actor, other: Actor) -> None:
    (first,) = contributed(db, actor, text(LISTED))
    opinions.give(db, other, first.id, OpinionDraft(Stance.DISPUTES, "other"))
    contributions.withdraw(db, actor, first.id, "other")
    (again,) = contributed(db, actor, text(LISTED[:900]))
    assert again.standing is Standing.DISPUTED


def test_benign_windows_match_nothing_until_their_entry_is_deleted(db: HashDB, actor: Actor) -> None:
    """The entry applies to texts contributed before it and after it."""
    shared = words(11, 400)
    (before,) = contributed(db, actor, text(LISTED[:800], shared))
    query = excerpt(words(12, 300), shared, words(13, 300))
    assert matches(db, actor, query)
    passage = excerpt(shared)
    benign_values = tuple(dict.fromkeys(each for frame in passage.frames for each in frame.signals))
    draft = BenignDraft(benign_values[:64])
    expected = benign.impact(db, COMMAND_LINE, draft)
    entry = benign.add(db, COMMAND_LINE, draft)
    assert isinstance(entry, BenignEntry)
    assert entry.masked == expected.signals > 0
    assert benign.suppressed_by(db, COMMAND_LINE, entry.id) == expected
    assert matches(db, actor, query) == ()
    (after,) = contributed(db, actor, text(words(15, 300), shared))
    assert contributions.get(db, actor, before.id).masked == expected.signals
    assert contributions.get(db, actor, after.id).masked > 0
    chosen = BenignFilter(algorithm=Algorithm.SIMHASH256)
    page = benign.listed(db, COMMAND_LINE, chosen, BenignSort.ADDED, Place(), 10, descending=False)
    assert [row.id for row in page.rows] == [entry.id]
    benign.delete(db, COMMAND_LINE, entry.id)
    assert {each.contribution for each in matches(db, actor, query)} == {before.id, after.id}
    assert contributions.get(db, actor, before.id).masked == 0


def test_settle_applies_entries_to_texts_that_version_0_1_0_marked_settled(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, text(LISTED))
    with db.store.begin() as tx:
        added = tx.benign.add(BenignDraft(DRAFTS["text"].frames[2].signals, NARROW), db.now())
        tx.connection.execute(update(benign_table).values(settled=True))
    assert benign.settle(db) == 1
    assert contributions.get(db, actor, contribution.id).masked == 1
    with db.store.begin() as tx:
        tx.benign.delete(added.id, db.now())
        tx.connection.execute(update(benign_table).values(settled=True))
    assert benign.settle(db) == 1
    assert contributions.get(db, actor, contribution.id).masked == 0
    assert benign.settle(db) == 0


def test_erasing_a_text_deletes_all_its_rows(db: HashDB, actor: Actor, kind: str) -> None:
    benign.add(db, COMMAND_LINE, BenignDraft(DRAFTS[kind].frames[-1].signals, NARROW))
    (contribution,) = contributed(db, actor, DRAFTS[kind])
    contributions.erase(db, COMMAND_LINE, contribution.id, at_once=True)
    with db.store.read() as tx:
        for table in (*SIGNAL_TABLES, *SUPPRESSED_TABLES, shots):
            assert tx.connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
        assert tx.erasures.with_rows_left() == ()
    erased = contributions.get(db, actor, contribution.id)
    assert (erased.words, erased.pages, erased.frame_count, erased.status) == (None, None, 0, Status.WITHDRAWN)


def test_a_process_that_starts_later_finds_texts(
    db: HashDB, database_url: str, clock: Clock, actor: Actor, kind: str
) -> None:
    contributed(db, actor, DRAFTS[kind])
    later = hashdb(database_url, clock)
    assert matches(later, actor, QUERIES[kind])
    checked = index_check.check(later, 10, lambda count: None)
    assert checked[Algorithm.SIMHASH256].values > 0 and checked[Algorithm.SIMHASH256].same
    later.close()


def test_additions_to_a_text_are_rejected(db: HashDB, actor: Actor, kind: str) -> None:
    (contribution,) = contributed(db, actor, DRAFTS[kind])
    with pytest.raises(InvalidInput, match="contribute it again"):
        additions.add(db, actor, [Addition(contribution.id, (signal(1),))])


def test_a_query_for_a_passage_of_many_texts_is_truncated_at_the_work_limit(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_frames, "MOST_WORK", 3_000)
    licence = words(20, 600)
    contributed(db, actor, *(text(words(100 + number, 100), licence) for number in range(40)))
    (result,) = match(db, actor, [excerpt(licence)]).results
    assert result.truncated
    assert 0 < len(result.matches) < 40
