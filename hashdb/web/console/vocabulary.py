"""/console/vocabulary: every code of the service with its meaning and an example."""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.meanings import EXAMPLES, MEANINGS, TITLES
from hashdb.domain.signals import Algorithm
from hashdb.domain.vocabulary import Vocabulary
from hashdb.web.console import pages
from hashdb.web.context import actor, hashdb

blueprint = pages.blueprint_of("vocabulary")

_LISTS = {
    "behaviour": ("console.contributions.browse", "label"),
    "severity": ("console.contributions.browse", "severity"),
    "status": ("console.contributions.browse", "status"),
    "standing": ("console.contributions.browse", "standing"),
    "media": ("console.contributions.browse", "media"),
    "algorithm": ("console.contributions.browse", "algorithm"),
    "tier": ("console.contributions.browse", "tier"),
    "action": ("console.events.browse", "action"),
}
"""For a kind of codes: the view that lists the things with a code, and the field of its filter."""
_OWN = "a code defined by this operator; ask the operator for its meaning"


@blueprint.get("")
def show() -> Response:
    """Show every code in force with its meaning and an example."""
    actor().require(Scope.AUDIT)
    rules = hashdb().rules
    radii = rules.max_radius
    in_vocabulary = {kind: getattr(rules.vocabulary, kind) for kind in Vocabulary.kinds()}
    codes = {kind: in_vocabulary.get(kind, tuple(MEANINGS[kind])) for kind in TITLES}
    return pages.page(
        "vocabulary.html",
        # Whether it is enabled, and the largest radius of a query.
        algorithms=[
            (algorithm, rules.algorithm_fault(algorithm) is None, max(algorithm.radius, radii.get(algorithm, 0)))
            for algorithm in Algorithm
        ],
        kinds=[
            (kind, title, [(code, MEANINGS[kind].get(code, _OWN), EXAMPLES[kind].get(code)) for code in codes[kind]])
            for kind, title in TITLES.items()
        ],
        lists=_LISTS,
    )
