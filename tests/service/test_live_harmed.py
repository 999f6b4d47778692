"""Whatever happens to the index's folder, nothing is lost: it is built from the store, and says so."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import create_engine, text

from hashdb.domain.members import Actor
from hashdb.errors import IndexNotReady
from hashdb.index.manifest import NAME, read_manifest, write_manifest
from hashdb.service import HashDB
from tests.builders import contributed, draft
from tests.service.folders import PHASH, fill_store, index_of, missed, opened, set_back


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
            (folder / NAME).write_text("garbage")
        case "epoch":
            write_manifest(folder, type(manifest)("other", manifest.covers, manifest.files))
        case "head":
            write_manifest(folder, type(manifest)(manifest.epoch, manifest.covers + 100, manifest.files))
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
    "flip": "the index is built anew from the store: block 0 of",
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
    with opened(database_url, folder) as one:
        one.live.maintain(at_once=True)
        if meanwhile:
            harm(folder, how)
            contributed(db, actor, draft(30))
            assert missed(one, actor, range(31)) == []
            one.live.maintain(at_once=True)
            assert missed(one, actor, range(31)) == []
    if not meanwhile:
        harm(folder, how)
    with opened(database_url, folder) as again:
        again.live.maintain()
        assert missed(again, actor, seeds) == []
        again.live.maintain(at_once=True)
        assert missed(again, actor, seeds) == []
        assert index_of(again).in_memory == 0
    assert meanwhile or SAYS[how] in caplog.text
    caplog.clear()
    with opened(database_url, folder) as last:
        last.live.maintain()
        assert missed(last, actor, seeds) == []
        assert index_of(last).in_memory == 0
    assert caplog.text == ""


@pytest.mark.parametrize("how", ["folder", "truncate", "flip"])
def test_a_large_index_is_built_anew_by_one_and_not_ready_for_others(
    db: HashDB, actor: Actor, database_url: str, folder: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = fill_store(db, actor)
    with opened(database_url, folder) as one, opened(database_url, folder) as other:
        one.live.fill(lambda count: None)
        assert other.live.level() == one.live.level()
        assert len(index_of(other, PHASH)) == len(set(made))
    harm(folder, how)
    with opened(database_url, folder) as one, opened(database_url, folder) as other:
        if how != "flip":  # which only reading the whole file tells
            for _ in range(2):
                with pytest.raises(IndexNotReady):
                    other.live.level()
        one.live.maintain()
        assert "the index is built from the store" in caplog.text
        other.live.maintain()
        for db in (one, other):
            db.live.level()
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
    with opened(database_url, folder) as one, opened(database_url, folder) as other:
        thread = Thread(target=one.live.fill, args=[wait])
        thread.start()
        try:
            assert begun.wait(30)
            for db in (one, other):
                with pytest.raises(IndexNotReady):
                    db.live.level()
                told += 1
            with pytest.raises(IndexNotReady):
                other.live.fill(wait)
        finally:
            go_on.set()
            thread.join()
        for db in (one, other):
            db.live.level()
            assert len(index_of(db, PHASH)) == len(set(made))


def test_who_was_level_before_the_index_is_built_anew_searches_all_of_the_old_one(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    made, searched = fill_store(db, actor), []
    with opened(database_url, folder) as one:
        one.live.fill(lambda count: None)
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE log SET epoch = 'restored'"))
        engine.dispose()
        with pytest.raises(IndexNotReady):
            one.live.level()

        def search(count: int) -> None:
            searched.append(index_of(one, PHASH).search([made[0].value], 0)[0])

        for _ in range(2):
            search(0)
            one.live.fill(search)
        assert len(searched) >= 3
        assert all([near.value for near in found] == [made[0].value] for found in searched)


def test_an_index_that_was_left_behind_is_not_level_when_the_log_has_grown_back(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    made = fill_store(db, actor)
    (lost,) = contributed(db, actor, draft(1))
    with opened(database_url, folder) as one:
        known = one.live.fill(lambda count: None)
        set_back(database_url, known.seq - 1, lost.id, None)
        with pytest.raises(IndexNotReady):
            one.live.level()
        contributed(db, actor, draft(2))
        with pytest.raises(IndexNotReady):
            one.live.level()
        one.live.maintain()
        assert one.live.level().seq == known.seq
        assert missed(one, actor, [1, 2]) == [1]
        assert len(index_of(one, PHASH)) == len(set(made))
