"""The header of SQLite's WAL index shows every commit of every process, also of a process that is killed at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.store import Store
from hashdb.store.thread_connections import ThreadConnections
from hashdb.store.wal_header import WalHeader
from tests import schemas
from tests.builders import NOON

ENTRY = LogEntry(Action.MEMBER_ADDED, "member", 1, {})
_OTHER_PROCESS = """
import os, signal, sys
from hashdb.domain.accounts.members import SYSTEM
from hashdb.store import Store
from tests.builders import NOON
from tests.store.test_wal_header import ENTRY
store = Store(sys.argv[1])
for line in sys.stdin:
    command = line.strip()
    if command == "reopen":
        store.close()
    elif command == "scrub":
        store.scrub()
    else:
        with store.begin() as tx:
            tx.audit.append(NOON, SYSTEM, [ENTRY])
            if command == "die before":
                os.kill(os.getpid(), signal.SIGKILL)
        if command == "die after":
            os.kill(os.getpid(), signal.SIGKILL)
    print(store.head().seq, flush=True)
"""


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Store]:
    """A store in SQLite."""
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    schemas.make(url)
    with closing(Store(url)) as store:
        yield store


class OtherProcess:
    """Another process that writes to the database."""

    def __init__(self, store: Store) -> None:
        command = [sys.executable, "-c", _OTHER_PROCESS, str(store.engine.url)]
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(command, cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, command: str) -> str:
        """Run a command in the process; return its output, which is empty if the process died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        """End the process; return its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(60)


@pytest.fixture
def other(embedded: Store) -> Iterator[OtherProcess]:
    """Another process over the same database."""
    process = OtherProcess(embedded)
    yield process
    process.end()


def test_each_commit_of_another_process_is_visible_at_once(embedded: Store, other: OtherProcess) -> None:
    head_before = embedded.head()
    for number in range(1, 301):
        command = {50: "reopen", 100: "scrub"}.get(number % 150, "commit")
        seq = int(other.do(command))
        assert embedded.head().seq == seq
        with embedded.read() as tx:
            assert tx.audit.head() == embedded.head()
    assert embedded.head().seq == head_before.seq + 296


def test_the_head_is_read_from_the_database_only_after_a_commit(embedded: Store) -> None:
    reads_header = sys.platform == "linux"
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            first = embedded.head()
            assert (embedded.head() is first) == reads_header
            assert (pool.submit(embedded.head).result() is first) == reads_header
            with embedded.begin() as tx:
                tx.audit.append(NOON, SYSTEM, [ENTRY])
                # The event is not committed yet.
                assert embedded.head() == first
            assert embedded.head().seq == first.seq + 1


@pytest.mark.parametrize(("command", "commits"), [("die before", 0), ("die after", 1)])
def test_a_process_killed_at_its_commit_hides_no_commit(embedded: Store, command: str, commits: int) -> None:
    head_before = embedded.head()
    other = OtherProcess(embedded)
    assert other.do(command) == ""
    assert other.end() == -signal.SIGKILL
    assert embedded.head().seq == head_before.seq + commits
    # Later commits are visible, too.
    other = OtherProcess(embedded)
    assert int(other.do("commit")) == embedded.head().seq == head_before.seq + commits + 1
    assert other.end() == 0


def test_a_commit_of_another_store_in_the_same_process_is_visible(embedded: Store) -> None:
    for _ in range(3):
        # The connections of the other store open and close beside those of the first.
        with closing(Store(str(embedded.engine.url))) as other:
            head_before = embedded.head()
            with other.begin() as tx:
                tx.audit.append(NOON, SYSTEM, [ENTRY])
            assert embedded.head() == other.head() != head_before
        assert embedded.head().seq == head_before.seq + 1


def test_a_reopened_store_reads_the_header_again(embedded: Store) -> None:
    for _ in range(2):
        head_before = embedded.head()
        embedded.close()
        with closing(Store(str(embedded.engine.url))) as other, other.begin() as tx:
            tx.audit.append(NOON, SYSTEM, [ENTRY])
        assert embedded.head().seq == head_before.seq + 1


def test_the_header_is_empty_without_a_file(embedded: Store, tmp_path: Path) -> None:
    connections = ThreadConnections(embedded.engine)
    header = WalHeader(connections)
    assert (len(header.read()) == 96) == (sys.platform == "linux")
    assert header.read() == header.read()
    header.close()
    connections.close()
    without_file = ThreadConnections(Store(f"sqlite:///file:{tmp_path}/other.sqlite?uri=true").engine)
    assert WalHeader(without_file).read() == b""
    without_file.close()


def test_the_header_uses_the_file_descriptor_of_sqlite(embedded: Store) -> None:
    embedded.head()
    path = f"{embedded.engine.url.database}-shm"
    links = [os.readlink(link) for link in Path("/proc/self/fd").glob("*") if link.exists()]
    assert links.count(os.path.realpath(path)) == (1 if sys.platform == "linux" else 0)
