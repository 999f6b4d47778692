"""The test item: what every service matches, so that members can try their side. It is in no table."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.matching.matches import Holder, MatchDetails
from hashdb.domain.signals import Algorithm, Signal

TEST_ID = 0
"""The id of the test item as a contribution and as a member: stored ids begin with 1."""
TEST_LABEL = "test"
_PUBLISHED = datetime(2026, 11, 1, tzinfo=UTC)
TEST_SIGNALS = (
    Signal.parse("pdq:640ff64e9c0d70ce7b179b33c8e10fd11387ce448f610a320e7e2c99e63ef487"),
    Signal.parse("phash256:e633f0973e334c9abf38262843ea1131f0e4c4f8438be64cf46f3987d81c3937"),
    Signal.parse("phash:e6f03e4cbf264311"),
    Signal.parse("dhash:3c948c8fd3c5ef6e"),
    Signal.parse("whash:02c6e4fffff00103"),
    Signal.parse("ahash:82c660ffff702102"),
)
_TEST_DETAILS = MatchDetails((TEST_LABEL,), (), None, _PUBLISHED)
_SIGNALS_BY_ALGORITHM = {signal.algorithm: signal for signal in TEST_SIGNALS}
TEST_HOLDERS = {
    signal: Holder(signal, TEST_ID, TEST_ID, None, Standing.UNREVIEWED, _TEST_DETAILS) for signal in TEST_SIGNALS
}
"""The test item, as the holder of each of its signals."""


def near_test_item(signal: Signal, radius: int) -> tuple[int, Signal] | None:
    """The distance in bits from the test item's signal of the algorithm, and this signal; None beyond the radius.

    The test item is a picture, so it has no signal of a text.
    """
    test_signal = _SIGNALS_BY_ALGORITHM.get(signal.algorithm)
    if test_signal is None:
        return None
    distance = (signal.value ^ test_signal.value).bit_count()
    return (distance, test_signal) if distance <= radius else None


def contribution_of_test_item(algorithms: Collection[Algorithm]) -> Contribution:
    """The test item as a contribution, with its signals of these algorithms."""
    return Contribution(
        id=TEST_ID,
        member=TEST_ID,
        member_name="hashdb",
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=_PUBLISHED,
        signals=tuple(signal for signal in TEST_SIGNALS if signal.algorithm in algorithms),
        labels=(TEST_LABEL,),
        removed_at=None,
        quality=100,
    )
