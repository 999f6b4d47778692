"""Replay: the events of the log gone over once, from the first, for the figures of a period."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import MemberKind
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import ADDED, ContributionState, Event
from hashdb.domain.review.cases import Decision
from hashdb.domain.stats.reports import (
    GROUPS,
    WHO,
    Caught,
    Contributed,
    Durations,
    Judgement,
    Precision,
    Reviewed,
    Share,
)
from hashdb.domain.times import Period


class ContributionProfile(NamedTuple):
    """What an event tells of a contribution: many have the same."""

    member: int
    kind: str
    labels: tuple[str, ...]
    algorithms: tuple[str, ...]
    basis: str
    media: str

    def groups(self, name: str) -> tuple[str, ...]:
        """Where it counts in a grouping."""
        found: dict[str, tuple[str, ...]] = {
            "member": (str(self.member),),
            "kind": (self.kind,),
            "label": self.labels,
            "algorithm": self.algorithms,
            "basis": (self.basis,),
            "media": (self.media,),
        }
        return found[name]


class Replay:
    """Takes events in order and keeps what figures need: of a contribution that is active, one small number."""

    def __init__(self, period: Period, watched: Collection[int] = (), only: int | None = None) -> None:
        """`watched` are contributions whose time of arrival is asked for later; `only` takes one member's alone."""
        self.size = 0
        self.reviews = Reviews(period, self.contributor, only)
        self.added: dict[int, datetime] = {}
        self.days: Counter[tuple[date, str]] = Counter()
        self.of: dict[int, int] = {}
        """Contribution → where its profile stands."""
        self._period, self._watched, self._only = period, frozenset(watched), only
        self._profiles: list[ContributionProfile] = []
        self._places: dict[ContributionProfile, int] = {}
        self._states: dict[int, ContributionState] = {}
        """Contribution → its state, where anything changed it since it was added."""
        self._told: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._counted: Counter[tuple[int, str]] = Counter()
        self._times = {name: {who: array("q") for who in WHO} for name in ("seconds_to_share", "seconds_to_remove")}

    def take(self, event: Event) -> None:
        """The next event, which is before the end of the period."""
        self.size = event.seq
        if event.kind == "contribution":
            self._contribution(event, event.action.partition(".")[2])
        else:
            self.reviews.take(event)

    def contributor(self, id: int) -> int | None:
        """Whose contribution it is, where that is known."""
        place = self.of.get(id)
        return None if place is None else self._profiles[place].member

    def contributed(self) -> Contributed:
        """What became of contributions."""
        out = {id for id, state in self._states.items() if not state.matches}
        active = Counter(place for id, place in self.of.items() if id not in out)
        counted = Counter(self._counted)
        counted.update({(place, "active"): count for place, count in active.items()})
        sums: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in GROUPS}
        for (place, what), count in counted.items():
            for name in GROUPS:
                for key in self._profiles[place].groups(name):
                    sums[name][key][what] += count
        by = {name: {key: _share(found) for key, found in sorted(groups.items())} for name, groups in sums.items()}
        told = dict(sorted(self._told.items()))
        return Contributed(
            added=told.pop("added", 0),
            active=active.total(),
            withdrawn=dict(sorted(self._reasons.items())),
            told={verb: count for verb, count in told.items() if verb != "withdrawn"},
            by=by,
        )

    def times(self, name: str) -> Mapping[str, Durations]:
        """How long it took, by who."""
        return {who: Durations.of(seconds) for who, seconds in self._times[name].items()}

    def precision(self) -> Mapping[int, Precision]:
        """Of each member, how many of its contributions that were judged hold."""
        return self.reviews.precision(lambda id: self._states.get(id, ADDED).standing)

    def caught(self, firsts: Mapping[int, Mapping[int, datetime]]) -> Caught:
        """When others had contributions first; `firsts` tells it by contribution and member."""
        seconds = []
        for id, members in firsts.items():
            others = [at for member, at in members.items() if member != self.contributor(id)]
            if id in self.added and others and (first := min(others)) in self._period:
                seconds.append(max(0, int((first - self.added[id]).total_seconds())))
        return Caught(len(seconds), Durations.of(seconds))

    def _contribution(self, event: Event, verb: str) -> None:
        if verb == "added":
            self._add(event)
        if event.id not in self.of:
            return
        inside = event.at in self._period
        if verb == "amended":
            self._amend(event)
        elif verb != "added":
            self._states[event.id] = self._states.get(event.id, ADDED).after(event.action)
        if inside:
            self._told[verb] += 1
        if inside and verb in ("added", "withdrawn"):
            self._counted[self.of[event.id], verb] += 1
            self.days[event.at.date(), verb] += 1
        if inside and verb == "withdrawn":
            self._reasons[str(event.details.get("reason"))] += 1

    def _add(self, event: Event) -> None:
        told = event.details
        if self._only is not None and told.get("member") != self._only:
            return
        profile = ContributionProfile(
            _number(told.get("member")),
            str(told.get("kind")),
            _words(told.get("labels")),
            _words(told.get("algorithms")),
            str(told.get("basis") or "unknown"),
            str(told.get("media")),
        )
        self.of[event.id] = self._place(profile)
        if event.id in self._watched:
            self.added[event.id] = event.at
        if event.at in self._period:
            who = "trusted_flagger" if profile.kind == MemberKind.TRUSTED_FLAGGER else "others"
            for name, seconds in self._times.items():
                if isinstance(took := told.get(name), int):
                    seconds["all"].append(took)
                    seconds[who].append(took)

    def _amend(self, event: Event) -> None:
        profile = self._profiles[self.of[event.id]]
        if "labels" in event.details:
            profile = profile._replace(labels=_words(event.details["labels"]))
        if "basis" in event.details:
            profile = profile._replace(basis=str(event.details["basis"] or "unknown"))
        self.of[event.id] = self._place(profile)

    def _place(self, profile: ContributionProfile) -> int:
        place = self._places.setdefault(profile, len(self._profiles))
        if place == len(self._profiles):
            self._profiles.append(profile)
        return place


def _share(found: Mapping[str, int]) -> Share:
    return Share(found.get("added", 0), found.get("withdrawn", 0), found.get("active", 0))


def _number(told: object) -> int:
    return told if isinstance(told, int) else 0


def _words(told: object) -> tuple[str, ...]:
    return tuple(map(str, told)) if isinstance(told, list) else ()


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
