"""Threads and processes that write to one SQLite file take turns."""

from __future__ import annotations

import fcntl
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hashdb.errors import StoreBusy
from hashdb.store import Store
from hashdb.store.writer_turns import NEXT, WriterTurns

_HOLDER = """
import sys
from pathlib import Path
from hashdb.store.writer_turns import WriterTurns
with WriterTurns(Path(sys.argv[1]), 20).turn():
    print("holds", flush=True)
    sys.stdin.read()
print("done", flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The lock file of the turns."""
    return tmp_path / "writers"


@pytest.fixture
def holder(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a turn until its standard input ends."""
    with _started(file) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process


def test_a_second_process_waits_for_its_turn(file: Path, holder: subprocess.Popen[str]) -> None:
    turns = WriterTurns(file, 20)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turns.turn().__enter__)
        time.sleep(0.2)
        assert not waiting.done()
        assert holder.stdin is not None
        holder.stdin.close()
        waiting.result(20)
    turns.close()


def test_the_turn_of_a_killed_process_becomes_free(file: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    with WriterTurns(file, 20).turn():
        pass


def test_waiting_for_another_process_ends_with_an_error_at_the_timeout(
    file: Path, holder: subprocess.Popen[str]
) -> None:
    turns = WriterTurns(file, 0.05)
    with pytest.raises(StoreBusy), turns.turn():
        pytest.fail("another process has the turn")
    # The failed attempt keeps neither the thread's turn nor the place of the next process.
    with pytest.raises(StoreBusy), turns.turn():
        pytest.fail("another process has the turn")


def test_waiting_for_another_thread_ends_with_an_error_at_the_timeout(file: Path) -> None:
    turns = WriterTurns(file, 0.05)
    with turns.turn(), ThreadPoolExecutor(1) as pool, pytest.raises(StoreBusy):
        pool.submit(turns.turn().__enter__).result(20)


def test_a_thread_keeps_its_turn_in_nested_blocks(file: Path) -> None:
    turns = WriterTurns(file, 0.05)
    with turns.turn():
        with turns.turn(), ThreadPoolExecutor(1) as pool, pytest.raises(StoreBusy):
            pool.submit(turns.turn().__enter__).result(20)
        # The end of the inner block has not released the turn.
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoreBusy):
            pool.submit(turns.turn().__enter__).result(20)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(turns.turn().__enter__).result(20)


def test_a_waiting_process_gets_the_next_turn(file: Path) -> None:
    turns = WriterTurns(file, 1)
    with turns.turn():
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # Closed at the end of the test: a process that closes a file loses its locks on the file.
        probe = os.open(file, os.O_RDWR)
        while not _is_locked_by_another(probe, NEXT):
            assert process.poll() is None
            time.sleep(0.001)
    with pytest.raises(StoreBusy), turns.turn():
        pytest.fail("the other process waited first")
    assert process.communicate("", timeout=20)[0] == "holds\ndone\n"
    with turns.turn():
        os.close(probe)


def _is_locked_by_another(file: int, byte: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except BlockingIOError:
        return True
    fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
    return False


def test_writers_to_postgresql_wait_only_shortly_for_their_turn(file: Path, holder: subprocess.Popen[str]) -> None:
    store = Store("postgresql://nobody@127.0.0.1:1/none")
    with store.turn():
        assert not file.read_bytes()
    store.take_turns(file)
    with store.turn():
        # Another process keeps the turn, and this process continues without it.
        assert holder.poll() is None
    holder.kill()
    with store.turn(), _started(file) as next_holder:
        assert next_holder.stdout is not None
        assert not select.select([next_holder.stdout], [], [], 1.0)[0]
    store.close()


@contextmanager
def _started(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that waits for a turn, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_the_lock_file_is_empty_and_private_to_its_owner(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'hashdb.sqlite'}")
    store.migrate()
    store.close()
    file = tmp_path / "hashdb.sqlite-writers"
    assert file.read_bytes() == b""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_threads_take_turns_without_the_lock_file_too(tmp_path: Path) -> None:
    turns = WriterTurns(tmp_path / "missing" / "writers", 0.05)
    with turns.turn(), ThreadPoolExecutor(1) as pool, pytest.raises(StoreBusy):
        pool.submit(turns.turn().__enter__).result(20)
    with turns.turn():
        pass
    turns.close()
