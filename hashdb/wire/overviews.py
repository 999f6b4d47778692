"""The console's overview as a query string."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from hashdb.wire.pages import Asked, Count

DAYS = (30, 90, 365)


def _known(days: int) -> int:
    if days not in DAYS:
        raise ValueError(f"is one of {', '.join(map(str, DAYS))}")
    return days


class OverviewQuery(Asked):
    """Of how many days the charts are."""

    days: Annotated[Count, AfterValidator(_known)] = 30
