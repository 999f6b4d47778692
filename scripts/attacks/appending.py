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
LASTS = 30.0
EVENTS_A_SECOND = 12
"""Ten, and what two workers let through in the first second, before they know of each other."""
CASES = 2 * Budget.DISPUTES.amount
"""The budget, of which two workers may each answer a second's worth more."""


def run() -> Iterator[Finding]:
    """Change, test, dispute, each for half a minute on eight connections."""
    with service() as target:
        usual = (Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED)
        victim = target.client(target.key(target.member("Victim"), *usual))
        ids = [made["id"] for made in contribute(victim, [item(signal(seed)) for seed in range(ITEMS)])]
        attacker = target.client(target.key(target.member("Attacker"), *usual))
        (own,) = contribute(attacker, [item(signal(ITEMS))])
        path = f"/v1/contributions/{own['id']}"

        def amend(number: int) -> httpx.Response:
            return attacker.patch(path, json={"severity": number % 5})

        yield _bounded(target, "a contribution amended again and again", amend)

        def dispute(number: int) -> httpx.Response:
            said = {"opinion": "disputes", "reason": "other"}
            return attacker.post(f"/v1/contributions/{ids[number % ITEMS]}/opinions", json=said)

        began = time.monotonic()
        _hammer(dispute, 20.0)
        with target.db.store.read() as tx:
            cases = len(tx.cases.by_contribution(ids))
        measured = f"{cases} cases in {time.monotonic() - began:.0f} s"
        yield Finding(f"{ITEMS} disputes at once", f"{CASES} cases an hour", measured, cases <= CASES)


def _bounded(target: Target, tried: str, act: Callable[[int], httpx.Response]) -> Finding:
    # A window of the budget begins here, so that as many as can be fall into the time that is measured.
    time.sleep(Budget.CHANGES.seconds - time.time() % Budget.CHANGES.seconds)
    before, began = target.db.store.head().seq, time.monotonic()
    asked = _hammer(act, LASTS)
    took = time.monotonic() - began
    events = target.db.store.head().seq - before
    measured = f"{events} events of {asked:,} requests in {took:.0f} s, {events / took:.1f} a second"
    return Finding(tried, f"{EVENTS_A_SECOND} events a second", measured, events / took <= EVENTS_A_SECOND)


def _hammer(act: Callable[[int], httpx.Response], seconds: float) -> int:
    """Do something on eight connections for so long; how often."""
    end = time.monotonic() + seconds

    def again(first: int) -> int:
        number = first
        while time.monotonic() < end:
            answer = act(number)
            assert answer.status_code in (200, 201, 429), answer.text
            number += 8
        return (number - first) // 8

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(again, range(8)))
