"""The service on each engine of the index: a contribution matches at once in every process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import Actor
from hashdb.index import OpenEngine
from hashdb.index.bktree import BKTreeEngine
from hashdb.index.milvus import Milvus, MilvusEngine
from hashdb.index.segment_store import SegmentStore
from hashdb.service import HashDB, index_check, open_hashdb
from hashdb.service.contributions import contributions
from tests.builders import RULES, Clock, contributed, draft
from tests.index.milvus import milvus_lite
from tests.index.samples import ENGINES
from tests.service.folders import PHASH, fill_store, unmatched

Process = Callable[[], HashDB]


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """One server for all tests of this module."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as milvus:
        yield milvus


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> OpenEngine:
    """Each engine of HASHDB_INDEX."""
    if request.param == "milvus":
        return partial(MilvusEngine, request.getfixturevalue("milvus"))
    return {"tiered": SegmentStore, "bktree": BKTreeEngine}[request.param]


@pytest.fixture
def processes(engine: OpenEngine, db: HashDB, database_url: str, folder: Path) -> Iterator[tuple[HashDB, HashDB]]:
    """Two processes of one service."""
    first, second = (open_hashdb(database_url, RULES, clock=Clock(), index=folder, engine=engine) for _ in range(2))
    with closing(first), closing(second):
        yield first, second


def test_a_contribution_to_one_process_matches_at_once_in_the_other(
    processes: tuple[HashDB, HashDB], actor: Actor
) -> None:
    first, second = processes
    added = contributed(first, actor, *map(draft, range(20)))
    assert unmatched(second, actor, range(20)) == []
    first.index.maintain(at_once=True)
    contributions.withdraw(second, actor, added[3].id, "other")
    contributed(second, actor, draft(20))
    for db in (first, second):
        db.index.maintain()
        assert unmatched(db, actor, range(21)) == [3]


def test_the_index_is_filled_from_the_store_at_the_start(processes: tuple[HashDB, HashDB], actor: Actor) -> None:
    first, second = processes
    fill_store(first, actor, 5_000)
    counts: list[int] = []
    for db in (first, second):
        assert db.index.fill(counts.append) == first.index.head
        assert len(db.index.index(PHASH)) >= 5_000
        assert all(result.same for result in index_check.check(db, 20, lambda count: None).values())
    assert sum(counts) >= 5_000
