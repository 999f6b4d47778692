"""The results of an evaluation of attacks: what each one reached, as a table and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from hashdb.evaluation.attacks import Attack, Attacked
from hashdb.evaluation.figures import Table, percent

QUALITIES: Final = (40, 36, 32, 30)
"""Decibels at which shares are reported: a change of 40 is invisible, one of 30 is plain to see."""
_TOLERANCE: Final = 0.1
"""Decibels by which rounding to 8 bits may exceed a budget."""


class Outcome(NamedTuple):
    """How often an attack reached its aim."""

    attack: Attack
    decibels: tuple[float | None, ...]
    """What was reached on each picture; None where the attack failed."""

    @property
    def median(self) -> float | None:
        """The median of the decibels of those that succeeded."""
        return median(self._reached) if self._reached else None

    def share(self, decibels: float) -> float:
        """The share of the pictures on which it succeeds with a change of at least so many decibels: no larger one."""
        return sum(reached >= decibels - _TOLERANCE for reached in self._reached) / max(1, len(self.decibels))

    @property
    def _reached(self) -> list[float]:
        return [reached for reached in self.decibels if reached is not None]


def outcomes(results: Sequence[Attacked]) -> list[Outcome]:
    """The outcome of each attack over all pictures."""
    names = results[0].decibels if results else ()
    return [Outcome(name, tuple(result.decibels[name] for result in results)) for name in names]


def attack_table(outcomes: Sequence[Outcome]) -> Table:
    """The outcomes as a table: of each attack the median of the decibels, and the percentages that succeed."""
    columns = ("attack", ">pictures", ">median, dB", *(f">≥ {decibels} dB" for decibels in QUALITIES))
    rows = [
        (
            str(outcome.attack),
            f"{len(outcome.decibels)}",
            "–" if outcome.median is None else f"{outcome.median:.1f}",
            *(percent(outcome.share(decibels)) for decibels in QUALITIES),
        )
        for outcome in outcomes
    ]
    return Table(columns, rows)


def as_document(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """The outcomes as a JSON document."""
    attacks = [
        {
            "attack": outcome.attack.name.lower().replace("_", "-"),
            "says": str(outcome.attack),
            "median": outcome.median,
            "shares": {str(decibels): outcome.share(decibels) for decibels in QUALITIES},
            "decibels": outcome.decibels,
        }
        for outcome in outcomes
    ]
    return {"seed": seed, "pictures": len(outcomes[0].decibels) if outcomes else 0, "attacks": attacks}
