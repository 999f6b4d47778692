"""Replays: one pass over the events of the log, from the first, for the figures of a period."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import MemberKind
from hashdb.domain.ledger.events import ADDED_STATE, ContributionState, Event
from hashdb.domain.stats.reports import (
    GROUPINGS,
    MEMBER_GROUPS,
    Caught,
    Contributed,
    Durations,
    GroupCounts,
    Precision,
)
from hashdb.domain.stats.reviews import Reviews
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
            event.integer("member"),
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


def _as_texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
