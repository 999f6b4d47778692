"""An evaluation for programs: one JSON document."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.costs import Cost
from hashdb.evaluation.evaluations import Evaluation, Outcome
from hashdb.evaluation.tails import Check, Tail

Document: TypeAlias = dict[str, Any]

NEAREST = 10
"""Nearest pairs of different pictures that are named for each choice."""


def spelled(evaluation: Evaluation) -> Document:
    """All of it: counts are exact, shares are not rounded."""
    scheme = evaluation.scheme
    return {
        "pictures": len(evaluation.names),
        "seed": scheme.seed,
        "rate": evaluation.rate,
        "items": evaluation.items,
        "unfit": [{"path": path, "error": reason} for path, reason in evaluation.unfit.items()],
        "same": [[evaluation.names[one], evaluation.names[other]] for one, other in evaluation.same],
        "alterations": [{"name": name, "family": str(ALTERATIONS[name].family)} for name in scheme.alterations],
        "choices": [_choice(evaluation, outcome) for outcome in evaluation.outcomes],
        "together": [
            {
                "profile": profile,
                "transforms": transforms,
                "recall": evaluation.together(profile, transforms, in_force=False).tolist(),
                "recall_in_force": evaluation.together(profile, transforms, in_force=True).tolist(),
            }
            for profile in scheme.profiles
            for transforms in (False, True)
        ],
    }


def _choice(evaluation: Evaluation, outcome: Outcome) -> Document:
    algorithm = outcome.choice.algorithm
    return {
        "algorithm": str(algorithm),
        "profile": outcome.choice.profile,
        "transforms": outcome.choice.transforms,
        "radius": outcome.radius,
        "curved_radius": outcome.curved_radius,
        "radius_in_force": outcome.in_force,
        "recall": outcome.recalls(outcome.radius).tolist(),
        "recall_in_force": outcome.recalls(outcome.in_force).tolist(),
        "found": _found(outcome),
        "values_an_item": outcome.values_an_item,
        "values_a_query": outcome.values_a_query,
        "costs": [_cost(radius, cost) for radius, cost in outcome.costs.items()],
        "pairs": outcome.pairs.total,
        "pairs_within": np.cumsum(outcome.pairs.counts)[: algorithm.bits // 2].tolist(),
        "altered_pairs_within": np.cumsum(outcome.altered_pairs.counts)[: algorithm.bits // 2].tolist(),
        "nearest": [
            {"pair": [evaluation.names[one], evaluation.names[other]], "distance": distance}
            for one, other, distance in outcome.pairs.first(NEAREST)
        ],
        "tail": None if outcome.tail is None else _tail(outcome.tail),
        "check": None if outcome.check is None else _check(outcome.check),
    }


def _found(outcome: Outcome) -> list[list[int]]:
    """For each alteration, how many copies are within each radius from 0 to half of the bits."""
    radii = np.arange(outcome.choice.algorithm.bits // 2)
    counts: list[list[int]] = [np.searchsorted(np.sort(row), radii, "right").tolist() for row in outcome.distances.T]
    return counts


def _cost(radius: int, cost: Cost) -> Document:
    return {
        "radius": radius,
        "bytes_an_item": cost.bytes_an_item,
        "microseconds_a_query": cost.microseconds_a_query,
        "measured_values": cost.measured,
        "scanned": cost.scanned,
    }


def _tail(tail: Tail) -> Document:
    return {
        "threshold": tail.threshold,
        "fitted_pairs": tail.fitted,
        "cautious": tail.cautious.tolist(),
        "low": tail.low.tolist(),
        "high": tail.high.tolist(),
        "curved": tail.curved.tolist(),
    }


def _check(check: Check) -> Document:
    return {
        "radius": check.radius,
        "cautious": check.cautious,
        "curved": check.curved,
        "found": check.found,
    }
