"""The header of SQLite's WAL index: it tells of every commit of every process, also of one that is killed at once."""

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
_OTHER = """
import os, signal, sys
from hashdb.domain.accounts.members import SYSTEM
from hashdb.store import Store
from tests.builders import NOON
from tests.store.test_wal_header import ENTRY
store = Store(sys.argv[1])
for line in sys.stdin:
    what = line.strip()
    if what == "open anew":
        store.close()
    elif what == "scrub":
        store.scrub()
    else:
        with store.begin() as tx:
            tx.audit.append(NOON, SYSTEM, [ENTRY])
            if what == "die before":
                os.kill(os.getpid(), signal.SIGKILL)
        if what == "die after":
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


class Other:
    """Another process that writes to the database."""

    def __init__(self, store: Store) -> None:
        command = [sys.executable, "-c", _OTHER, str(store.engine.url)]
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(command, cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, what: str) -> str:
        """What it says when it has done something; nothing if it has died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        """How it ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(60)


@pytest.fixture
def other(embedded: Store) -> Iterator[Other]:
    """Another process over the same database."""
    process = Other(embedded)
    yield process
    process.end()


def test_each_commit_of_another_process_is_seen_at_once(embedded: Store, other: Other) -> None:
    before = embedded.head()
    for number in range(1, 301):
        what = {50: "open anew", 100: "scrub"}.get(number % 150, "commit")
        seq = int(other.do(what))
        assert embedded.head().seq == seq
        with embedded.read() as tx:
            assert tx.audit.head() == embedded.head()
    assert embedded.head().seq == before.seq + 296


def test_the_database_is_not_asked_again_before_something_is_committed(embedded: Store) -> None:
    reads_header = sys.platform == "linux"
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            first = embedded.head()
            assert (embedded.head() is first) == reads_header
            assert (pool.submit(embedded.head).result() is first) == reads_header
            with embedded.begin() as tx:
                tx.audit.append(NOON, SYSTEM, [ENTRY])
                # Not committed yet.
                assert embedded.head() == first
            assert embedded.head().seq == first.seq + 1


@pytest.mark.parametrize(("when", "more"), [("die before", 0), ("die after", 1)])
def test_a_process_that_is_killed_at_its_commit_hides_nothing(embedded: Store, when: str, more: int) -> None:
    before = embedded.head()
    other = Other(embedded)
    assert other.do(when) == ""
    assert other.end() == -signal.SIGKILL
    assert embedded.head().seq == before.seq + more
    # And nothing of what comes then.
    other = Other(embedded)
    assert int(other.do("commit")) == embedded.head().seq == before.seq + more + 1
    assert other.end() == 0


def test_what_is_committed_by_another_store_of_the_process_is_seen(embedded: Store) -> None:
    for _ in range(3):
        # Its connections open and close beside ours.
        with closing(Store(str(embedded.engine.url))) as other:
            before = embedded.head()
            with other.begin() as tx:
                tx.audit.append(NOON, SYSTEM, [ENTRY])
            assert embedded.head() == other.head() != before
        assert embedded.head().seq == before.seq + 1


def test_a_store_that_was_closed_reads_the_header_anew(embedded: Store) -> None:
    for _ in range(2):
        before = embedded.head()
        embedded.close()
        with closing(Store(str(embedded.engine.url))) as other, other.begin() as tx:
            tx.audit.append(NOON, SYSTEM, [ENTRY])
        assert embedded.head().seq == before.seq + 1


def test_without_a_file_there_is_no_header(embedded: Store, tmp_path: Path) -> None:
    connections = ThreadConnections(embedded.engine)
    header = WalHeader(connections)
    assert (len(header.read()) == 96) == (sys.platform == "linux")
    assert header.read() == header.read()
    header.close()
    connections.close()
    nowhere = ThreadConnections(Store(f"sqlite:///file:{tmp_path}/other.sqlite?uri=true").engine)
    assert WalHeader(nowhere).read() == b""
    nowhere.close()


def test_the_descriptor_is_sqlites_own(embedded: Store) -> None:
    embedded.head()
    path = f"{embedded.engine.url.database}-shm"
    links = [os.readlink(link) for link in Path("/proc/self/fd").glob("*") if link.exists()]
    assert links.count(os.path.realpath(path)) == (1 if sys.platform == "linux" else 0)
