"""Several processes of one folder: while some freeze and merge, and are killed at it, nothing is missed."""

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
_opened: dict[str, HashDB] = {}


def _here(url: str, folder: Path) -> HashDB:
    if url not in _opened:
        _opened[url] = open_hashdb(url, RULES, clock=Clock(), index=folder)
    return _opened[url]


def contribute_there(url: str, folder: Path, secret: str, seed: int) -> int:
    """In another process: contribute, and return the id. Every other value was there before and was withdrawn."""
    db = _here(url, folder)
    actor = members.authenticate(db, secret)
    if seed % 2:
        (first,) = contributed(db, actor, draft(seed))
        contributions.withdraw(db, actor, first.id, "other")
    return contributed(db, actor, draft(seed))[0].id


def match_there(url: str, folder: Path, secret: str, seed: int) -> list[int]:
    """In another process: the ids of what matches."""
    db = _here(url, folder)
    answer = matches.match(db, members.authenticate(db, secret), [query(seed)])
    return [found.contribution for found in answer.results[0].matches]


def maintain_there(url: str, folder: Path, stop: Path, kill_after: int = 0) -> int:
    """In another process: write and merge until the file is there (or be killed); return how often."""
    db, times = _here(url, folder), 0
    while not stop.exists() or not times:
        db.index.maintain(at_once=True)
        times += 1
        if times == kill_after:
            db.index.catch_up()
            os.kill(os.getpid(), signals.SIGKILL)
    return times


def drive(pools: list[object], url: str, folder: Path, secret: str, driver: int) -> int:
    """How many contributions of one process another one did not find at once."""
    rng, misses = random.Random(driver), 0
    for time in range(TIMES):
        seed = driver * 1_000 + time
        one, other = rng.sample(pools, 2)
        id = one.submit(contribute_there, url, folder, secret, seed).result(60)  # type: ignore[attr-defined]
        found = other.submit(match_there, url, folder, secret, seed).result(60)  # type: ignore[attr-defined]
        misses += found != [id]
    return misses


def test_contributed_in_one_process_matched_in_another_while_two_more_freeze_and_merge(
    db: HashDB, actor: Actor, database_url: str, folder: Path, tmp_path: Path
) -> None:
    assert actor.member is not None
    secret = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset(USUAL))).secret
    stop = tmp_path / "stop"
    with ExitStack() as stack:
        pools: list[object] = [stack.enter_context(processes(1)) for _ in range(3)]
        maintaining = stack.enter_context(processes(2))
        busy = [maintaining.submit(maintain_there, database_url, folder, stop) for _ in range(2)]
        try:
            misses = run_concurrently(
                [partial(drive, pools, database_url, folder, secret, driver) for driver in range(3)]
            )
        finally:
            stop.touch()
        assert misses == [0, 0, 0]
        assert sum(one.result(60) for one in busy) > 2
    with open_service(database_url, folder) as again:
        assert unmatched(again, actor, [driver * 1_000 + time for driver in range(3) for time in range(TIMES)]) == []


def be_killed(url: str, folder: Path, stop: Path, after: int) -> None:
    maintain_there(url, folder, stop, after)


def test_processes_that_are_killed_as_they_maintain_leave_everything(
    db: HashDB, actor: Actor, database_url: str, folder: Path, tmp_path: Path
) -> None:
    for time in range(1, 4):
        contributed(db, actor, *map(draft, range(time * 100, time * 100 + 10)))
        assert exit_code(be_killed, database_url, folder, tmp_path / "never", time) == -signals.SIGKILL
        with open_service(database_url, folder) as again:
            assert (
                unmatched(again, actor, [seed for t in range(1, time + 1) for seed in range(t * 100, t * 100 + 10)])
                == []
            )
