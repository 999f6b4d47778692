"""Reviews: what the log tells of opinions, cases and decisions, and of whose contributions hold."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime

from hashdb.domain.audit import Event
from hashdb.domain.periods import Period
from hashdb.domain.reports import Durations, Precision, Reviewed


class Reviews:
    """Takes the events that are on no contribution, in order."""

    def __init__(self, period: Period, contributor: Callable[[int], int | None], only: int | None) -> None:
        """`contributor` tells whose contribution it is; `only` takes one member's contributions alone."""
        self._period, self._contributor, self._only = period, contributor, only
        self._members: dict[str, int] = {}
        """Key, as an actor → whose it is."""
        self._suspended: set[int] = set()
        self._opinions: dict[int, dict[int, str]] = defaultdict(dict)
        self._decisions: dict[int, str] = {}
        self._open: dict[int, datetime] = {}
        self._judged: set[int] = set()
        """Contributions on which something was said or decided in the period."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._seconds = array("q")

    def take(self, event: Event) -> None:
        """The next event."""
        told = event.details
        if event.action == "key.issued":
            self._members[event.subject] = _number(told.get("member"))
        elif event.action == "member.suspended":
            self._suspended.add(event.id)
        elif event.action == "member.reinstated":
            self._suspended.discard(event.id)
        elif event.action in ("opinion.given", "case.opened", "case.decided"):
            on = _number(told.get("contribution"))
            if self._only in (None, self._contributor(on)):
                self._review(event, on)

    def reviewed(self) -> Reviewed:
        """What was said and decided."""
        return Reviewed(
            confirms=self._counts["confirms", ""],
            disputes=self._sums("disputes"),
            opened=self._counts["opened", ""],
            decided=self._sums("decided"),
            open=len(self._open),
            to_decide=Durations.of(self._seconds),
        )

    def precision(self) -> Mapping[int, Precision]:
        """Of each member, how many of its contributions that were judged in the period hold at its end."""
        verdicts: Counter[tuple[int, bool]] = Counter()
        for on in self._judged:
            member, holds = self._contributor(on), self._holds(on)
            if member is not None and holds is not None:
                verdicts[member, holds] += 1
        members = sorted({member for member, _ in verdicts})
        return {member: Precision(verdicts[member, True], verdicts[member, False]) for member in members}

    def _review(self, event: Event, on: int) -> None:
        told, inside = event.details, event.at in self._period
        if event.action == "opinion.given":
            opinion = str(told.get("opinion"))
            if opinion == "disputes" and self._decisions.get(on) == "uphold":
                # Disputed anew: what was upheld is open again.
                del self._decisions[on]
            self._opinions[on][self._members.get(event.actor, 0)] = opinion
            reason = str(told.get("reason")) if opinion == "disputes" else ""
            self._counts[opinion, reason] += inside
        elif event.action == "case.opened":
            self._open[event.id] = event.at
            self._counts["opened", ""] += inside
        else:
            self._decisions[on] = decision = str(told.get("decision"))
            self._counts["decided", decision] += inside
            opened = self._open.pop(event.id, None)
            if inside and opened is not None:
                self._seconds.append(int((event.at - opened).total_seconds()))
        if inside and event.action != "case.opened":
            self._judged.add(on)

    def _holds(self, on: int) -> bool | None:
        """Whether a contribution holds; None where nobody that takes part says anything of it any more."""
        said = {opinion for member, opinion in self._opinions[on].items() if member not in self._suspended}
        decision = self._decisions.get(on)
        if decision == "uphold":
            return True
        if decision is not None or "disputes" in said:
            return False
        return True if "confirms" in said else None

    def _sums(self, what: str) -> dict[str, int]:
        found = {key: count for (name, key), count in self._counts.items() if name == what and count}
        return dict(sorted(found.items()))


def _number(told: object) -> int:
    return told if isinstance(told, int) else 0
