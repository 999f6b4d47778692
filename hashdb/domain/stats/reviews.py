"""Reviews: the opinions, cases and decisions of the log in a period, for its figures."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Event
from hashdb.domain.review.cases import Decision
from hashdb.domain.stats.reports import DecisionsBy, Durations, Judgement, Precision, Reviewed
from hashdb.domain.times import Period


@dataclass(slots=True)
class _DeciderCounts:
    """How often one actor made each decision in the period (`decided`), and the `seconds` from opening to decision.

    `again` of these were followed by another decision on the same contribution, and `reversed` by the opposite one.
    """

    decided: Counter[str] = field(default_factory=Counter)
    seconds: array[int] = field(default_factory=lambda: array("q"))
    again: int = 0
    reversed: int = 0


class _Decided(NamedTuple):
    """The last decision on a contribution; `counts` are those of its actor, None if it was before the period."""

    counts: _DeciderCounts | None
    upheld: bool


class Reviews:
    """Replays opinions and cases in order."""

    def __init__(self, period: Period, contributor: Callable[[int], int | None], only_member: int | None) -> None:
        """`contributor` returns the member of a contribution; `only_member` restricts it to those of one member."""
        self._period, self._contributor, self._only_member = period, contributor, only_member
        self._decisions: dict[int, _Decided] = {}
        """Contribution → the last decision on it."""
        self._deciders: dict[str, _DeciderCounts] = {}
        """Actor → the counts of its decisions."""
        self._open: dict[int, datetime] = {}
        """Open case → when it was opened."""
        self._cases: dict[int, int] = {}
        """Contribution → the last case on it."""
        self._disputed: set[int] = set()
        """The cases under which a member disputed."""
        self._judged: set[int] = set()
        """The contributions with an opinion or a decision in the period."""
        self._counts: Counter[tuple[str, str]] = Counter()
        """The counts, by what is counted (`disputes`, `decided`, …) and its code (a reason or a decision)."""
        self._decision_seconds = array("q")
        """The seconds from opening to decision of each case that was decided in the period."""

    def add_event(self, event: Event) -> None:
        """Replay the next event."""
        if event.action in ("opinion.given", "case.opened", "case.decided"):
            contribution = event.integer("contribution")
            if self._only_member is None or self._only_member == self._contributor(contribution):
                self._replay_review(event, contribution)

    def reviewed(self) -> Reviewed:
        """The figures of opinions and cases."""
        return Reviewed(
            confirms=self._counts["confirms", ""],
            disputes=self._counts_of("disputes"),
            opened=self._counts["opened", ""],
            decided=self._counts_of("decided"),
            disputes_decided=self._counts_of("disputes decided"),
            open=len(self._open),
            to_decide=Durations.from_seconds(self._decision_seconds),
        )

    def deciders(self) -> Mapping[str, DecisionsBy]:
        """The decisions in the period, by the actor that made them."""
        return {
            actor: DecisionsBy(
                decided=dict(sorted(counts.decided.items())),
                to_decide=Durations.from_seconds(counts.seconds),
                again=counts.again,
                reversed=counts.reversed,
            )
            for actor, counts in sorted(self._deciders.items())
        }

    def precision(self, standing: Callable[[int], Standing]) -> Mapping[int, Precision]:
        """By member, how many of its contributions that were judged in the period hold at its end.

        `standing` returns the standing of a contribution at that time.
        """
        judged: dict[int, Counter[Judgement]] = defaultdict(Counter)
        for contribution in self._judged:
            member = self._contributor(contribution)
            if member is not None:
                upheld = (last := self._decisions.get(contribution)) is not None and last.upheld
                judgement = Judgement(standing(contribution), upheld=upheld, waits=self._waits(contribution))
                judged[member][judgement] += 1
        precision = {member: Precision.from_judgements(counts) for member, counts in sorted(judged.items())}
        return {member: figure for member, figure in precision.items() if figure.count}

    def _replay_review(self, event: Event, contribution: int) -> None:
        details, inside = event.details, event.at in self._period
        if event.action == "opinion.given":
            opinion = str(details.get("opinion"))
            disputes = opinion == "disputes"
            if disputes:
                self._disputed.add(event.integer("case"))
            self._counts[opinion, str(details.get("reason")) if disputes else ""] += inside
        elif event.action == "case.opened":
            self._open[event.id] = event.at
            self._cases[contribution] = event.id
            self._counts["opened", ""] += inside
        else:
            self._decide(event, contribution, inside=inside)
        if inside and event.action != "case.opened":
            self._judged.add(contribution)

    def _decide(self, event: Event, contribution: int, *, inside: bool) -> None:
        decision = str(event.details.get("decision"))
        upheld, before = decision == Decision.UPHOLD, self._decisions.get(contribution)
        if before is not None and before.counts is not None:
            before.counts.again += 1
            before.counts.reversed += before.upheld != upheld
        counts = self._deciders.setdefault(event.actor, _DeciderCounts()) if inside else None
        self._decisions[contribution] = _Decided(counts, upheld)
        self._counts["decided", decision] += inside
        self._counts["disputes decided", decision] += inside and event.id in self._disputed
        self._disputed.discard(event.id)
        opened = self._open.pop(event.id, None)
        seconds = None if opened is None else int((event.at - opened).total_seconds())
        if inside and seconds is not None:
            self._decision_seconds.append(seconds)
        if counts is not None:
            counts.decided[decision] += 1
            counts.seconds.extend(() if seconds is None else (seconds,))

    def _waits(self, contribution: int) -> bool:
        """Whether the last case on a contribution is open, and no member disputed under it.

        The contribution is then held until the decision: it is not judged.
        """
        case = self._cases.get(contribution)
        return case in self._open and case not in self._disputed

    def _counts_of(self, what: str) -> dict[str, int]:
        """By code, the counts with this name."""
        counts = {key: count for (name, key), count in self._counts.items() if name == what and count}
        return dict(sorted(counts.items()))
