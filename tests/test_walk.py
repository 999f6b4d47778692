"""The walk of a request: docs/architecture.md states its figures. They may become smaller and not larger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hashdb.index.kernel import implementation_name
from scripts.walk import Walk, walks

ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"


@pytest.fixture(scope="module")
def measured() -> dict[str, Walk]:
    """The walks that `scripts/walk.py` prints."""
    return walks()


@pytest.mark.parametrize("name", ["match", "contribution"])
def test_a_walk_is_not_longer_than_docs_architecture_states(name: str, measured: dict[str, Walk]) -> None:
    row_name = "match, NumPy" if name == "match" and "NumPy" in implementation_name() else name
    row = re.search(rf"^\| {row_name} \| (\d+) \| (\d+) \| (\d+) \|$", ARCHITECTURE.read_text("utf-8"), re.MULTILINE)
    assert row is not None
    depth, calls, statements = map(int, row.groups())
    walk = measured[name]
    assert 0 < walk.depth <= depth, walk
    assert 0 < walk.calls <= calls, walk
    assert 0 < walk.statements <= statements, walk
