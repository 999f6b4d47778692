"""Upstreams: what their standing sets here, and how long a failing one is left alone."""

from __future__ import annotations

import pytest

from hashdb.domain.contributions import Standing
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.upstreams import PERIOD, combine_standings, pause_before, standing_from_upstream

UNREVIEWED, CONFIRMED, DISPUTED, QUARANTINED, RETIRED = Standing


@pytest.mark.parametrize(
    ("own", "there", "ruled", "here"),
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
def test_what_does_not_match_there_does_not_match_here_and_a_dispute_stands_until_it_is_decided(
    own: Standing, there: Standing, ruled: bool, here: Standing
) -> None:
    assert combine_standings(own, standing_from_upstream(there), ruled=ruled) is here


def test_pauses_grow_to_ten_minutes() -> None:
    assert PERIOD <= pause_before(1) <= 2 * PERIOD < pause_before(5)
    assert 300 <= pause_before(10_000).total_seconds() <= 600


def test_an_origin_counts_by_log_and_member_and_never_as_a_member_of_this_service() -> None:
    one = Origin("eu.example/log+a1b2c3d4", 5, 2)
    others = [
        one._replace(member=3),
        one._replace(log="eu.example/log+00000000"),
        Origin("eu.example/log+a1b2c3d", 5, 42),
    ]
    sources = {each.source for each in (one, *others)}
    assert len(sources) == 4 and max(sources) < 0
    assert one.source == one._replace(contribution=6).source
