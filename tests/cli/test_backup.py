"""hashdb backup and restore: a service that comes back, on both databases."""

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
    """The URLs of who is backed up and of where it is restored, and the PATH with what copies them."""

    first: str
    second: str
    path: str


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Of one kind each."""
    path = os.environ["PATH"]
    if request.param == "sqlite":
        first, second = (f"sqlite:///{tmp_path / name / 'hashdb.sqlite'}" for name in ("home", "other"))
        yield Databases(first, second, path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.new_database() as one, server.new_database() as other:
        yield Databases(one, other, f"{_programs()}{os.pathsep}{path}")


def _programs() -> str:
    """Where the programs of the tests' PostgreSQL are, which has the same version as the server."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return ""
    return str(max(Path(spec.origin).parent.glob("pginstall*")) / "bin")


def test_a_service_comes_back_from_a_backup_made_while_it_served(tmp_path: Path, databases: Databases) -> None:
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
            made = before.json("backup", file, "--with-key")
            client.contribute([draft(99)])
            later = client.check().note
    assert made["bytes"] == file.stat().st_size and stat.S_IMODE(file.stat().st_mode) == 0o600
    told = after.json("restore", file)
    assert (told["verified"], told["findings"], told["with_key"]) == (True, [], True)
    names = {path.name for path in other.iterdir() if path.suffix != ".lock"}
    assert names - {"checkpoints.txt", "hashdb.sqlite-writers"} == {"signing.key"} | (
        {"hashdb.sqlite"} if "sqlite" in databases.first else set()
    )
    with serving(other, workers=1, HASHDB_DATABASE_URL=databases.second) as url, Client(url, key) as client:
        found = client.match([Query(draft(seed).signals) for seed in (3, 99)]).results
        assert [len(result.matches) for result in found] == [1, 0]
        answer = httpx.get(f"{url}/v1/events?action=backup.made", headers={"Authorization": f"Bearer {key}"})
        (event,) = answer.json()["events"]
        assert (event["actor"], event["details"]) == ("system:cli", {"with_key": "yes"})
        with pytest.raises(FeedRestarted):
            client.changes(0, epoch=epoch)
        # What the backup knew of is there; of what came after it, whoever kept a checkpoint finds it gone.
        assert client.check(known).now.size > told["events"]
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
    done = run("backup", file)
    assert done.returncode == 0 and "it does not contain the key that signs the log" in done.stdout
    return file


def test_what_a_backup_cannot_be_made_of_or_written_over_is_told(run: Commands, tmp_path: Path) -> None:
    assert "HASHDB_HOME: the audit log there is empty" in run("backup", tmp_path / "one").stderr
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    assert "there is no key to include" in run("backup", tmp_path / "two", "--with-key").stderr
    (tmp_path / "three").write_text("mine")
    assert "three already exists" in run("backup", tmp_path / "three").stderr
    assert (tmp_path / "three").read_text() == "mine"
    assert "cannot be written: no such file" in run("backup", tmp_path / "none" / "four").stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "three"]


def test_what_a_backup_cannot_be_restored_into_is_left_as_it_is(run: Commands, tmp_path: Path, backed_up: Path) -> None:
    done = run("restore", backed_up)
    assert done.returncode == 1 and "is not empty (it has hashdb.sqlite)" in done.stderr
    assert run.json("member", "list")["members"]
    elsewhere = tmp_path / "elsewhere.sqlite"
    sqlite3.connect(elsewhere).execute("CREATE TABLE mine (id INTEGER)").connection.close()
    done = run("restore", backed_up, HASHDB_HOME=str(tmp_path / "new"), HASHDB_DATABASE_URL=f"sqlite:///{elsewhere}")
    assert "the database has tables already" in done.stderr
    with serving(tmp_path / "third", workers=1):
        assert "another hashdb runs" in run("restore", backed_up, HASHDB_HOME=str(tmp_path / "third")).stderr


