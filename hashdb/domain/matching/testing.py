"""The test item: what every service matches, so that members can try their side. It is in no table."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from hashdb.domain.contributions import Contribution, Media, Standing, Status
from hashdb.domain.matching.matches import Holder, MatchDetails
from hashdb.domain.signals import Algorithm, Signal

TEST_ID = 0
"""The id of the test item as a contribution and as a member: stored ids begin with 1."""
TEST_LABEL = "test"
_PUBLISHED = datetime(2026, 11, 1, tzinfo=UTC)
TEST_SIGNALS = tuple(
    map(
        Signal.parse,
        (
            "pdq:640ff64e9c0d70ce7b179b33c8e10fd11387ce448f610a320e7e2c99e63ef487",
            "phash256:e633f0973e334c9abf38262843ea1131f0e4c4f8438be64cf46f3987d81c3937",
            "phash:e6f03e4cbf264311",
            "dhash:3c948c8fd3c5ef6e",
            "whash:02c6e4fffff00103",
            "ahash:82c660ffff702102",
        ),
    )
)
_TEST_DETAILS = MatchDetails((TEST_LABEL,), (), None, _PUBLISHED)
_TEST_VALUES = {signal.algorithm: signal.value for signal in TEST_SIGNALS}
TEST_HOLDERS = {
    signal: Holder(signal, TEST_ID, TEST_ID, None, Standing.UNREVIEWED, _TEST_DETAILS) for signal in TEST_SIGNALS
}
"""The test item, as the holder of each of its signals."""


def near_test_item(signal: Signal, radius: int) -> tuple[int, Signal] | None:
    """The test item's signal of the algorithm and its distance in bits (first); None beyond the radius.

    It is a picture, so it has none of a text.
    """
    value = _TEST_VALUES.get(signal.algorithm)
    if value is None:
        return None
    distance = (signal.value ^ value).bit_count()
    return (distance, Signal(signal.algorithm, value)) if distance <= radius else None


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
        media=Media.IMAGE,
        severity=None,
        basis=None,
        tco_ground=None,
        entity=None,
        incident=None,
        context=(),
        notified_at=None,
        reference=None,
        expires_at=None,
        withdrawn_at=None,
        withdrawal_reason=None,
        erased=False,
    )
