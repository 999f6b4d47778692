"""Traffic: members who write to and read from services, whatever happens to those, and keep a ledger of the answers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import httpx

from tests.faults.ledger import ITEMS, Group, Ledger, Said, refused, spelled

_PAUSE = 0.02
_TIMEOUT = 40.0
"""Longer than any service of the tests takes to refuse."""


@contextmanager
def traffic(
    ledger: Ledger, urls: Sequence[str], key: str, *, writers: int = 2, readers: int = 2, seed: int = 0
) -> Iterator[None]:
    """Members at work for the length of a block, each at a service by chance, a request after the other."""
    stop = Event()
    # Those of before are done with: what they did not get an answer to is never sent again.
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
                # What was not answered is sent again, and must be stored once.
                group = open_groups.pop(rng.randrange(len(open_groups)))
            else:
                group = ledger.new(rng.randint(1, ITEMS))
            contribute(ledger, client, group)
            if group.said is Said.UNKNOWN:
                open_groups.append(group)
            elif rng.random() < 0.2:
                withdraw(ledger, client, group, rng.choice(group.seeds))


def contribute(ledger: Ledger, client: httpx.Client, group: Group) -> None:
    """Send a group's request, and write down what is known after it."""
    headers = {"Idempotency-Key": group.key, "Content-Type": "application/json"}
    try:
        response = client.post("/v1/contributions", content=group.body, headers=headers)
    except httpx.TransportError:
        ledger.count("broken")
        group.said = Said.UNKNOWN
        return
    if refused(ledger, response, "a contribution"):
        group.said = Said.UNKNOWN
        return
    ids = [one["id"] for one in response.json()["contributions"]]
    group.ids = dict(zip(group.seeds, ids, strict=True))
    group.said = Said.ANSWERED
    ledger.count("answered")


def withdraw(ledger: Ledger, client: httpx.Client, group: Group, seed: int) -> None:
    """Withdraw what was answered, and write down what is known after it."""
    group.withdrawn[seed] = Said.ASKED
    try:
        response = client.post(f"/v1/contributions/{group.ids[seed]}/withdrawal", json={"reason": "other"})
    except httpx.TransportError:
        ledger.count("broken")
        group.withdrawn[seed] = Said.UNKNOWN
        return
    if refused(ledger, response, "a withdrawal"):
        group.withdrawn[seed] = Said.UNKNOWN
        return
    group.withdrawn[seed] = Said.ANSWERED
    ledger.count("answered")


def _read(ledger: Ledger, urls: Sequence[str], key: str, seed: int, stop: Event) -> None:
    rng = random.Random(seed)
    with _clients(urls, key) as clients:
        while not stop.wait(_PAUSE):
            asked = [(one, group, group.withdrawn.get(one)) for one, group in ledger.some(rng, 8)]
            if not asked:
                continue
            body = {"queries": [{"signals": [spelled(one)], "radius": {"pdq": 0}} for one, *_ in asked]}
            try:
                response = rng.choice(clients).post("/v1/matches", json=body)
            except httpx.TransportError:
                ledger.count("broken")
                continue
            if refused(ledger, response, "a match"):
                continue
            for (one, group, before), result in zip(asked, response.json()["results"], strict=True):
                found = [match["contribution"] for match in result["matches"]]
                if before is None and group.withdrawn.get(one) is None and found != [group.ids[one]]:
                    ledger.complain(f"contribution {group.ids[one]} was answered, and {found} is matched")
                if before is Said.ANSWERED and found:
                    ledger.complain(f"contribution {group.ids[one]} was withdrawn, and {found} is matched")
            ledger.count("answered")


@contextmanager
def _clients(urls: Sequence[str], key: str) -> Iterator[list[httpx.Client]]:
    made = [client_of(url, key) for url in urls]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def client_of(url: str, key: str) -> httpx.Client:
    """A member's connection, which asks nothing twice by itself."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT)
