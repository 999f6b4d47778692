"""The index of a copy."""

from __future__ import annotations

from pathlib import Path

from hashdb.domain.changes import Change, Gone
from hashdb.domain.signals import Algorithm
from hashdb.index.tiered import ARRAY
from hashdb.local.tables import Tables
from hashdb.local.tiers import Tiers
from tests.builders import NOON, contributed, draft, signal
from tests.local.conftest import Service

PDQ = Algorithm.PDQ


def found(tiers: Tiers, seed: int) -> bool:
    tiers.level()
    return bool(tiers.search(PDQ, [signal(seed).value], 0)[0])


def test_values_go_to_segments_which_others_take_over_and_what_is_gone_leaves(service: Service, tmp_path: Path) -> None:
    tables = Tables(tmp_path / "copy.sqlite")
    tables.make("epoch", service.client.me(), NOON)
    writer, reader = (Tiers(tables, tmp_path / "index") for _ in range(2))
    assert not found(reader, 1)
    made = [
        one
        for start in range(0, 2 * ARRAY, 1_000)
        for one in contributed(service.db, service.actor, *(draft(seed) for seed in range(start, start + 1_000)))
    ]
    half = len(made) // 2 + 1
    tables.take([Change(one.id, one) for one in made[:half]], half, NOON)
    writer.write()
    assert len(list((tmp_path / "index").glob("*.segment"))) == 1
    assert found(reader, 1) and found(reader, half - 1) and not found(reader, half)
    tables.take([Change(one.id, one) for one in made[half:]], len(made), NOON)
    tables.take([Change(len(made) + 1, Gone(made[7].id, "withdrawn"))], len(made) + 1, NOON)
    writer.write()
    (segment,) = (tmp_path / "index").glob("*.segment")  # merged
    with_all = [found(tiers, seed) for tiers in (writer, reader) for seed in (1, half, len(made) - 1)]
    assert all(with_all)
    fresh = Tiers(tables, tmp_path / "index")
    assert found(fresh, 8) and not found(fresh, 7)
    assert segment.exists()
    tables.close()
