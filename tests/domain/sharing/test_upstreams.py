"""Upstreams: how their standing changes the standing here, and the pauses after failures."""

from __future__ import annotations

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.upstreams import REQUEST_PERIOD, combine_standings, pause_before, standing_from_upstream

UNREVIEWED, CONFIRMED, DISPUTED, QUARANTINED, RETIRED = Standing


@pytest.mark.parametrize(
    ("own", "upstream", "ruled", "combined"),
    [
        (UNREVIEWED, UNREVIEWED, False, UNREVIEWED),
        (UNREVIEWED, CONFIRMED, False, UNREVIEWED),
        (CONFIRMED, DISPUTED, False, DISPUTED),
        (CONFIRMED, DISPUTED, True, CONFIRMED),
        (UNREVIEWED, RETIRED, True, QUARANTINED),
        (DISPUTED, QUARANTINED, False, QUARANTINED),
        (RETIRED, QUARANTINED, True, RETIRED),
        (QUARANTINED, UNREVIEWED, True, QUARANTINED),
    ],
)
def test_the_standing_at_the_upstream_is_combined_with_the_own_standing(
    own: Standing, upstream: Standing, ruled: bool, combined: Standing
) -> None:
    """An item that does not match at the upstream does not match here. A dispute there counts until a decision here."""
    assert combine_standings(own, standing_from_upstream(upstream), ruled=ruled) is combined


def test_pauses_after_failed_syncs_grow_to_ten_minutes() -> None:
    assert REQUEST_PERIOD <= pause_before(1) <= 2 * REQUEST_PERIOD < pause_before(5)
    assert 300 <= pause_before(10_000).total_seconds() <= 600


def test_the_source_of_an_origin_is_negative_and_depends_on_log_and_member() -> None:
    origin = Origin("eu.example/log+a1b2c3d4", 5, 2)
    others = [
        origin._replace(member=3),
        origin._replace(log="eu.example/log+00000000"),
        Origin("eu.example/log+a1b2c3d", 5, 42),
    ]
    sources = {each.source for each in (origin, *others)}
    assert len(sources) == 4 and max(sources) < 0
    assert origin.source == origin._replace(contribution=6).source
