"""Replays: one pass over the events of the log, from the first, for the figures of a period."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import MemberKind
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import ADDED_STATE, ContributionState, Event
from hashdb.domain.review.cases import Decision
from hashdb.domain.stats.reports import (
    GROUPINGS,
    MEMBER_GROUPS,
    Caught,
    Contributed,
    DecisionsBy,
    Durations,
    GroupCounts,
    Judgement,
    Precision,
    Reviewed,
)
from hashdb.domain.times import Period

_DURATIONS = ("seconds_to_share", "seconds_to_remove")
"""Seconds from the removal to the contribution, and from the notice to the removal, in an event that added one."""


class ContributionProfile(NamedTuple):
    """The logged properties of a contribution, which many contributions share."""

    member: int
    kind: str
    labels: tuple[str, ...]
    algorithms: tuple[str, ...]
    basis: str
    media: str

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups in a grouping (one of `GROUPINGS`) that the profile counts in."""
        groups: dict[str, tuple[str, ...]] = {
            "member": (str(self.member),),
            "kind": (self.kind,),
            "label": self.labels,
            "algorithm": self.algorithms,
            "basis": (self.basis,),
            "media": (self.media,),
        }
        return groups[name]


class Replay:
    """Replays events in order, and keeps what the figures need.

    For each contribution that is the number of its profile, and its state once that changed.
    """

    def __init__(self, period: Period, watched: Collection[int] = (), only_member: int | None = None) -> None:
        """`watched` are the contributions that `caught` is about; `only_member` restricts the figures to one member.

        `size` is the seq of the last event, `added` the times at which watched contributions were added, `days` the
        contributions that were `added` and `withdrawn` on each day.
        """
        self.size = 0
        self.reviews = Reviews(period, self.contributor, only_member)
        self.added: dict[int, datetime] = {}
        self.days: Counter[tuple[date, str]] = Counter()
        self._profile_of: dict[int, int] = {}
        """Contribution → number of its profile."""
        self._period, self._watched, self._only_member = period, frozenset(watched), only_member
        self._profiles: list[ContributionProfile] = []
        self._profile_numbers: dict[ContributionProfile, int] = {}
        self._states: dict[int, ContributionState] = {}
        """Contribution → its state, if it changed since it was added."""
        self._verb_counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._profile_counts: Counter[tuple[int, str]] = Counter()
        """How many contributions were `added` and `withdrawn`, by the number of their profile and this verb."""
        self._times = {name: {group: array("q") for group in MEMBER_GROUPS} for name in _DURATIONS}
        """By one of `_DURATIONS` and the group of members, the durations of the contributions added in the period."""

    def add_event(self, event: Event) -> None:
        """Replay the next event, which must be before the end of the period."""
        self.size = event.seq
        if event.kind == "contribution":
            self._replay_contribution(event, event.action.partition(".")[2])
        else:
            self.reviews.add_event(event)

    def contributor(self, id: int) -> int | None:
        """The member of a contribution, or None if unknown."""
        number = self._profile_of.get(id)
        return None if number is None else self._profiles[number].member

    def contributed(self) -> Contributed:
        """The figures of contributions."""
        not_matching = {id for id, state in self._states.items() if not state.matches}
        active = Counter(number for id, number in self._profile_of.items() if id not in not_matching)
        profile_counts = Counter(self._profile_counts)
        profile_counts.update({(number, "active"): count for number, count in active.items()})
        sums: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in GROUPINGS}
        for (number, verb), count in profile_counts.items():
            for name in GROUPINGS:
                for key in self._profiles[number].groups(name):
                    sums[name][key][verb] += count
        shares = {
            name: {
                key: GroupCounts(added=counts["added"], withdrawn=counts["withdrawn"], active=counts["active"])
                for key, counts in sorted(groups.items())
            }
            for name, groups in sums.items()
        }
        verbs = dict(sorted(self._verb_counts.items()))
        return Contributed(
            added=verbs.pop("added", 0),
            active=active.total(),
            withdrawn=dict(sorted(self._reasons.items())),
            other_events={verb: count for verb, count in verbs.items() if verb != "withdrawn"},
            by=shares,
        )

    def times(self, name: str) -> Mapping[str, Durations]:
        """The durations of this name (one of `_DURATIONS`) by group of members: `all`, `trusted_flagger`, `others`."""
        return {group: Durations.from_seconds(seconds) for group, seconds in self._times[name].items()}

    def precision(self) -> Mapping[int, Precision]:
        """By member, how many of its judged contributions hold."""
        return self.reviews.precision(lambda id: self._states.get(id, ADDED_STATE).standing)

    def caught(self, firsts: Mapping[int, Mapping[int, datetime]]) -> Caught:
        """The contributions that others first matched in the period; `firsts` has times by contribution and member."""
        seconds = []
        for id, members in firsts.items():
            others = [at for member, at in members.items() if member != self.contributor(id)]
            if id in self.added and others and (first := min(others)) in self._period:
                seconds.append(max(0, int((first - self.added[id]).total_seconds())))
        return Caught(len(seconds), Durations.from_seconds(seconds))

    def _replay_contribution(self, event: Event, verb: str) -> None:
        """Replay an event on a contribution; `verb` is its action, as `added`."""
        if verb == "added":
            self._add_contribution(event)
        if event.id not in self._profile_of:
            return
        inside = event.at in self._period
        if verb == "amended":
            self._amend_contribution(event)
        elif verb != "added":
            self._states[event.id] = self._states.get(event.id, ADDED_STATE).after(event.action)
        if inside:
            self._verb_counts[verb] += 1
        if inside and verb in ("added", "withdrawn"):
            self._profile_counts[self._profile_of[event.id], verb] += 1
            self.days[event.at.date(), verb] += 1
        if inside and verb == "withdrawn":
            self._reasons[str(event.details.get("reason"))] += 1

    def _add_contribution(self, event: Event) -> None:
        details = event.details
        if self._only_member is not None and details.get("member") != self._only_member:
            return
        profile = ContributionProfile(
            _as_int(details.get("member")),
            str(details.get("kind")),
            _as_texts(details.get("labels")),
            _as_texts(details.get("algorithms")),
            str(details.get("basis") or "unknown"),
            str(details.get("media")),
        )
        self._profile_of[event.id] = self._profile_number(profile)
        if event.id in self._watched:
            self.added[event.id] = event.at
        if event.at in self._period:
            group = "trusted_flagger" if profile.kind == MemberKind.TRUSTED_FLAGGER else "others"
            for name, seconds in self._times.items():
                if isinstance(duration := details.get(name), int):
                    seconds["all"].append(duration)
                    seconds[group].append(duration)

    def _amend_contribution(self, event: Event) -> None:
        profile = self._profiles[self._profile_of[event.id]]
        if "labels" in event.details:
            profile = profile._replace(labels=_as_texts(event.details["labels"]))
        if "basis" in event.details:
            profile = profile._replace(basis=str(event.details["basis"] or "unknown"))
        self._profile_of[event.id] = self._profile_number(profile)

    def _profile_number(self, profile: ContributionProfile) -> int:
        number = self._profile_numbers.setdefault(profile, len(self._profiles))
        if number == len(self._profiles):
            self._profiles.append(profile)
        return number


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _as_texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


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
            contribution = _as_int(event.details.get("contribution"))
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
                self._disputed.add(_as_int(details.get("case")))
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
