"""Commitments in SQL: the lines of contributions, and the contributions without a commitment."""

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


def suppress(store: Store, id: int, *suppressed: tuple[int, Signal]) -> None:
    with store.begin() as tx:
        entry = tx.benign.add(BenignDraft((suppressed[0][1],), {}), NOON)
        tx.suppressions.suppress([PlacedSignal(id, position, value) for position, value in suppressed], entry.id)


def test_a_contribution_has_the_lines_and_the_commitment_of_its_draft(store: Store, member: Member) -> None:
    added = add(store, member, *DRAFTS)
    with store.read() as tx:
        lines = tx.commitments.lines([contribution.id for contribution in added])
    assert [sorted(lines[contribution.id]) for contribution in added] == list(map(lines_of, DRAFTS))
    for contribution in added:
        assert contribution.salt is not None and contribution.commitment == commit_lines(
            contribution.salt, lines[contribution.id]
        )
        read = stored(store, contribution.id)
        assert (read.salt, read.commitment, read.undisclosed) == (contribution.salt, contribution.commitment, ())
    assert len({contribution.salt for contribution in added}) == 3


def test_suppressed_signals_stay_in_the_lines_but_are_undisclosed(store: Store, member: Member) -> None:
    picture, film = add(store, member, PICTURE, FILM)
    suppress(store, picture.id, (0, signal(1)))
    suppress(store, film.id, (128, signal(3)))
    suppressed_line = {picture.id: str(signal(1)), film.id: f"seconds:1000-2000:{signal(3)}"}
    for contribution, sent in ((picture, PICTURE), (film, FILM)):
        assert contribution.salt is not None
        read = stored(store, contribution.id)
        assert read.undisclosed == (seal(contribution.salt, suppressed_line[contribution.id]),)
        with store.read() as tx:
            assert sorted(tx.commitments.lines([contribution.id])[contribution.id]) == lines_of(sent)
            frames = tx.frames.get([contribution.id], masked=[contribution.id]).get(contribution.id, ())
        shown = item_lines(read.signals, split_shots(frames), read.signatures)
        assert commit_lines(contribution.salt, shown, read.undisclosed) == contribution.commitment


def test_suppressing_the_first_signal_of_a_shot_does_not_move_its_end(store: Store, member: Member) -> None:
    first = Frame(0.0, (signal(1), signal(2, Algorithm.PHASH256)), 90)
    frames = (first, Frame(1.0, (signal(1),), 90), Frame(2.0, (near(signal(1), 2), signal(3)), 90))
    (contribution,) = add(store, member, replace(FILM, frames=frames, signals=()))
    suppress(store, contribution.id, (64, signal(1)), (129, signal(3)))
    read = stored(store, contribution.id)
    with store.read() as tx:
        plain, marked = (
            tx.frames.get([contribution.id])[contribution.id],
            tx.frames.get([contribution.id], masked=[contribution.id])[contribution.id],
        )
    assert [frame.begins_shot for frame in marked] == [None, False, None]
    assert contribution.salt is not None
    assert (
        commit_lines(contribution.salt, item_lines((), split_shots(marked), ()), read.undisclosed)
        == contribution.commitment
    )
    assert (
        commit_lines(contribution.salt, item_lines((), split_shots(plain), ()), read.undisclosed)
        != contribution.commitment
    )


@pytest.fixture
def some_without_commitment(store: Store, member: Member) -> list[Contribution]:
    """Contributions as version 0.1.0 stored them. The first is withdrawn; only the last has a commitment."""
    added = [*add(store, member, draft(1), video(2, 3), video(3, 4), draft(5), draft(6))]
    with store.begin() as tx:
        old = update(contributions).where(contributions.c.id < added[-1].id)
        tx.connection.execute(old.values(salt=None, commitment=None))
        tx.contributions.withdraw(added[0].id, "other", NOON)
    return added


def test_lacking_returns_active_contributions_without_a_commitment(
    store: Store, some_without_commitment: list[Contribution], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tuple(each.id for each in some_without_commitment[1:-1])
    commitment = Commitment.new(["pdq:1"])
    with store.begin() as tx:
        assert (tx.commitments.lacking(10), tx.commitments.lacking(2)) == (ids, ids[:2])
        assert tx.commitments.lacking_of([each.id for each in some_without_commitment]) == ids
        monkeypatch.setattr(frames_in_sql, "FRAMES_A_REQUEST", 3)
        assert tx.commitments.lacking(10) == ids[:1]
        monkeypatch.setattr(frames_in_sql, "FRAMES_A_REQUEST", 1)
        assert tx.commitments.lacking(10) == ids[:1]
        tx.commitments.store({})
        tx.commitments.store({ids[0]: commitment})
        assert tx.commitments.lacking_of(ids) == ids[1:]
    read = stored(store, ids[0])
    assert (read.salt, read.commitment) == commitment
    assert domain_frames.FRAMES_A_REQUEST == 20_000


def test_lacking_uses_an_index(store: Store) -> None:
    statement = str(commitments._LACKING_IDS.limit(5).compile(store.engine, compile_kwargs={"literal_binds": True}))
    with store.read() as tx:
        if store.embedded:
            explain = "EXPLAIN QUERY PLAN"
        else:
            explain = "EXPLAIN"
            # PostgreSQL reads a small table as a whole.
            tx.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = tx.connection.exec_driver_sql(f"{explain} {statement}").all()
    assert "ix_contributions_id" in str(plan)
