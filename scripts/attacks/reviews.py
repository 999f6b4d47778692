"""Members dispute and retire to stop others' contributions, to protect their own, or to hide cases in the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import httpx

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service.review import queues
from scripts.attacks import Finding
from scripts.attacks._service import Target, contribute, item, service
from tests.builders import near, signal

SECONDS = 240
PLANTED = 63
TWINS = 19
CASES = 300


def run() -> Iterator[Finding]:
    """Plant signals, plant near-duplicates, withdraw and contribute again, and open many cases."""
    with service() as target:
        scopes = (Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED)
        attacker, victim = (
            Caller(target.client(target.key(target.member(name), *scopes))) for name in ("Attacker", "Victim")
        )
        reviewer = Caller(target.client(target.key(target.member("Operator"), Scope.REVIEW)))
        yield from _planted_signals(attacker, victim, reviewer)
        yield from _planted_twins(attacker, victim, reviewer)
        yield from _contributed_again(attacker, victim)
        yield from _hidden_case(target, attacker, victim)


class Caller:
    """The client of a member."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def contribute(self, signals: Sequence[Signal]) -> tuple[int, str]:
        """Contribute one item with these signals; return the contribution's id and standing."""
        (contribution,) = contribute(self._client, [item(*signals)])
        return contribution["id"], contribution["standing"]

    def dispute(self, contribution: int) -> int:
        """Dispute a contribution; return the id of the case."""
        opinion = self.post(f"/v1/contributions/{contribution}/opinions", opinion="disputes", reason="other")
        return int(opinion["case"])

    def retire(self, case: int) -> None:
        """Retire a contribution as a reviewer, without naming a signal."""
        self.post(f"/v1/cases/{case}/decision", decision="retire")

    def post(self, path: str, **fields: object) -> dict:  # type: ignore[type-arg]
        """Send a POST request, which must succeed; return the response."""
        return json.loads(self._client.post(path, json=fields).raise_for_status().text)  # type: ignore[no-any-return]

    def matches(self, *signals: Signal) -> list[int]:
        """Query each signal; return the ids of all matching contributions."""
        queries = [{"signals": [str(signal)]} for signal in signals]
        results = self.post("/v1/matches", queries=queries)["results"]
        return [match["contribution"] for result in results for match in result["matches"]]


def _planted_signals(attacker: Caller, victim: Caller, reviewer: Caller) -> Iterator[Finding]:
    planted = [signal(seed) for seed in range(1, 1 + PLANTED)]
    id, _ = attacker.contribute([signal(0), *planted])
    reviewer.retire(victim.dispute(id))
    quarantined = sum(victim.contribute([near(value, 8)])[1] == "quarantined" for value in planted)
    yield Finding(
        f"{PLANTED} true contributions near planted signals of a retired one",
        "0 start quarantined",
        f"{quarantined} did",
        quarantined == 0,
    )
    _, standing = victim.contribute([near(signal(0), 8)])
    yield Finding("a copy of the retired picture", "starts quarantined", standing, standing == "quarantined")


def _planted_twins(attacker: Caller, victim: Caller, reviewer: Caller) -> Iterator[Finding]:
    picture, phash = signal(200), signal(200, Algorithm.PHASH)
    twins = [near(picture, 2 + 2 * number) for number in range(TWINS - 2)] + [near(picture, 32), near(phash, 4)]
    id, _ = attacker.contribute([picture, phash])
    for twin in twins:
        attacker.contribute([twin])
    reviewer.retire(victim.dispute(id))
    matching = len(victim.matches(picture, *twins))
    yield Finding(
        f"{TWINS} near-duplicates of a retired contribution: copies, a value at a distance of 32 bits, its phash alone",
        "0 match",
        f"{matching} matches",
        matching == 0,
    )


def _contributed_again(attacker: Caller, victim: Caller) -> Iterator[Finding]:
    id, _ = attacker.contribute([signal(300)])
    victim.dispute(id)
    attacker.post(f"/v1/contributions/{id}/withdrawal", reason="other")
    for name, value in (("the same set", signal(300)), ("a copy", near(signal(300), 8))):
        id, standing = attacker.contribute([value])
        yield Finding(
            f"a disputed contribution is withdrawn, and {name} is contributed",
            "it starts disputed",
            standing,
            standing == "disputed",
        )


def _hidden_case(target: Target, attacker: Caller, victim: Caller) -> Iterator[Finding]:
    opened = 0
    for number in range(CASES):
        try:
            id, _ = victim.contribute([signal(1_000 + number)])
            attacker.dispute(id)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                raise
            break
        opened += 1
    id, _ = attacker.contribute([signal(2_000)])
    case = victim.dispute(id)
    queue = queues.queue(target.db, COMMAND_LINE)
    place = [entry.case.id for entry in queue.waiting].index(case) + 1
    piled = sum(pile.count for pile in queue.piles)
    yield Finding(
        f"{opened} cases by one member, then one by another",
        f"the other's case is among the first {CASES // 10}",
        f"it is number {place} of the queue; {piled} cases are in {len(queue.piles)} pile(s)",
        place <= CASES // 10,
    )
