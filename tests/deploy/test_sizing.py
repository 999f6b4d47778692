"""Sizing: computed from measured figures; more load never costs less."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from scripts import sizing
from scripts.sizing import HASHES, RATES, Assumed, Measured, read_measurements, size


def test_the_figures_of_the_benchmarks_are_plausible() -> None:
    figures = read_measurements()
    assert 0 < figures.batched < figures.single < 10_000
    assert 50 < figures.value < 1_000
    assert 1.4 * figures.row <= Assumed().row <= 1.6 * figures.row
    assert figures.searching(1_000_000) < figures.searching(10_000_000)


@pytest.mark.parametrize("batched", [False, True])
def test_more_hashes_and_more_matches_never_cost_less(batched: bool) -> None:
    for hashes in HASHES:
        months = [size(read_measurements(), Assumed(), hashes, rate, batched=batched).month for rate in RATES]
        assert all(less <= more for less, more in pairwise(months))
    for rate in RATES:
        months = [size(read_measurements(), Assumed(), hashes, rate, batched=batched).month for hashes in HASHES]
        assert all(less < more for less, more in pairwise(months))


def test_the_size_of_an_example_is_computed_as_documented() -> None:
    figures = Measured(500.0, 40.0, 100.0, 5.0, ((1_000_000, 50.0), (10_000_000, 200.0)), 120.0, 1_000.0)
    assert figures.searching(100_000_000) == 2_000
    example = size(figures, Assumed(), 10_000_000, 10_000, batched=False)
    # 10,000 × (500 + 150) µs are 6.5 cores, busy by half; the index takes 1.2 GB.
    assert (example.machines, example.cores, example.memory) == (2, 7, 6)
    assert (example.database_cores, example.disk) == (2, 16.0)
    assert example.month == pytest.approx(730 * ((14 + 4) * 0.04 + (12 + 8) * 0.005) + 2 * 16 * 0.10)


def test_every_assumption_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    table = sizing.assumptions()
    assert all(f"`--{field.name.replace('_', '-')}`" in table for field in dataclasses.fields(Assumed))
    assert sizing.main(["--vcpu-hour", "0", "--gb-hour", "0", "--disk-month", "0"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 1,000,000,000 ")]
    assert len(rows) == 6 and all(row.endswith("| 0 |") for row in rows)
