"""Comparisons: a reviewer compares two files or lists of hashes, as if one were a query and the other contributed.

Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Draft, Standing
from hashdb.domain.frames import Shot, split_shots
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from hashdb.domain.matching.comparisons import Overlay, SignalPair, nearest_pairs, overlay, own_pairs
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.frames import expand, places_of
from hashdb.domain.matching.matches import FrameDetails, Holder, Query, StoredItem, Verdict
from hashdb.domain.matching.selections import decide
from hashdb.domain.matching.suggestions import suggest_expanded
from hashdb.domain.matching.verification import PreparedQuery, verify
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import WHOLE
from hashdb.service import HashDB
from hashdb.service.matching.alignments import MOST_NEAR, FrameHit, ListedItems, frames_near, hits_by_contribution
from hashdb.service.matching.matches import large_request

_SECOND_ID: Final = 1
"""The id of the second item, which is compared as if it were the only contribution."""
_SECOND_MEMBER: Final = 1
"""The member that is taken as its contributor; any number serves."""


class Comparison(NamedTuple):
    """What two items have in common. The first is compared as a query, the second as a contribution."""

    is_match: bool
    """Whether a query of the first would match the second, if that were contributed."""
    refused: Sequence[str]
    """Why the service would not accept the second as a contribution; empty if it would."""
    own_pairs: Sequence[SignalPair]
    """By algorithm, the pair of hashes of the unaltered items."""
    view_pairs: Sequence[SignalPair]
    """For each view of the first (`whole` or a transform) and algorithm the nearest pair, those that agree first."""
    verdict: Verdict | None
    """The result of `verify` on two pictures; None if no hash of the second is near a view of the first."""
    overlay: Overlay | None
    """How the first picture is laid over the second; None if they do not show the same, or are no pictures."""
    digest: Algorithm | None
    """The algorithm of a digest that both have: they are the same file. Otherwise None."""
    details: FrameDetails
    """Which parts of the items show the same; empty if neither has frames."""
    hits: Sequence[FrameHit]
    """The frames of the first that are near the second."""
    shots: Sequence[Shot]
    """The shots of the second; empty if it has no frames."""


def compare(db: HashDB, actor: Actor, query: Query, listed: Draft) -> Comparison:
    """Compare `query`, with its transforms, with `listed`, with its variants and signatures, as a match does.

    The actor needs the scope `audit` or `review`. Raises TooManyAtOnce.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    db.follower.catch_up()
    with large_request(db, actor):
        return _compare(db, query, listed)


def _compare(db: HashDB, query: Query, listed: Draft) -> Comparison:
    refused = [fault.reason for fault in db.rules.draft_faults(listed, db.now())]
    suppressed = db.intake_rules().close_to_benign(listed.every_signal())
    if not suppressed.keys().isdisjoint(listed.signals):
        refused.append(f"one of its hashes {CLOSE_TO_BENIGN}")
    shots = [_without_suppressed(shot, suppressed) for shot in split_shots(listed.frames)]
    items, standing, extent = ListedItems(), Standing.UNREVIEWED, listed.extent
    items.add(
        _SECOND_ID,
        listed.signals,
        shots,
        lambda signal: Holder(signal, _SECOND_ID, _SECOND_MEMBER, None, standing, details=None, extent=extent),
    )
    # As in a match. `expanded`: the query and each of its frames; for each of them, `suggested` has the signals of the
    # second that are near, and `through` the transforms that found them.
    expanded = expand([query])
    suggested, through, _ = suggest_expanded(expanded, items.search, MOST_NEAR)
    by_frames = {0: items.match_frames(query, expanded, suggested, through)} if query.frames else {}
    stored = StoredItem(listed.signals, listed.signatures)
    verified = verify_candidates(
        [query], suggested, through, items.held, items.overruling_algorithms, lambda ids: dict.fromkeys(ids, stored)
    )
    (decided,) = decide([query], suggested, through, items.held, items.overruling_algorithms, by_frames, verified)
    near = {signal: bits for signal, bits in suggested[0].items() if signal in items.held}
    details = decided.by_frames.get(_SECOND_ID, places_of([items.held[signal][0] for signal in near], items.times))
    frames = frames_near(query, expanded, suggested, through)
    views, verdict = {WHOLE: query.signals, **query.transforms}, None
    if near and not query.frames and not listed.frames:
        verdict = verify(PreparedQuery(views, query.signatures), listed.signals, listed.signatures, near)
    return Comparison(
        is_match=any(group[0].contribution == _SECOND_ID for group in decided.chosen),
        refused=refused,
        own_pairs=own_pairs(query.signals, listed.signals),
        view_pairs=nearest_pairs(views, listed.signals),
        verdict=verdict,
        overlay=overlay(query.signatures, listed.signatures),
        digest=next((signal.algorithm for signal in near if signal.algorithm.is_digest), None),
        details=details,
        hits=hits_by_contribution(frames, items.held, items.times, {_SECOND_ID: details}).get(_SECOND_ID, ()),
        shots=shots,
    )


def _without_suppressed(shot: Shot, suppressed: Collection[Signal]) -> Shot:
    """The shot as the service would store it: only its first frame can match, and suppressed signals do not."""
    first, *others = shot.frames
    signals = tuple(signal for signal in first.signals if signal not in suppressed)
    return Shot((replace(first, signals=signals), *others), len(first.signals) - len(signals))
