"""The comparison of the index with a BK-tree of the database finds missing values and damaged files."""

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
    """Every run draws the same sample."""
    random.seed(15)


@pytest.fixture
def stored(db: HashDB, actor: Actor, database_url: str, folder: Path) -> Sequence[Contribution]:
    """Forty contributions whose values are in segment files."""
    with open_service(database_url, folder) as service:
        added = contributed(service, actor, *map(draft, range(40)))
        service.index.maintain(at_once=True)
    return added


def check(database_url: str, folder: Path, algorithm: Algorithm = PDQ, sample: int = 40) -> index_check.Compared:
    """Open the files as another process does, and return the result of the check."""
    with open_service(database_url, folder) as service:
        return index_check.check(service, sample, lambda count: None)[algorithm]


def replace_segment(folder: Path, change: Callable[[list[int]], list[int]]) -> None:
    """Replace the segment of PDQ with a valid file of other values."""
    manifest = read_manifest(folder)
    assert manifest is not None
    [name] = manifest.files[PDQ]
    segment: Segment = open_segment(folder / name)
    values = change(unpack(segment.words(slice(None))))
    write_segment(folder / name, build_segment(pack(values, PDQ.bits), PDQ.radius))


def test_a_sound_index_equals_the_database(stored: Sequence[Contribution], database_url: str, folder: Path) -> None:
    assert check(database_url, folder) == index_check.Compared(40, 40, 40, 0, 0, 0, damaged=False)
    assert check(database_url, folder, sample=5).queries == 5


def test_a_missing_value_is_reported(stored: Sequence[Contribution], database_url: str, folder: Path) -> None:
    replace_segment(folder, lambda values: values[:7] + values[8:])
    result = check(database_url, folder)
    assert (result.missing, result.stale, result.same) == (1, 0, False)


def test_extra_values_are_counted_but_are_no_fault(
    stored: Sequence[Contribution], database_url: str, folder: Path
) -> None:
    replace_segment(folder, lambda values: values + [value ^ 1 for value in values])
    result = check(database_url, folder)
    assert (result.missing, result.same) == (0, True)
    assert result.stale > 30


def test_changes_after_the_last_write_are_no_fault(
    stored: Sequence[Contribution], actor: Actor, database_url: str, folder: Path
) -> None:
    with open_service(database_url, folder) as service:
        contributions.withdraw(service, actor, stored[0].id, "other")
        contributed(service, actor, draft(40))
    assert check(database_url, folder) == index_check.Compared(40, 40, 40, 0, 0, 0, damaged=False)


@pytest.mark.parametrize("array", ["offsets", "entries"])
def test_a_file_damaged_on_disk_is_reported(
    db: HashDB, actor: Actor, database_url: str, folder: Path, array: str
) -> None:
    fill_store(db, actor, 20_000)
    with open_service(database_url, folder) as service:
        service.index.fill(lambda count: None)
    corrupt_segments(folder, array)
    result = check(database_url, folder, PHASH)
    # NumPy may compare every value instead of reading the offsets; its results are correct then.
    assert not result.same or (array == "offsets" and kernel() is None)


def test_a_missing_index_is_reported_as_not_ready(db: HashDB, actor: Actor, database_url: str, folder: Path) -> None:
    fill_store(db, actor)
    with pytest.raises(IndexNotReady):
        check(database_url, folder)
