"""hashdb copy-to: a served service goes on over another database, whatever happened on the way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import NullPool, create_engine, inspect, make_url, text

from hashdb.cli.home import lock_copy
from hashdb.client import Client
from hashdb.domain.matching.matches import Query
from hashdb.service import open_hashdb
from hashdb.settings import Settings
from tests.builders import contributed, draft, member_with
from tests.cli.conftest import Commands
from tests.serving import serving

pytestmark = pytest.mark.postgres


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def databases(request: pytest.FixtureRequest, tmp_path: Path, empty_postgres_url: str) -> tuple[str, str]:
    """Where the service is, and where it goes."""
    file = f"sqlite:///{tmp_path}/file.sqlite"
    return (file, empty_postgres_url) if request.param == "to PostgreSQL" else (empty_postgres_url, file)


def key_of(run: Commands) -> str:
    """The secret of a key of a new member."""
    scopes = [word for scope in ("contribute", "match", "feed", "audit") for word in ("--scope", scope)]
    secret: str = run.json("member", "add", "Alpha", "--kind", "platform", *scopes)["key"]["secret"]
    return secret


def test_a_service_goes_on_over_another_database_with_nothing_lost(tmp_path: Path, databases: tuple[str, str]) -> None:
    source, target = databases
    home = tmp_path / "home"
    run = Commands({"HASHDB_HOME": str(home), "HASHDB_DATABASE_URL": source})
    run("upgrade")
    seeds: list[int] = []
    with serving(home, workers=1, HASHDB_DATABASE_URL=source) as url:
        key, stop = key_of(run), Event()

        def write() -> None:
            with Client(url, key) as client:
                while not stop.is_set():
                    client.contribute([draft(len(seeds))])
                    seeds.append(len(seeds))

        writer = Thread(target=write)
        writer.start()
        try:
            for _ in range(2):
                done = run.process("copy-to", HASHDB_COPY_TO=target)
                assert done.returncode == 0, done.stderr
                assert done.stdout.endswith("the service still runs: stop it, then run this command again to finish\n")
        finally:
            stop.set()
            writer.join()
        with Client(url, key) as client:
            kept = client.check()
    refused = run.process("serve", "--port", "0", HASHDB_DATABASE_URL=target)
    assert refused.returncode == 1
    assert "the database is an unfinished copy" in refused.stderr
    told = run.json("copy-to", HASHDB_COPY_TO=target)
    assert (told["finished"], told["findings"]) == (True, [])
    assert told["written"] < sum(told["tables"].values())
    with serving(home, workers=1, HASHDB_DATABASE_URL=target) as url, Client(url, key) as client:
        found = client.match([Query(draft(seed).signals) for seed in seeds]).results
        assert [len(result.matches) for result in found] == [1] * len(seeds)
        client.check(kept.note)
        client.contribute([draft(len(seeds))])
    assert run("audit", "verify", HASHDB_DATABASE_URL=target).returncode == 0
    again = run("copy-to", HASHDB_COPY_TO=target)
    assert (again.returncode, again.stderr.count("neither empty nor an unfinished copy")) == (1, 1)


def test_a_copy_that_was_killed_is_gone_on_with(tmp_path: Path, databases: tuple[str, str]) -> None:
    source, target = databases
    home = tmp_path / "home"
    run = Commands({"HASHDB_HOME": str(home), "HASHDB_DATABASE_URL": source})
    run("upgrade")
    with closing(open_hashdb(source, Settings(home=home).rules())) as db:
        contributed(db, member_with(db), *map(draft, range(300)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "hashdb", "copy-to"],
            env=kept | run.environment | {"HASHDB_COPY_TO": target},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with midway(target, process.pid):
                assert process.poll() is None
                process.kill()
                process.wait()
        finally:
            process.kill()
            process.wait()
        assert "unfinished copy" in run("audit", "verify", HASHDB_DATABASE_URL=target).stderr
    told = run.json("copy-to", HASHDB_COPY_TO=target)
    assert (told["finished"], told["findings"], told["tables"]["signals"]) == (True, [], 300)


@contextmanager
def midway(target: str, pid: int) -> Iterator[None]:
    """Wait until the process has made the target and written to it, then let it wait for the length of the block."""
    until = time.monotonic() + 60
    if target.startswith("sqlite"):
        path = make_url(target).database or ""
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
            while not _made(connection, path, pid):
                assert time.monotonic() < until
            connection.execute("BEGIN IMMEDIATE")
            yield
        return
    engine = create_engine(target, poolclass=NullPool)
    with engine.connect() as connection:
        while not inspect(connection).has_table("signals"):
            connection.rollback()
            assert time.monotonic() < until
        connection.execute(text("LOCK TABLE signals IN ACCESS EXCLUSIVE MODE"))
        waits = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
        )
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as looks:
            while not looks.execute(waits).scalar_one():
                assert time.monotonic() < until
        yield


def _made(connection: sqlite3.Connection, path: str, pid: int) -> bool:
    try:
        opened = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
        return path in opened and bool(connection.execute("SELECT version_num FROM alembic_version").fetchall())
    except (OSError, sqlite3.OperationalError):
        return False


def test_two_copies_at_a_time_are_refused(run: Commands, tmp_path: Path) -> None:
    run("upgrade")
    with lock_copy(Path(run.environment["HASHDB_HOME"])):
        done = run("copy-to", HASHDB_COPY_TO=f"sqlite:///{tmp_path}/file.sqlite")
    assert (done.returncode, done.stderr.count("another `hashdb copy-to` runs from this home")) == (1, 1)


def test_the_url_is_in_no_message(run: Commands) -> None:
    run("upgrade")
    for url, status, said in (
        ("postgresql://someone:secret@127.0.0.1:9/hashdb", 1, "127.0.0.1:9"),
        ("mysql://someone:secret@127.0.0.1/x", 2, "HASHDB_COPY_TO: "),
        ("sqlite:////absent/secret/x.sqlite", 1, "the target cannot be opened"),
        (
            "secret",
            2,
            "HASHDB_COPY_TO: is not a database URL, like postgresql://user@host/hashdb",
        ),
    ):
        done = run("copy-to", HASHDB_COPY_TO=url)
        assert (done.returncode, said in done.stderr, "secret" in done.stderr) == (status, True, False), done.stderr
    assert run("copy-to").stderr == "hashdb: HASHDB_COPY_TO: is not set: set it to the target, or give a URL\n"
    assert (
        run("copy-to", "nonsense").stderr == "hashdb: URL: is not a database URL, like postgresql://user@host/hashdb\n"
    )
