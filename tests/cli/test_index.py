"""hashdb index: an operator compares the index with the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.cli.home import open_home
from hashdb.domain.signals import Algorithm
from hashdb.index.segment import build_segment, open_segment, write_segment
from hashdb.settings import Settings
from tests.builders import contributed, draft, member_with
from tests.cli.conftest import Commands
from tests.service.folders import fill_store

PDQ = Algorithm.PDQ


@pytest.fixture
def index(run: Commands) -> Path:
    """The folder of an index of forty values, which a service wrote."""
    settings = Settings(home=Path(run.environment["HASHDB_HOME"]))
    folder = settings.home / "index"
    with open_home(settings, folder) as db:
        contributed(db, member_with(db), *map(draft, range(40)))
        db.index.maintain(at_once=True)
    return folder


def test_an_index_is_compared_with_the_database(run: Commands, index: Path) -> None:
    done = run("index", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pdq: 40 values, 40 of the index in files; 40 queries: 0 missing, 0 at a wrong distance, 0 stale\n" in (
        done.stdout
    )
    said = run.json("index", "check", "--sample", "7")
    assert (said["engine"], said["same"], said["algorithms"]["pdq"]["queries"]) == ("tiered", True, 7)


def test_a_difference_is_told_and_what_to_do(run: Commands, index: Path) -> None:
    [path] = index.glob("pdq-*.segment")
    words = open_segment(path).words(slice(1, None))
    write_segment(path, build_segment(words, PDQ.radius))
    done = run("index", "check")
    assert done.returncode == 1
    assert "pdq: 40 values, 39 of the index in files; 40 queries: 1 missing," in done.stdout
    assert done.stderr == (
        f"the index differs from the database. Stop the service, delete {index}, and start the service:"
        " it builds the index again.\n"
    )
    said = run.json("index", "check", status=1)
    assert (said["same"], said["algorithms"]["pdq"]["missing"]) == (False, 1)
    for path in index.iterdir():
        path.unlink()
    with open_home(Settings(home=index.parent), index) as db:
        db.index.maintain(at_once=True)
    assert run.json("index", "check")["same"]


def test_an_index_that_cannot_be_used_is_told(run: Commands) -> None:
    settings = Settings(home=Path(run.environment["HASHDB_HOME"]))
    with open_home(settings) as db:
        fill_store(db, member_with(db))
    done = run("index", "check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("there is no usable index: start the service and wait until /readyz")


def test_an_engine_that_stores_nothing_cannot_be_checked(run: Commands) -> None:
    done = run("index", "check", HASHDB_INDEX="bktree")
    assert (done.returncode, done.stderr) == (
        2,
        "hashdb: HASHDB_INDEX: bktree stores no index to check: restart the service instead\n",
    )
