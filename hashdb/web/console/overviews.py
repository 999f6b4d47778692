"""/console/overview: the main figures of the service."""

from __future__ import annotations

from flask import Response

from hashdb.service.review import proposals
from hashdb.service.stats import overviews
from hashdb.web.console import pages
from hashdb.web.context import actor, app_state, hashdb
from hashdb.wire.pages import DAYS, OverviewQuery

blueprint = pages.blueprint_of("overviews", "/overview")

_MOST_PROPOSALS = 1_000
_MATCH_ROUTE = "/v1/matches"


@blueprint.get("")
def show() -> Response:
    """Show the figures of 30, 90 or 365 days."""
    params, form = pages.read_query(OverviewQuery)
    days = OverviewQuery().days if params is None else params.days
    overview = overviews.get(hashdb(), actor(), days)
    return pages.page(
        "overviews.html",
        form=form,
        overview=overview,
        days=days,
        periods=DAYS,
        expiring=(hashdb().now() + overviews.EXPIRING).date(),
        match_times=app_state().metrics.response_times(_MATCH_ROUTE),
        proposals=len(proposals.page(hashdb(), actor(), 0, _MOST_PROPOSALS)),
    )
