"""The index of what was retired."""

from __future__ import annotations

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.service import retired
from hashdb.service.retired import Retired
from tests.builders import near, signal

RADII = {Algorithm.PDQ: 31, Algorithm.PHASH: 6}


@pytest.mark.parametrize("array", [1, 4_096])
def test_what_is_near_is_found_within_the_radius_of_the_same_algorithm(
    array: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retired, "ARRAY", array)
    one, phash = signal(1), signal(1, Algorithm.PHASH)
    index = Retired(RADII)
    asked = [near(one, 31), near(one, 32), signal(2), phash, signal(1, Algorithm.DHASH), one, one]
    assert index.near(asked) == {}
    index.take_in({Algorithm.PDQ: [one.to_bytes()], Algorithm.DHASH: [signal(1, Algorithm.DHASH).to_bytes()]})
    assert index.near(asked) == {near(one, 31): [one], one: [one]}
    index.take_in({Algorithm.PHASH: [phash.to_bytes()]})
    assert index.near(asked) == {near(one, 31): [one], one: [one], phash: [phash]}
