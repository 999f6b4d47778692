"""Comparisons: two items of a reviewer's own, one as a query, the other as a contribution. Nothing is stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Draft, Standing
from hashdb.domain.frames import Shot, split_shots
from hashdb.domain.matching.benign import REFUSAL
from hashdb.domain.matching.comparisons import Overlay, SignalPair, nearest_pairs, overlay, own_pairs
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.frames import expand, places_of
from hashdb.domain.matching.matches import FrameDetails, Holder, Query, Stored, Verdict
from hashdb.domain.matching.suggestions import decide, suggest_expanded
from hashdb.domain.matching.verification import PreparedQuery, verify
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import WHOLE
from hashdb.service import HashDB
from hashdb.service.matching.alignments import MOST_NEAR, FrameHit, ListedItems, frames_near, hits_by_contribution
from hashdb.service.matching.matches import turn

_LISTED: Final = 1
"""The id of the second item among the contributions, of which it is the only one."""


class Comparison(NamedTuple):
    """How one item, as a query, and another, as a contribution, show the same.

    `matches` says whether the first would match the second, if that were contributed; `refused` says why it could not
    be contributed.
    """

    matches: bool
    refused: Sequence[str]
    own: Sequence[SignalPair]
    """By algorithm, the hashes of both themselves."""
    views: Sequence[SignalPair]
    """The nearest pair of each view, those that agree first."""
    verdict: Verdict | None
    """On two pictures, if a hash of the second is within the radius of a view of the first."""
    overlay: Overlay | None
    digest: Algorithm | None
    """The digest by which both are the same file."""
    details: FrameDetails
    hits: Sequence[FrameHit]
    """The frames of the first that are near the second."""
    shots: Sequence[Shot]
    """Of the second, if it has frames."""


def compare(db: HashDB, actor: Actor, query: Query, listed: Draft) -> Comparison:
    """Compare two items as a match does. The first has its transforms, the second its variants and signatures.

    Raises TooManyAtOnce.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    db.follower.catch_up()
    with db.places.place(actor), turn(db, actor):
        return _compare(db, query, listed)


def _compare(db: HashDB, query: Query, listed: Draft) -> Comparison:
    refused = [fault.reason for fault in db.rules.draft_faults(listed, db.now())]
    suppressed = db.intake_rules().touched(listed.every_signal())
    if not suppressed.keys().isdisjoint(listed.signals):
        refused.append(f"a hash of it {REFUSAL}")
    shots = [_without(shot, suppressed) for shot in split_shots(listed.frames)]
    # The second item, as if it were the only contribution.
    items = ListedItems()
    extent = listed.extent
    items.add(
        _LISTED,
        listed.signals,
        shots,
        lambda signal: Holder(signal, _LISTED, 1, None, Standing.UNREVIEWED, None, extent),
    )
    expanded = expand([query])
    suggested, through, _ = suggest_expanded(expanded, items.search, MOST_NEAR)
    by_frames = {0: items.match_frames(query, expanded, suggested, through)} if query.frames else {}
    stored = Stored(listed.signals, listed.signatures)
    verified = verify_candidates(
        [query], suggested, through, items.held, items.having, lambda ids: dict.fromkeys(ids, stored)
    )
    (decided,) = decide([query], suggested, through, items.held, items.having, by_frames, verified)
    near = {signal: bits for signal, bits in suggested[0].items() if signal in items.held}
    details = decided.by_frames.get(_LISTED, places_of([items.held[signal][0] for signal in near], items.times))
    frames = frames_near(query, expanded, suggested, through)
    views, verdict = {WHOLE: query.signals, **query.transforms}, None
    if near and not query.frames and not listed.frames:
        verdict = verify(PreparedQuery(views, query.signatures), listed.signals, listed.signatures, near)
    return Comparison(
        matches=any(group[0].contribution == _LISTED for group in decided.chosen),
        refused=refused,
        own=own_pairs(query.signals, listed.signals),
        views=nearest_pairs(views, listed.signals),
        verdict=verdict,
        overlay=overlay(query.signatures, listed.signatures),
        digest=next((signal.algorithm for signal in near if signal.algorithm.is_digest), None),
        details=details,
        hits=hits_by_contribution(frames, items.held, items.times, {_LISTED: details}).get(_LISTED, ()),
        shots=shots,
    )


def _without(shot: Shot, suppressed: Collection[Signal]) -> Shot:
    """The shot as it would be recorded."""
    first, *others = shot.frames
    signals = tuple(signal for signal in first.signals if signal not in suppressed)
    return Shot((replace(first, signals=signals), *others), len(first.signals) - len(signals))
