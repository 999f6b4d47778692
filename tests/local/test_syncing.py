"""Syncing: it continues after an interruption, rebuilds a copy of another log, and repairs damaged files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.errors import CopyInUse, NoCopy, NotAsLogged, ServiceUnreachable
from hashdb.index import FLUSH_SIZE
from hashdb.index.folder import lock_folder
from hashdb.local import LocalIndex, syncing
from hashdb.local.syncing import COPY_FILE, CURRENT, INDEX_FOLDER
from hashdb.service.contributions import contributions
from hashdb.service.matching import seeds
from tests.builders import contributed, draft, query
from tests.local.conftest import Service


def fill(service: Service, first: int, count: int) -> None:
    contributed(service.db, service.actor, *(draft(seed) for seed in range(first, first + count)))


def same_matches(service: Service, index: LocalIndex, seeds: int) -> bool:
    queries = [query(seed) for seed in range(seeds)]
    return index.match(queries) == service.client.match(queries)


def test_an_interrupted_sync_continues_where_it_stopped(service: Service, index: LocalIndex) -> None:
    fill(service, 0, 900)
    service.wire.cut_after = [200_000, 150_000, 90_000]
    assert index.sync(service.client) == 900
    assert service.wire.cut_after == []
    assert same_matches(service, index, 100)


def test_a_copy_that_was_never_complete_cannot_be_used(service: Service, index: LocalIndex, folder: Path) -> None:
    fill(service, 0, 500)
    service.wire.cut_after = [150_000, 0]
    with pytest.raises(ServiceUnreachable):
        index.sync(service.client)
    with pytest.raises(NoCopy):
        index.match([query(1)])
    (unfinished,) = folder.glob("copy-*")
    assert index.sync(service.client) < 500
    assert list(folder.glob("copy-*")) == [unfinished]
    assert same_matches(service, index, 100)


def test_a_copy_of_another_log_is_rebuilt_and_a_notice_is_shown(
    service: Service, index: LocalIndex, folder: Path
) -> None:
    fill(service, 0, 50)
    index.sync(service.client)
    service.replace_log()
    contributions.withdraw(service.db, service.actor, 1, "other")
    notices: list[str] = []
    service.wire.cut_after = [10_000, 0]
    with syncing(folder, service.client, notify=notices.append) as sync, pytest.raises(ServiceUnreachable):
        sync.catch_up()
    assert len(index.match([query(0)]).results[0].matches) == 1  # the old copy, until the new one is complete
    with syncing(folder, service.client, notify=notices.append) as sync:
        sync.catch_up()
    assert notices == ["the service has another log than this copy, perhaps after a restore: building a new copy"]
    assert same_matches(service, index, 50)
    assert len(list(folder.glob("copy-*"))) == 1


def modes(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of everything in it except symbolic links."""
    every = [folder, *folder.rglob("*")]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in every if not path.is_symlink()}


def test_only_the_owner_can_read_a_copy_with_any_umask(service: Service, folder: Path) -> None:
    fill(service, 0, FLUSH_SIZE + 10)
    before = os.umask(0)
    try:
        with LocalIndex(folder, clock=service.clock) as index:
            index.sync(service.client)
            index.match([query(1)])
            initial_modes = modes(folder)
            for path in (folder, *folder.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o777 if path.is_dir() else 0o666)
        with LocalIndex(folder, clock=service.clock) as again:
            again.match([query(1)])
            assert set(modes(folder).values()) == {0o700, 0o600}
            (folder / CURRENT / COPY_FILE).chmod(0o644)
            again.sync(service.client)
    finally:
        os.umask(before)
    assert any(name.endswith(".segment") for name in initial_modes) and f"{COPY_FILE}-wal" in initial_modes
    for all_modes in (initial_modes, modes(folder)):
        assert set(all_modes.values()) == {0o700, 0o600}


def test_two_processes_cannot_sync_at_once(service: Service, index: LocalIndex, folder: Path) -> None:
    index.sync(service.client)
    with (
        lock_folder(folder),
        pytest.raises(
            CopyInUse,
            match=f"^another process syncs the local copy in {folder}: wait until it ends, or stop it$",
        ),
    ):
        index.sync(service.client)


def test_a_damaged_index_is_rebuilt_from_the_tables(service: Service, index: LocalIndex, folder: Path) -> None:
    for start in range(0, FLUSH_SIZE + 1_000, 1_000):
        fill(service, start, 1_000)
    index.sync(service.client)
    segments = list((folder / CURRENT / INDEX_FOLDER).glob("*.segment"))
    assert segments
    for segment in segments:
        octets = bytearray(segment.read_bytes())
        octets[len(octets) // 2 :] = bytes(len(octets) - len(octets) // 2)
        segment.write_bytes(octets)
    fill(service, FLUSH_SIZE + 1_000, 1)
    with LocalIndex(folder, service.clock) as again:
        again.sync(service.client)
        assert same_matches(service, again, 200)
    for segment in (folder / CURRENT / INDEX_FOLDER).iterdir():
        segment.unlink()
    with LocalIndex(folder, service.clock) as again:
        assert same_matches(service, again, 200)


def test_damaged_tables_are_rebuilt_from_the_feed(service: Service, index: LocalIndex, folder: Path) -> None:
    fill(service, 0, 20)
    index.sync(service.client)
    index.close()
    (folder / CURRENT / COPY_FILE).write_bytes(b"not a database" * 1_000)
    with pytest.raises(NoCopy):
        index.match([query(1)])
    notices: list[str] = []
    with syncing(folder, service.client, notify=notices.append, clock=service.clock) as sync:
        assert sync.catch_up() == 20
    assert [notice.endswith("is damaged or of another version: building a new copy") for notice in notices] == [True]
    assert same_matches(service, index, 20)


def test_a_waiting_sync_stores_new_changes(service: Service, folder: Path) -> None:
    with syncing(folder, service.client, clock=service.clock) as sync:
        assert sync.catch_up() == 0
        fill(service, 0, 3)
        assert sync.catch_up(wait=1) == 3
        assert (sync.count(), sync.state.seq) == (3, service.client.changes(0).checkpoint)


def test_a_following_process_gets_a_new_seed_within_minutes(service: Service, folder: Path) -> None:
    with syncing(folder, service.client, clock=service.clock) as sync:
        sync.catch_up()
        assert [*sync.state.seeds] == []
        seeds.rotate(service.db, COMMAND_LINE)
        for minutes, known in ((1, 0), (5, 1)):
            service.clock.advance(minutes=minutes)
            sync.catch_up()
            assert len(sync.state.seeds) == known
        seeds.rotate(service.db, COMMAND_LINE)
        # It also works after the clock was set back.
        service.clock.advance(hours=-1)
        sync.catch_up()
        assert [seed.id for seed in sync.state.seeds] == [2, 1]


def test_a_contribution_that_does_not_fit_its_commitment_is_rejected(service: Service, index: LocalIndex) -> None:
    fill(service, 0, 3)
    index.sync(service.client)
    before = index.checkpoint
    fill(service, 3, 3)
    service.write("UPDATE signals SET value = zeroblob(32) WHERE contribution_id = 5")
    with pytest.raises(
        NotAsLogged, match=r"^contribution 5 differs from the log .* its hashes in the feed do not match"
    ):
        index.sync(service.client)
    assert (len(index), index.checkpoint) == (3, before)
    # The same holds if the service omits the salt.
    service.write("UPDATE contributions SET salt = NULL WHERE id = 5")
    with pytest.raises(NotAsLogged, match=r"^contribution 5 "):
        index.sync(service.client)
    assert (len(index), index.checkpoint) == (3, before)
