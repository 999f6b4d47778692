"""The public names of the package `hashdb`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hashdb


def test_every_public_name_can_be_imported() -> None:
    for name in hashdb.__all__:
        assert getattr(hashdb, name) is not None


def test_an_unknown_name_raises_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Hash'"):
        _ = hashdb.Hash


def test_importing_the_package_loads_no_dependency() -> None:
    code = "import sys, hashdb; print([name for name in ('numpy', 'httpx', 'pydantic') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
