"""Reviews: what the log tells of opinions, cases and decisions, and of whose contributions hold."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime

from hashdb.domain.audit import Event
from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
from hashdb.domain.periods import Period
from hashdb.domain.reports import Durations, Judgement, Precision, Reviewed


class Reviews:
    """Takes the events that are on no contribution, in order."""

    def __init__(self, period: Period, contributor: Callable[[int], int | None], only: int | None) -> None:
        """`contributor` tells whose contribution it is; `only` takes one member's contributions alone."""
        self._period, self._contributor, self._only = period, contributor, only
        self._decisions: dict[int, str] = {}
        self._open: dict[int, datetime] = {}
        self._cases: dict[int, int] = {}
        """Contribution → the last case on it."""
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

    def precision(self, standing: Callable[[int], Standing]) -> Mapping[int, Precision]:
        """Of each member, how many of its contributions that were judged in the period hold at its end.

        `standing` returns the standing of a contribution then.
        """
        judged: dict[int, Counter[Judgement]] = defaultdict(Counter)
        for on in self._judged:
            member = self._contributor(on)
            if member is not None:
                upheld = self._decisions.get(on) == Decision.UPHOLD
                judged[member][Judgement(standing(on), upheld, self._waits(on))] += 1
        found = {member: Precision.of(times) for member, times in sorted(judged.items())}
        return {member: one for member, one in found.items() if one.count}

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
            self._cases[on] = event.id
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

    def _waits(self, on: int) -> bool:
        case = self._cases.get(on)
        return case in self._open and case not in self._disputed

    def _sums(self, what: str) -> dict[str, int]:
        found = {key: count for (name, key), count in self._counts.items() if name == what and count}
        return dict(sorted(found.items()))


def _number(told: object) -> int:
    return told if isinstance(told, int) else 0
