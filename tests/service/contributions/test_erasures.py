"""What is erased is in no byte of SQLite's files; what an erasure does else is tried with the contributions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.frames import Frame
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.signals import Algorithm
from hashdb.domain.signatures import Kind
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.service.review import opinions
from hashdb.store.contributions import frames as frames_in_sql
from hashdb.store.tables import contributions as rows
from hashdb.store.tables import erasures, signals
from tests.builders import (
    Clock,
    contributed,
    document,
    draft,
    film,
    hashdb,
    member_with,
    near,
    signal,
    signature,
    video,
    words,
)


def test_what_is_erased_leaves_the_files_of_sqlite_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    db, elsewhere = hashdb(url, Clock()), hashdb(url, Clock())
    actor, other = member_with(db), member_with(db)
    made = contributed(db, actor, *[draft(seed, reference=f"reference-{seed:04}") for seed in range(40)])
    opinions.give(db, other, made[7].id, OpinionDraft(Stance.DISPUTES, "edsa_context", "a note on it"))
    secrets = [signal(7).to_bytes(), b"reference-0007", b"a note on it"]

    def held() -> list[bool]:
        octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
        return [secret in octets for secret in (*secrets, signal(8).to_bytes())]

    elsewhere.index.catch_up()
    assert held() == [True, True, True, True]
    contributions.erase(db, COMMAND_LINE, made[7].id, at_once=True)
    assert held() == [False, False, False, True]
    elsewhere.close()
    db.close()


def test_of_an_erased_document_no_page_and_no_window_is_left_in_the_files(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    actor, made = member_with(db), document((1, 2), words(1, 300))
    benign.add(db, COMMAND_LINE, BenignDraft(made.frames[-1].signals, {Algorithm.SIMHASH256: 1}))
    (one,) = contributed(db, actor, made)
    assert contributions.get(db, actor, one.id).masked == 1
    secrets = [signal.to_bytes() for frame in made.frames[:-1] for signal in frame.signals]

    def held() -> set[bool]:
        octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
        return {secret in octets for secret in secrets}

    assert held() == {True}
    contributions.erase(db, COMMAND_LINE, one.id, at_once=True)
    assert held() == {False}
    db.close()


def test_of_an_erased_video_no_frame_and_no_digest_is_left_in_the_files(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    actor = member_with(db)
    md5, masked, blurred = signal(1, Algorithm.MD5), signal(3), signal(9)
    # The second frame continues the first one's shot, the last one is not searched for.
    frames = (*film(1, 3, 4), Frame(5.0, (blurred,), 20))
    frames = (frames[0], Frame(0.5, (near(signal(1), 4),), 90), *frames[1:])
    benign.add(db, COMMAND_LINE, BenignDraft((masked,)))
    (one,) = contributed(db, actor, replace(video(1, signals=(md5,)), frames=frames, duration=6.0))
    texts = [str(frame.signals[0]).partition(":")[2].encode() for frame in frames]
    secrets = [signal(1).to_bytes(), md5.to_bytes(), masked.to_bytes(), texts[1], texts[4]]

    def held() -> list[bool]:
        octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
        return [secret in octets for secret in secrets]

    assert held() == [True] * 5
    benign.delete(db, COMMAND_LINE, benign.page(db, COMMAND_LINE, 0, 10)[-1].id)
    contributions.erase(db, COMMAND_LINE, one.id, at_once=True)
    assert held() == [False] * 5
    assert contributions.frames(db, COMMAND_LINE, one.id) == ()
    db.close()


def test_of_an_erased_picture_no_signature_is_left_while_its_signals_are_kept(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    (one,) = contributed(db, member_with(db), draft(1, signatures=(signature(1), signature(1, Kind.COLOUR))))
    secrets = [signature(1).octets, signature(1, Kind.COLOUR).octets, signal(1).to_bytes()]

    def held() -> list[bool]:
        octets = b"".join(path.read_bytes() for path in tmp_path.glob("hashdb.sqlite*"))
        return [secret in octets for secret in secrets]

    assert held() == [True, True, True]
    contributions.erase(db, COMMAND_LINE, one.id)
    assert held() == [False, False, True]
    assert contributions.get(db, COMMAND_LINE, one.id).signatures == ()
    db.close()


def test_a_transaction_removes_few_frames(
    db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_in_sql, "FRAMES_A_REQUEST", 5)
    for made in contributed(db, actor, video(*range(6)), video(1, 2), video(3, 4, 5), draft(1), video(6)):
        contributions.erase(db, COMMAND_LINE, made.id)
        clock.go(seconds=1)
    clock.go(days=90)
    assert [contributions.purge(db) for _ in range(4)] == [1, 3, 1, 0]


def test_what_version_0_1_0_left_of_what_it_erased_is_removed_at_the_next_start(db: HashDB, actor: Actor) -> None:
    erased, kept, signed = contributed(
        db, actor, video(1, 2, 3, signals=(signal(1, Algorithm.MD5),)), video(4), draft(5, signatures=(signature(5),))
    )
    contributions.erase(db, COMMAND_LINE, erased.id)
    with db.store.begin() as tx:
        # That version erases a row, and does not know its signatures.
        values = {"erased_at": db.now(), "withdrawn_at": db.now()}
        tx.connection.execute(update(rows).where(rows.c.id == signed.id).values(values))
        tx.connection.execute(insert(erasures), {"contribution_id": signed.id, "due_at": db.now()})
        assert tx.contributions.signatures([signed.id]) != {}
    contributions.start(db)
    with db.store.begin() as tx:
        assert tx.contributions.signals([erased.id]) != {}
        assert tx.contributions.signals([signed.id]) != {}
        # An erasure deletes signatures at once, and signals later.
        assert tx.contributions.signatures([signed.id]) == {}
        # What that version does once the signals need not be kept any more.
        tx.connection.execute(delete(erasures))
        tx.connection.execute(delete(signals).where(signals.c.contribution_id.in_([erased.id, signed.id])))
    contributions.start(db)
    with db.store.read() as tx:
        assert tx.contributions.signals([erased.id]) == {}
        assert list(tx.frames.get([erased.id, kept.id])) == [kept.id]
