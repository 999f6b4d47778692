"""hashdb backup and restore, with SQLite and with PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sqlite3
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from sqlalchemy import make_url

from hashdb.client import Client
from hashdb.domain.matching.matches import Query
from hashdb.errors import FeedRestarted, LogRewritten
from hashdb.index.folder import lock_folder
from tests.builders import draft
from tests.cli.conftest import Commands
from tests.postgres import WHEEL, PostgresServer
from tests.serving import serving


class Databases(NamedTuple):
    """The URL of the database to back up, that of the database to restore, and a PATH with the programs for it."""

    first: str
    second: str
    path: str


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Two databases of the same kind."""
    path = os.environ["PATH"]
    if request.param == "sqlite":
        first, second = (f"sqlite:///{tmp_path / name / 'hashdb.sqlite'}" for name in ("home", "other"))
        yield Databases(first, second, path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.new_database() as first, server.new_database() as second:
        yield Databases(first, second, f"{_programs()}{os.pathsep}{path}")


def _programs() -> str:
    """The folder with the client programs of PostgreSQL, in the version of the tests' server."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return ""
    return str(max(Path(spec.origin).parent.glob("pginstall*")) / "bin")


def test_a_backup_of_a_running_service_is_restored(tmp_path: Path, databases: Databases) -> None:
    home, other, file = tmp_path / "home", tmp_path / "other", tmp_path / "backup.tar"
    before = Commands({"HASHDB_HOME": str(home), "HASHDB_DATABASE_URL": databases.first, "PATH": databases.path})
    after = Commands({"HASHDB_HOME": str(other), "HASHDB_DATABASE_URL": databases.second, "PATH": databases.path})
    before("upgrade")
    with serving(home, workers=1, HASHDB_DATABASE_URL=databases.first) as url:
        key = before.json("member", "add", "Alpha", "--kind", "platform", "--scope", "contribute", "--scope", "match",
                          "--scope", "feed", "--scope", "audit")["key"]["secret"]  # fmt: skip
        with Client(url, key) as client:
            client.contribute([draft(seed) for seed in range(20)])
            known = client.check().note
            epoch = client.changes(0).epoch
            backup = before.json("backup", file, "--with-key")
            client.contribute([draft(99)])
            later = client.check().note
    assert backup["bytes"] == file.stat().st_size and stat.S_IMODE(file.stat().st_mode) == 0o600
    restored = after.json("restore", file)
    assert (restored["verified"], restored["findings"], restored["with_key"]) == (True, [], True)
    names = {path.name for path in other.iterdir() if path.suffix != ".lock"}
    assert names - {"checkpoints.txt", "hashdb.sqlite-writers"} == {"signing.key"} | (
        {"hashdb.sqlite"} if "sqlite" in databases.first else set()
    )
    with serving(other, workers=1, HASHDB_DATABASE_URL=databases.second) as url, Client(url, key) as client:
        results = client.match([Query(draft(seed).signals) for seed in (3, 99)]).results
        assert [len(result.matches) for result in results] == [1, 0]
        answer = httpx.get(f"{url}/v1/events?action=backup.made", headers={"Authorization": f"Bearer {key}"})
        (event,) = answer.json()["events"]
        assert (event["actor"], event["details"]) == ("system:cli", {"with_key": "yes"})
        with pytest.raises(FeedRestarted):
            client.changes(0, epoch=epoch)
        # The log has all events before the backup. A member with a later checkpoint detects that events are missing.
        assert client.check(known).now.size > restored["events"]
        with pytest.raises(LogRewritten):
            client.check(later)
        client.contribute([draft(seed) for seed in range(100, 130)])
        with pytest.raises(LogRewritten):
            client.check(later)
    assert after.json("audit", "verify")["verified"]


@pytest.fixture
def backed_up(run: Commands, tmp_path: Path) -> Path:
    """A backup of a home with a member, without the key."""
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    file = tmp_path / "backup.tar"
    result = run("backup", file)
    assert result.returncode == 0 and "it does not contain the key that signs the log" in result.stdout
    return file


def test_a_backup_that_cannot_be_made_is_an_error_and_overwrites_nothing(run: Commands, tmp_path: Path) -> None:
    assert "HASHDB_HOME: the audit log there is empty" in run("backup", tmp_path / "one").stderr
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    assert "there is no key to include" in run("backup", tmp_path / "two", "--with-key").stderr
    (tmp_path / "three").write_text("mine")
    assert "three already exists" in run("backup", tmp_path / "three").stderr
    assert (tmp_path / "three").read_text() == "mine"
    assert "cannot be written: no such file" in run("backup", tmp_path / "none" / "four").stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "three"]


def test_restore_into_a_home_or_database_in_use_is_an_error(run: Commands, tmp_path: Path, backed_up: Path) -> None:
    result = run("restore", backed_up)
    assert result.returncode == 1 and "is not empty (it has hashdb.sqlite)" in result.stderr
    assert run.json("member", "list")["members"]
    other_database = tmp_path / "elsewhere.sqlite"
    sqlite3.connect(other_database).execute("CREATE TABLE mine (id INTEGER)").connection.close()
    result = run(
        "restore", backed_up, HASHDB_HOME=str(tmp_path / "new"), HASHDB_DATABASE_URL=f"sqlite:///{other_database}"
    )
    assert "the database has tables already" in result.stderr
    with serving(tmp_path / "third", workers=1):
        assert "another hashdb runs" in run("restore", backed_up, HASHDB_HOME=str(tmp_path / "third")).stderr


@pytest.mark.parametrize("damage", ["text", "cut", "other"])
def test_restore_of_an_invalid_backup_writes_nothing(
    run: Commands, tmp_path: Path, backed_up: Path, damage: str
) -> None:
    content = backed_up.read_bytes()
    if damage == "text":
        backed_up.write_bytes(b"not an archive" * 100)
    elif damage == "cut":
        backed_up.write_bytes(content[: len(content) // 2])
    else:
        with tarfile.open(backed_up, "w") as archive:
            archive.add(__file__, "../backup.json")
    home = tmp_path / "new"
    result = run("restore", backed_up, HASHDB_HOME=str(home))
    assert result.returncode == 1 and "is not a backup of hashdb, or it is damaged" in result.stderr
    assert [path.name for path in home.iterdir() if path.suffix != ".lock"] == []


def test_restore_without_the_signing_key_says_where_to_copy_it(run: Commands, tmp_path: Path, backed_up: Path) -> None:
    result = run("restore", backed_up, HASHDB_HOME=str(tmp_path / "new"))
    assert result.returncode == 0, result.stderr
    assert f"copy the key that signs the log to {tmp_path / 'new' / 'signing.key'}" in result.stdout


def test_a_backup_contains_no_deleted_value(run: Commands, tmp_path: Path) -> None:
    run("member", "add", "Zebra crossing", "--kind", "platform", "--scope", "match", "--contact", "gone@zebra.example")
    home = Path(run.environment["HASHDB_HOME"])
    with sqlite3.connect(home / "hashdb.sqlite") as connection:
        connection.execute("UPDATE members SET contact = ''")
    connection.close()
    run("backup", tmp_path / "backup.tar")
    assert b"gone@zebra.example" not in (tmp_path / "backup.tar").read_bytes()


def test_backups_in_a_folder_are_verified_and_rotated_and_other_files_kept(
    tmp_path: Path, databases: Databases
) -> None:
    folder = tmp_path / "backups"
    run = Commands(
        {"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_DATABASE_URL": databases.first, "PATH": databases.path}
    )
    run("upgrade")
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    first = run.json("backup", "--into", folder, "--verify")
    verified = Path(first["file"])
    assert first["verified"] and verified.name.endswith("Z.verified.tar") and first["deleted"] == []
    # Files of others, one of which is named like a backup, and a folder that a killed backup left.
    other = folder / "hashdb-20200101T000000Z.tar"
    other.write_text("mine")
    (folder / "notes.tar").write_text("mine")
    leftover = folder / ".hashdb-20200101T000000Z.tar-abcdefgh"
    leftover.mkdir()
    older = [folder / f"hashdb-2021010{day}T000000Z.tar" for day in (1, 2, 3)]
    for path in older:
        shutil.copyfile(verified, path)
    # Newer than all others, so that the verified backup is the oldest of three.
    newer = [folder / f"hashdb-2099010{day}T000000Z.tar" for day in (1, 2)]
    for path in newer:
        shutil.copyfile(verified, path)
    run("member", "add", "Beta", "--kind", "platform", "--scope", "match")
    time.sleep(1)
    second = run.json("backup", "--into", folder, "--keep", "2")
    assert sorted(second["deleted"]) == sorted(path.name for path in older)
    # The clock may have gone back: the new backup stays, too.
    assert {path.name for path in folder.iterdir()} == {
        *(path.name for path in newer), Path(second["file"]).name, verified.name, other.name, "notes.tar", "lock"
    }  # fmt: skip
    time.sleep(1)
    third = run.json("backup", "--into", folder, "--verify", "--keep", "1")
    assert third["verified"] and verified.name in third["deleted"]


def test_a_backup_that_fails_verification_is_reported_and_deletes_no_good_one(run: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    for _ in range(2):
        assert run("backup", "--into", folder).returncode == 0
        time.sleep(1)
    connection = sqlite3.connect(Path(run.environment["HASHDB_HOME"]) / "hashdb.sqlite")
    with connection:
        connection.execute("UPDATE events SET actor = 'key:9' WHERE seq = 1")
    connection.close()
    before = set(folder.glob("hashdb-*.tar"))
    for _ in range(2):
        result = run("backup", "--into", folder, "--keep", "1", "--verify")
        assert (
            result.returncode == 1
            and "was restored into a scratch database, and its log does not verify: event 1" in result.stderr
        )
        # Only the last failed backup is kept, so that hourly failures do not fill the disk.
        (failed,) = folder.glob("hashdb-*.failed.tar")
        assert failed.name.partition(".")[0] in result.stderr
        assert set(folder.glob("hashdb-*.tar")) == before | {failed}
        time.sleep(1)


def test_the_options_of_backup_are_validated(run: Commands, tmp_path: Path) -> None:
    assert "give either a FILE or a folder with --into" in run("backup").stderr
    assert "give either a FILE" in run("backup", tmp_path / "a.tar", "--into", tmp_path).stderr
    assert "--keep needs --into" in run("backup", tmp_path / "a.tar", "--keep", "3").stderr
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    (tmp_path / "backups").mkdir()
    with lock_folder(tmp_path / "backups"):
        assert "another backup is being written into" in run("backup", "--into", tmp_path / "backups").stderr
    (tmp_path / "file").write_text("")
    assert run("backup", "--into", tmp_path / "file").returncode == 2


@pytest.mark.postgres
def test_missing_or_old_postgresql_programs_are_reported_with_the_remedy(tmp_path: Path, postgres_url: str) -> None:
    run = Commands({"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_DATABASE_URL": postgres_url})
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    program = tmp_path / "programs" / "pg_dump"
    program.parent.mkdir()
    for text, reason in (
        ("echo 'pg_dump (PostgreSQL) 9.6.24'", r"pg_dump has version 9, but the PostgreSQL server has version (\d+)"),
        ("echo 'Error: You must install at least one package' >&2; exit 1", "pg_dump does not run"),
        (None, "pg_dump is not installed"),
    ):
        if text is None:
            program.unlink()
        else:
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        result = run("backup", tmp_path / "backup.tar", PATH=str(program.parent))
        assert result.returncode == 1
        assert re.search(reason + r": install PostgreSQL's client programs of version (\d+)", result.stderr), (
            result.stderr
        )
        assert not (tmp_path / "backup.tar").exists()


@pytest.mark.postgres
def test_a_missing_right_to_create_a_scratch_database_is_reported(tmp_path: Path, postgres: PostgresServer) -> None:
    with postgres.new_database() as url:
        run = Commands(
            {"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_DATABASE_URL": url,
             "PATH": f"{_programs()}{os.pathsep}{os.environ['PATH']}"}
        )  # fmt: skip
        run("upgrade")
        run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
        role = f"plain_{make_url(url).database}"
        postgres.run(f"CREATE ROLE {role} LOGIN")
        postgres.run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", url)
        postgres.run(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}", url)
        try:
            other = make_url(url).set(username=role).render_as_string(hide_password=False)
            result = run("backup", "--into", tmp_path / "backups", "--verify", HASHDB_DATABASE_URL=other)
            assert result.returncode == 1 and f"ALTER ROLE {role} CREATEDB" in result.stderr
        finally:
            postgres.run(f"DROP OWNED BY {role}", url)
            postgres.run(f"DROP ROLE {role}")
