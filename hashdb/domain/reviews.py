"""Reviews: what the log tells of opinions, cases and decisions, and of whose contributions hold."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from hashdb.domain.audit import Event
from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
from hashdb.domain.periods import Period
from hashdb.domain.reports import Durations, Precision, Reviewed


class Reviews:
    """Takes the events that are on no contribution, in order."""

    def __init__(self, period: Period, contributor: Callable[[int], int | None], only: int | None) -> None:
        """`contributor` tells whose contribution it is; `only` takes one member's contributions alone."""
        self._period, self._contributor, self._only = period, contributor, only
        self._decisions: dict[int, str] = {}
        self._open: dict[int, datetime] = {}
        self._disputed: set[int] = set()
        """Cases under which a member disputed."""
        self._judged: set[int] = set()
        """Contributions on which something was said or decided in the period."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._seconds = array("q")

    def take(self, event: Event) -> None:
        """The next event."""
        if event.action in ("opinion.given", "case.opened", "case.decided"):
            on = _number(event.details.get("contribution"))
            if self._only in (None, self._contributor(on)):
                self._review(event, on)

    def reviewed(self) -> Reviewed:
        """What was said and decided."""
        return Reviewed(
            confirms=self._counts["confirms", ""],
            disputes=self._sums("disputes"),
            opened=self._counts["opened", ""],
            decided=self._sums("decided"),
            disputes_decided=self._sums("disputes decided"),
            open=len(self._open),
            to_decide=Durations.of(self._seconds),
        )

    def precision(self, standings: Mapping[int, str]) -> Mapping[int, Precision]:
        """Of each member, how many of its contributions that were judged in the period hold at its end.

        `standings` are those that the log told last, where it told any.
        """
        verdicts: Counter[tuple[int, bool]] = Counter()
        for on in self._judged:
            member, holds = self._contributor(on), self._holds(on, standings.get(on))
            if member is not None and holds is not None:
                verdicts[member, holds] += 1
        members = sorted({member for member, _ in verdicts})
        return {member: Precision(verdicts[member, True], verdicts[member, False]) for member in members}

    def _review(self, event: Event, on: int) -> None:
        told, inside = event.details, event.at in self._period
        if event.action == "opinion.given":
            opinion = str(told.get("opinion"))
            disputes = opinion == "disputes"
            if disputes:
                self._disputed.add(_number(told.get("case")))
            self._counts[opinion, str(told.get("reason")) if disputes else ""] += inside
        elif event.action == "case.opened":
            self._open[event.id] = event.at
            self._counts["opened", ""] += inside
        else:
            self._decide(event, on, inside=inside)
        if inside and event.action != "case.opened":
            self._judged.add(on)

    def _decide(self, event: Event, on: int, *, inside: bool) -> None:
        self._decisions[on] = decision = str(event.details.get("decision"))
        self._counts["decided", decision] += inside
        self._counts["disputes decided", decision] += inside and event.id in self._disputed
        self._disputed.discard(event.id)
        opened = self._open.pop(event.id, None)
        if inside and opened is not None:
            self._seconds.append(int((event.at - opened).total_seconds()))

    def _holds(self, on: int, standing: str | None) -> bool | None:
        """Whether a contribution holds; None where nobody that takes part says anything of it any more.

        The standing tells which opinions count, and what waits for a reviewer; not that somebody upheld it.
        """
        if standing in (None, Standing.UNREVIEWED):
            return True if self._decisions.get(on) == Decision.UPHOLD else None
        return standing == Standing.CONFIRMED

    def _sums(self, what: str) -> dict[str, int]:
        found = {key: count for (name, key), count in self._counts.items() if name == what and count}
        return dict(sorted(found.items()))


def _number(told: object) -> int:
    return told if isinstance(told, int) else 0
