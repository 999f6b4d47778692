"""hashdb copy-to: a running service moves to another database, even if the copy was interrupted."""

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
    """The database of the service, and the database to which it moves."""
    file = f"sqlite:///{tmp_path}/file.sqlite"
    return (file, empty_postgres_url) if request.param == "to PostgreSQL" else (empty_postgres_url, file)


def new_key(run: Commands) -> str:
    """Add a member and return the secret of its key."""
    scopes = [word for scope in ("contribute", "match", "feed", "audit") for word in ("--scope", scope)]
    secret: str = run.json("member", "add", "Alpha", "--kind", "platform", *scopes)["key"]["secret"]
    return secret


def test_a_service_moves_to_another_database_without_loss(tmp_path: Path, databases: tuple[str, str]) -> None:
    source, target = databases
    home = tmp_path / "home"
    run = Commands({"HASHDB_HOME": str(home), "HASHDB_DATABASE_URL": source})
    run("upgrade")
    seeds: list[int] = []
    with serving(home, workers=1, HASHDB_DATABASE_URL=source) as url:
        key, stop = new_key(run), Event()

        def write() -> None:
            with Client(url, key) as client:
                while not stop.is_set():
                    client.contribute([draft(len(seeds))])
                    seeds.append(len(seeds))

        writer = Thread(target=write)
        writer.start()
        try:
            for _ in range(2):
                result = run.process("copy-to", HASHDB_COPY_TO=target)
                assert result.returncode == 0, result.stderr
                assert result.stdout.endswith(
                    "the service still runs: stop it, then run this command again to finish\n"
                )
        finally:
            stop.set()
            writer.join()
        with Client(url, key) as client:
            check = client.check()
    result = run.process("serve", "--port", "0", HASHDB_DATABASE_URL=target)
    assert result.returncode == 1
    assert "the database is an unfinished copy" in result.stderr
    output = run.json("copy-to", HASHDB_COPY_TO=target)
    assert (output["finished"], output["findings"]) == (True, [])
    assert output["written"] < sum(output["tables"].values())
    with serving(home, workers=1, HASHDB_DATABASE_URL=target) as url, Client(url, key) as client:
        results = client.match([Query(draft(seed).signals) for seed in seeds]).results
        assert [len(result.matches) for result in results] == [1] * len(seeds)
        client.check(check.note)
        client.contribute([draft(len(seeds))])
    assert run("audit", "verify", HASHDB_DATABASE_URL=target).returncode == 0
    again = run("copy-to", HASHDB_COPY_TO=target)
    assert (again.returncode, again.stderr.count("neither empty nor an unfinished copy")) == (1, 1)


def test_a_killed_copy_is_resumed(tmp_path: Path, databases: tuple[str, str]) -> None:
    source, target = databases
    home = tmp_path / "home"
    run = Commands({"HASHDB_HOME": str(home), "HASHDB_DATABASE_URL": source})
    run("upgrade")
    with closing(open_hashdb(source, Settings(home=home).rules())) as db:
        contributed(db, member_with(db), *map(draft, range(300)))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "hashdb", "copy-to"],
            env=inherited | run.environment | {"HASHDB_COPY_TO": target},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with paused_halfway(target, process.pid):
                assert process.poll() is None
                process.kill()
                process.wait()
        finally:
            process.kill()
            process.wait()
        assert "unfinished copy" in run("audit", "verify", HASHDB_DATABASE_URL=target).stderr
    output = run.json("copy-to", HASHDB_COPY_TO=target)
    assert (output["finished"], output["findings"], output["tables"]["signals"]) == (True, [], 300)


@contextmanager
def paused_halfway(target: str, pid: int) -> Iterator[None]:
    """Wait until the process has written to the target, then make it wait until the `with` block ends."""
    deadline = time.monotonic() + 60
    if target.startswith("sqlite"):
        path = make_url(target).database or ""
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
            while not _has_written(connection, path, pid):
                assert time.monotonic() < deadline
            connection.execute("BEGIN IMMEDIATE")
            yield
        return
    engine = create_engine(target, poolclass=NullPool)
    with engine.connect() as connection:
        while not inspect(connection).has_table("signals"):
            connection.rollback()
            assert time.monotonic() < deadline
        connection.execute(text("LOCK TABLE signals IN ACCESS EXCLUSIVE MODE"))
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
        )
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as observer:
            while not observer.execute(waiting).scalar_one():
                assert time.monotonic() < deadline
        yield


def _has_written(connection: sqlite3.Connection, path: str, pid: int) -> bool:
    try:
        open_files = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
        return path in open_files and bool(connection.execute("SELECT version_num FROM alembic_version").fetchall())
    except (OSError, sqlite3.OperationalError):
        return False


def test_a_second_copy_at_the_same_time_is_rejected(run: Commands, tmp_path: Path) -> None:
    run("upgrade")
    with lock_copy(Path(run.environment["HASHDB_HOME"])):
        result = run("copy-to", HASHDB_COPY_TO=f"sqlite:///{tmp_path}/file.sqlite")
    assert (result.returncode, result.stderr.count("another `hashdb copy-to` runs from this home")) == (1, 1)


def test_no_error_message_contains_the_secret_parts_of_the_url(run: Commands) -> None:
    run("upgrade")
    for url, status, error in (
        ("postgresql://someone:secret@127.0.0.1:9/hashdb", 1, "127.0.0.1:9"),
        ("mysql://someone:secret@127.0.0.1/x", 2, "HASHDB_COPY_TO: "),
        ("sqlite:////absent/x.sqlite", 1, "the database at /absent/x.sqlite cannot be used: unable to open"),
        (
            "secret",
            2,
            "HASHDB_COPY_TO: is not a database URL, like postgresql://user@host/hashdb",
        ),
    ):
        result = run("copy-to", HASHDB_COPY_TO=url)
        assert (result.returncode, error in result.stderr, "secret" in result.stderr) == (status, True, False), (
            result.stderr
        )
    assert run("copy-to").stderr == "hashdb: HASHDB_COPY_TO: is not set: set it to the target, or give a URL\n"
    for url, error in (
        ("nonsense", "is not a database URL, like postgresql://user@host/hashdb"),
        ("", "is not a database URL, like postgresql://user@host/hashdb"),
        ("sqlite://", "must name a file: a database in memory is lost when the process ends"),
    ):
        result = run("copy-to", url)
        assert (result.returncode, result.stderr) == (2, f"hashdb: URL: {error}\n")
