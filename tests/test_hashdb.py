"""The names that a client user imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hashdb


def test_every_name_is_there() -> None:
    for name in hashdb.__all__:
        assert getattr(hashdb, name) is not None


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Hash'"):
        _ = hashdb.Hash


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = "import sys, hashdb; print([name for name in ('numpy', 'httpx', 'pydantic') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
