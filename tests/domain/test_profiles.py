"""Which profile is taken where none is named."""

from __future__ import annotations

import pytest

from hashdb.domain.signals import Profile


@pytest.mark.parametrize("severity", [3, 4])
def test_grave_content_is_foreseen_thoroughly(severity: int) -> None:
    assert Profile.of_severity(severity) is Profile.THOROUGH


@pytest.mark.parametrize("severity", [None, 0, 1, 2])
def test_the_rest_is_foreseen_in_balance(severity: int | None) -> None:
    assert Profile.of_severity(severity) is Profile.BALANCED
