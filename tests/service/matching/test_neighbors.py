"""What is near to a contribution, or to something that was only asked about."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign, neighbors
from tests.builders import contributed, draft, near, signal, video

PDQ, PHASH = Algorithm.PDQ, Algorithm.PHASH


def test_neighbors_come_nearest_first_whoever_holds_them_and_whatever_became_of_them(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    one, far = contributed(db, actor, draft(1, signal(1, PHASH)), draft(near(signal(1), 32)))
    closer, close = contributed(db, other, draft(near(signal(1), 4)), draft(near(signal(1), 8), signal(1, PHASH)))
    contributions.withdraw(db, other, closer.id, "other")
    found = neighbors.list_near(db, COMMAND_LINE, one.id, 10)
    assert [(each.contribution.id, dict(each.distance)) for each in found] == [
        (close.id, {PDQ: 8, PHASH: 0}),
        (closer.id, {PDQ: 4}),
    ]
    assert found[1].hindrance == "withdrawn"
    assert found[0].pairs[PDQ] == (signal(1), near(signal(1), 8))
    assert far.id not in {each.contribution.id for each in found}
    assert len(neighbors.list_near(db, COMMAND_LINE, one.id, 1)) == 1


def test_the_neighbors_of_a_video_are_those_of_its_frames_and_of_its_file(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    md5 = signal(1, Algorithm.MD5)
    film, frame, part, same, _ = contributed(
        db,
        actor,
        video(1, 2, 3, 4, signals=(md5,)),
        draft(near(signal(2), 10)),
        video(7, 3, 8),
        draft(md5, quality=None),
        draft(9),
    )
    found = neighbors.list_near(db, COMMAND_LINE, film.id, 10)
    assert {each.contribution.id: dict(each.distance) for each in found} == {
        frame.id: {Algorithm.PDQ: 10},
        part.id: {Algorithm.PDQ: 0},
        same.id: {Algorithm.MD5: 0},
    }


def test_what_is_asked_about_is_looked_for_within_twice_the_radius(db: HashDB, actor: Actor) -> None:
    one, two, _ = contributed(
        db, actor, draft(near(signal(1), 62)), draft(near(signal(2), 6)), draft(near(signal(1), 63))
    )
    found = neighbors.list_near_signals(db, COMMAND_LINE, {"": [signal(1)], "mirror": [signal(2)]}, 10)
    assert [(each.contribution.id, dict(each.distance), dict(each.nearest_transform)) for each in found] == [
        (two.id, {PDQ: 6}, {PDQ: "mirror"}),
        (one.id, {PDQ: 62}, {}),
    ]
    assert not found[1].matches({})


def test_the_nearest_benign_signal_is_told_by_algorithm(db: HashDB, actor: Actor) -> None:
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(1), signal(2), signal(1, PHASH)), note="a test card"))
    assert isinstance(entry, BenignEntry)
    found = neighbors.nearest_benign(
        db, COMMAND_LINE, [near(signal(2), 16), near(signal(1), 40), near(signal(1, PHASH), 3)]
    )
    assert [(one.algorithm, one.distance, one.radius, one.would_reject, one.name) for one in found] == [
        (PDQ, 16, 15, False, "a test card"),
        (PHASH, 3, 3, True, "a test card"),
    ]
    assert neighbors.nearest_benign(db, COMMAND_LINE, []) == ()
    with pytest.raises(ScopeMissing):
        neighbors.nearest_benign(db, actor, [])


def test_signals_that_are_not_enabled_are_refused_and_nothing_is_told_to_members(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    with pytest.raises(InvalidInput) as caught:
        neighbors.list_near_signals(db, COMMAND_LINE, {"": [signal(1), signal(1, Algorithm.AHASH)]}, 1)
    assert [fault.at for fault in caught.value.faults] == ["signals[1]"]
    with pytest.raises(ScopeMissing):
        neighbors.list_near(db, actor, one.id, 1)
    with pytest.raises(ScopeMissing):
        neighbors.list_near_signals(db, actor, {}, 1)
    with pytest.raises(NotFound):
        neighbors.list_near(db, COMMAND_LINE, 99, 1)
