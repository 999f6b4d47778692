"""The guard: what is open is as little as can be."""

from __future__ import annotations

from hashdb.web.console import guard
from tests.web.callers import Service


def test_every_name_is_of_a_view(service: Service) -> None:
    names = (
        guard.OPEN | guard._HALF_OPEN | guard._ALWAYS | {one for some in guard._FIRST_THINGS.values() for one in some}
    )
    assert names <= set(service.app.view_functions)
