"""Whatever happens to the index's folder, nothing is lost: it is built from the store, and says so."""

from __future__ import annotations

import fcntl
import logging
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.accounts.members import Actor
from hashdb.errors import IndexNotReady
from hashdb.index import segment, segment_store
from hashdb.index.segment_store import MANIFEST_NAME, read_manifest, write_manifest
from hashdb.service import HashDB, health, index_view
from hashdb.service.matching import matches
from tests.builders import Clock, contributed, draft, query
from tests.service.folders import (
    PHASH,
    corrupt_segments,
    count_found,
    fill_store,
    index_of,
    open_service,
    roll_back_service,
    unmatched,
)


def harm(folder: Path, how: str) -> None:
    """Do to the folder what a disk, an operator or a restore may."""
    manifest = read_manifest(folder)
    assert manifest is not None
    match how:
        case "folder":
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        case "garbage":
            (folder / MANIFEST_NAME).write_text("garbage")
        case "epoch":
            write_manifest(folder, type(manifest)("other", manifest.last_seq, manifest.files))
        case "head":
            write_manifest(folder, type(manifest)(manifest.epoch, manifest.last_seq + 100, manifest.files))
        case _:
            for name in manifest.names:
                body = (folder / name).read_bytes()
                (folder / name).unlink()
                (folder / name).write_bytes(body[:-64] if how == "truncate" else body[:-1] + bytes([body[-1] ^ 64]))


