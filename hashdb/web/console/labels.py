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
    "behaviour": ("Labels", "What the content does; at least one on every contribution."),
    "context": ("Context", "What a reviewer should know before acting on a match."),
    "basis": ("Basis", "Why it was removed."),
    "tco_ground": ("TCO ground", "Which ground of Regulation (EU) 2021/784, Article 2(7)."),
    "entity_list": ("Entity lists", "Whose list the entity behind it is on; an entity is a list and a slug."),
    "reason": ("Reasons", "Why a contribution is withdrawn or disputed."),
}
_STATUSES = {
    Status.ACTIVE: "takes part; it matches unless it is quarantined or retired",
    Status.WITHDRAWN: "its member took it back; it never matches again",
    Status.EXPIRED: "its time is over: by its member, an incident’s end or the retention of a label",
    Status.SUSPENDED: "its member is suspended; it comes back with the member",
}
_STANDINGS = {
    Standing.UNREVIEWED: "nobody but its contributor has said anything; it matches",
    Standing.CONFIRMED: "another member looked and confirms it; it matches",
    Standing.DISPUTED: "another member disputes it and a case is open; it matches meanwhile, and says so",
    Standing.QUARANTINED: "kept out until further notice, by a reviewer or until one decides; it does not match",
    Standing.RETIRED: "a reviewer found it wrong; it never comes back by itself",
}
_DECISIONS = {
    Decision.UPHOLD: "it stands; the dispute is answered",
    Decision.QUARANTINE: "it is kept out until further notice",
    Decision.RETIRE: "it was wrong",
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
