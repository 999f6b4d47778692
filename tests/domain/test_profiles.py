"""Profiles: the default profile of each severity."""

from __future__ import annotations

import pytest

from hashdb.domain.signals import Profile


@pytest.mark.parametrize("severity", [3, 4])
def test_severities_3_and_4_have_the_thorough_profile(severity: int) -> None:
    assert Profile.of_severity(severity) is Profile.THOROUGH


@pytest.mark.parametrize("severity", [None, 0, 1, 2])
def test_other_severities_have_the_balanced_profile(severity: int | None) -> None:
    assert Profile.of_severity(severity) is Profile.BALANCED
