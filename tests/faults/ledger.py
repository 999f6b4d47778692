"""The ledger: what a service was asked while things broke, what it answered, and whether all of that is so."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from threading import Lock

import httpx

from tests.builders import signal

ITEMS = 3
"""Of a request, at most."""


class Said(StrEnum):
    """What is known of something that was asked."""

    ASKED = "asked"
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    """The answer was lost, or said 503: it was carried out whole, or not at all."""


@dataclass(slots=True)
class Group:
    """The items of one request, by the seeds of their signals; `of` each, and its id once that was answered."""

    seeds: tuple[int, ...]
    said: Said = Said.ASKED
    ids: dict[int, int] = field(default_factory=dict)
    withdrawn: dict[int, Said] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The Idempotency-Key under which it is sent, however often."""
        return f"group-{self.seeds[0]}"

    @property
    def body(self) -> bytes:
        """The request."""
        return json.dumps({"contributions": [_item(seed) for seed in self.seeds]}).encode()


def _item(seed: int) -> dict[str, object]:
    return {
        "signals": [spelled(seed)],
        "labels": ["glorification"],
        "removed_at": "2024-05-01T12:00:00Z",
        "quality": 90,
    }


@cache
def spelled(seed: int) -> str:
    """The signal of a seed, as it is sent."""
    return str(signal(seed))


class Ledger:
    """Shared by all who write and read."""

    def __init__(self, first: int = 0) -> None:
        """Empty; seeds are given from `first` on."""
        self._lock = Lock()
        self._next = first
        self.groups: list[Group] = []
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def new(self, size: int) -> Group:
        """A group that is about to be asked for."""
        with self._lock:
            group = Group(tuple(range(self._next, self._next + size)))
            self._next += size
            self.groups.append(group)
            return group

    def count(self, what: str) -> None:
        """Count something that was answered, refused, or broke off."""
        with self._lock:
            self.counts[what] += 1

    def complain(self, sentence: str) -> None:
        """Note what must not be."""
        with self._lock:
            self.wrong.append(sentence)

    def some(self, rng: random.Random, most: int) -> list[tuple[int, Group]]:
        """Seeds whose contribution was answered."""
        with self._lock:
            known = [group for group in rng.choices(self.groups, k=4 * most) if group.ids] if self.groups else []
        return [(rng.choice(group.seeds), group) for group in known[:most]]

    def settled(self) -> tuple[dict[int, int], set[int]]:
        """Every seed that must be there with its id, and those that may be there or not. Raises where one is asked."""
        must: dict[int, int] = {}
        may: set[int] = set()
        for group in self.groups:
            for seed in group.seeds:
                match group.said, group.withdrawn.get(seed):
                    case Said.ANSWERED, None:
                        must[seed] = group.ids[seed]
                    case Said.ANSWERED, Said.ANSWERED:
                        pass
                    case _:
                        may.add(seed)
        return must, may


def refused(ledger: Ledger, response: httpx.Response, what: str) -> bool:
    """Whether an answer is no success: then it is counted, or, where it may not be given, complained of."""
    if response.is_success:
        return False
    if response.status_code == 503 and response.headers.get("Retry-After", "").isdecimal():
        ledger.count("refused")
    else:
        ledger.complain(f"{what} was answered {response.status_code}: {response.text[:300]}")
    return True


def read_all(client: httpx.Client) -> dict[str, list[int]]:
    """Every signal that the feed holds, with the contributions that have it."""
    after, held = 0, dict[int, list[str]]()
    while True:
        page = client.get("/v1/changes", params={"after": after, "limit": 1000}).raise_for_status().json()
        for change in page["changes"]:
            if change.get("gone") is not None:
                held.pop(change["gone"], None)
            else:
                held[change["contribution"]["id"]] = change["contribution"]["signals"]
        after = page["checkpoint"]
        if not page["more"]:
            break
    found: dict[str, list[int]] = {}
    for id, signals in held.items():
        for one in signals:
            found.setdefault(one, []).append(id)
    return found


def match_all(client: httpx.Client, seeds: Sequence[int]) -> dict[int, list[int]]:
    """What each seed's signal matches exactly."""
    found: dict[int, list[int]] = {}
    for start in range(0, len(seeds), 500):
        some = seeds[start : start + 500]
        body = {"queries": [{"signals": [spelled(seed)], "radius": {"pdq": 0}} for seed in some]}
        results = client.post("/v1/matches", json=body).raise_for_status().json()["results"]
        found |= {
            seed: [match["contribution"] for match in one["matches"]] for seed, one in zip(some, results, strict=True)
        }
    return found


def held_against(ledger: Ledger, clients: Iterable[httpx.Client]) -> int:
    """How many contributions that were answered are lost; whatever else is not as answered is complained of.

    Every service must be ready, and nobody ask anything meanwhile.
    """
    must, may = ledger.settled()
    lost: set[int] = set()
    for client in clients:
        feed = read_all(client)
        for seed, ids in match_all(client, [*must, *may]).items():
            here = feed.get(spelled(seed), [])
            if ids != here:
                ledger.complain(f"seed {seed} matches {ids}, and the feed has {here}")
            if seed in must and ids != [must[seed]]:
                lost.add(seed)
        unknown = feed.keys() - {spelled(seed) for seed in [*must, *may]}
        if unknown:
            ledger.complain(f"{len(unknown)} signals are in the feed that were withdrawn or never sent")
        for group in ledger.groups:
            there = {seed for seed in group.seeds if feed.get(spelled(seed))}
            if group.said is Said.UNKNOWN and there not in (set(), set(group.seeds)):
                ledger.complain(f"of the request of seeds {group.seeds}, only {there} are there")
    return len(lost)
