"""Traffic: members that write to services and read from them during faults, and keep a ledger of the answers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import httpx

from tests.faults.ledger import ITEMS, Group, Ledger, Outcome, is_rejected, signal_text

_PAUSE = 0.02
_TIMEOUT = 40.0
"""Seconds; longer than any service of the tests takes to reject a request."""


@contextmanager
def traffic(
    ledger: Ledger, urls: Sequence[str], key: str, *, writers: int = 2, readers: int = 2, seed: int = 0
) -> Iterator[None]:
    """Members at work for the length of a block. Each sends one request after the other, each to a random service."""
    stop = Event()
    # Requests of earlier traffic that were not answered are never sent again.
    roles = [_write] * writers + [_read] * readers
    workers = [Thread(target=role, args=(ledger, urls, key, seed + n, stop)) for n, role in enumerate(roles)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def _write(ledger: Ledger, urls: Sequence[str], key: str, seed: int, stop: Event) -> None:
    rng, open_groups = random.Random(seed), list[Group]()
    with _clients(urls, key) as clients:
        while not stop.wait(_PAUSE):
            client = rng.choice(clients)
            if open_groups and rng.random() < 0.5:
                # A request that was not answered is sent again, and must be stored once.
                group = open_groups.pop(rng.randrange(len(open_groups)))
            else:
                group = ledger.new(rng.randint(1, ITEMS))
            contribute(ledger, client, group)
            if group.outcome is Outcome.UNKNOWN:
                open_groups.append(group)
            elif rng.random() < 0.2:
                withdraw(ledger, client, group, rng.choice(group.seeds))


def contribute(ledger: Ledger, client: httpx.Client, group: Group) -> None:
    """Send the request of a group, and record its outcome."""
    headers = {"Idempotency-Key": group.key, "Content-Type": "application/json"}
    try:
        response = client.post("/v1/contributions", content=group.body, headers=headers)
    except httpx.TransportError:
        ledger.count("broken")
        group.outcome = Outcome.UNKNOWN
        return
    if is_rejected(ledger, response, "a contribution"):
        group.outcome = Outcome.UNKNOWN
        return
    ids = [recorded["id"] for recorded in response.json()["contributions"]]
    group.ids = dict(zip(group.seeds, ids, strict=True))
    group.outcome = Outcome.ANSWERED
    ledger.count("answered")


def withdraw(ledger: Ledger, client: httpx.Client, group: Group, seed: int) -> None:
    """Withdraw a contribution that was answered, and record the outcome."""
    group.withdrawn[seed] = Outcome.SENT
    try:
        response = client.post(f"/v1/contributions/{group.ids[seed]}/withdrawal", json={"reason": "other"})
    except httpx.TransportError:
        ledger.count("broken")
        group.withdrawn[seed] = Outcome.UNKNOWN
        return
    if is_rejected(ledger, response, "a withdrawal"):
        group.withdrawn[seed] = Outcome.UNKNOWN
        return
    group.withdrawn[seed] = Outcome.ANSWERED
    ledger.count("answered")


def _read(ledger: Ledger, urls: Sequence[str], key: str, seed: int, stop: Event) -> None:
    rng = random.Random(seed)
    with _clients(urls, key) as clients:
        while not stop.wait(_PAUSE):
            sample = [(seed, group, group.withdrawn.get(seed)) for seed, group in ledger.sample(rng, 8)]
            if not sample:
                continue
            body = {"queries": [{"signals": [signal_text(seed)], "radius": {"pdq": 0}} for seed, *_ in sample]}
            try:
                response = rng.choice(clients).post("/v1/matches", json=body)
            except httpx.TransportError:
                ledger.count("broken")
                continue
            if is_rejected(ledger, response, "a match"):
                continue
            for (seed, group, before), result in zip(sample, response.json()["results"], strict=True):
                matches = [match["contribution"] for match in result["matches"]]
                if before is None and group.withdrawn.get(seed) is None and matches != [group.ids[seed]]:
                    ledger.report(f"contribution {group.ids[seed]} was answered, and {matches} match")
                if before is Outcome.ANSWERED and matches:
                    ledger.report(f"contribution {group.ids[seed]} was withdrawn, and {matches} match")
            ledger.count("answered")


@contextmanager
def _clients(urls: Sequence[str], key: str) -> Iterator[list[httpx.Client]]:
    clients = [client_of(url, key) for url in urls]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def client_of(url: str, key: str) -> httpx.Client:
    """A client of a member. It never repeats a request by itself."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT)
