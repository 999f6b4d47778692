"""The index of a copy."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.contributions import Standing
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep, Gone
from hashdb.domain.signals import Algorithm
from hashdb.index import FLUSH_SIZE
from hashdb.local.copy_index import CopyIndex
from hashdb.local.tables import CopyTables
from tests.builders import NOON, signal
from tests.local.conftest import Service

PDQ = Algorithm.PDQ


def contribution(seed: int) -> CopiedContribution:
    values = ((PDQ, signal(seed).to_bytes()),)
    return CopiedContribution(seed + 1, 1, values, ("glorification",), None, Standing.UNREVIEWED, (), NOON, NOON, None)


def finds(index: CopyIndex, seed: int) -> bool:
    index.catch_up()
    return bool(index.search(PDQ, [signal(seed).value], 0)[0])


def test_written_segments_are_used_by_other_readers_and_drop_deleted_values(service: Service, tmp_path: Path) -> None:
    tables = CopyTables(tmp_path / "copy.sqlite")
    tables.create("epoch", service.client.me(), NOON)
    writer, reader = (CopyIndex(tables, tmp_path / "index") for _ in range(2))
    assert not finds(reader, 1)
    contributions = [contribution(seed) for seed in range(2 * FLUSH_SIZE + 2)]
    half = len(contributions) // 2
    tables.store([FeedStep(copy.id, copy) for copy in contributions[:half]], half, NOON)
    writer.write()
    assert len(list((tmp_path / "index").glob("*.segment"))) == 1
    assert finds(reader, 1) and finds(reader, half - 1) and not finds(reader, half)
    tables.store([FeedStep(copy.id, copy) for copy in contributions[half:]], len(contributions), NOON)
    tables.store(
        [FeedStep(len(contributions) + 1, Gone(contributions[7].id, "withdrawn"))], len(contributions) + 1, NOON
    )
    writer.write()
    (segment,) = (tmp_path / "index").glob("*.segment")  # merged
    results = [finds(index, seed) for index in (writer, reader) for seed in (1, half, len(contributions) - 1)]
    assert all(results)
    fresh = CopyIndex(tables, tmp_path / "index")
    assert finds(fresh, 8) and not finds(fresh, 7)
    assert segment.exists()
    tables.close()
