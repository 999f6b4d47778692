"""A transparency report computed from the answers of `/v1/events` and `/v1/counts`, without code of the service."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime
from typing import Any


def durations(seconds: list[int]) -> dict[str, Any]:
    """The count, the median and 90 % by nearest rank, and the shares within an hour and a day."""
    if not seconds:
        return {"count": 0, "median": None, "p90": None, "within_1h": None, "within_24h": None}
    seconds = sorted(seconds)
    n = len(seconds)
    return {
        "count": n,
        "median": seconds[math.ceil(n * 0.5) - 1],
        "p90": seconds[math.ceil(n * 9 / 10) - 1],
        "within_1h": round(len([s for s in seconds if s <= 3600]) / n, 4),
        "within_24h": round(len([s for s in seconds if s <= 86400]) / n, 4),
    }


def group_counts() -> Any:
    """Zero counts for each key of each group, as a dict of dicts."""
    return defaultdict(lambda: defaultdict(lambda: {"added": 0, "withdrawn": 0, "active": 0}))


def contributions(events: list[Any], first: str, last: str) -> dict[str, Any]:
    """The numbers of contributions added, withdrawn and active, in all and by group."""
    states: dict[str, Any] = {}
    totals: dict[str, Any] = {"added": 0, "active": 0, "withdrawn": defaultdict(int), "events": defaultdict(int)}
    by = group_counts()

    def groups(state: Any) -> list[tuple[str, str]]:
        single = [("member", str(state["member"])), ("kind", state["kind"])]
        single += [("basis", state["basis"] or "unknown"), ("media", state["media"])]
        labels = [("label", label) for label in state["labels"]]
        return single + labels + [("algorithm", name) for name in state["algorithms"]]

    for event in events:
        if event["at"][:10] > last or not event["subject"].startswith("contribution:"):
            continue
        verb, id, details = event["action"].split(".")[1], event["subject"], event["details"]
        if verb == "added":
            states[id] = dict(details, ended=False, standing="unreviewed")
        state = states[id]
        if verb == "amended":
            state.update({name: details[name] for name in ("labels", "basis") if name in details})
        if verb in ("withdrawn", "expired", "suspended"):
            state["ended"] = True
        if verb == "reinstated":
            state["ended"] = False
        if verb in ("confirmed", "disputed", "quarantined", "retired", "cleared"):
            state["standing"] = verb
        if event["at"][:10] < first:
            continue
        if verb == "added":
            totals["added"] += 1
        elif verb == "withdrawn":
            totals["withdrawn"][details["reason"]] += 1
        else:
            totals["events"][verb] += 1
        if verb in ("added", "withdrawn"):
            for name, key in groups(state):
                by[name][key][verb] += 1
    for state in states.values():
        if not state["ended"] and state["standing"] not in ("quarantined", "retired"):
            totals["active"] += 1
            for name, key in groups(state):
                by[name][key]["active"] += 1
    return {
        **totals,
        "by": {name: dict(by[name]) for name in ("member", "kind", "label", "algorithm", "basis", "media")},
    }


def times(events: list[Any], name: str, first: str, last: str) -> dict[str, Any]:
    """The durations of a field of the contributions, for trusted flaggers and for others."""
    added = [
        event["details"]
        for event in events
        if event["action"] == "contribution.added" and first <= event["at"][:10] <= last
    ]
    measured = [(details["kind"] == "trusted_flagger", details[name]) for details in added if details[name] is not None]
    return {
        "all": durations([seconds for _, seconds in measured]),
        "trusted_flagger": durations([seconds for flagger, seconds in measured if flagger]),
        "others": durations([seconds for flagger, seconds in measured if not flagger]),
    }


def reviews(events: list[Any], first: str, last: str) -> dict[str, Any]:
    """The numbers of opinions, cases and decisions."""
    inside = [event for event in events if first <= event["at"][:10] <= last]
    before = [event for event in events if event["at"][:10] <= last]
    opened = {event["subject"]: event for event in before if event["action"] == "case.opened"}
    decided = [event for event in before if event["action"] == "case.decided"]
    seconds = [
        int((_at(event) - _at(opened[event["subject"]])).total_seconds())
        for event in decided
        if event["at"][:10] >= first
    ]
    disputes: dict[str, int] = defaultdict(int)
    outcomes: dict[str, int] = defaultdict(int)
    of_disputes: dict[str, int] = defaultdict(int)
    disputed = {f"case:{event['details']['case']}" for event in before if event["details"].get("opinion") == "disputes"}
    for event in inside:
        if event["details"].get("opinion") == "disputes":
            disputes[event["details"]["reason"]] += 1
        if event["action"] == "case.decided":
            outcomes[event["details"]["decision"]] += 1
            if event["subject"] in disputed:
                of_disputes[event["details"]["decision"]] += 1
    return {
        "confirms": len([event for event in inside if event["details"].get("opinion") == "confirms"]),
        "disputes": disputes,
        "cases_opened": len([event for event in inside if event["action"] == "case.opened"]),
        "cases_decided": outcomes,
        "disputes_decided": of_disputes,
        "cases_open": len(opened) - len(decided),
        "time_to_decide": durations(seconds),
    }


def deciders(events: list[Any], first: str, last: str) -> dict[str, Any]:
    """The decisions of each actor, and which of them the next one on the same contribution reversed."""
    before = [event for event in events if event["at"][:10] <= last]
    opened = {event["subject"]: event for event in before if event["action"] == "case.opened"}
    decisions = [event for event in before if event["action"] == "case.decided"]
    figures: dict[str, Any] = {}
    for actor in {event["actor"] for event in decisions if event["at"][:10] >= first}:
        own = [event for event in decisions if event["actor"] == actor and event["at"][:10] >= first]
        kinds = [event["details"]["decision"] for event in own]
        followed = [(event, _next_decision(event, decisions)) for event in own]
        pairs = [{event["details"]["decision"] == "uphold", later == "uphold"} for event, later in followed if later]
        figures[actor] = {
            "decided": {kind: kinds.count(kind) for kind in kinds},
            "time_to_decide": durations(
                [int((_at(event) - _at(opened[event["subject"]])).total_seconds()) for event in own]
            ),
            "again": len(pairs),
            "reversed": pairs.count({True, False}),
            "stood": round((len(own) - pairs.count({True, False})) / len(own), 4),
        }
    return figures


def _next_decision(event: Any, decisions: list[Any]) -> str | None:
    """The next decision on the same contribution."""
    later = [
        decision["details"]["decision"]
        for decision in decisions
        if decision["seq"] > event["seq"] and decision["details"]["contribution"] == event["details"]["contribution"]
    ]
    return later[0] if later else None


def precision(events: list[Any], first: str, last: str) -> dict[str, Any]:
    """The share of the judged contributions of each member that hold. A decided dispute no longer counts."""
    owners, state_of, judged = _reviewed(events, first, last)
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for contribution in sorted(judged):
        opinions, decision, kept_out, waits = state_of(contribution)
        if kept_out and waits:
            continue
        if kept_out or "disputes" in opinions:
            verdicts[owners[contribution]].append(False)
        elif decision == "uphold" or "confirms" in opinions:
            verdicts[owners[contribution]].append(True)
    return {
        member: {
            "confirmed": sum(holds),
            "disputed": len(holds) - sum(holds),
            "precision": round(sum(holds) / len(holds), 4),
            "judged": len(holds),
            "interval": interval(sum(holds), len(holds)),
        }
        for member, holds in verdicts.items()
    }


def interval(count: int, total: int) -> dict[str, float]:
    """Wilson's 95 % interval, by bisection: the shares at most 1.96 standard errors from the measured share."""
    measured = count / total

    def bound(inside: float, outside: float) -> float:
        for _ in range(60):
            middle = (inside + outside) / 2
            near = abs(measured - middle) <= 1.959964 * math.sqrt(middle * (1 - middle) / total)
            inside, outside = (middle, outside) if near else (inside, middle)
        return round(inside, 4)

    return {"low": bound(measured, 0.0), "high": bound(measured, 1.0)}


