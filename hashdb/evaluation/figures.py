"""The tables of an evaluation, as text for a terminal and for a page, and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.runs import ChoiceResult, Evaluation
from hashdb.evaluation.samples import Mistake

Row: TypeAlias = tuple[str, ...]


class Table(NamedTuple):
    """Headings and rows; a heading that begins with `>` is of a column of numbers."""

    columns: Row
    rows: Sequence[Row]

    @classmethod
    def from_cells(cls, rows: Sequence[Mapping[str, str]]) -> Self:
        """From the cells of each row by their headings, which are the same in every row."""
        return cls(tuple(rows[0]) if rows else (), [tuple(row.values()) for row in rows])


def recall_table(evaluation: Evaluation, *, brief: bool = False) -> Table:
    """The percentage recognised of each alteration.

    The columns are: each algorithm without variants and transforms at the radius in force; what a service matches, for
    each profile. If there were enough pairs to compute radii, what is within these radii, by any algorithm and (unless
    `brief`) by each.
    """
    scheme = evaluation.scheme
    columns, shares = [], []
    for outcome in evaluation.outcomes:
        if not outcome.choice.transforms and outcome.choice.profile == scheme.profiles[0]:
            columns.append(f">{outcome.choice.algorithm} ≤ {outcome.radius_in_force}")
            shares.append(outcome.recalls(outcome.radius_in_force))
    for profile in scheme.profiles:
        columns.append(f">{profile}, matched")
        shares.append(evaluation.matched[profile])
    for outcome in evaluation.outcomes:
        if not brief and outcome.choice.transforms and outcome.radius is not None:
            columns.append(f">{outcome.choice.profile}, {outcome.choice.algorithm} ≤ {outcome.radius}")
            shares.append(outcome.recalls(outcome.radius))
    if any(outcome.radius is not None for outcome in evaluation.outcomes):
        for profile in scheme.profiles:
            columns.append(f">{profile}, at the rate")
            shares.append(evaluation.at_the_rate(profile, transforms=True))
    rows = []
    for family, positions in evaluation.families():
        for position in positions:
            name = scheme.alterations[position]
            rows.append((name, str(family), *(percent(share[position]) for share in shares)))
    return Table(("alteration", "family", *columns), rows)


def choices(evaluation: Evaluation) -> Table:
    """For each choice: the radius that the rate of false matches allows, its recall and its cost."""
    return Table.from_cells([_choice_row(outcome) for outcome in evaluation.outcomes])


def _choice_row(outcome: ChoiceResult) -> Mapping[str, str]:
    """The cells of a row of `choices`, by heading."""
    radius = outcome.radius
    cost = None if radius is None else outcome.costs.get(radius)
    return _choice_cells(outcome) | {
        ">values per item": f"{outcome.values_an_item:.1f}",
        ">values per query": f"{outcome.values_a_query:.1f}",
        ">nearest pair": _number(outcome.pairs.nearest),
        ">radius": _number(radius),
        ">(curved)": _number(outcome.curved_radius),
        ">recall %": percent(outcome.recalls(radius).mean()),
        ">bytes per item": "–" if cost is None else f"{cost.bytes_an_item:.0f}",
        ">µs per query": "–" if cost is None else f"{cost.microseconds_a_query:.0f}",
        "search": "–" if cost is None else "scan" if cost.scanned else "tables",
    }


def in_force(evaluation: Evaluation) -> Table:
    """The recall, the false matches and the cost of each choice at the radius in force."""
    rows = [
        _choice_cells(outcome)
        | {
            ">radius": str(outcome.radius_in_force),
            ">recall %": percent(outcome.recalls(outcome.radius_in_force).mean()),
            ">false pairs": f"{outcome.pairs.within(outcome.radius_in_force)}",
            ">false pairs, altered": f"{outcome.altered_pairs.within(outcome.radius_in_force)}",
            ">false rate, at most": format_rate(outcome.upper_rate),
            ">bytes per item": f"{outcome.costs[outcome.radius_in_force].bytes_an_item:.0f}",
            ">µs per query": f"{outcome.costs[outcome.radius_in_force].microseconds_a_query:.0f}",
        }
        for outcome in evaluation.outcomes
    ]
    return Table.from_cells(rows)


def _choice_cells(outcome: ChoiceResult) -> dict[str, str]:
    """The first cells of a row, which name the choice, by heading."""
    algorithm, profile, transforms = outcome.choice
    return {"algorithm": str(algorithm), "profile": profile, "transforms": "yes" if transforms else "no"}


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)


def matches(evaluation: Evaluation) -> Table:
    """For each profile, what a service matches: the mean recall, and the matches of different pictures."""
    pairs, altered_pairs = evaluation.compared
    rows = [
        {
            "profile": profile,
            ">recall %": percent(shares.mean()),
            ">false matches": f"{evaluation.mistaken(profile, altered=False)}",
            ">of pairs": f"{pairs}",
            ">false matches, altered": f"{evaluation.mistaken(profile, altered=True)}",
            ">of pairs, altered": f"{altered_pairs}",
            ">false rate, at most": format_rate(evaluation.upper_rate(profile)),
        }
        for profile, shares in evaluation.matched.items()
    ]
    return Table.from_cells(rows)


def mistakes(evaluation: Evaluation, count: int) -> Iterator[str]:
    """The first `count` false matches, by name, each two pictures once."""
    names = evaluation.names
    for mistake in distinct_mistakes(evaluation)[:count]:
        bits = ", ".join(f"{algorithm} {distance}" for algorithm, distance in mistake.distance.items())
        via = "" if mistake.transform is None else f", through {mistake.transform}"
        yield f"{names[mistake.query]} ({mistake.alteration or 'as it is'}) – {names[mistake.listed]}: {bits}{via}"


def distinct_mistakes(evaluation: Evaluation) -> list[Mistake]:
    """One false match of each two pictures and profile; of the query as it is, if there is one."""
    distinct: dict[tuple[str, int, int], Mistake] = {}
    for mistake in sorted(evaluation.mistakes, key=lambda mistake: mistake.alteration is not None):
        pair = min(mistake.query, mistake.listed), max(mistake.query, mistake.listed)
        distinct.setdefault((mistake.profile, *pair), mistake)
    return list(distinct.values())


def checks(evaluation: Evaluation) -> Iterator[str]:
    """A sentence for each choice: what the fit of one half of the pictures predicted for the other half."""
    for outcome in evaluation.outcomes:
        if (check := outcome.check) is not None:
            yield (
                f"{outcome.choice}: within {check.radius} bits {check.cautious:.0f} pairs predicted "
                f"({check.curved:.0f} by the curved estimate), {check.found} found"
            )


def nearest(evaluation: Evaluation, count: int) -> Iterator[str]:
    """The `count` nearest pairs of different pictures, by name, for every algorithm with all of its variants."""
    for outcome in evaluation.outcomes:
        if outcome.choice.transforms and outcome.choice.profile == evaluation.scheme.profiles[-1]:
            for first, second, distance in outcome.pairs.nearest_pairs(count):
                names = evaluation.names
                yield f"{outcome.choice.algorithm} {distance}: {names[first]} – {names[second]}"


def same(evaluation: Evaluation) -> Iterator[str]:
    """The pairs that show the same thing, by name."""
    return (f"{evaluation.names[first]} – {evaluation.names[second]}" for first, second in evaluation.same)


def percent(share: float) -> str:
    """A share in per cent, like `95.8`."""
    return f"{100 * share:.1f}"


def format_rate(rate: float | None) -> str:
    """A rate as 1.2e-11."""
    return "–" if rate is None else f"{rate:.1e}"


Document: TypeAlias = dict[str, Any]

NEAREST = 10
"""Nearest pairs of different pictures that are named for each choice."""


def as_document(evaluation: Evaluation) -> Document:
    """The whole evaluation as a JSON document, with exact counts and unrounded shares."""
    scheme, names = evaluation.scheme, evaluation.names
    return {
        "pictures": len(names),
        "seed": scheme.seed,
        "rate": evaluation.rate,
        "items": evaluation.items,
        "unfit": [{"path": path, "error": reason} for path, reason in evaluation.unfit.items()],
        "same": [[names[first], names[second]] for first, second in evaluation.same],
        "alterations": [
            {"name": name, "family": str(ALTERATIONS[name].family), "copies": copies}
            for name, copies in zip(scheme.alterations, evaluation.copies, strict=True)
        ],
        "pairs": evaluation.compared[0],
        "altered_pairs": evaluation.compared[1],
        "matched": [
            {
                "profile": profile,
                "recall": shares.tolist(),
                "mistaken": evaluation.mistaken(profile, altered=False),
                "altered_mistaken": evaluation.mistaken(profile, altered=True),
                "upper_rate": evaluation.upper_rate(profile),
            }
            for profile, shares in evaluation.matched.items()
        ],
        "mistakes": [
            mistake._asdict() | {"query": names[mistake.query], "listed": names[mistake.listed]}
            for mistake in evaluation.mistakes
        ],
        "choices": [_choice_document(evaluation, outcome) for outcome in evaluation.outcomes],
        "together": [
            {
                "profile": profile,
                "transforms": transforms,
                "recall": evaluation.at_the_rate(profile, transforms).tolist(),
            }
            for profile in scheme.profiles
            for transforms in (False, True)
        ],
    }


def _choice_document(evaluation: Evaluation, outcome: ChoiceResult) -> Document:
    algorithm = outcome.choice.algorithm
    return {
        "algorithm": str(algorithm),
        "profile": outcome.choice.profile,
        "transforms": outcome.choice.transforms,
        "radius": outcome.radius,
        "curved_radius": outcome.curved_radius,
        "radius_in_force": outcome.radius_in_force,
        "recall": outcome.recalls(outcome.radius).tolist(),
        "recall_in_force": outcome.recalls(outcome.radius_in_force).tolist(),
        "found": _counts_within(outcome),
        "values_an_item": outcome.values_an_item,
        "values_a_query": outcome.values_a_query,
        "costs": [{"radius": radius, **asdict(cost)} for radius, cost in outcome.costs.items()],
        "pairs": outcome.pairs.total,
        "pairs_within": np.cumsum(outcome.pairs.counts)[: algorithm.bits // 2].tolist(),
        "altered_pairs_within": np.cumsum(outcome.altered_pairs.counts)[: algorithm.bits // 2].tolist(),
        "nearest": [
            {"pair": [evaluation.names[first], evaluation.names[second]], "distance": distance}
            for first, second, distance in outcome.pairs.nearest_pairs(NEAREST)
        ],
        "kept": outcome.remaining._asdict(),
        "tail": None if outcome.tail is None else outcome.tail.as_document(),
        "check": None if outcome.check is None else asdict(outcome.check),
    }


def _counts_within(outcome: ChoiceResult) -> list[list[int]]:
    """For each alteration, how many copies are within each radius from 0 to half of the bits."""
    radii = np.arange(outcome.choice.algorithm.bits // 2)
    counts: list[list[int]] = [np.searchsorted(np.sort(row), radii, "right").tolist() for row in outcome.distances.T]
    return counts
