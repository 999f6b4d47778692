"""Several processes share one folder: all contributions match while some write, merge or are killed."""

from __future__ import annotations

import os
import random
import signal as signals
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from tests.builders import RULES, USUAL, Clock, contributed, draft, query
from tests.processes import exit_code, processes
from tests.service.concurrently import run_concurrently
from tests.service.folders import open_service, unmatched

TIMES = 70
_services: dict[str, HashDB] = {}


def _service_of_this_process(url: str, folder: Path) -> HashDB:
    if url not in _services:
        _services[url] = open_hashdb(url, RULES, clock=Clock(), index=folder)
    return _services[url]


def contribute_in_a_process(url: str, folder: Path, secret: str, seed: int) -> int:
    """Run in another process: contribute, and return the id.

    Before it contributes an odd seed, it contributes and withdraws it once.
    """
    db = _service_of_this_process(url, folder)
    actor = members.authenticate(db, secret)
    if seed % 2:
        (earlier,) = contributed(db, actor, draft(seed))
        contributions.withdraw(db, actor, earlier.id, "other")
    return contributed(db, actor, draft(seed))[0].id


def match_in_a_process(url: str, folder: Path, secret: str, seed: int) -> list[int]:
    """Run in another process: match, and return the ids of the matches."""
    db = _service_of_this_process(url, folder)
    answer = matches.match(db, members.authenticate(db, secret), [query(seed)])
    return [match.contribution for match in answer.results[0].matches]


def maintain_in_a_process(url: str, folder: Path, stop: Path, kill_after: int = 0) -> int:
    """Run in another process: write and merge segments until the file `stop` exists, and return how often.

    With `kill_after`, the process kills itself after so many times.
    """
    db, times = _service_of_this_process(url, folder), 0
    while not stop.exists() or not times:
        db.index.maintain(at_once=True)
        times += 1
        if times == kill_after:
            db.index.catch_up()
            os.kill(os.getpid(), signals.SIGKILL)
    return times


def count_misses(pools: list[object], url: str, folder: Path, secret: str, driver: int) -> int:
    """Contribute to one process, match in another, and return how many contributions did not match at once."""
    rng, misses = random.Random(driver), 0
    for time in range(TIMES):
        seed = driver * 1_000 + time
        first, second = rng.sample(pools, 2)
        id = first.submit(contribute_in_a_process, url, folder, secret, seed).result(60)  # type: ignore[attr-defined]
        matched = second.submit(match_in_a_process, url, folder, secret, seed).result(60)  # type: ignore[attr-defined]
        misses += matched != [id]
    return misses


def test_processes_match_all_contributions_while_two_maintain_the_index(
    db: HashDB, actor: Actor, database_url: str, folder: Path, tmp_path: Path
) -> None:
    assert actor.member is not None
    secret = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset(USUAL))).secret
    stop = tmp_path / "stop"
    with ExitStack() as stack:
        pools: list[object] = [stack.enter_context(processes(1)) for _ in range(3)]
        maintaining = stack.enter_context(processes(2))
        maintained = [maintaining.submit(maintain_in_a_process, database_url, folder, stop) for _ in range(2)]
        try:
            misses = run_concurrently(
                [partial(count_misses, pools, database_url, folder, secret, driver) for driver in range(3)]
            )
        finally:
            stop.touch()
        assert misses == [0, 0, 0]
        assert sum(count.result(60) for count in maintained) > 2
    with open_service(database_url, folder) as reopened:
        assert unmatched(reopened, actor, [driver * 1_000 + time for driver in range(3) for time in range(TIMES)]) == []


def maintain_until_killed(url: str, folder: Path, stop: Path, after: int) -> None:
    maintain_in_a_process(url, folder, stop, after)


def test_processes_killed_after_maintenance_lose_nothing(
    db: HashDB, actor: Actor, database_url: str, folder: Path, tmp_path: Path
) -> None:
    for time in range(1, 4):
        contributed(db, actor, *map(draft, range(time * 100, time * 100 + 10)))
        assert exit_code(maintain_until_killed, database_url, folder, tmp_path / "never", time) == -signals.SIGKILL
        with open_service(database_url, folder) as reopened:
            seeds = [seed for t in range(1, time + 1) for seed in range(t * 100, t * 100 + 10)]
            assert unmatched(reopened, actor, seeds) == []
