"""The ledger: the requests to a service during faults, its answers, and whether its data agree with them."""

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
"""The largest number of items in a request."""


class Outcome(StrEnum):
    """What the client knows of a request."""

    SENT = "sent"
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    """The answer was lost, or had status 503. The service carried out all of the request, or nothing."""


@dataclass(slots=True)
class Group:
    """A request with several items, by the seeds of their signals, and the ids that the service answered."""

    seeds: tuple[int, ...]
    outcome: Outcome = Outcome.SENT
    ids: dict[int, int] = field(default_factory=dict)
    withdrawn: dict[int, Outcome] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The Idempotency-Key of the request, the same at each attempt."""
        return f"group-{self.seeds[0]}"

    @property
    def body(self) -> bytes:
        """The body of the request."""
        return json.dumps({"contributions": [_item(seed) for seed in self.seeds]}).encode()


def _item(seed: int) -> dict[str, object]:
    return {
        "signals": [signal_text(seed)],
        "labels": ["glorification"],
        "removed_at": "2024-05-01T12:00:00Z",
        "quality": 90,
    }


@cache
def signal_text(seed: int) -> str:
    """The signal of a seed, as text for a request."""
    return str(signal(seed))


class Ledger:
    """Requests and their outcomes, shared by all threads that write and read."""

    def __init__(self, first: int = 0) -> None:
        """Begins empty. The seeds of its groups begin with `first`."""
        self._lock = Lock()
        self._next = first
        self.groups: list[Group] = []
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    def new(self, size: int) -> Group:
        """Add a group of new seeds, to be sent next."""
        with self._lock:
            group = Group(tuple(range(self._next, self._next + size)))
            self._next += size
            self.groups.append(group)
            return group

    def count(self, what: str) -> None:
        """Count a request by its result: `answered`, `refused` or `broken`."""
        with self._lock:
            self.counts[what] += 1

    def report(self, sentence: str) -> None:
        """Record an error: something that must not happen."""
        with self._lock:
            self.errors.append(sentence)

    def sample(self, rng: random.Random, most: int) -> list[tuple[int, Group]]:
        """At most so many random seeds whose contribution was answered."""
        with self._lock:
            known = [group for group in rng.choices(self.groups, k=4 * most) if group.ids] if self.groups else []
        return [(rng.choice(group.seeds), group) for group in known[:most]]

    def expected(self) -> tuple[dict[int, int], set[int]]:
        """The seeds that the service must have, with their ids, and the seeds that it may have."""
        must: dict[int, int] = {}
        may: set[int] = set()
        for group in self.groups:
            for seed in group.seeds:
                match group.outcome, group.withdrawn.get(seed):
                    case Outcome.ANSWERED, None:
                        must[seed] = group.ids[seed]
                    case Outcome.ANSWERED, Outcome.ANSWERED:
                        pass
                    case _:
                        may.add(seed)
        return must, may


def is_rejected(ledger: Ledger, response: httpx.Response, what: str) -> bool:
    """Whether the service rejected a request. Counts a 503 with Retry-After; reports every other status."""
    if response.is_success:
        return False
    if response.status_code == 503 and response.headers.get("Retry-After", "").isdecimal():
        ledger.count("refused")
    else:
        ledger.report(f"{what} was answered {response.status_code}: {response.text[:300]}")
    return True


def read_all(client: httpx.Client) -> dict[str, list[int]]:
    """Every signal in the feed, with the contributions that have it."""
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
    contributions: dict[str, list[int]] = {}
    for id, signals in held.items():
        for text in signals:
            contributions.setdefault(text, []).append(id)
    return contributions


def match_all(client: httpx.Client, seeds: Sequence[int]) -> dict[int, list[int]]:
    """For each seed, the contributions with exactly its signal."""
    matches: dict[int, list[int]] = {}
    for start in range(0, len(seeds), 500):
        batch = seeds[start : start + 500]
        body = {"queries": [{"signals": [signal_text(seed)], "radius": {"pdq": 0}} for seed in batch]}
        results = client.post("/v1/matches", json=body).raise_for_status().json()["results"]
        matches |= {
            seed: [match["contribution"] for match in result["matches"]]
            for seed, result in zip(batch, results, strict=True)
        }
    return matches


def count_lost(ledger: Ledger, clients: Iterable[httpx.Client]) -> int:
    """Compare the services with the ledger: count the contributions that were answered and lost, report other errors.

    Every service must be ready, and no client may send other requests meanwhile.
    """
    must, may = ledger.expected()
    lost: set[int] = set()
    for client in clients:
        feed = read_all(client)
        for seed, ids in match_all(client, [*must, *may]).items():
            in_feed = feed.get(signal_text(seed), [])
            if ids != in_feed:
                ledger.report(f"seed {seed} matches {ids}, and the feed has {in_feed}")
            if seed in must and ids != [must[seed]]:
                lost.add(seed)
        unknown = feed.keys() - {signal_text(seed) for seed in [*must, *may]}
        if unknown:
            ledger.report(f"{len(unknown)} signals are in the feed that were withdrawn or never sent")
        for group in ledger.groups:
            stored = {seed for seed in group.seeds if feed.get(signal_text(seed))}
            if group.outcome is Outcome.UNKNOWN and stored not in (set(), set(group.seeds)):
                ledger.report(f"of the request with the seeds {group.seeds}, only {stored} are stored")
    return len(lost)
