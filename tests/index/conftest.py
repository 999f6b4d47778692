"""Fixtures for the tests of the index."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a segment store; it does not exist yet."""
    return tmp_path / "index"


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads switch as often as possible, so that races become likely."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