SAYS = {
    "folder": "",
    "garbage": "the index on disk is not used: its manifest is damaged",
    "epoch": "the index on disk is not used: it is of another log",
    "head": "the index on disk is not used: it covers events up to",
    "truncate": "which is not its size",
    "flip": "rebuilding the index from the database: block 0 of",
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", SAYS)
@pytest.mark.parametrize("meanwhile", [False, True], ids=["while closed", "while open"])
def test_whatever_happens_to_the_folder_nothing_is_lost(
    db: HashDB,
    actor: Actor,
    database_url: str,
    folder: Path,
    how: str,
    meanwhile: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seeds = range(30)
    contributed(db, actor, *map(draft, seeds))
    with open_service(database_url, folder) as one:
        one.index.maintain(at_once=True)
        if meanwhile:
            harm(folder, how)
            contributed(db, actor, draft(30))
            assert unmatched(one, actor, range(31)) == []
            one.index.maintain(at_once=True)
            assert unmatched(one, actor, range(31)) == []
    if not meanwhile:
        harm(folder, how)
    with open_service(database_url, folder) as again:
        again.index.maintain()
        assert unmatched(again, actor, seeds) == []
        again.index.maintain(at_once=True)
        assert unmatched(again, actor, seeds) == []
        assert index_of(again).in_memory == 0
    assert meanwhile or SAYS[how] in caplog.text
    caplog.clear()
    with open_service(database_url, folder) as last:
        last.index.maintain()
        assert unmatched(last, actor, seeds) == []
        assert index_of(last).in_memory == 0
    assert caplog.text == ""


@pytest.mark.parametrize("how", ["folder", "truncate", "flip"])
def test_a_large_index_is_built_anew_by_one_and_not_ready_for_others(
    db: HashDB, actor: Actor, database_url: str, folder: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = fill_store(db, actor)
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        one.index.fill(lambda count: None)
        assert other.index.catch_up() == one.index.catch_up()
        assert len(index_of(other, PHASH)) == len(set(made))
    harm(folder, how)
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        if how != "flip":  # which only reading the whole file tells
            for _ in range(2):
                with pytest.raises(IndexNotReady):
                    other.index.catch_up()
        one.index.maintain()
        assert "building the index from the database" in caplog.text
        other.index.maintain()
        for db in (one, other):
            db.index.catch_up()
            found = index_of(db, PHASH).search([one.value for one in made], 0)
            assert [[near.value for near in some] for some in found] == [[one.value] for one in made]
            assert index_of(db, PHASH).in_memory == 0


def test_who_asks_while_another_thread_fills_the_index_is_told_so(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    made, begun, go_on = fill_store(db, actor), Event(), Event()

    def wait(count: int) -> None:
        begun.set()
        go_on.wait(30)

    told = 0
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        thread = Thread(target=one.index.fill, args=[wait])
        thread.start()
        try:
            assert begun.wait(30)
            for db in (one, other):
                with pytest.raises(IndexNotReady):
                    db.index.catch_up()
                told += 1
            with pytest.raises(IndexNotReady):
                other.index.fill(wait)
        finally:
            go_on.set()
            thread.join()
        for db in (one, other):
            db.index.catch_up()
            assert len(index_of(db, PHASH)) == len(set(made))


def test_who_was_level_before_the_index_is_built_anew_searches_all_of_the_old_one(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    made, searched = fill_store(db, actor), []
    with open_service(database_url, folder) as one:
        one.index.fill(lambda count: None)
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE log SET epoch = 'restored'"))
        engine.dispose()
        with pytest.raises(IndexNotReady):
            one.index.catch_up()

        def search(count: int) -> None:
            searched.append(index_of(one, PHASH).search([made[0].value], 0)[0])

        for _ in range(2):
            search(0)
            one.index.fill(search)
        assert len(searched) >= 3
        assert all([near.value for near in found] == [made[0].value] for found in searched)


def test_an_index_that_was_left_behind_is_not_level_when_the_log_has_grown_back(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    made = fill_store(db, actor)
    (lost,) = contributed(db, actor, draft(1))
    with open_service(database_url, folder) as one:
        known = one.index.fill(lambda count: None)
        roll_back_service(database_url, known.seq - 1, lost.id, None)
        with pytest.raises(IndexNotReady):
            one.index.catch_up()
        contributed(db, actor, draft(2))
        with pytest.raises(IndexNotReady):
            one.index.catch_up()
        one.index.maintain()
        assert one.index.catch_up().seq == known.seq
        assert unmatched(one, actor, [1, 2]) == [1]
        assert len(index_of(one, PHASH)) == len(set(made))


@pytest.mark.parametrize("meanwhile", [False, True], ids=["while closed", "while open"])
def test_a_log_that_was_set_back_and_has_grown_past_what_files_cover_is_noticed(
    db: HashDB, actor: Actor, database_url: str, folder: Path, meanwhile: bool, caplog: pytest.LogCaptureFixture
) -> None:
    contributed(db, actor, *map(draft, range(20)))
    with open_service(database_url, folder) as one:
        kept = one.index.catch_up().seq
        lost = contributed(one, actor, draft(20), draft(21))
        one.index.maintain(at_once=True)
        roll_back_service(database_url, kept, lost[0].id, None)
        contributed(db, actor, *map(draft, range(22, 30)))
        assert not meanwhile or unmatched(one, actor, range(30)) == [20, 21]
    with open_service(database_url, folder) as again:
        assert unmatched(again, actor, range(30)) == [20, 21]
        again.index.maintain(at_once=True)
        assert unmatched(again, actor, range(30)) == [20, 21]
    assert "is not what it was when it was written: the log was set back" in caplog.text


def test_a_log_that_was_set_back_and_has_grown_to_the_same_number_is_noticed(
    db: HashDB, actor: Actor, clock: Clock, database_url: str
) -> None:
    _, second = contributed(db, actor, draft(1), draft(2))
    known = db.index.catch_up()
    roll_back_service(database_url, known.seq - 1, second.id, None)
    clock.go(seconds=1)
    contributed(db, actor, draft(3))
    assert db.index.catch_up().seq == known.seq
    assert unmatched(db, actor, [1, 2, 3]) == [2]


@pytest.mark.parametrize("where", ["first", "offsets", "entries"])
@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "numpy"])
def test_a_file_that_turns_out_damaged_in_a_search_is_built_anew_and_nobody_is_answered_from_it(
    db: HashDB,
    actor: Actor,
    database_url: str,
    folder: Path,
    where: str,
    kernel: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not kernel:
        monkeypatch.setattr(segment, "kernel", lambda: None)
    made = fill_store(db, actor, 17_000)
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        one.index.fill(lambda count: None)
        one.index.maintain()
        other.index.catch_up()
        assert count_found(one, made[:50]) == count_found(other, made[:50]) == 50
        corrupt_segments(folder, where)
        asked = [query(value, phash=6) for value in made[:200]]
        # Which no search can tell (or which makes it compare with all), only reading the whole file.
        silent = where != "offsets" or not kernel
        for each in (one, other):
            if silent:
                each.index._checked = False
                continue
            for _ in range(2):
                with pytest.raises(IndexNotReady) as raised:
                    matches.match(each, actor, asked)
                assert raised.value.retry_after > 0
                with pytest.raises(IndexNotReady):
                    health.require_ready(each)
        # One builds it anew; the other, who cannot write meanwhile, is not ready until it is.
        with one.index.engine.writing() as may:
            assert may
            other.index.maintain()
        if not silent:
            with pytest.raises(IndexNotReady):
                other.index.catch_up()
        one.index.maintain()
        for each in (one, other):
            assert health.require_ready(each) == one.index.catch_up().seq
            assert count_found(each, made) == len(made)
            each.index.maintain()
        assert index_of(one, PHASH).in_memory == 0
    assert "rebuilding the index from the database: block 0 of phash-" in caplog.text
    with open_service(database_url, folder) as again:
        again.index.catch_up()
        assert count_found(again, made) == len(made)


def test_what_one_process_has_found_damaged_no_other_one_goes_on_with(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    made = fill_store(db, actor)
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        one.index.fill(lambda count: None)
        other.index.catch_up()
        corrupt_segments(folder, "first")

        def build(count: int) -> None:
            with pytest.raises(IndexNotReady):
                other.index.catch_up()
            told.append(count)

        told: list[int] = []
        with one.index.engine.writing():
            assert not one.index.engine.keep_if_sound(thoroughly=True)
        with pytest.raises(IndexNotReady):
            other.index.catch_up()
        one.index.follower.head = None
        one.index.fill(build)
        assert sum(told) == len(set(made))
        for each in (one, other):
            each.index.catch_up()
            assert count_found(each, made) == len(made)


def test_a_small_index_that_was_thrown_away_is_read_anew_at_once(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    contributed(db, actor, *map(draft, range(30)))
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        one.index.maintain(at_once=True)
        assert unmatched(other, actor, range(30)) == []
        corrupt_segments(folder, "first")
        one.index._checked = False
        with one.index.engine.writing():
            assert not one.index.engine.keep_if_sound(thoroughly=True)
        assert unmatched(other, actor, range(30)) == []
        assert index_of(other).in_memory == 30
        one.index.maintain(at_once=True)
        for each in (one, other):
            assert unmatched(each, actor, range(30)) == []
            assert index_of(each).in_memory == 0


@pytest.mark.parametrize("fault", ["folder", "disk"])
def test_what_cannot_be_written_stays_in_memory_is_ready_and_is_tried_again(
    db: HashDB,
    actor: Actor,
    database_url: str,
    folder: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = fill_store(db, actor)
    monkeypatch.setattr(index_view, "AFTER_FAILURE", 0.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if fault == "folder":
        folder.write_text("in its place")
    with (
        monkeypatch.context() as patch,
        open_service(database_url, folder) as one,
        open_service(database_url, folder) as other,
    ):
        if fault == "disk":
            patch.setattr(segment_store, "write_segment", full)
        for each in (one, other):
            for _ in range(3):
                with suppress(IndexNotReady):
                    each.index.fill(lambda count: None)
                each.index.maintain()
            contributed(db, actor, draft(1))
            assert health.require_ready(each) == db.store.head().seq
            assert count_found(each, made) == len(made)
            assert unmatched(each, actor, [1]) == []
        warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        reason = {"folder": "file exists", "disk": "no space left on device"}[fault]
        assert warned == [f"the index cannot be written and stays in memory: {reason}"] * 2
        patch.undo()
        if fault == "folder":
            folder.unlink()
        for each in (one, other):
            each.index.maintain()
            assert count_found(each, made) == len(made)
        assert caplog.messages[-1] == "writing the index again"
        assert index_of(one, PHASH).in_memory == 0
    with open_service(database_url, folder) as again:
        again.index.catch_up()
        assert index_of(again, PHASH).in_memory == 0
        assert count_found(again, made) == len(made)


def test_a_full_disk_is_not_tried_again_at_once(
    db: HashDB, actor: Actor, database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def full(*_: object) -> None:
        tried.append(1)
        raise OSError(28, "No space left on device")

    fill_store(db, actor)
    monkeypatch.setattr(segment_store, "write_segment", full)
    with open_service(database_url, folder) as one:
        one.index.fill(lambda count: None)
        for _ in range(5):
            one.index.maintain()
        assert len(tried) == 1


def test_a_damaged_index_that_cannot_be_written_is_made_good_in_memory(
    db: HashDB, actor: Actor, database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill_store(db, actor)
    with open_service(database_url, folder) as one:
        one.index.fill(lambda count: None)
    corrupt_segments(folder, "first")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(fcntl, "flock", read_only)
    monkeypatch.setattr(segment_store, "write_manifest", read_only)
    with open_service(database_url, folder) as one:
        for _ in range(3):
            one.index.maintain()
        one.index.catch_up()
        assert count_found(one, made) == len(made)
        assert index_of(one, PHASH).in_memory == len(set(made))
