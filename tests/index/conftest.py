"""Fixtures for the tests of the index."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.index.milvus import Milvus
from tests.index.milvus import milvus_lite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a segment store; it does not exist yet."""
    return tmp_path / "index"


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """One Milvus server for all tests of a module."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as milvus:
        yield milvus


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads switch as often as possible, so that races become likely."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
