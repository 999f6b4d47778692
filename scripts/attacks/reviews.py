"""Members use disputes and retirements to take down what others contributed, to keep their own up, or to bury cases."""

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
    """Plant signals, plant twins, withdraw and contribute again, and open many cases."""
    with service() as target:
        usual = (Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED)
        attacker, victim = (
            Caller(target.client(target.key(target.member(name), *usual))) for name in ("Attacker", "Victim")
        )
        reviewer = Caller(target.client(target.key(target.member("Operator"), Scope.REVIEW)))
        yield from _planted_signals(attacker, victim, reviewer)
        yield from _planted_twins(attacker, victim, reviewer)
        yield from _withdrawn(attacker, victim)
        yield from _buried(target, attacker, victim)


class Caller:
    """A member's program."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def contribute(self, signals: Sequence[Signal]) -> tuple[int, str]:
        """One item of these signals: the id of the contribution, and its standing."""
        (made,) = contribute(self._client, [item(*signals)])
        return made["id"], made["standing"]

    def dispute(self, contribution: int) -> int:
        """Dispute a contribution: the case."""
        said = self.post(f"/v1/contributions/{contribution}/opinions", opinion="disputes", reason="other")
        return int(said["case"])

    def retire(self, case: int) -> None:
        """Retire a contribution as a reviewer does who names no signal."""
        self.post(f"/v1/cases/{case}/decision", decision="retire")

    def post(self, path: str, **fields: object) -> dict:  # type: ignore[type-arg]
        """What a POST is answered, which must succeed."""
        return json.loads(self._client.post(path, json=fields).raise_for_status().text)  # type: ignore[no-any-return]

    def matches(self, *signals: Signal) -> list[int]:
        """The contributions that are answered to queries of one signal each."""
        queries = [{"signals": [str(one)]} for one in signals]
        results = self.post("/v1/matches", queries=queries)["results"]
        return [match["contribution"] for result in results for match in result["matches"]]


def _planted_signals(attacker: Caller, victim: Caller, reviewer: Caller) -> Iterator[Finding]:
    planted = [signal(seed) for seed in range(1, 1 + PLANTED)]
    id, _ = attacker.contribute([signal(0), *planted])
    reviewer.retire(victim.dispute(id))
    held = sum(victim.contribute([near(one, 8)])[1] == "quarantined" for one in planted)
    yield Finding(
        f"{PLANTED} true contributions near planted signals of a retired one",
        "0 start quarantined",
        f"{held} did",
        held == 0,
    )
    _, standing = victim.contribute([near(signal(0), 8)])
    yield Finding("a copy of the retired picture", "starts quarantined", standing, standing == "quarantined")


def _planted_twins(attacker: Caller, victim: Caller, reviewer: Caller) -> Iterator[Finding]:
    picture, same = signal(200), signal(200, Algorithm.PHASH)
    twins = [near(picture, 2 + 2 * number) for number in range(TWINS - 2)] + [near(picture, 32), near(same, 4)]
    id, _ = attacker.contribute([picture, same])
    for one in twins:
        attacker.contribute([one])
    reviewer.retire(victim.dispute(id))
    left = len(victim.matches(picture, *twins))
    yield Finding(
        f"{TWINS} twins of a retired contribution: its copies, a value 32 bits off, its phash alone",
        "0 match",
        f"{left} matches",
        left == 0,
    )


def _withdrawn(attacker: Caller, victim: Caller) -> Iterator[Finding]:
    id, _ = attacker.contribute([signal(300)])
    victim.dispute(id)
    attacker.post(f"/v1/contributions/{id}/withdrawal", reason="other")
    for what, again in (("the same set", signal(300)), ("a copy", near(signal(300), 8))):
        id, standing = attacker.contribute([again])
        yield Finding(
            f"a disputed contribution is withdrawn, and {what} is contributed",
            "it starts disputed",
            standing,
            standing == "disputed",
        )


def _buried(target: Target, attacker: Caller, victim: Caller) -> Iterator[Finding]:
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
    place = [one.case.id for one in queue.waiting].index(case) + 1
    piled = sum(pile.count for pile in queue.piles)
    yield Finding(
        f"{opened} cases by one member, then one by another",
        f"the other's case is among the first {CASES // 10}",
        f"it is number {place} of the queue; {piled} cases are in {len(queue.piles)} pile(s)",
        place <= CASES // 10,
    )
