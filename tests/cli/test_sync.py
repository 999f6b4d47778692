"""hashdb sync and match --local, against a real service, killed and with it away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashdb.cli.matching.match import format_age
from hashdb.client import Client
from hashdb.domain.matching.lookback import Upload
from hashdb.local import LocalIndex
from tests.builders import draft, query
from tests.cli.conftest import PHOTOS, Commands
from tests.warm import HASHDB, program

SAID = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
COUNT = 3_000


@dataclass
class Member:
    """A member with a home of its own, apart from the service's."""

    run: Commands
    client: Client
    home: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
        return subprocess.Popen(
            [*program(HASHDB), *words],
            env=kept | self.run.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture
def own(member: Commands, tmp_path: Path) -> Iterator[Member]:
    member.environment["HASHDB_HOME"] = str(tmp_path / "own")
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        yield Member(member, client, tmp_path / "own")


def test_a_copy_matches_as_the_service_does_with_the_service_away(own: Member) -> None:
    own.run.json("contribute", PHOTOS[2], *SAID)
    first = own.run.json("sync")
    assert (first["started_over"], first["changes"] > 0, first["contributions"] > 0) == (False, True, True)
    assert (own.home.stat().st_mode & 0o777, (own.home / "local").stat().st_mode & 0o777) == (0o700, 0o700)
    expected = own.run.json("match", *PHOTOS[1:4])
    away = "http://127.0.0.1:9"
    assert own.run.json("match", *PHOTOS[1:4], "--local", HASHDB_URL=away) == expected
    done = own.run("match", PHOTOS[2], "--local", HASHDB_URL=away)
    assert "review" in done.stdout
    assert done.stderr.startswith("hashdb: the local copy is ") and "(event " in done.stderr
    assert own.run.json("sync")["changes"] == 0
    assert own.run("sync").stdout.startswith("up to date (event ")
    assert own.run("sync", HASHDB_URL=away).returncode == 1


def test_killed_at_any_moment_it_goes_on(own: Member) -> None:
    receipt = own.client.contribute([draft(seed) for seed in range(COUNT)])
    own.client.withdraw(receipt.recorded[5].contribution.id, "other")
    chance = random.Random(1)
    for _ in range(6):
        process = own.start("sync")
        time.sleep(chance.uniform(0.3, 1.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert own.run("sync").returncode == 0
    asked = [query(seed) for seed in range(0, COUNT, 7)]
    with LocalIndex(own.home / "local") as index:
        assert index.match(asked).results == own.client.match(asked).results
    assert len(list((own.home / "local").glob("copy-*"))) == 1


def test_who_follows_hears_of_a_change_as_it_is_made(own: Member) -> None:
    process = own.start("sync", "--follow")
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("up to date (event ")
        own.client.contribute([draft(90_001)])
        assert ": 1 change, " in process.stdout.readline()
        with LocalIndex(own.home / "local") as index:
            assert index.match([query(90_001)]).results[0].matches
            index.remember([Upload("mine", datetime.now(UTC), query(90_002))])
            own.client.contribute([draft(90_002)])
        assert ": 1 change, " in process.stdout.readline()
        assert process.stdout.readline() == "look-back: 1 new report (hashdb remember matches)\n"
        assert "another process syncs" in own.run("sync").stderr
    finally:
        process.kill()
        process.communicate()
    # What waits in the service for the one that was killed, ends.
    own.client.contribute([draft(90_003)])


def test_what_has_no_end_is_no_json_document(run: Commands) -> None:
    done = run("sync", "--follow", "--json")
    assert (done.returncode, "--follow never ends" in done.stderr) == (2, True)


def test_without_a_copy_match_says_how_to_get_one(run: Commands) -> None:
    done = run("match", PHOTOS[0], "--local")
    assert done.returncode == 1
    assert done.stderr.endswith("run `hashdb sync` first\n")


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (10**6, "11 days")]
)
def test_an_age_is_told_in_the_largest_unit(seconds: int, said: str) -> None:
    assert format_age(timedelta(seconds=seconds)) == said
