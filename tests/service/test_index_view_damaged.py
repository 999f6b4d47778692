"""A damaged folder of the index: no contribution is lost; the index is rebuilt from the database, and logs it."""

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


def damage_folder(folder: Path, damage: str) -> None:
    """Damage the folder in a way that a disk, an operator or a restore can."""
    manifest = read_manifest(folder)
    assert manifest is not None
    match damage:
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
                (folder / name).write_bytes(body[:-64] if damage == "truncate" else body[:-1] + bytes([body[-1] ^ 64]))


LOGGED = {
    "folder": "",
    "garbage": "the index on disk is not used: its manifest is damaged",
    "epoch": "the index on disk is not used: it belongs to another log",
    "head": "the index on disk is not used: it covers events up to",
    "truncate": "bytes instead of",
    "flip": "rebuilding the index from the database: block 0 of",
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("damage", LOGGED)
@pytest.mark.parametrize("while_open", [False, True], ids=["while closed", "while open"])
def test_no_contribution_is_lost_when_the_folder_is_damaged(
    db: HashDB,
    actor: Actor,
    database_url: str,
    folder: Path,
    damage: str,
    while_open: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seeds = range(30)
    contributed(db, actor, *map(draft, seeds))
    with open_service(database_url, folder) as first:
        first.index.maintain(at_once=True)
        if while_open:
            damage_folder(folder, damage)
            contributed(db, actor, draft(30))
            assert unmatched(first, actor, range(31)) == []
            first.index.maintain(at_once=True)
            assert unmatched(first, actor, range(31)) == []
    if not while_open:
        damage_folder(folder, damage)
    with open_service(database_url, folder) as second:
        second.index.maintain()
        assert unmatched(second, actor, seeds) == []
        second.index.maintain(at_once=True)
        assert unmatched(second, actor, seeds) == []
        assert index_of(second).in_memory == 0
    assert while_open or LOGGED[damage] in caplog.text
    caplog.clear()
    with open_service(database_url, folder) as third:
        third.index.maintain()
        assert unmatched(third, actor, seeds) == []
        assert index_of(third).in_memory == 0
    assert caplog.text == ""


@pytest.mark.parametrize("damage", ["folder", "truncate", "flip"])
def test_a_damaged_large_index_is_not_ready_until_one_process_rebuilt_it(
    db: HashDB, actor: Actor, database_url: str, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stored = fill_store(db, actor)
    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        first.index.fill(lambda count: None)
        assert second.index.catch_up() == first.index.catch_up()
        assert len(index_of(second, PHASH)) == len(set(stored))
    damage_folder(folder, damage)
    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        if damage != "flip":  # Only a read of the whole file finds this one.
            for _ in range(2):
                with pytest.raises(IndexNotReady):
                    second.index.catch_up()
        first.index.maintain()
        assert "building the index from the database" in caplog.text
        second.index.maintain()
        for service in (first, second):
            service.index.catch_up()
            results = index_of(service, PHASH).search([signal.value for signal in stored], 0)
            assert [[near.value for near in neighbors] for neighbors in results] == [
                [signal.value] for signal in stored
            ]
            assert index_of(service, PHASH).in_memory == 0


def test_the_index_is_not_ready_while_another_thread_fills_it(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    stored, started, may_continue = fill_store(db, actor), Event(), Event()

    def wait(count: int) -> None:
        started.set()
        may_continue.wait(30)

    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        thread = Thread(target=first.index.fill, args=[wait])
        thread.start()
        try:
            assert started.wait(30)
            for service in (first, second):
                with pytest.raises(IndexNotReady):
                    service.index.catch_up()
            with pytest.raises(IndexNotReady):
                second.index.fill(wait)
        finally:
            may_continue.set()
            thread.join()
        for service in (first, second):
            service.index.catch_up()
            assert len(index_of(service, PHASH)) == len(set(stored))


def test_searches_use_the_whole_old_index_during_a_rebuild(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    stored, results = fill_store(db, actor), []
    with open_service(database_url, folder) as service:
        service.index.fill(lambda count: None)
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE log SET epoch = 'restored'"))
        engine.dispose()
        with pytest.raises(IndexNotReady):
            service.index.catch_up()

        def search(count: int) -> None:
            results.append(index_of(service, PHASH).search([stored[0].value], 0)[0])

        for _ in range(2):
            search(0)
            service.index.fill(search)
        assert len(results) >= 3
        assert all([near.value for near in neighbors] == [stored[0].value] for neighbors in results)


def test_a_large_index_is_not_ready_after_a_rollback_until_it_is_rebuilt(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    stored = fill_store(db, actor)
    (lost,) = contributed(db, actor, draft(1))
    with open_service(database_url, folder) as service:
        known = service.index.fill(lambda count: None)
        roll_back_service(database_url, known.seq - 1, lost.id, None)
        with pytest.raises(IndexNotReady):
            service.index.catch_up()
        contributed(db, actor, draft(2))
        with pytest.raises(IndexNotReady):
            service.index.catch_up()
        service.index.maintain()
        assert service.index.catch_up().seq == known.seq
        assert unmatched(service, actor, [1, 2]) == [1]
        assert len(index_of(service, PHASH)) == len(set(stored))


@pytest.mark.parametrize("while_open", [False, True], ids=["while closed", "while open"])
def test_a_rollback_is_noticed_when_the_log_grew_past_the_stored_index(
    db: HashDB, actor: Actor, database_url: str, folder: Path, while_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    contributed(db, actor, *map(draft, range(20)))
    with open_service(database_url, folder) as first:
        kept_seq = first.index.catch_up().seq
        lost = contributed(first, actor, draft(20), draft(21))
        first.index.maintain(at_once=True)
        roll_back_service(database_url, kept_seq, lost[0].id, None)
        contributed(db, actor, *map(draft, range(22, 30)))
        assert not while_open or unmatched(first, actor, range(30)) == [20, 21]
    with open_service(database_url, folder) as reopened:
        assert unmatched(reopened, actor, range(30)) == [20, 21]
        reopened.index.maintain(at_once=True)
        assert unmatched(reopened, actor, range(30)) == [20, 21]
    assert "differs from when the index was written: the log was restored" in caplog.text


def test_a_rollback_is_noticed_when_the_log_grew_to_the_same_length(
    db: HashDB, actor: Actor, clock: Clock, database_url: str
) -> None:
    _, second = contributed(db, actor, draft(1), draft(2))
    known = db.index.catch_up()
    roll_back_service(database_url, known.seq - 1, second.id, None)
    clock.advance(seconds=1)
    contributed(db, actor, draft(3))
    assert db.index.catch_up().seq == known.seq
    assert unmatched(db, actor, [1, 2, 3]) == [2]


@pytest.mark.parametrize("array", ["first", "offsets", "entries"])
@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "numpy"])
def test_a_damaged_file_is_found_and_the_index_is_rebuilt(
    db: HashDB,
    actor: Actor,
    database_url: str,
    folder: Path,
    array: str,
    kernel: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not kernel:
        monkeypatch.setattr(segment, "kernel", lambda: None)
    stored = fill_store(db, actor, 17_000)
    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        first.index.fill(lambda count: None)
        first.index.maintain()
        second.index.catch_up()
        assert count_found(first, stored[:50]) == count_found(second, stored[:50]) == 50
        corrupt_segments(folder, array)
        queries = [query(value, phash=6) for value in stored[:200]]
        # No search notices such damage, or it compares all values instead: only a read of the whole file finds it.
        unnoticed = array != "offsets" or not kernel
        for service in (first, second):
            if unnoticed:
                service.index._checked = False
                continue
            for _ in range(2):
                with pytest.raises(IndexNotReady) as raised:
                    matches.match(service, actor, queries)
                assert raised.value.retry_after > 0
                with pytest.raises(IndexNotReady):
                    health.require_ready(service)
        # While one process may write, the other one cannot rebuild the index, and is not ready until it is rebuilt.
        with first.index.engine.writing() as may_write:
            assert may_write
            second.index.maintain()
        if not unnoticed:
            with pytest.raises(IndexNotReady):
                second.index.catch_up()
        first.index.maintain()
        for service in (first, second):
            assert health.require_ready(service) == first.index.catch_up().seq
            assert count_found(service, stored) == len(stored)
            service.index.maintain()
        assert index_of(first, PHASH).in_memory == 0
    assert "rebuilding the index from the database: block 0 of phash-" in caplog.text
    with open_service(database_url, folder) as reopened:
        reopened.index.catch_up()
        assert count_found(reopened, stored) == len(stored)


def test_no_process_uses_a_file_that_another_process_found_damaged(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    stored = fill_store(db, actor)
    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        first.index.fill(lambda count: None)
        second.index.catch_up()
        corrupt_segments(folder, "first")

        def build(count: int) -> None:
            with pytest.raises(IndexNotReady):
                second.index.catch_up()
            counts.append(count)

        counts: list[int] = []
        with first.index.engine.writing():
            assert not first.index.engine.keep_if_sound(thoroughly=True)
        with pytest.raises(IndexNotReady):
            second.index.catch_up()
        first.index.follower.head = None
        first.index.fill(build)
        assert sum(counts) == len(set(stored))
        for service in (first, second):
            service.index.catch_up()
            assert count_found(service, stored) == len(stored)


def test_a_small_damaged_index_is_read_again_from_the_database_at_once(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    contributed(db, actor, *map(draft, range(30)))
    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        first.index.maintain(at_once=True)
        assert unmatched(second, actor, range(30)) == []
        corrupt_segments(folder, "first")
        first.index._checked = False
        with first.index.engine.writing():
            assert not first.index.engine.keep_if_sound(thoroughly=True)
        assert unmatched(second, actor, range(30)) == []
        assert index_of(second).in_memory == 30
        first.index.maintain(at_once=True)
        for service in (first, second):
            assert unmatched(service, actor, range(30)) == []
            assert index_of(service).in_memory == 0


@pytest.mark.parametrize("fault", ["folder", "disk"])
def test_an_index_that_cannot_be_written_works_from_memory_and_retries(
    db: HashDB,
    actor: Actor,
    database_url: str,
    folder: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored = fill_store(db, actor)
    monkeypatch.setattr(index_view, "AFTER_FAILURE", 0.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if fault == "folder":
        folder.write_text("a file in the place of the folder")
    with (
        monkeypatch.context() as patch,
        open_service(database_url, folder) as first,
        open_service(database_url, folder) as second,
    ):
        if fault == "disk":
            patch.setattr(segment_store, "write_segment", full)
        for service in (first, second):
            for _ in range(3):
                with suppress(IndexNotReady):
                    service.index.fill(lambda count: None)
                service.index.maintain()
            contributed(db, actor, draft(1))
            assert health.require_ready(service) == db.store.head().seq
            assert count_found(service, stored) == len(stored)
            assert unmatched(service, actor, [1]) == []
        warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        reason = {"folder": "file exists", "disk": "no space left on device"}[fault]
        assert warnings == [f"the index cannot be written and stays in memory: {reason}"] * 2
        patch.undo()
        if fault == "folder":
            folder.unlink()
        for service in (first, second):
            service.index.maintain()
            assert count_found(service, stored) == len(stored)
        assert caplog.messages[-1] == "writing the index again"
        assert index_of(first, PHASH).in_memory == 0
    with open_service(database_url, folder) as reopened:
        reopened.index.catch_up()
        assert index_of(reopened, PHASH).in_memory == 0
        assert count_found(reopened, stored) == len(stored)


def test_a_write_to_a_full_disk_is_not_retried_at_once(
    db: HashDB, actor: Actor, database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def full(*_: object) -> None:
        attempts.append(1)
        raise OSError(28, "No space left on device")

    fill_store(db, actor)
    monkeypatch.setattr(segment_store, "write_segment", full)
    with open_service(database_url, folder) as service:
        service.index.fill(lambda count: None)
        for _ in range(5):
            service.index.maintain()
        assert len(attempts) == 1


def test_a_damaged_index_on_a_read_only_disk_is_rebuilt_in_memory(
    db: HashDB, actor: Actor, database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = fill_store(db, actor)
    with open_service(database_url, folder) as service:
        service.index.fill(lambda count: None)
    corrupt_segments(folder, "first")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(fcntl, "flock", read_only)
    monkeypatch.setattr(segment_store, "write_manifest", read_only)
    with open_service(database_url, folder) as service:
        for _ in range(3):
            service.index.maintain()
        service.index.catch_up()
        assert count_found(service, stored) == len(stored)
        assert index_of(service, PHASH).in_memory == len(set(stored))