@pytest.mark.parametrize("harm", ["text", "cut", "other"])
def test_what_is_no_backup_restores_nothing(run: Commands, tmp_path: Path, backed_up: Path, harm: str) -> None:
    octets = backed_up.read_bytes()
    if harm == "text":
        backed_up.write_bytes(b"not an archive" * 100)
    elif harm == "cut":
        backed_up.write_bytes(octets[: len(octets) // 2])
    else:
        with tarfile.open(backed_up, "w") as archive:
            archive.add(__file__, "../backup.json")
    home = tmp_path / "new"
    done = run("restore", backed_up, HASHDB_HOME=str(home))
    assert done.returncode == 1 and "is not a backup of hashdb, or it is damaged" in done.stderr
    assert [path.name for path in home.iterdir() if path.suffix != ".lock"] == []


def test_without_the_key_one_is_told_where_it_belongs(run: Commands, tmp_path: Path, backed_up: Path) -> None:
    done = run("restore", backed_up, HASHDB_HOME=str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert f"copy the key that signs the log to {tmp_path / 'new' / 'signing.key'}" in done.stdout


def test_nothing_that_was_erased_is_in_a_backup(run: Commands, tmp_path: Path) -> None:
    run("member", "add", "Zebra crossing", "--kind", "platform", "--scope", "match", "--contact", "gone@zebra.example")
    home = Path(run.environment["HASHDB_HOME"])
    with sqlite3.connect(home / "hashdb.sqlite") as connection:
        connection.execute("UPDATE members SET contact = ''")
    connection.close()
    run("backup", tmp_path / "backup.tar")
    assert b"gone@zebra.example" not in (tmp_path / "backup.tar").read_bytes()


def test_backups_of_a_folder_are_verified_and_rotated_and_nothing_else_is_deleted(
    tmp_path: Path, databases: Databases
) -> None:
    folder = tmp_path / "backups"
    run = Commands(
        {"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_DATABASE_URL": databases.first, "PATH": databases.path}
    )
    run("upgrade")
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    made = run.json("backup", "--into", folder, "--verify")
    verified = Path(made["file"])
    assert made["verified"] and verified.name.endswith("Z.verified.tar") and made["deleted"] == []
    # Others' files, one that is named like a backup among them; and what a killed backup left.
    other = folder / "hashdb-20200101T000000Z.tar"
    other.write_text("mine")
    (folder / "notes.tar").write_text("mine")
    left = folder / ".hashdb-20200101T000000Z.tar-abcdefgh"
    left.mkdir()
    older = [folder / f"hashdb-2021010{day}T000000Z.tar" for day in (1, 2, 3)]
    for path in older:
        shutil.copyfile(verified, path)
    # Newer than all, so that the verified one is the oldest of three.
    newer = [folder / f"hashdb-2099010{day}T000000Z.tar" for day in (1, 2)]
    for path in newer:
        shutil.copyfile(verified, path)
    run("member", "add", "Beta", "--kind", "platform", "--scope", "match")
    time.sleep(1)
    told = run.json("backup", "--into", folder, "--keep", "2")
    assert sorted(told["deleted"]) == sorted([*(path.name for path in older), Path(told["file"]).name])
    assert {path.name for path in folder.iterdir()} == {
        *(path.name for path in newer), verified.name, other.name, "notes.tar", "lock"
    }  # fmt: skip
    time.sleep(1)
    again = run.json("backup", "--into", folder, "--verify", "--keep", "1")
    assert again["verified"] and verified.name in again["deleted"]


def test_a_backup_that_does_not_verify_is_told_and_deletes_nothing(run: Commands, tmp_path: Path) -> None:
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
        done = run("backup", "--into", folder, "--keep", "1", "--verify")
        assert (
            done.returncode == 1
            and "was restored into a scratch database, and its log does not verify: event 1" in done.stderr
        )
        # The last one that failed is kept, so that tests that fail each hour do not fill the disk.
        (failed,) = folder.glob("hashdb-*.failed.tar")
        assert failed.name.partition(".")[0] in done.stderr
        assert set(folder.glob("hashdb-*.tar")) == before | {failed}
        time.sleep(1)


def test_how_a_backup_is_asked_for_is_checked(run: Commands, tmp_path: Path) -> None:
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
def test_programs_that_are_missing_or_older_than_the_server_are_named_with_what_to_install(
    tmp_path: Path, postgres_url: str
) -> None:
    run = Commands({"HASHDB_HOME": str(tmp_path / "home"), "HASHDB_DATABASE_URL": postgres_url})
    run("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    program = tmp_path / "programs" / "pg_dump"
    program.parent.mkdir()
    for text, reason in (
        ("echo 'pg_dump (PostgreSQL) 9.6.24'", r"pg_dump is of PostgreSQL 9, and the server of (\d+)"),
        ("echo 'Error: You must install at least one package' >&2; exit 1", "pg_dump does not run"),
        (None, "pg_dump is not installed"),
    ):
        if text is None:
            program.unlink()
        else:
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        done = run("backup", tmp_path / "backup.tar", PATH=str(program.parent))
        assert done.returncode == 1
        assert re.search(reason + r": install PostgreSQL's client programs of version (\d+)", done.stderr), done.stderr
        assert not (tmp_path / "backup.tar").exists()


@pytest.mark.postgres
def test_a_user_who_may_not_create_the_scratch_database_is_told_what_to_do(
    tmp_path: Path, postgres: PostgresServer
) -> None:
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
            done = run("backup", "--into", tmp_path / "backups", "--verify", HASHDB_DATABASE_URL=other)
            assert done.returncode == 1 and f"ALTER ROLE {role} CREATEDB" in done.stderr
        finally:
            postgres.run(f"DROP OWNED BY {role}", url)
            postgres.run(f"DROP ROLE {role}")
