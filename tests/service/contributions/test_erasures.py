"""Erased content is in no byte of the files of SQLite. test_contributions.py tests the other effects of an erasure."""

from __future__ import annotations

from collections.abc import Sequence
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


def in_files(folder: Path, secrets: Sequence[bytes]) -> list[bool]:
    """For each secret, whether the files of SQLite contain it."""
    octets = b"".join(path.read_bytes() for path in folder.glob("hashdb.sqlite*"))
    return [secret in octets for secret in secrets]


def test_no_erased_signal_reference_or_note_stays_in_the_files(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    db, other_process = hashdb(url, Clock()), hashdb(url, Clock())
    actor, disputer = member_with(db), member_with(db)
    added = contributed(db, actor, *[draft(seed, reference=f"reference-{seed:04}") for seed in range(40)])
    opinions.give(db, disputer, added[7].id, OpinionDraft(Stance.DISPUTES, "edsa_context", "a note on it"))
    secrets = [signal(7).to_bytes(), b"reference-0007", b"a note on it", signal(8).to_bytes()]
    other_process.index.catch_up()
    assert in_files(tmp_path, secrets) == [True, True, True, True]
    contributions.erase(db, COMMAND_LINE, added[7].id, at_once=True)
    assert in_files(tmp_path, secrets) == [False, False, False, True]
    other_process.close()
    db.close()


def test_no_page_or_window_of_an_erased_document_stays_in_the_files(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    actor, drafted = member_with(db), document((1, 2), words(1, 300))
    benign.add(db, COMMAND_LINE, BenignDraft(drafted.frames[-1].signals, {Algorithm.SIMHASH256: 1}))
    (added,) = contributed(db, actor, drafted)
    assert contributions.get(db, actor, added.id).masked == 1
    secrets = [signal.to_bytes() for frame in drafted.frames[:-1] for signal in frame.signals]
    assert set(in_files(tmp_path, secrets)) == {True}
    contributions.erase(db, COMMAND_LINE, added.id, at_once=True)
    assert set(in_files(tmp_path, secrets)) == {False}
    db.close()


def test_no_frame_or_digest_of_an_erased_video_stays_in_the_files(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    actor = member_with(db)
    md5, suppressed, blurred = signal(1, Algorithm.MD5), signal(3), signal(9)
    # The second frame belongs to the shot of the first one. The last frame is not searched for.
    frames = (*film(1, 3, 4), Frame(5.0, (blurred,), 20))
    frames = (frames[0], Frame(0.5, (near(signal(1), 4),), 90), *frames[1:])
    benign.add(db, COMMAND_LINE, BenignDraft((suppressed,)))
    (added,) = contributed(db, actor, replace(video(1, signals=(md5,)), frames=frames, duration=6.0))
    texts = [str(frame.signals[0]).partition(":")[2].encode() for frame in frames]
    secrets = [signal(1).to_bytes(), md5.to_bytes(), suppressed.to_bytes(), texts[1], texts[4]]
    assert in_files(tmp_path, secrets) == [True] * 5
    benign.delete(db, COMMAND_LINE, benign.page(db, COMMAND_LINE, 0, 10)[-1].id)
    contributions.erase(db, COMMAND_LINE, added.id, at_once=True)
    assert in_files(tmp_path, secrets) == [False] * 5
    assert contributions.frames(db, COMMAND_LINE, added.id) == ()
    db.close()


def test_no_signature_stays_in_the_files_while_the_signals_are_kept(tmp_path: Path) -> None:
    db = hashdb(f"sqlite:///{tmp_path}/hashdb.sqlite", Clock())
    (added,) = contributed(db, member_with(db), draft(1, signatures=(signature(1), signature(1, Kind.COLOUR))))
    secrets = [signature(1).octets, signature(1, Kind.COLOUR).octets, signal(1).to_bytes()]
    assert in_files(tmp_path, secrets) == [True, True, True]
    contributions.erase(db, COMMAND_LINE, added.id)
    assert in_files(tmp_path, secrets) == [False, False, True]
    assert contributions.get(db, COMMAND_LINE, added.id).signatures == ()
    db.close()


def test_one_purge_removes_a_limited_number_of_frames(
    db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_in_sql, "FRAMES_A_REQUEST", 5)
    for item in contributed(db, actor, video(*range(6)), video(1, 2), video(3, 4, 5), draft(1), video(6)):
        contributions.erase(db, COMMAND_LINE, item.id)
        clock.advance(seconds=1)
    clock.advance(days=90)
    assert [contributions.purge(db) for _ in range(4)] == [1, 3, 1, 0]


def test_the_next_start_removes_the_content_that_version_0_1_0_left(db: HashDB, actor: Actor) -> None:
    erased, kept, signed = contributed(
        db, actor, video(1, 2, 3, signals=(signal(1, Algorithm.MD5),)), video(4), draft(5, signatures=(signature(5),))
    )
    contributions.erase(db, COMMAND_LINE, erased.id)
    with db.store.begin() as tx:
        # That version erased a row, and did not know its signatures.
        values = {"erased_at": db.now(), "withdrawn_at": db.now()}
        tx.connection.execute(update(rows).where(rows.c.id == signed.id).values(values))
        tx.connection.execute(insert(erasures), {"contribution_id": signed.id, "due_at": db.now()})
        assert tx.contributions.signatures([signed.id]) != {}
    contributions.delete_leftovers(db)
    with db.store.begin() as tx:
        assert tx.contributions.signals([erased.id]) != {}
        assert tx.contributions.signals([signed.id]) != {}
        # An erasure deletes signatures at once, and signals later.
        assert tx.contributions.signatures([signed.id]) == {}
        # That version does this once it no longer has to keep the signals.
        tx.connection.execute(delete(erasures))
        tx.connection.execute(delete(signals).where(signals.c.contribution_id.in_([erased.id, signed.id])))
    contributions.delete_leftovers(db)
    with db.store.read() as tx:
        assert tx.contributions.signals([erased.id]) == {}
        assert list(tx.frames.get([erased.id, kept.id])) == [kept.id]
