"""The comparison of the index with a BK-tree of the store finds what is missing, and what is damaged."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import Actor
from hashdb.domain.contributions import Contribution
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady
from hashdb.index.kernel import kernel
from hashdb.index.segment import Segment, build_segment, open_segment, write_segment
from hashdb.index.segment_store import read_manifest
from hashdb.index.vectors import pack, unpack
from hashdb.service import HashDB, index_check
from hashdb.service.contributions import contributions
from tests.builders import contributed, draft
from tests.service.folders import PHASH, corrupt_segments, fill_store, open_service

PDQ = Algorithm.PDQ


@pytest.fixture(autouse=True)
def same_sample() -> None:
    """Each run takes the same sample."""
    random.seed(15)


@pytest.fixture
def written(db: HashDB, actor: Actor, database_url: str, folder: Path) -> Sequence[Contribution]:
    """Forty contributions whose values stand in files."""
    with open_service(database_url, folder) as one:
        made = contributed(one, actor, *map(draft, range(40)))
        one.index.maintain(at_once=True)
    return made


def compared(database_url: str, folder: Path, algorithm: Algorithm = PDQ, sample: int = 40) -> index_check.Compared:
    """What the check says; another process opens the files."""
    with open_service(database_url, folder) as one:
        return index_check.check(one, sample, lambda count: None)[algorithm]


def rewrite(folder: Path, change: Callable[[list[int]], list[int]]) -> None:
    """Put a sound file with other values in the place of PDQ's segment."""
    manifest = read_manifest(folder)
    assert manifest is not None
    [name] = manifest.files[PDQ]
    segment: Segment = open_segment(folder / name)
    values = change(unpack(segment.words(slice(None))))
    write_segment(folder / name, build_segment(pack(values, PDQ.bits), PDQ.radius))


def test_a_sound_index_is_the_same(written: Sequence[Contribution], database_url: str, folder: Path) -> None:
    assert compared(database_url, folder) == index_check.Compared(40, 40, 40, 0, 0, 0, damaged=False)
    assert compared(database_url, folder, sample=5).queries == 5


def test_a_value_that_is_missing_is_found(written: Sequence[Contribution], database_url: str, folder: Path) -> None:
    rewrite(folder, lambda values: values[:7] + values[8:])
    found = compared(database_url, folder)
    assert (found.missing, found.stale, found.same) == (1, 0, False)


def test_a_value_too_many_is_counted_and_no_fault(
    written: Sequence[Contribution], database_url: str, folder: Path
) -> None:
    rewrite(folder, lambda values: values + [value ^ 1 for value in values])
    found = compared(database_url, folder)
    assert (found.missing, found.same) == (0, True)
    assert found.stale > 30


def test_what_was_withdrawn_since_is_no_fault(
    written: Sequence[Contribution], actor: Actor, database_url: str, folder: Path
) -> None:
    with open_service(database_url, folder) as one:
        contributions.withdraw(one, actor, written[0].id, "other")
        contributed(one, actor, draft(40))
    assert compared(database_url, folder) == index_check.Compared(40, 40, 40, 0, 0, 0, damaged=False)


@pytest.mark.parametrize("where", ["offsets", "entries"])
def test_a_file_that_is_damaged_on_the_disk_is_found(
    db: HashDB, actor: Actor, database_url: str, folder: Path, where: str
) -> None:
    fill_store(db, actor, 20_000)
    with open_service(database_url, folder) as one:
        one.index.fill(lambda count: None)
    corrupt_segments(folder, where)
    found = compared(database_url, folder, PHASH)
    # NumPy may compare every value instead of reading the offsets, and then its answers are right.
    assert not found.same or (where == "offsets" and kernel() is None)


def test_where_there_is_no_index_it_says_so(db: HashDB, actor: Actor, database_url: str, folder: Path) -> None:
    fill_store(db, actor)
    with pytest.raises(IndexNotReady):
        compared(database_url, folder)
