"""Converts changes of the feed to rows of a local copy, and rows of the copy to what a match needs."""

from __future__ import annotations

from typing import Any

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent
from hashdb.domain.matching.matches import Holder, MatchDetails
from hashdb.domain.origins import unpack_member
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import from_microseconds, to_microseconds

_NO_EXTENT = (None, None, None)
"""The duration, pages and words in the row of an item without frames."""


def contribution_row(seq: int, contribution: CopiedContribution) -> tuple[object, ...]:
    """The row in the table `contributions` of a contribution that the event `seq` changed."""
    removed_at, expires_at = contribution.removed_at, contribution.expires_at
    return (
        contribution.id,
        seq,
        contribution.member,
        " ".join(contribution.labels),
        contribution.severity,
        contribution.standing,
        " ".join(contribution.context),
        None if removed_at is None else to_microseconds(removed_at),
        to_microseconds(contribution.received_at),
        None if expires_at is None else to_microseconds(expires_at),
        *((contribution.duration, contribution.pages, contribution.words) if contribution.shots else _NO_EXTENT),
        contribution.salt,
        contribution.commitment,
        b"".join(contribution.undisclosed) if contribution.undisclosed else None,
    )


def gone_row(step: FeedStep, gone: Gone) -> tuple[object, ...]:
    """The row in the table `gone` of a contribution that no longer matches, since the event of `step`."""
    return gone.contribution, step.seq, gone.reason, gone.standing, gone.commitment


def holder_from_row(algorithm: Algorithm, row: Any) -> Holder:
    """A contribution that has a value of this algorithm, from a row that `CopyTables.holders` selects."""
    value, id, packed_member, labels, severity, standing, context, removed, received, *extent = row
    # `source` is a negative number, which stands for the member of another hashdb; None for a member of this service.
    member, source = unpack_member(packed_member)
    return Holder(
        signal=Signal.from_bytes(algorithm, value),
        contribution=id,
        member=member,
        severity=severity,
        standing=Standing(standing),
        details=MatchDetails(
            tuple(labels.split()),
            tuple(context.split()),
            None if removed is None else from_microseconds(removed),
            from_microseconds(received),
        ),
        extent=None if extent == [*_NO_EXTENT] else Extent(*extent),
        source=source,
    )
