"""/console/vocabulary: the codes of the service: labels, reasons, statuses, standings, algorithms."""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.review.cases import Decision
from hashdb.domain.rules import Vocabulary
from hashdb.domain.signals import Algorithm
from hashdb.web.console import pages
from hashdb.web.context import actor, hashdb

blueprint = pages.blueprint_of("labels", __name__, "/vocabulary")

_KINDS = {
    "behaviour": ("Labels", "What the content does. Every contribution has at least one."),
    "context": ("Context", "What a reviewer needs to know before acting on a match."),
    "basis": ("Basis", "Why it was removed."),
    "tco_ground": ("TCO ground", "The ground of Regulation (EU) 2021/784, Article 2(7)."),
    "entity_list": (
        "Entity lists",
        "Lists that name the entity behind the content. An entity is a list and a slug.",
    ),
    "reason": ("Reasons", "Why a contribution is withdrawn or disputed."),
}
_STATUSES = {
    Status.ACTIVE: "it matches, unless it is quarantined or retired",
    Status.WITHDRAWN: "its member withdrew it; it never matches again",
    Status.EXPIRED: "its time is over: its member set it, its incident ended, or the retention of a label passed",
    Status.SUSPENDED: "its member is suspended; it matches again when the member is reinstated",
}
_STANDINGS = {
    Standing.UNREVIEWED: "no other member has given an opinion; it matches",
    Standing.CONFIRMED: "another member confirms it; it matches",
    Standing.DISPUTED: "another member disputes it and a case is open; it still matches, and the match says so",
    Standing.QUARANTINED: "a reviewer or the service keeps it from matching until a later decision",
    Standing.RETIRED: "a reviewer found it wrong; it does not match, and only a reviewer can change that",
}
_DECISIONS = {
    Decision.UPHOLD: "the contribution is right, and the case is closed",
    Decision.QUARANTINE: "the contribution does not match until a later decision",
    Decision.RETIRE: "the contribution was wrong and no longer matches",
}
SEVERITIES = ("lowest", "low", "medium", "high", "crisis")


@blueprint.get("")
def show() -> Response:
    """Show every code in force with its meaning."""
    actor().require(Scope.AUDIT)
    rules = hashdb().rules
    widest = rules.max_radius
    return pages.page(
        "labels.html",
        algorithms=[
            (algorithm, rules.algorithm_fault(algorithm) is None, max(algorithm.radius, widest.get(algorithm, 0)))
            for algorithm in Algorithm
        ],
        kinds=[(kind, *_KINDS[kind], getattr(rules.vocabulary, kind)) for kind in _KINDS if kind in Vocabulary.kinds()],
        statuses=_STATUSES,
        standings=_STANDINGS,
        decisions=_DECISIONS,
        severities=SEVERITIES,
    )
