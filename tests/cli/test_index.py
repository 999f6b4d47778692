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
    """The folder of an index with forty values, as a service writes it."""
    settings = Settings(home=Path(run.environment["HASHDB_HOME"]))
    folder = settings.home / "index"
    with open_home(settings, folder) as db:
        contributed(db, member_with(db), *map(draft, range(40)))
        db.index.maintain(at_once=True)
    return folder


def test_an_index_is_compared_with_the_database(run: Commands, index: Path) -> None:
    result = run("index", "check")
    assert (result.returncode, result.stderr) == (0, "")
    assert "pdq: 40 values, 40 of the index in files; 40 queries: 0 missing, 0 at a wrong distance, 0 stale\n" in (
        result.stdout
    )
    output = run.json("index", "check", "--sample", "7")
    assert (output["engine"], output["same"], output["algorithms"]["pdq"]["queries"]) == ("tiered", True, 7)


def test_a_difference_is_reported_with_the_remedy(run: Commands, index: Path) -> None:
    [path] = index.glob("pdq-*.segment")
    words = open_segment(path).words(slice(1, None))
    write_segment(path, build_segment(words, PDQ.radius))
    result = run("index", "check")
    assert result.returncode == 1
    assert "pdq: 40 values, 39 of the index in files; 40 queries: 1 missing," in result.stdout
    assert result.stderr == (
        f"the index differs from the database. Stop the service, delete {index}, and start the service:"
        " it builds the index again.\n"
    )
    output = run.json("index", "check", status=1)
    assert (output["same"], output["algorithms"]["pdq"]["missing"]) == (False, 1)
    for path in index.iterdir():
        path.unlink()
    with open_home(Settings(home=index.parent), index) as db:
        db.index.maintain(at_once=True)
    assert run.json("index", "check")["same"]


def test_a_missing_index_is_reported(run: Commands) -> None:
    settings = Settings(home=Path(run.environment["HASHDB_HOME"]))
    with open_home(settings) as db:
        fill_store(db, member_with(db))
    result = run("index", "check")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("there is no usable index: start the service and wait until /readyz")


def test_an_engine_without_files_cannot_be_checked(run: Commands) -> None:
    result = run("index", "check", HASHDB_INDEX="bktree")
    assert (result.returncode, result.stderr) == (
        2,
        "hashdb: HASHDB_INDEX: bktree stores no index to check: restart the service instead\n",
    )