def _reviewed(events: list[Any], first: str, last: str) -> Any:
    """The member of each contribution, its state at the end, and the contributions judged in the period."""
    before = [event for event in events if event["at"][:10] <= last]
    owners, members, lasts, decisions, kept_out = {}, {}, {}, {}, {}
    suspended, answered, judged, disputed = set(), set(), set(), set()
    open_cases: dict[int, int] = {}
    for event in before:
        details, action, subject = event["details"], event["action"], event["subject"]
        if action == "contribution.added":
            owners[int(subject.split(":")[1])] = str(details["member"])
        elif action == "key.issued":
            members[subject] = f"member:{details['member']}"
        elif action == "member.suspended":
            suspended.add(subject)
        elif action == "member.reinstated":
            suspended.discard(subject)
        elif action == "case.opened":
            open_cases[int(subject.split(":")[1])] = details["contribution"]
        elif action == "opinion.given":
            if details["opinion"] == "disputes":
                disputed.add(details["case"])
            lasts[details["contribution"], members[event["actor"]]] = details["opinion"], details["case"]
        elif action == "case.decided":
            decisions[details["contribution"]] = details["decision"]
            answered.add(int(subject.split(":")[1]))
            open_cases.pop(int(subject.split(":")[1]))
        elif action.split(".")[1] in ("confirmed", "disputed", "quarantined", "retired", "cleared"):
            kept_out[int(subject.split(":")[1])] = action.endswith(("quarantined", "retired"))
        if action in ("opinion.given", "case.decided") and event["at"][:10] >= first:
            judged.add(details["contribution"])

    def state_of(contribution: int) -> tuple[set[str], str | None, bool, bool]:
        counting = {
            opinion
            for (about, member), (opinion, case) in lasts.items()
            if about == contribution and member not in suspended and not (opinion == "disputes" and case in answered)
        }
        waits = any(about == contribution and case not in disputed for case, about in open_cases.items())
        return counting, decisions.get(contribution), kept_out.get(contribution, False), waits

    return owners, state_of, judged


def counted(days: list[list[str]]) -> dict[str, Any]:
    """The numbers of queries, matches and refusals, from the sealed lines."""
    names = {
        ("query", "hit"): "queries_hit",
        ("query", "none"): "queries_none",
        ("hit", "own"): "matches_own",
        ("hit", "others"): "matches_others",
    }

    def zeros() -> dict[str, int]:
        return dict.fromkeys(names.values(), 0)

    by_algorithm: dict[str, Any] = defaultdict(zeros)
    by_member: dict[str, Any] = defaultdict(zeros)
    refusals: dict[str, Any] = {"contributions": defaultdict(int), "requests": defaultdict(int)}
    for lines in days:
        for line in lines:
            kind, member, algorithm, outcome, times = line.split()
            if kind == "refusal":
                refusals["contributions"][outcome] += int(times)
            elif kind == "access":
                refusals["requests"][outcome] += int(times)
            else:
                by_algorithm[algorithm][names[kind, outcome]] += int(times)
                if algorithm == "any":
                    by_member[member][names[kind, outcome]] += int(times)
    return {"matches": {"by_algorithm": by_algorithm, "by_member": by_member}, "refusals": refusals}


def _at(event: Any) -> datetime:
    return datetime.fromisoformat(event["at"])
