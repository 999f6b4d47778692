"""The index of a copy."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.contributions import Standing
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep, Gone
from hashdb.domain.signals import Algorithm
from hashdb.index.tiered import FLUSH_SIZE
from hashdb.local.copy_index import CopyIndex
from hashdb.local.tables import CopyTables
from tests.builders import NOON, signal
from tests.local.conftest import Service

PDQ = Algorithm.PDQ


def copied(seed: int) -> CopiedContribution:
    values = ((PDQ, signal(seed).to_bytes()),)
    return CopiedContribution(seed + 1, 1, values, ("glorification",), None, Standing.UNREVIEWED, (), NOON, NOON, None)


def found(tiers: CopyIndex, seed: int) -> bool:
    tiers.catch_up()
    return bool(tiers.search(PDQ, [signal(seed).value], 0)[0])


def test_values_go_to_segments_which_others_take_over_and_what_is_gone_leaves(service: Service, tmp_path: Path) -> None:
    tables = CopyTables(tmp_path / "copy.sqlite")
    tables.create("epoch", service.client.me(), NOON)
    writer, reader = (CopyIndex(tables, tmp_path / "index") for _ in range(2))
    assert not found(reader, 1)
    made = [copied(seed) for seed in range(2 * FLUSH_SIZE + 2)]
    half = len(made) // 2
    tables.store([FeedStep(one.id, one) for one in made[:half]], half, NOON)
    writer.write()
    assert len(list((tmp_path / "index").glob("*.segment"))) == 1
    assert found(reader, 1) and found(reader, half - 1) and not found(reader, half)
    tables.store([FeedStep(one.id, one) for one in made[half:]], len(made), NOON)
    tables.store([FeedStep(len(made) + 1, Gone(made[7].id, "withdrawn"))], len(made) + 1, NOON)
    writer.write()
    (segment,) = (tmp_path / "index").glob("*.segment")  # merged
    with_all = [found(tiers, seed) for tiers in (writer, reader) for seed in (1, half, len(made) - 1)]
    assert all(with_all)
    fresh = CopyIndex(tables, tmp_path / "index")
    assert found(fresh, 8) and not found(fresh, 7)
    assert segment.exists()
    tables.close()
