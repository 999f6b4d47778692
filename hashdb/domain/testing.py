"""The test item: a published picture that every service and every copy answers as a match, and no feed or report has.

It is in no table and in no index: nothing can withdraw it, and to compare a query with it takes less than a
microsecond. `scripts/test_picture.py` draws it; `hashdb selftest` proves with it that all stands together.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from hashdb.domain.contributions import Contribution, Media, Standing, Status
from hashdb.domain.matches import About, Holder
from hashdb.domain.signals import Algorithm, Signal

TEST_ID = 0
"""Its number, as a contribution and as a member: those that are stored begin with 1."""
LABEL = "test"
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
_ABOUT = About((LABEL,), (), None, _PUBLISHED)
_VALUES = {signal.algorithm: signal.value for signal in TEST_SIGNALS}


def near_test(signal: Signal, radius: int) -> tuple[int, Signal] | None:
    """How far the test item's signal of the same algorithm is, and that signal, where it is within the radius."""
    value = _VALUES[signal.algorithm]
    distance = (signal.value ^ value).bit_count()
    return (distance, Signal(signal.algorithm, value)) if distance <= radius else None


def holders_of_test(found: Collection[Signal]) -> list[Holder]:
    """The test item, as the holder of those of its signals that are among what was found."""
    return [
        Holder(signal, TEST_ID, TEST_ID, None, Standing.UNREVIEWED, _ABOUT)
        for signal in TEST_SIGNALS
        if signal in found
    ]


def contribution_of_test(algorithms: Collection[Algorithm]) -> Contribution:
    """The test item as a contribution, with its signals of these algorithms."""
    return Contribution(
        id=TEST_ID,
        member=TEST_ID,
        member_name="hashdb",
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=_PUBLISHED,
        signals=tuple(signal for signal in TEST_SIGNALS if signal.algorithm in algorithms),
        labels=(LABEL,),
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
