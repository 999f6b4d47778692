"""hashdb sync and match --local: with a real service, without it, and after kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hashdb.client import Client
from hashdb.domain.matching.lookback import Upload
from hashdb.errors import HashDBError, LimitReached, ServiceUnreachable, StoreBusy
from hashdb.local import LocalIndex, Sync
from tests.builders import draft, query
from tests.cli.conftest import PHOTOS, Commands
from tests.warm import HASHDB, program

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
COUNT = 3_000


@dataclass
class Member:
    """A member whose home is not that of the service."""

    run: Commands
    client: Client
    home: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
        return subprocess.Popen(
            [*program(HASHDB), *words],
            env=inherited | self.run.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture
def alpha(member: Commands, tmp_path: Path) -> Iterator[Member]:
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        yield Member(member, client, tmp_path / "own")


def test_a_copy_gives_the_same_matches_while_the_service_is_unreachable(alpha: Member) -> None:
    alpha.run.json("contribute", PHOTOS[2], *METADATA)
    first = alpha.run.json("sync")
    assert (first["started_over"], first["changes"] > 0, first["contributions"] > 0) == (False, True, True)
    assert (alpha.home.stat().st_mode & 0o777, (alpha.home / "local").stat().st_mode & 0o777) == (0o700, 0o700)
    expected = alpha.run.json("match", *PHOTOS[1:4])
    unreachable = "http://127.0.0.1:9"
    assert alpha.run.json("match", *PHOTOS[1:4], "--local", HASHDB_URL=unreachable) == expected
    result = alpha.run("match", PHOTOS[2], "--local", HASHDB_URL=unreachable)
    assert "review" in result.stdout
    assert result.stderr.startswith("hashdb: the local copy is ") and "(event " in result.stderr
    assert alpha.run.json("sync")["changes"] == 0
    assert alpha.run("sync").stdout.startswith("up to date (event ")
    assert alpha.run("sync", HASHDB_URL=unreachable).returncode == 1


def test_a_sync_that_was_killed_at_any_moment_is_resumed(alpha: Member) -> None:
    receipt = alpha.client.contribute([draft(seed) for seed in range(COUNT)])
    alpha.client.withdraw(receipt.recorded[5].contribution.id, "other")
    chance = random.Random(1)
    for _ in range(6):
        process = alpha.start("sync")
        time.sleep(chance.uniform(0.3, 1.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert alpha.run("sync").returncode == 0
    queries = [query(seed) for seed in range(0, COUNT, 7)]
    with LocalIndex(alpha.home / "local") as index:
        assert index.match(queries).results == alpha.client.match(queries).results
    assert len(list((alpha.home / "local").glob("copy-*"))) == 1


def test_follow_prints_a_change_and_a_late_match_at_once(alpha: Member) -> None:
    process = alpha.start("sync", "--follow")
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("up to date (event ")
        alpha.client.contribute([draft(90_001)])
        assert ": 1 change, " in process.stdout.readline()
        with LocalIndex(alpha.home / "local") as index:
            assert index.match([query(90_001)]).results[0].matches
            index.remember([Upload("mine", datetime.now(UTC), query(90_002))])
            alpha.client.contribute([draft(90_002)])
        assert ": 1 change, " in process.stdout.readline()
        assert process.stdout.readline() == "look-back: 1 new report (hashdb remember matches)\n"
        assert "another process syncs" in alpha.run("sync").stderr
    finally:
        process.kill()
        process.communicate()
    # A new event ends the request of the killed process, for which the service still waits.
    alpha.client.contribute([draft(90_003)])


@pytest.mark.parametrize("error", [LimitReached("requests", 60), StoreBusy(1), ServiceUnreachable("there", "away")])
def test_follow_continues_after_an_error_that_passes(
    alpha: Member, monkeypatch: pytest.MonkeyPatch, error: HashDBError
) -> None:
    failures, catch_up = [None, error, KeyboardInterrupt()], Sync.catch_up

    def fail(self: Sync, *arguments: Any, **named: Any) -> int:
        if (failure := failures.pop(0)) is not None:
            raise failure
        return catch_up(self, *arguments, **named)

    monkeypatch.setattr(Sync, "catch_up", fail)
    monkeypatch.setattr("hashdb.cli.sync._PAUSE", 0.01)
    result = alpha.run("sync", "--follow")
    assert (result.returncode, failures) == (130, [])
    assert f"hashdb: {error}; the local copy stays at event " in result.stderr


def test_follow_cannot_print_a_json_document(run: Commands) -> None:
    result = run("sync", "--follow", "--json")
    assert (result.returncode, "--follow never ends" in result.stderr) == (2, True)


def test_without_a_copy_match_says_how_to_make_one(run: Commands) -> None:
    result = run("match", PHOTOS[0], "--local")
    assert result.returncode == 1
    assert result.stderr.endswith("run `hashdb sync` first\n")
