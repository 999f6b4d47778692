"""Commitments in SQL: which lines contributions have, and which contributions have no commitment."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from hashdb.domain import frames as domain_frames
from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.frames import Frame, split_shots
from hashdb.domain.ledger.commitments import Commitment, commit_lines, item_lines, seal
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.store import Store
from hashdb.store.contributions import commitments
from hashdb.store.contributions import frames as frames_in_sql
from hashdb.store.matching.benign import PlacedSignal
from hashdb.store.tables import contributions
from tests.builders import NOON, document, draft, film, near, signal, signature, video, words
from tests.store.contributions.test_contributions import add, stored

DIGEST = Signal(Algorithm.SHA256, 7)
PICTURE = draft(1, signal(2, Algorithm.PHASH), DIGEST, signatures=(signature(1), signature(2)))
FILM = replace(video(1, signals=(DIGEST,)), frames=(*film(2, 3), Frame(2.0, (near(signal(3), 4),), 90)), duration=4.0)
DRAFTS = (PICTURE, FILM, document((5, 6), words(7, 300)))


def lines_of(draft: Draft) -> list[str]:
    return sorted(item_lines(draft.signals, split_shots(draft.frames), draft.signatures))


def suppress(store: Store, id: int, *held: tuple[int, Signal]) -> None:
    with store.begin() as tx:
        entry = tx.benign.add(BenignDraft((held[0][1],), {}), NOON)
        tx.suppressions.suppress([PlacedSignal(id, position, one) for position, one in held], entry.id)


def test_what_is_stored_has_the_lines_of_the_draft_and_its_commitment(store: Store, member: Member) -> None:
    added = add(store, member, *DRAFTS)
    with store.read() as tx:
        lines = tx.commitments.lines([one.id for one in added])
    assert [sorted(lines[one.id]) for one in added] == list(map(lines_of, DRAFTS))
    for one in added:
        assert one.salt is not None and one.commitment == commit_lines(one.salt, lines[one.id])
        read = stored(store, one.id)
        assert (read.salt, read.commitment, read.undisclosed) == (one.salt, one.commitment, ())
    assert len({one.salt for one in added}) == 3


def test_suppressed_signals_are_lines_still_and_undisclosed(store: Store, member: Member) -> None:
    picture, film = add(store, member, PICTURE, FILM)
    suppress(store, picture.id, (0, signal(1)))
    suppress(store, film.id, (128, signal(3)))
    gone = {picture.id: str(signal(1)), film.id: f"seconds:1000-2000:{signal(3)}"}
    for one, sent in ((picture, PICTURE), (film, FILM)):
        assert one.salt is not None
        read = stored(store, one.id)
        assert read.undisclosed == (seal(one.salt, gone[one.id]),)
        with store.read() as tx:
            assert sorted(tx.commitments.lines([one.id])[one.id]) == lines_of(sent)
            frames = tx.frames.get([one.id], masked=[one.id]).get(one.id, ())
        shown = item_lines(read.signals, split_shots(frames), read.signatures)
        assert commit_lines(one.salt, shown, read.undisclosed) == one.commitment


def test_a_shot_ends_where_it_did_though_its_first_signal_is_suppressed(store: Store, member: Member) -> None:
    first = Frame(0.0, (signal(1), signal(2, Algorithm.PHASH256)), 90)
    frames = (first, Frame(1.0, (signal(1),), 90), Frame(2.0, (near(signal(1), 2), signal(3)), 90))
    (one,) = add(store, member, replace(FILM, frames=frames, signals=()))
    suppress(store, one.id, (64, signal(1)), (129, signal(3)))
    read = stored(store, one.id)
    with store.read() as tx:
        plain, marked = tx.frames.get([one.id])[one.id], tx.frames.get([one.id], masked=[one.id])[one.id]
    assert [frame.begins_shot for frame in marked] == [None, False, None]
    assert one.salt is not None
    assert commit_lines(one.salt, item_lines((), split_shots(marked), ()), read.undisclosed) == one.commitment
    assert commit_lines(one.salt, item_lines((), split_shots(plain), ()), read.undisclosed) != one.commitment


@pytest.fixture
def lacking(store: Store, member: Member) -> list[Contribution]:
    """Contributions as version 0.1.0 records them; the last one has a commitment, and the first one is withdrawn."""
    added = [*add(store, member, draft(1), video(2, 3), video(3, 4), draft(5), draft(6))]
    with store.begin() as tx:
        old = update(contributions).where(contributions.c.id < added[-1].id)
        tx.connection.execute(old.values(salt=None, commitment=None))
        tx.contributions.withdraw(added[0].id, "other", NOON)
    return added


def test_those_that_are_not_withdrawn_and_have_none_lack_one(
    store: Store, lacking: list[Contribution], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tuple(one.id for one in lacking[1:-1])
    made = Commitment.new(["pdq:1"])
    with store.begin() as tx:
        assert (tx.commitments.lacking(10), tx.commitments.lacking(2)) == (ids, ids[:2])
        assert tx.commitments.lacking_of([one.id for one in lacking]) == ids
        monkeypatch.setattr(frames_in_sql, "FRAMES_A_REQUEST", 3)
        assert tx.commitments.lacking(10) == ids[:1]
        monkeypatch.setattr(frames_in_sql, "FRAMES_A_REQUEST", 1)
        assert tx.commitments.lacking(10) == ids[:1]
        tx.commitments.store({})
        tx.commitments.store({ids[0]: made})
        assert tx.commitments.lacking_of(ids) == ids[1:]
    read = stored(store, ids[0])
    assert (read.salt, read.commitment) == made
    assert domain_frames.FRAMES_A_REQUEST == 20_000


def test_those_that_lack_one_are_found_by_an_index(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":
        with store.read() as tx:
            query = str(commitments._LACKING_IDS.compile(store.engine, compile_kwargs={"literal_binds": True}))
            plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query.replace(':limit', '5')}", {}).all()
        assert "ix_contributions_id" in str(plan)
