"""One key tries to fill the log and the reviewers' queue, with repeated changes, webhook tests and many disputes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Scope
from scripts.attacks import Finding
from scripts.attacks._service import Target, contribute, item, service
from tests.builders import signal

SECONDS = 240
ITEMS = 600
CHANGE_SECONDS = 30.0
EVENTS_A_SECOND = 12
"""Ten, plus the excess that two workers accept in the first second, before they share their counts."""
CASES = 2 * Budget.DISPUTES.amount
"""Twice the budget: each of two workers can accept more for a second, before they share their counts."""


def run() -> Iterator[Finding]:
    """Amend, then dispute, each for up to half a minute on eight connections."""
    with service() as target:
        scopes = (Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED)
        victim = target.client(target.key(target.member("Victim"), *scopes))
        ids = [contribution["id"] for contribution in contribute(victim, [item(signal(seed)) for seed in range(ITEMS)])]
        attacker = target.client(target.key(target.member("Attacker"), *scopes))
        (own,) = contribute(attacker, [item(signal(ITEMS))])
        path = f"/v1/contributions/{own['id']}"

        def amend(number: int) -> httpx.Response:
            return attacker.patch(path, json={"severity": number % 5})

        yield _bounded(target, "a contribution amended again and again", amend)

        def dispute(number: int) -> httpx.Response:
            opinion = {"opinion": "disputes", "reason": "other"}
            return attacker.post(f"/v1/contributions/{ids[number % ITEMS]}/opinions", json=opinion)

        began = time.monotonic()
        _hammer(dispute, 20.0)
        with target.db.store.read() as tx:
            cases = len(tx.cases.by_contribution(ids))
        measured = f"{cases} cases in {time.monotonic() - began:.0f} s"
        yield Finding(f"{ITEMS} disputes at once", f"{CASES} cases an hour", measured, cases <= CASES)


def _bounded(target: Target, tried: str, act: Callable[[int], httpx.Response]) -> Finding:
    # Begin at the start of a window of the budget, so that the measured time has as many windows as possible.
    time.sleep(Budget.CHANGES.seconds - time.time() % Budget.CHANGES.seconds)
    before, began = target.db.store.head().seq, time.monotonic()
    requests = _hammer(act, CHANGE_SECONDS)
    took = time.monotonic() - began
    events = target.db.store.head().seq - before
    measured = f"{events} events of {requests:,} requests in {took:.0f} s, {events / took:.1f} a second"
    return Finding(tried, f"{EVENTS_A_SECOND} events a second", measured, events / took <= EVENTS_A_SECOND)


def _hammer(act: Callable[[int], httpx.Response], seconds: float) -> int:
    """Call `act` on eight connections for `seconds`; return the number of calls."""
    end = time.monotonic() + seconds

    def repeat(first: int) -> int:
        number = first
        while time.monotonic() < end:
            response = act(number)
            assert response.status_code in (200, 201, 429), response.text
            number += 8
        return (number - first) // 8

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(repeat, range(8)))
