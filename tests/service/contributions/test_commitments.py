"""Commitments: whoever may see signals shows with the salt that they are those of the event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, Scope
from hashdb.domain.contributions import Contribution, Filter, Standing
from hashdb.domain.frames import Frame, split_shots
from hashdb.domain.ledger.commitments import commit_lines, item_lines
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.sharing.feed import Gone
from hashdb.domain.signals import Algorithm
from hashdb.service import HashDB
from hashdb.service.contributions import commitments, contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign
from hashdb.service.review import opinions
from hashdb.service.sharing import feed
from hashdb.store.tables import contributions as table
from tests.builders import contributed, draft, member_with, near, signal, signature, video

FRAMES = (
    Frame(0.0, (signal(1), signal(2, Algorithm.PHASH256)), 90),
    Frame(1.0, (near(signal(1), 2),), 90),
    Frame(2.5, (signal(3),), 90),
    Frame(3.0, (signal(4),), 20),
)
FILM = replace(video(1), frames=FRAMES, duration=4.0)


def events(db: HashDB, after: int = 0) -> list[Event]:
    with db.store.read() as tx:
        return list(tx.audit.since(after, 1_000))


def forget(db: HashDB, *ids: int) -> None:
    """Leave contributions as an older version records them."""
    with db.store.begin() as tx:
        tx.connection.execute(update(table).where(table.c.id.in_(ids)).values(salt=None, commitment=None))


def suppress(db: HashDB, *seeds: int) -> None:
    benign.add(db, COMMAND_LINE, BenignDraft(tuple(map(signal, seeds))))
    benign.settle(db)


def opened(seen: Contribution, frames: tuple[Frame, ...] = ()) -> bytes:
    """The commitment, computed from what a reader sees of a contribution."""
    assert seen.salt is not None
    lines = item_lines(seen.signals, split_shots(frames or seen.frames), seen.signatures)
    return commit_lines(seen.salt, lines, seen.undisclosed)


def test_the_event_of_a_contribution_has_the_commitment_that_its_readers_compute(db: HashDB, actor: Actor) -> None:
    head = db.store.head().seq
    made = contributed(db, actor, draft(1, 2, signatures=(signature(1),)), FILM)
    logged = {event.id: event.details["commitment"] for event in events(db, head)}
    for one in made:
        assert one.commitment is not None and logged[one.id] == one.commitment.hex()
    changes = feed.read(db, SYSTEM, 0, 10).changes
    for change, one in zip(changes, made, strict=True):
        assert isinstance(change.what, Contribution)
        assert opened(change.what) == change.what.commitment == one.commitment
    assert opened(contributions.get(db, actor, made[0].id)) == made[0].commitment
    assert opened(contributions.page(db, actor, Filter(), 0, 1)[0]) == made[0].commitment
    (again,) = contributed(db, actor, draft(1, 2))
    assert (again.salt, again.commitment) == (made[0].salt, made[0].commitment)


def test_who_may_not_see_signals_sees_neither_salt_nor_seals(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1, 2))
    suppress(db, 2)
    for reader in (actor, member_with(db, Scope.FEED)):
        seen = contributions.get(db, reader, one.id)
        assert (len(seen.undisclosed), opened(seen)) == (1, one.commitment)
    reviewer = member_with(db, Scope.REVIEW)
    opinions.give(db, member_with(db), one.id, OpinionDraft(Stance.DISPUTES, "other"))
    seen = contributions.get(db, reviewer, one.id)
    assert (seen.signals, seen.salt, seen.undisclosed, seen.commitment) == ((), None, (), one.commitment)


def test_a_film_of_which_signals_are_suppressed_opens_in_the_feed_and_by_its_frames(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, FILM)
    suppress(db, 1)
    change = feed.read(db, SYSTEM, 0, 10).changes[-1]
    assert isinstance(change.what, Contribution)
    assert (len(change.what.undisclosed), opened(change.what)) == (1, one.commitment)
    frames = contributions.frames(db, actor, one.id)
    assert opened(contributions.get(db, actor, one.id), frames) == one.commitment


def test_of_one_that_is_masked_the_feed_has_standing_and_commitment(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    suppress(db, 1)
    change = feed.read(db, SYSTEM, 0, 10).changes[-1]
    assert change.what == Gone(one.id, "masked", None, Standing.UNREVIEWED, one.commitment)


def test_those_of_older_versions_are_committed_to_once_and_sent_again(db: HashDB, actor: Actor) -> None:
    made = contributed(db, actor, draft(1), FILM, draft(3), draft(4))
    contributions.withdraw(db, actor, made[2].id, "other")
    forget(db, *(one.id for one in made[:3]))
    head = db.store.head().seq
    assert [commitments.commit(db, 1), commitments.commit(db), commitments.commit(db)] == [1, 1, 0]
    changes = feed.read(db, SYSTEM, head, 10).changes
    for event, change, one in zip(events(db, head), changes, made[:2], strict=True):
        assert (event.action, event.id, event.actor) == (Action.CONTRIBUTION_COMMITTED, one.id, str(SYSTEM))
        assert isinstance(change.what, Contribution)
        computed = opened(change.what)
        assert (event.details, change.what.commitment) == ({"commitment": computed.hex()}, computed)
    assert contributions.get(db, actor, made[2].id).salt is None


def test_what_gets_a_commitment_meanwhile_keeps_it(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = contributed(db, actor, draft(1), draft(2))
    forget(db, one.id, other.id)
    begin = db.store.begin

    def meanwhile() -> object:
        monkeypatch.undo()
        commitments.commit(db, 1)
        return begin()

    monkeypatch.setattr(db.store, "begin", meanwhile)
    assert commitments.commit(db) == 2
    logged = [(event.id, event.details) for event in events(db) if event.action == Action.CONTRIBUTION_COMMITTED]
    stored = [contributions.get(db, actor, id).commitment for id in (one.id, other.id)]
    assert None not in stored
    assert logged == [
        (id, {"commitment": (hash or b"").hex()}) for id, hash in zip((one.id, other.id), stored, strict=True)
    ]


def test_an_erasure_deletes_the_salt_at_once_and_leaves_the_commitment(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    contributions.erase(db, actor, one.id)
    seen = contributions.get(db, actor, one.id)
    assert (seen.salt, seen.commitment) == (None, one.commitment)
    with db.store.read() as tx:
        assert tx.connection.scalar(table.select().with_only_columns(table.c.salt)) is None
    assert commitments.commit(db) == 0
    assert verify(db, COMMAND_LINE).findings == ()
